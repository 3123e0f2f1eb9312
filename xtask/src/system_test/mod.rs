//! `cargo xtask system-test`: runs the units under a real systemd, in a container.

mod containers;
mod lab;
mod machine;
mod packages;
mod services;
mod wired;

use std::path::PathBuf;
use std::time::Instant;

use crate::prerequisites::{self, is_root};
use crate::run::Result;
use crate::suite::Outcome;
use crate::{binaries, package};

/// A case: its name and its function.
type Case = (&'static str, fn(&Built) -> Result<()>);

/// What the cases use.
struct Built {
    /// The folder of the programs, with the lab.
    programs: PathBuf,
    /// The folder of what is shipped.
    packages: PathBuf,
}

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
    (
        "the Debian packages: install, journey, power cut, upgrade and back, purge",
        packages::run,
    ),
    (
        "the container images: keyd without a network, netd, softsimctl",
        containers::run,
    ),
];

/// Runs all cases with programs built as they are shipped.
pub(crate) fn run() -> Result<Outcome> {
    if !is_root() {
        let reason = "expected root, who may start a machine";
        let skipped = CASES.iter().map(|(name, _)| format!("{name}: {reason}"));
        return Ok(Outcome {
            skipped: skipped.collect(),
            ..Outcome::default()
        });
    }
    prerequisites::system_packages()?;
    let built = Built {
        programs: binaries::build("dev")?,
        packages: package::build()?,
    };
    let mut outcome = Outcome::default();
    for (name, case) in CASES {
        println!("\n== {name}");
        let start = Instant::now();
        match case(&built) {
            Ok(()) => outcome.passed += 1,
            Err(error) => {
                println!("failed: {error}");
                outcome.failed += 1;
            }
        }
        println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(outcome)
}
