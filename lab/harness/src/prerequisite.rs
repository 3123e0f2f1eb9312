//! Tests that need something that a machine may not have: they report that they are skipped, or
//! fail if everything must be there.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Records in the file that `SOFTSIM_SKIPS` names that a test is skipped, and why.
///
/// # Panics
/// With `CI=true`, where a missing prerequisite is a failure.
pub fn skip(reason: &str) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "a prerequisite is missing: {reason}"
    );
    println!("skipped: {reason}");
    if let Some(skips) = env::var_os("SOFTSIM_SKIPS") {
        let written = OpenOptions::new()
            .append(true)
            .open(skips)
            .and_then(|mut skips| writeln!(skips, "{reason}"));
        written.expect("the suite made the file before the tests");
    }
}
