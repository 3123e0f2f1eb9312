//! What the tests with real processes share.

use std::{env, fs::OpenOptions, io::Write};

use softsim_lab::processes::binaries;

/// Whether all of these programs are built; if not, the test is skipped, which is said and, in CI, a
/// failure.
pub(crate) fn built(test: &str, programs: &[&str]) -> bool {
    let folder = binaries().unwrap();
    let missing = |program: &&&str| !folder.join(program).is_file();
    let Some(program) = programs.iter().find(missing) else {
        return true;
    };
    let reason = format!("{test}: {program} is not built in {}", folder.display());
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{reason}");
    println!("skipped: {reason}");
    if let Some(skips) = env::var_os("SOFTSIM_SKIPS") {
        let mut skips = OpenOptions::new().append(true).open(skips).unwrap();
        writeln!(skips, "{reason}").unwrap();
    }
    false
}
