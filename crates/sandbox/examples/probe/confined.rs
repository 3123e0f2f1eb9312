//! What a process can do under the filter, and how it ends if it does something else.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::notify::Notify;
use softsim_sandbox::peer::Membership;
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_sandbox::{clock, inherited, log, memory, random};

use crate::confined;

/// One request from socket to disk and back, with each of the twelve calls.
pub(crate) fn serve(install: impl FnOnce()) {
    let folder = std::env::temp_dir().join(format!("softsim-probe-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder");
    let path = folder.join("socket");
    let listener = Listener::bind(&path, 0o600).expect("a socket");
    let client = Connection::connect(&path).expect("a client");
    let state = File::create(folder.join("state")).expect("a file");
    state.set_len(4096).expect("space");
    fs::remove_dir_all(&folder).expect("a clean folder");
    let uid = softsim_sandbox::process::uid();
    memory::extend_heap(4 << 20).expect("address space");
    landlock::restrict(&[]).expect("landlock");
    install();
    confined();

    client.send(b"request").expect("room");
    let mut entries = [Entry::readable(&listener)];
    poll::wait(&mut entries, Some(Duration::from_secs(60))).expect("a wait");
    assert!(entries[0].ready());
    let server = listener.accept().expect("no error").expect("a connection");
    assert_eq!(server.peer_uid(), uid);
    assert_eq!(server.peer_is_in(&[u32::MAX]), Membership::Stranger);
    let mut request = [0; 64];
    assert_eq!(
        server.receive(&mut request).expect("a request"),
        Received::Datagram(7)
    );
    let mut nonce = [0; 16];
    random::fill(&mut nonce);
    assert!(clock::boottime() > Duration::ZERO && clock::realtime() > Duration::ZERO);
    state.write_all_at(&nonce, 512).expect("a write");
    state.sync_data().expect("durable");
    server.send(&nonce).expect("an answer");
    memory::scrub();
    drop(server);
    assert_eq!(
        client.receive(&mut request).expect("an answer"),
        Received::Datagram(16)
    );
    assert_eq!(
        client.receive(&mut request).expect("the end"),
        Received::Closed
    );
    let large = vec![7_u8; 64 << 10];
    // The heap grows, up to what it was promised.
    let larger = vec![7_u8; 3 << 20];
    assert!(Vec::<u8>::new().try_reserve(2 << 20).is_err());
    drop((large, larger));
    log::line(6, "served");
    softsim_sandbox::process::exit(0) // The files stay open: std would ask fcntl(2) first.
}

/// With one rule, the rule set permits that path and nothing else.
pub(crate) fn landlock(folder: &Path) {
    fs::write(folder.join("old"), b"old").expect("a file");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = tcp.local_addr().expect("an address");
    let opened = OpenOptions::new()
        .read(true)
        .open("/etc/passwd")
        .expect("a file");
    let outside = abstract_listener();

    let rule = PathRule {
        path: folder,
        access: PathAccess::ReadWrite,
    };
    let abi = landlock::restrict(&[rule]).expect("landlock");
    confined();

    let denied = |kind: Option<ErrorKind>| assert_eq!(kind, Some(ErrorKind::PermissionDenied));
    denied(File::open("/etc/passwd").err().map(|error| error.kind()));
    denied(fs::read_dir("/").err().map(|error| error.kind()));
    denied(
        File::create("/tmp/softsim-probe")
            .err()
            .map(|error| error.kind()),
    );
    denied(
        Command::new("/bin/true")
            .spawn()
            .err()
            .map(|error| error.kind()),
    );
    denied(
        fs::create_dir(folder.join("folder"))
            .err()
            .map(|error| error.kind()),
    );
    opened.read_at(&mut [0], 0).expect("what was open stays so");

    fs::write(folder.join("new"), b"new").expect("own files are left");
    fs::rename(folder.join("new"), folder.join("old")).expect("own files are left");
    assert_eq!(
        fs::read(folder.join("old")).expect("own files are left"),
        b"new"
    );
    fs::remove_file(folder.join("old")).expect("own files are left");

    if abi.number() >= 4 {
        denied(TcpStream::connect(target).err().map(|error| error.kind()));
        denied(
            TcpListener::bind("127.0.0.1:0")
                .err()
                .map(|error| error.kind()),
        );
    }
    if abi.number() >= 6 {
        denied(
            UnixStream::connect_addr(&outside)
                .err()
                .map(|error| error.kind()),
        );
        let parent = std::os::unix::process::parent_id() as libc::pid_t;
        // SAFETY: signal 0 is a question only.
        let asked = unsafe { libc::kill(parent, 0) };
        let error = std::io::Error::last_os_error();
        assert_eq!((asked, error.raw_os_error()), (-1, Some(libc::EPERM)));
    }
    println!("{abi}");

    // A second, empty rule set forbids the folder, too.
    landlock::restrict(&[]).expect("landlock");
    denied(fs::read_dir(folder).err().map(|error| error.kind()));
}

/// An abstract socket that the parent opened, whose name is in the environment.
fn abstract_listener() -> SocketAddr {
    let name = std::env::var("PROBE_ABSTRACT_SOCKET").expect("a name");
    let address = SocketAddr::from_abstract_name(name).expect("an address");
    UnixStream::connect_addr(&address).expect("reachable before");
    address
}

/// With a filter around it that forbids landlock, as in a container.
pub(crate) fn landlock_unavailable() {
    match landlock::restrict(&[]) {
        Err(landlock::Error::Unavailable(error)) => {
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        }
        other => panic!("{other:?}"),
    }
    let missing = PathRule {
        path: Path::new("/does/not/exist"),
        access: PathAccess::Read,
    };
    assert!(landlock::restrict(&[missing]).is_err());
}

/// Serves one datagram on the inherited socket of that name.
pub(crate) fn inherited(name: &str) {
    assert!(inherited::named("other").is_none());
    let descriptor = inherited::named(name).expect("an inherited descriptor");
    assert!(inherited::named(name).is_none(), "given out twice");
    let listener = Listener::from_inherited(descriptor).expect("a listening socket");
    seccomp::install(Filter::Keyd).expect("seccomp");
    poll::wait(&mut [Entry::readable(&listener)], None).expect("a wait");
    let connection = listener.accept().expect("no error").expect("a connection");
    poll::wait(&mut [Entry::readable(&connection)], None).expect("a wait");
    let mut request = [0; 64];
    match connection.receive(&mut request).expect("a request") {
        Received::Datagram(length) => connection.send(&request[..length]).expect("room"),
        other => panic!("{other:?}"),
    }
    softsim_sandbox::process::exit(0)
}

pub(crate) fn notify() {
    let notify = Notify::from_env().expect("a service manager");
    seccomp::install(Filter::Keyd).expect("seccomp");
    notify.ready().expect("room");
    notify.watchdog().expect("room");
    softsim_sandbox::process::exit(0)
}

/// Panics with a message that must not be printed.
pub(crate) fn panic() {
    seccomp::install(Filter::Keyd).expect("seccomp");
    panic!("the key is {}", "465b5ce8b199b49faa5f0a2ee238a6bc");
}

pub(crate) fn exhaust() {
    seccomp::install(Filter::Keyd).expect("seccomp");
    let mut blocks = Vec::new();
    loop {
        blocks.push(vec![1_u8; 64 << 10]);
    }
}
