//! `cargo xtask system-test`: runs the units under a real systemd, in a container.

mod machine;
mod services;
mod wired;

use std::time::Instant;

use crate::binaries;
use crate::prerequisites::{self, is_root};
use crate::run::{Result, in_ci};

/// A case: its name and its function.
type Case = (&'static str, fn(&std::path::Path) -> Result<()>);

/// One machine at a time.
const CASES: &[Case] = &[
    (
        "the daemons as services: watchdog, SIGHUP, host names, a keyd that hangs",
        services::run,
    ),
    (
        "a wired access: a port keeper as a service, netd without a capability",
        wired::run,
    ),
];

/// Runs all cases with programs built as they are shipped, prints a summary, and fails if one
/// failed.
pub(crate) fn run() -> Result<()> {
    if !is_root() {
        let reason = "system-test: expected root, who may start a machine";
        return match in_ci() {
            true => Err(reason.into()),
            false => {
                println!(
                    "skipped: {reason}\n0 passed, 0 failed, {} skipped",
                    CASES.len()
                );
                Ok(())
            }
        };
    }
    prerequisites::system_packages()?;
    let programs = binaries::build("dev")?;
    let mut failed = 0;
    for (name, case) in CASES {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = case(&programs);
        if let Err(error) = &outcome {
            println!("failed: {error}");
            failed += 1;
        }
        println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    println!("\n{} passed, {failed} failed", CASES.len() - failed);
    match failed {
        0 => Ok(()),
        _ => Err("a case failed".into()),
    }
}
