//! Ways out of netd's sandbox: each is closed by the part of it that should close it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::Permissions;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use softsim_sandbox::seqpacket::{Connection, pair};

/// What comes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Works,
    /// EACCES.
    ByLandlock,
    /// SIGSYS.
    KilledBySeccomp,
    /// EISCONN: a pair is connected for good.
    ByKernel,
}

use Outcome::{ByKernel, ByLandlock, KilledBySeccomp, Works};

const ATTEMPTS: &[(&str, Outcome)] = &[
    // What it does every day: the sandbox leaves it, so what else fails doesn't fail for another
    // reason.
    ("write its own file", Works),
    ("replace its own file", Works),
    ("open a UDP socket", Works),
    ("read keyd's state", ByLandlock),
    ("write keyd's state", ByLandlock),
    ("make a file beside it", ByLandlock),
    ("remove keyd's state", ByLandlock),
    ("rename its own file over it", ByLandlock),
    ("read the users", ByLandlock),
    ("read the names of hosts", ByLandlock),
    ("list the root", ByLandlock),
    ("read its own memory as a file", ByLandlock),
    ("read the environment of another", ByLandlock),
    ("open a device", ByLandlock),
    ("connect to keyd's administration", KilledBySeccomp),
    ("connect in order", KilledBySeccomp),
    ("connect to an abstract socket", KilledBySeccomp),
    ("listen for programs", KilledBySeccomp),
    ("send to the system's log", KilledBySeccomp),
    ("connect a datagram pair", KilledBySeccomp),
    ("sendto on a datagram pair", KilledBySeccomp),
    ("a pair for datagrams in order", KilledBySeccomp),
    ("connect a pair to another socket", ByKernel),
    ("send on a pair to another socket", ByKernel),
    ("receive a descriptor from the connector", Works),
    ("receive a descriptor from another", KilledBySeccomp),
    ("pass a descriptor out", KilledBySeccomp),
    ("pass a descriptor to the connector", KilledBySeccomp),
    ("connect by TCP", KilledBySeccomp),
    ("listen for TCP", KilledBySeccomp),
    ("ask for the network's interfaces", KilledBySeccomp),
    ("read all packets", KilledBySeccomp),
    ("write raw packets", KilledBySeccomp),
    ("talk to a virtual machine's host", KilledBySeccomp),
    ("start a program", KilledBySeccomp),
    ("make a directory", KilledBySeccomp),
    ("make a link", KilledBySeccomp),
    ("give its file to all", KilledBySeccomp),
    ("list its own directory", KilledBySeccomp),
];

#[test]
fn each_way_out_is_closed_by_what_should_close_it() {
    let folder = tempfile::tempdir().unwrap();
    let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
    for directory in [&own, &other] {
        fs::create_dir(directory).unwrap();
    }
    fs::write(own.join("file"), b"own").unwrap();
    fs::write(other.join("state"), b"keyd's").unwrap();
    // All sockets are there and open to all.
    let _admin = UnixListener::bind(other.join("admin.sock")).unwrap();
    fs::set_permissions(other.join("admin.sock"), Permissions::from_mode(0o666)).unwrap();
    // As a hostapd's, a wpa_supplicant's or the system's log.
    let log = UnixDatagram::bind(other.join("log")).unwrap();
    fs::set_permissions(other.join("log"), Permissions::from_mode(0o666)).unwrap();
    log.set_nonblocking(true).unwrap();
    // Of this run's own: others go on beside it.
    let abstract_name = other.join("abstract");
    let abstract_name =
        SocketAddr::from_abstract_name(abstract_name.as_os_str().as_bytes()).unwrap();
    let _abstract = UnixListener::bind_addr(&abstract_name).unwrap();

    for (attempt, expected) in ATTEMPTS {
        let (connector, theirs) = pair().unwrap();
        pass(&connector);
        let output = Command::new(escape())
            .args([&own, &other])
            .arg(attempt)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .output()
            .unwrap();
        assert_eq!(outcome(&output), *expected, "{attempt}: {output:?}");
    }
    assert!(log.recv(&mut [0; 16]).is_err());
    assert_eq!(fs::read(other.join("state")).unwrap(), b"keyd's");
    assert!(!other.join("new").exists());
}

/// Passes a descriptor, as the connector does.
fn pass(to: &Connection) {
    let stderr = io::stderr();
    let passed = [stderr.as_fd()];
    let mut space = [MaybeUninit::uninit(); 64];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    let sent = sendmsg(to, &[IoSlice::new(b"p")], &mut control, SendFlags::empty());
    assert_eq!(sent, Ok(1));
}

fn outcome(output: &Output) -> Outcome {
    const EACCES: &[u8] = b"13\n";
    const EISCONN: &[u8] = b"106\n";
    const SIGSYS: i32 = 31;
    match output.stdout.as_slice() {
        b"works\n" => Works,
        EACCES => ByLandlock,
        EISCONN => ByKernel,
        b"" if output.status.signal() == Some(SIGSYS) => KilledBySeccomp,
        _ => panic!("{output:?}"),
    }
}

/// The example, which `cargo test` has built beside this program.
fn escape() -> PathBuf {
    let own = env::current_exe().unwrap();
    let profile = own.ancestors().nth(2).map(Path::to_owned).unwrap();
    profile.join("examples/escape")
}
