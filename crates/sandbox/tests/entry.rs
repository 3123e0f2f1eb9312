//! The state of a process of `secret_main!` when `run` is called, and how the process ends.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{
    NOBODY, OrdinaryUser, before_exec, deny_call, example, is_root, probe, skip, stderr, succeed,
};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};

#[test]
fn a_panic_tells_its_place_and_not_its_message() {
    let output = probe(&["panic"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(70));
    let line = stderr(&output);
    assert!(line.starts_with("panic at "), "{line}");
    assert!(line.contains("confined.rs:"), "{line}");
    assert!(!line.contains("465b"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn an_exhausted_heap_ends_the_process_with_a_line() {
    let output = probe(&["exhaust"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(71));
    assert!(stderr(&output).ends_with("aborted: out of memory, or a defect\n"));
}

#[test]
fn closed_standard_descriptors_are_dev_null() {
    let mut command = probe(&["descriptors"]);
    before_exec(&mut command, || {
        for fd in 0..3 {
            // SAFETY: the child's own descriptors, which nothing uses between here and exec.
            unsafe { libc::close(fd) };
        }
        Ok(())
    });
    succeed(&mut command);
}

#[test]
fn root_leaves_root_for_good() {
    if !is_root() {
        skip("root_leaves_root_for_good: needs root");
        return;
    }
    succeed(&mut probe(&["drop-user", &NOBODY.to_string()]));
}

#[test]
fn a_process_and_its_programs_have_the_capabilities_that_it_kept_and_no_others() {
    if !is_root() {
        skip("keeping capabilities needs root");
        return;
    }
    succeed(&mut probe(&["keep-capabilities"]));
}

#[test]
fn a_process_without_capabilities_gives_none_up_and_needs_no_call_for_it() {
    let user = OrdinaryUser::new();
    let mut command = user.probe(&["keep-no-capability"]);
    before_exec(&mut command, || deny_call(libc::SYS_capset));
    succeed(&mut command);
}

#[test]
fn a_signal_that_asks_for_the_end_can_be_waited_for() {
    assert_eq!(succeed(&mut probe(&["hold-termination"])), "still here\n");
}

#[test]
fn signals_that_ask_for_the_end_can_be_let_pass() {
    assert_eq!(succeed(&mut probe(&["ignore-termination"])), "still here\n");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_drops_are_counted() {
    let (read, write) = io::pipe().unwrap();
    // SAFETY: the call takes numbers only.
    unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    let dropped = succeed(probe(&["log", "100"]).stdout(Stdio::piped()).stderr(write));
    let dropped: usize = dropped.trim().parse().unwrap();
    let lines = io::read_to_string(read).unwrap();
    assert!(dropped > 0);
    assert_eq!(lines.lines().count() + dropped, 100);
    let line = "?".repeat(1023);
    assert!(lines.lines().all(|read| read == line));
}

/// As systemd.exec(5) describes JOURNAL_STREAM. Whoever redirects standard error doesn't clear it.
#[test]
fn a_line_has_its_level_only_in_the_journal() {
    let panics = |journal: &dyn Fn(u64, u64) -> Option<String>| {
        let (read, write) = io::pipe().unwrap();
        let file = File::from(OwnedFd::from(write));
        let metadata = file.metadata().unwrap();
        let mut command = probe(&["panic"]);
        match journal(metadata.dev(), metadata.ino()) {
            Some(stream) => command.env("JOURNAL_STREAM", stream),
            None => command.env_remove("JOURNAL_STREAM"),
        };
        command.stderr(file).status().unwrap();
        drop(command);
        io::read_to_string(read).unwrap()
    };
    let line = panics(&|device, inode| Some(format!("{device}:{inode}")));
    assert!(line.starts_with("<2>panic at "), "{line}");
    for other in [
        panics(&|_, _| None),
        panics(&|device, inode| Some(format!("{device}:{}", inode + 1))),
        panics(&|device, inode| Some(format!("{}:{inode}", device + 1))),
    ] {
        assert!(other.starts_with("panic at "), "{other}");
    }
}

#[test]
fn a_log_reader_that_left_does_not_end_the_process() {
    let (read, write) = io::pipe().unwrap();
    drop(read);
    assert_eq!(succeed(probe(&["log", "3"]).stderr(write)), "3\n");
}

#[test]
fn a_file_beyond_its_limit_is_an_error_and_not_the_end() {
    let mut command = probe(&["serve"]);
    before_exec(&mut command, || {
        let limit = libc::rlimit {
            rlim_cur: 600,
            rlim_max: 600,
        };
        // SAFETY: the kernel reads one rlimit.
        match unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    });
    // The probe reports that its files get no space; a signal would end it without a report.
    assert_eq!(command.output().unwrap().status.code(), Some(70));
}

#[test]
fn a_socket_of_the_service_manager_is_found_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = Listener::bind(&path, 0o600).unwrap();
    let passed = listener.as_fd().try_clone_to_owned().unwrap();
    let mut child = with_sockets(&["inherited", "network"], passed)
        .spawn()
        .unwrap();

    let client = Connection::connect(&path).unwrap();
    client.send(b"over an inherited socket").unwrap();
    let soon = Some(Duration::from_secs(60));
    assert_eq!(
        poll::wait(&mut [Entry::readable(&client)], soon).unwrap(),
        1
    );
    let mut answer = [0; 64];
    assert_eq!(client.receive(&mut answer).unwrap(), Received::Datagram(24));
    assert_eq!(&answer[..24], b"over an inherited socket");
    assert!(child.wait().unwrap().success());
}

/// Passes a socket twice, as descriptors 3 (`admin`) and 4 (`network`); a shell fills in
/// LISTEN_PID.
fn with_sockets(args: &[&str], socket: OwnedFd) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""])
        .arg(example("probe"))
        .args(args)
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "admin:network");
    before_exec(&mut command, move || {
        let duplicate = |from: i32, to: i32| {
            // SAFETY: the call takes numbers only; nothing uses the child's descriptors 3 and 4
            // between here and exec, but perhaps std to report a failed exec.
            match unsafe { libc::dup2(from, to) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        };
        // The socket itself may be 3 or 4, and close-on-exec.
        duplicate(socket.as_raw_fd(), 100)?;
        duplicate(100, 3)?;
        duplicate(100, 4)
    });
    command
}

#[test]
fn the_service_manager_hears_from_a_confined_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let by_path = UnixDatagram::bind(&path).unwrap();
    hears(&by_path, path.to_str().unwrap());

    let name = format!("softsim-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let by_name = UnixDatagram::bind_addr(&address).unwrap();
    hears(&by_name, &format!("@{name}"));

    succeed(probe(&["notify"]).env_remove("NOTIFY_SOCKET"));
}

fn hears(socket: &UnixDatagram, name: &str) {
    succeed(probe(&["notify"]).env("NOTIFY_SOCKET", name));
    for expected in ["READY=1", "WATCHDOG=1"] {
        let mut state = [0; 64];
        let length = socket.recv(&mut state).unwrap();
        assert_eq!(&state[..length], expected.as_bytes());
    }
}
