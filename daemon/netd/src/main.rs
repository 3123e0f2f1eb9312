//! softsim-netd; everything is in the library.

use std::{env, io, process::ExitCode};

use clap::Parser;
use softsim_netd::{
    access::port_keeper,
    start::{Arguments, run},
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().collect();
    if arguments
        .get(1)
        .is_some_and(|first| first == port_keeper::SUBCOMMAND)
    {
        return keep_port(arguments.get(2).map(String::as_str));
    }
    let arguments = Arguments::parse();
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_env_filter(filter)
        .init();
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
