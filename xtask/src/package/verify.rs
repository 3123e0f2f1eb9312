//! `cargo xtask package --verify`: whether two builds in two folders give the same bytes.

use std::fs;
use std::path::Path;

use crate::run::{Result, at, cargo, program, root, succeed, target};

/// Builds twice, each time in a copy of the committed files with build results of its own, and
/// compares the checksums.
pub(super) fn run() -> Result<()> {
    let folder = target().join("verify");
    let _ = fs::remove_dir_all(&folder);
    // Other lengths, so that a path in a program moves what follows.
    let sums = ["one", "another-folder"].map(|name| build(&folder.join(name)));
    let [first, second] = sums;
    let (first, second) = (first?, second?);
    let differ: Vec<_> = first
        .lines()
        .filter(|line| !second.lines().any(|other| other == *line))
        .collect();
    let _ = fs::remove_dir_all(&folder);
    match differ[..] {
        [] => {
            println!("the same bytes twice:\n{first}");
            Ok(())
        }
        _ => Err(format!(
            "expected the same bytes twice, these differ:\n{}",
            differ.join("\n")
        )),
    }
}

/// The checksums of a build in this folder.
fn build(folder: &Path) -> Result<String> {
    at(folder, fs::create_dir_all(folder))?;
    let source = folder.join("source");
    let mut clone = program("git", &["clone", "--quiet", "--local"]);
    succeed(clone.arg(root()).arg(&source))?;
    let mut package = cargo(&["xtask", "package"]);
    package
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", folder.join("target"));
    succeed(&mut package)?;
    let sums = folder.join("target/package/SHA256SUMS");
    at(&sums, fs::read_to_string(&sums))
}
