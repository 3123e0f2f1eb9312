//! softsim-netd; everything is in the library.

use std::{env, fmt, process::ExitCode};

use clap::Parser;
use softsim_netd::{
    access::port::keeper,
    log,
    names::helper,
    notifier,
    start::{Arguments, run},
};
use softsim_sandbox::inherited;

fn main() -> ExitCode {
    if let Err(error) = inherited::close() {
        return ended(Err(format!("inherited descriptors: {error}")));
    }
    let arguments: Vec<_> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(keeper::SUBCOMMAND) => ended(keeper::run(&arguments[2..])),
        Some(helper::SUBCOMMAND) => ended(helper::run()),
        Some(notifier::SUBCOMMAND) => ended(notifier::run()),
        _ => network_daemon(),
    }
}

fn network_daemon() -> ExitCode {
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

/// The end of a process that can't begin, or that netd has started beside itself.
fn ended(outcome: Result<(), impl fmt::Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("softsim-netd {error}");
            ExitCode::FAILURE
        }
    }
}
