//! The runs that take longer than the suite may: `cargo xtask soak` and `cargo xtask redteam`.

use crate::binaries;
use crate::prerequisites::{self, is_root};
use crate::run::{Result, cargo, succeed};

/// How often keyd is killed under load, and each daemon while it bootstraps.
const KILLS: &str = "1000";
const BOOTSTRAP_KILLS: &str = "100";

/// Kills the daemons again and again, authenticates over a link that loses packets, and runs a long
/// walk of a hostile netd.
pub(crate) fn soak() -> Result<()> {
    let programs = binaries::build("dev")?;
    for (package, tests) in [
        ("softsim-keyd", "kill"),
        ("softsim-keyd", "at_rest"),
        ("softsim", "recovery"),
        ("softsim", "identities"),
        ("softsim-keyd", "keyd"),
        ("softsim-keyd", "hostile_netd"),
    ] {
        let mut command = cargo(&["test", "--locked", "--package", package, "--test", tests]);
        // The walk is the only long test among keyd's in-process tests.
        if tests == "keyd" {
            command.arg("walk_in_process");
        }
        command
            .args(["--", "--nocapture"])
            .env("SOFTSIM_BIN_DIR", &programs)
            .env("SOFTSIM_KILLS", KILLS)
            .env("SOFTSIM_BOOTSTRAP_KILLS", BOOTSTRAP_KILLS)
            .env("SOFTSIM_THOROUGH", "1");
        succeed(&mut command)?;
    }
    Ok(())
}

/// Root searches for keyd's secrets, and a hostile netd requests them. It prints what it finds.
pub(crate) fn redteam() -> Result<()> {
    if !is_root() {
        return Err("redteam: expected root, who may read other processes".into());
    }
    prerequisites::debian_packages()?;
    let programs = binaries::build("dev")?;
    let intruder = ["--package", "softsim-sandbox", "--example", "intruder"];
    succeed(cargo(&["build", "--locked", "--quiet"]).args(intruder))?;
    let mut attack = cargo(&[
        "test",
        "--locked",
        "--package",
        "softsim",
        "--test",
        "redteam",
    ]);
    attack
        // One at a time, because each measures what a busy processor holds.
        .args(["--", "--nocapture", "--test-threads=1"])
        .env("SOFTSIM_BIN_DIR", &programs)
        .env("SOFTSIM_THOROUGH", "1");
    succeed(&mut attack)?;
    succeed(&mut cargo(&[
        "test",
        "--locked",
        "--package",
        "softsim-keyd",
        "--test",
        "hostile_netd",
    ]))
}
