//! softsim-bridge. The library has all of it.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use softsim_bridge::args::{Task, USAGE, VERSION, parse};
use softsim_bridge::bridge::{self, Error};
use softsim_bridge::finder;
use softsim_sandbox::{exit_status, inherited, log, process};

fn main() -> ExitCode {
    log::begin();
    if let Err(error) = inherited::close() {
        log::line(
            3,
            format_args!("softsim-bridge: inherited descriptors: {error}"),
        );
        return ExitCode::from(exit_status::SYSTEM);
    }
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments
        .next_if(|first| first == finder::SUBCOMMAND)
        .is_some()
    {
        return find(arguments);
    }
    let task = match parse(arguments) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("softsim-bridge: {error}\n{USAGE}");
            return ExitCode::from(exit_status::USAGE);
        }
    };
    match task {
        Task::Help => printed(USAGE),
        Task::Version => printed(VERSION),
        Task::PrintIdentity { keyd, method } => match bridge::identity(&keyd, method) {
            Ok(nai) => {
                println!("{nai}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        },
        Task::Serve(settings) => match bridge::run(&settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
    }
}

fn printed(text: &str) -> ExitCode {
    process::print(text).map_or(ExitCode::from(exit_status::IO), |()| ExitCode::SUCCESS)
}

/// Runs the finder, the process that the bridge starts for each control socket.
fn find(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match finder::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(3, format_args!("softsim-bridge: {error}"));
            ExitCode::from(exit_status::SYSTEM)
        }
    }
}

/// Ends at once, because the filter forbids the calls that an orderly end would make.
fn failed(error: &Error) -> ! {
    log::line(3, error);
    process::exit(error.status().into())
}
