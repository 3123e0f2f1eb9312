//! How the program handles a closed or full standard output, and that it leaves no core dump.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Child, Stdio};

use softsim_testkit::command::{fifo, leaves_no_core, run, tells_of_its_output, with_cores};

const CTL: &str = env!("CARGO_BIN_EXE_softsimctl");

/// A command that prints something and needs no daemon.
const INIT: &[&str] = &["vault", "init-passphrase", "--parameters", "parameters"];

#[test]
fn a_reader_that_has_gone_is_no_reason_to_complain_and_a_full_device_is_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 3] = [INIT, &["--help"], &["--version"]];
    tells_of_its_output(CTL, directory.path(), &commands);
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
