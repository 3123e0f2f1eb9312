//! softsim-anchord. The library has all of it.

use std::env;
use std::process::ExitCode;

use softsim_anchord::args::{Task, USAGE, VERSION, parse};
use softsim_anchord::serve;
use softsim_sandbox::{exit_status, log, process};

fn main() -> ExitCode {
    log::begin();
    let task = match parse(env::args_os().skip(1)) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("softsim-anchord: {error}\n{USAGE}");
            return ExitCode::from(exit_status::USAGE);
        }
    };
    match task {
        Task::Help => printed(USAGE),
        Task::Version => printed(VERSION),
        Task::Serve(settings) => match serve::run(&settings) {
            Ok(()) => ExitCode::SUCCESS,
            // Ends at once, because the filter forbids the calls that an orderly end would make.
            Err(error) => {
                log::line(3, &error);
                process::exit(error.status().into())
            }
        },
    }
}

fn printed(text: &str) -> ExitCode {
    process::print(text).map_or(ExitCode::from(exit_status::IO), |()| ExitCode::SUCCESS)
}
