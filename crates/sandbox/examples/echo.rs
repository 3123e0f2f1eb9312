//! The smallest confined process on secret memory: answers each datagram with itself.
//!
//!     echo SOCKET

#![no_main]
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_sandbox::{Args, landlock, log, memory, process};

softsim_sandbox::secret_main!(stack = 128 << 10, heap = 1 << 20, run);

fn run(mut args: Args) -> ! {
    let path = args.next().expect("the path of the socket");
    let listener = Listener::bind(Path::new(OsStr::from_bytes(path)), 0o600).expect("a socket");
    let mut connections: Vec<Connection> = Vec::new();

    process::no_new_privileges().expect("no new privileges");
    let abi = landlock::restrict(&[]).expect("landlock");
    seccomp::install(Filter::Keyd).expect("seccomp");
    let calls = Filter::Keyd.calls().len();
    let memory = memory::key_memory();
    log::line(
        6,
        format_args!("landlock ABI {abi}, {calls} calls, key memory {memory}"),
    );

    loop {
        memory::scrub();
        let mut entries = vec![Entry::readable(&listener)];
        entries.extend(connections.iter().map(Entry::readable));
        // The time-out is for a watchdog; here it only shows that a stopped process goes on.
        poll::wait(&mut entries, Some(Duration::from_secs(60))).expect("a wait");

        let mut ready = entries[1..].iter().map(Entry::ready);
        connections.retain(|connection| !ready.next().expect("an entry each") || serve(connection));
        if entries[0].ready() {
            connections.extend(listener.accept().expect("a connection"));
        }
    }
}

/// Whether the connection goes on.
fn serve(connection: &Connection) -> bool {
    let mut datagram = [0; 4096];
    match connection.receive(&mut datagram) {
        Ok(Received::Datagram(length)) => connection.send(&datagram[..length]).is_ok(),
        Ok(Received::Nothing) => true,
        Ok(Received::Truncated | Received::Closed) | Err(_) => false,
    }
}
