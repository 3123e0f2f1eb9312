//! softsim-netd. The library has all of it.

use std::ffi::CStr;
use std::process::ExitCode;
use std::{env, fmt};

use clap::Parser;
use softsim_netd::access::port::keeper;
use softsim_netd::names::helper;
use softsim_netd::start::{Arguments, run};
use softsim_netd::{log, notifier};
use softsim_sandbox::{inherited, process};

fn main() -> ExitCode {
    if let Err(error) = inherited::close() {
        return ended(Err(format!("inherited descriptors: {error}")));
    }
    let arguments: Vec<_> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(keeper::SUBCOMMAND) => {
            helper_process(c"softsim-port", || keeper::run(&arguments[2..]))
        }
        Some(helper::SUBCOMMAND) => helper_process(c"softsim-names", helper::run),
        Some(notifier::SUBCOMMAND) => helper_process(c"softsim-notify", notifier::run),
        _ => network_daemon(),
    }
}

/// Runs a helper process. The kernel has named it `exe`, after /proc/self/exe.
fn helper_process<E: fmt::Display>(name: &CStr, run: impl FnOnce() -> Result<(), E>) -> ExitCode {
    match process::set_name(name) {
        Ok(()) => ended(run()),
        Err(error) => ended(Err(error)),
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

/// Reports why a process can't start, or how a helper process ended.
fn ended(outcome: Result<(), impl fmt::Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("softsim-netd {error}");
            ExitCode::FAILURE
        }
    }
}
