//! The command line: [`args`] parses it, [`actions`] carries it out, with [`files`] and [`output`].

mod actions;
mod args;
mod files;
mod output;

use std::process::ExitCode;

use args::{Cli, Task};
use clap::Parser;
use clap::error::ErrorKind;
use output::{Failure, USAGE};
use softsim_sandbox::process;

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let task = match Cli::try_parse() {
        Ok(cli) => cli.task,
        Err(error) => return not_a_task(&error),
    };
    output::status_of(run(&task))
}

fn run(task: &Task) -> Result<(), Failure> {
    // K and private keys pass through this process, so it makes no core file and other processes
    // can't read its memory.
    process::deny_dumps().map_err(|error| Failure::new(format!("no dumps: {error}")))?;
    let (report, json) = match task {
        Task::Keygen(args) => (actions::keygen(args), args.json),
        Task::Seal(args) => (actions::seal(args), args.json),
        Task::Command(order) => {
            let (command, to) = order.parts();
            (actions::command(&command, to), to.json)
        }
    };
    output::print(&report?, json)
}

/// Help and version aren't errors, although clap reports them as such.
fn not_a_task(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::status_of(printed.map_err(Failure::output))
        }
        _ => ExitCode::from(USAGE),
    }
}
