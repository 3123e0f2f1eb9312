//! The workspace's own commands: `cargo xtask test` and `cargo xtask demo`.

mod binaries;
mod demo;
mod prerequisites;
mod run;
mod suite;

use std::{env, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test             formatting, lints, licences, unit, vector, integration and interop tests
  demo [--hostapd] [--release]
                   the whole journey of a software SIM, with separate sandboxed processes;
                   --hostapd puts Debian's hostapd in the authenticator's place
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["test"] => suite::run(),
        ["demo", options @ ..] => demo::run(options),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
