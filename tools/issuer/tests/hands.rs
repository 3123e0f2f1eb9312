//! How the program handles a closed or full standard output, and that it leaves no core dump.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Child;

use softsim_testkit::command::{fifo, leaves_no_core, tells_of_its_output, with_cores};

const ISSUER: &str = env!("CARGO_BIN_EXE_softsim-issuer");

#[test]
fn a_reader_that_has_gone_is_no_reason_to_complain_and_a_full_device_is_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 3] = [&["keygen", "--out", "."], &["--help"], &["--version"]];
    tells_of_its_output(ISSUER, directory.path(), &commands);
}

/// Starts the program, which waits for its profile from a FIFO, where it may dump a core.
fn waiting(directory: &Path) -> Child {
    fifo(directory, "profile.toml");
    let seal = "seal --profile profile.toml --certificate c --device-ca a --statement s --key k --sequence 1 --out o";
    with_cores(ISSUER, directory, seal)
}

#[test]
fn it_leaves_no_core() {
    let directory = tempfile::tempdir().unwrap();
    leaves_no_core(waiting(directory.path()));
}
