//! What the tests with real processes share.

#![allow(dead_code, reason = "not every test needs all of it")]

pub(crate) mod dice;

use std::{env, fs, os::unix::fs::MetadataExt};

use softsim_lab::{prerequisite::skip, processes::binaries};

/// Whether all of these programs are built; if not, the test is skipped.
pub(crate) fn built(test: &str, programs: &[&str]) -> bool {
    let folder = binaries().unwrap();
    let missing = |program: &&&str| !folder.join(program).is_file();
    match programs.iter().find(missing) {
        Some(program) => {
            let folder = folder.display();
            skip(&format!("{test}: {program} is not built in {folder}"));
            false
        }
        None => true,
    }
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether there is time: `cargo xtask soak` and `cargo xtask redteam` set `SOFTSIM_THOROUGH`.
pub(crate) fn thorough() -> bool {
    env::var_os("SOFTSIM_THOROUGH").is_some()
}
