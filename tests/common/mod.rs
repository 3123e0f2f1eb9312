//! What the tests with real processes share.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::{env, fs::OpenOptions, io::Write};

use softsim_lab::processes::binaries;

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

/// Says that something is skipped, and why; in CI that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "a prerequisite is missing: {reason}"
    );
    println!("skipped: {reason}");
    if let Some(skips) = env::var_os("SOFTSIM_SKIPS") {
        let mut skips = OpenOptions::new().append(true).open(skips).unwrap();
        writeln!(skips, "{reason}").unwrap();
    }
}
