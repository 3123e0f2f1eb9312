//! How the program handles a closed standard output, and that it leaves no core dump.
#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Stdio};

use softsim_testkit::command::{fifo, leaves_no_core, run, run_unread, with_cores};

const CTL: &str = env!("CARGO_BIN_EXE_softsimctl");

/// A command that prints something and needs no daemon.
const INIT: &[&str] = &["vault", "init-passphrase", "--parameters", "parameters"];

#[test]
fn a_reader_that_has_gone_is_no_reason_to_complain() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [INIT, &["--help"], &["--version"]] {
        let (status, said) = run_unread(CTL, directory.path(), arguments);
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
    for arguments in [INIT, &["--help"], &["--version"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (status, said) = run(CTL, directory.path(), arguments, full);
        assert_eq!(status.code(), Some(74), "{arguments:?}");
        assert_eq!(
            said,
            "softsimctl: standard output: No space left on device (os error 28)\n"
        );
    }
}

/// Starts the program, which waits for its passphrase from a FIFO, where it may dump a core.
fn waiting(directory: &Path) -> Child {
    let (status, said) = run(CTL, directory, INIT, Stdio::null());
    assert!(status.success(), "{said}");
    fifo(directory, "passphrase");
    let unlock = "vault unlock --parameters parameters --passphrase-file passphrase -- true";
    with_cores(CTL, directory, unlock)
}

#[test]
fn it_leaves_no_core() {
    let directory = tempfile::tempdir().unwrap();
    leaves_no_core(waiting(directory.path()));
}
