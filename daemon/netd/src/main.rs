//! softsim-netd. The library has all of it.

use std::ffi::{CStr, OsString};
use std::process::ExitCode;
use std::{env, fmt};

use softsim_netd::access::port::keeper;
use softsim_netd::args::{self, Task, USAGE, VERSION};
use softsim_netd::connector::process as connector;
use softsim_netd::listening::Inherited;
use softsim_netd::names::helper;
use softsim_netd::start::run;
use softsim_netd::{checks, log};
use softsim_sandbox::{exit_status, inherited, process};

fn main() -> ExitCode {
    softsim_sandbox::log::begin();
    let sockets = Inherited::take();
    if let Err(error) = inherited::close() {
        return ended(Err(format!("inherited descriptors: {error}")));
    }
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some(keeper::SUBCOMMAND) => {
            helper_process(c"softsim-port", || keeper::run(&arguments[1..]))
        }
        Some(helper::SUBCOMMAND) => helper_process(c"softsim-names", helper::run),
        Some(connector::SUBCOMMAND) => {
            helper_process(c"softsim-connect", || connector::run(&arguments[1..]))
        }
        _ => network_daemon(arguments, sockets),
    }
}

/// Runs a helper process. The kernel has named it `exe`, after /proc/self/exe.
fn helper_process<E: fmt::Display>(name: &CStr, run: impl FnOnce() -> Result<(), E>) -> ExitCode {
    match process::set_name(name) {
        Ok(()) => ended(run()),
        Err(error) => ended(Err(error)),
    }
}

fn network_daemon(arguments: Vec<OsString>, sockets: Inherited) -> ExitCode {
    let task = match args::parse(arguments.into_iter()) {
        Ok(task) => task,
        Err(error) => {
            eprint!("softsim-netd: {error}\n{USAGE}");
            return ExitCode::from(exit_status::USAGE);
        }
    };
    let config = match &task {
        Task::Help => return printed(USAGE),
        Task::Version => return printed(VERSION),
        Task::Check(config, form) => return ExitCode::from(checks::print(config, *form)),
        Task::PrintConfig(config) => return ExitCode::from(checks::print_config(config)),
        Task::Run(config) => config,
    };
    log::begin();
    match run(config, sockets) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.status())
        }
    }
}

fn printed(text: &str) -> ExitCode {
    process::print(text).map_or(ExitCode::from(exit_status::IO), |()| ExitCode::SUCCESS)
}

/// Reports why a process can't start, or how a helper process ended.
fn ended(outcome: Result<(), impl fmt::Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            softsim_sandbox::log::line(3, format_args!("softsim-netd: {error}"));
            ExitCode::from(exit_status::SYSTEM)
        }
    }
}
