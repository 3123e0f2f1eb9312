//! Minimal services of a host for the modules of the name service switch.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::{fs, thread};

use softsim_lab_harness::host_files::HostFiles;
use softsim_lab_simulators::pki::SERVER_NAME;

/// A module that the program doesn't find: one of those that ask services, and one of those that
/// ask the kernel.
pub(crate) fn missing_module(host: &HostFiles) -> Option<&'static str> {
    let modules = ["resolve", "mdns4", "myhostname", "mymachines"];
    modules.into_iter().find(|module| !host.has_module(module))
}

/// systemd-resolved.
pub(crate) fn start_resolved(host: &HostFiles) {
    serve(
        &host.run().join("systemd/resolve/io.systemd.Resolve"),
        resolved,
    );
}

/// Avahi, whose module asks for names outside of `.local` if a file says so.
pub(crate) fn start_avahi(host: &HostFiles) {
    serve(&host.run().join("avahi-daemon/socket"), avahi);
    host.write("mdns.allow", "*\n").unwrap();
}

/// Listens on a socket as the service does, and answers each connection.
fn serve(socket: &Path, answer: fn(UnixStream)) {
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
}

/// Answers systemd-resolved's ResolveHostname, a Varlink call: JSON that ends with a zero octet.
fn resolved(mut stream: UnixStream) {
    let mut call = Vec::new();
    BufReader::new(&stream).read_until(0, &mut call).unwrap();
    let call = String::from_utf8(call).unwrap();
    assert!(
        call.contains("io.systemd.Resolve.ResolveHostname"),
        "{call}"
    );
    let answer = format!(
        "{{\"parameters\":{{\"addresses\":[{{\"ifindex\":1,\"family\":2,\"address\":[127,0,0,1]}}],\
         \"name\":\"{SERVER_NAME}\",\"flags\":1}}}}\0"
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

/// Answers in Avahi's simple protocol.
fn avahi(mut stream: UnixStream) {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let answer = match line.strip_prefix("RESOLVE-HOSTNAME-IPV4 ") {
        Some(name) => format!("+ 1 0 {} 127.0.0.1\n", name.trim()),
        None => "-15 Timeout reached\n".into(),
    };
    stream.write_all(answer.as_bytes()).unwrap();
}
