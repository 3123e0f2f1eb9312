//! softsim-netd; everything is in the library.

use std::{env, process::ExitCode};

use clap::Parser;
use softsim_netd::{
    access::port_keeper,
    log,
    start::{Arguments, run},
};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().collect();
    if arguments
        .get(1)
        .is_some_and(|first| first == port_keeper::SUBCOMMAND)
    {
        return keep_port(arguments.get(2).map(String::as_str));
    }
    let arguments = Arguments::parse();
    log::begin();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.status())
        }
    }
}

/// The process that netd starts for each controlled port.
fn keep_port(interface: Option<&str>) -> ExitCode {
    match port_keeper::run(interface) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("softsim-netd {error}");
            ExitCode::FAILURE
        }
    }
}
