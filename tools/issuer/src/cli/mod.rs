//! The command line: [`args`] parses it, [`actions`] carries it out, with [`files`] and [`output`].

mod actions;
mod args;
mod files;
mod output;

use std::env;
use std::process::ExitCode;

use args::{Cli, Task};
use clap::Parser;
use clap::error::ErrorKind;
use output::Failure;
use softsim_sandbox::exit_status::USAGE;
use softsim_sandbox::process;

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let task = match Cli::try_parse() {
        Ok(cli) => cli.task,
        Err(error) => return not_a_task(&error),
    };
    output::status_of(run(&task), task.json())
}

fn run(task: &Task) -> Result<(), Failure> {
    // K and private keys pass through this process, so it makes no core file and other processes
    // can't read its memory.
    process::deny_dumps().map_err(|error| Failure::system(format_args!("no dumps: {error}")))?;
    let report = match task {
        Task::Keygen(args) => actions::keygen(args),
        Task::Seal(args) => actions::seal(args),
        Task::Command(order) => {
            let (command, to) = order.parts();
            actions::command(&command, to)
        }
    };
    output::print(&report?, task.json())
}

/// Help and version aren't errors, although clap reports them as such.
fn not_a_task(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::status_of(error.print().map_err(Failure::output), false)
        }
        _ if env::args_os().any(|word| word == "--json") => {
            let said = error.to_string();
            let reason = said.split("\n\n").next().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            output::status_of(Err(Failure::usage(reason)), true)
        }
        _ => {
            // If it can't be written, the status still says it.
            let _ = error.print();
            ExitCode::from(USAGE)
        }
    }
}
