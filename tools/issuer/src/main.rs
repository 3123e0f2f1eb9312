//! `softsim-issuer` generates the operator's key, seals profiles for devices, and signs commands to
//! them.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
