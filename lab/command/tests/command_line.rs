//! The exit statuses of softsim-lab's command line.

#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn a_wrong_command_line_ends_with_64_and_help_with_0() {
    for (arguments, status) in [
        (&["serve"][..], 64),
        (&["up", "--dir", "x", "--format", "json"], 64),
        (&[], 64),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_softsim-lab"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}
