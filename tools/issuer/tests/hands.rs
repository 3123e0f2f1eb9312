//! What the process does with standard output and with its own memory.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::pipe;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

const ISSUER: &str = env!("CARGO_BIN_EXE_softsim-issuer");

/// Whoever starts a process holds it: until it executes, that has a copy of each descriptor, a
/// pipe's reader among them.
static ALONE: Mutex<()> = Mutex::new(());

fn run(directory: &Path, arguments: &[&str], stdout: impl Into<Stdio>) -> (ExitStatus, String) {
    let mut command = Command::new(ISSUER);
    command
        .args(arguments)
        .current_dir(directory)
        .stdout(stdout)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let child = {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        command.spawn().unwrap()
    };
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_complain() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["keygen", "--out", "."][..], &["--help"], &["--version"]] {
        let writer = {
            let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
            pipe().unwrap().1
        };
        let (status, said) = run(directory.path(), arguments, writer);
        assert_eq!(
            (status.code(), said.as_str()),
            (Some(141), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_full_device_is_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["keygen", "--out", "."][..], &["--help"], &["--version"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (status, said) = run(directory.path(), arguments, full);
        assert_eq!(status.code(), Some(74), "{arguments:?}");
        assert_eq!(
            said,
            "softsim-issuer: standard output: No space left on device (os error 28)\n"
        );
    }
}

/// It waits for its profile, which is behind a pipe, and would leave a core when it is told to
/// quit.
fn waiting(directory: &Path) -> Child {
    let fifo = Command::new("mkfifo")
        .args(["-m", "600", "profile.toml"])
        .current_dir(directory)
        .status();
    assert!(fifo.unwrap().success());
    let seal = "seal --profile profile.toml --certificate c --device-ca a --statement s --key k --sequence 1 --out o";
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new("sh")
        .args(["-c", &format!("ulimit -c unlimited; exec {ISSUER} {seal}")])
        .current_dir(directory)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn it_leaves_no_core() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = waiting(directory.path());
    let limits = format!("/proc/{}/limits", child.id());
    let name = format!("/proc/{}/comm", child.id());
    let has_none = || {
        // The shell before it may have been given as little as the program gives itself.
        if !fs::read_to_string(&name).unwrap().starts_with("softsim") {
            return false;
        }
        let limits = fs::read_to_string(&limits).unwrap();
        let mut lines = limits.lines();
        let core = lines.find(|line| line.starts_with("Max core file size"));
        core.is_some_and(|line| line.split_whitespace().nth(4) == Some("0"))
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while !has_none() && Instant::now() < patience {
        sleep(Duration::from_millis(10));
    }
    let limited = has_none();
    let quit = Command::new("kill")
        .args(["-QUIT", &child.id().to_string()])
        .status();
    assert!(quit.unwrap().success());
    let status = child.wait().unwrap();
    assert!(limited, "a core may be written to a file");
    assert_eq!(status.signal(), Some(3));
    assert!(!status.core_dumped(), "whatever core_pattern says");
}
