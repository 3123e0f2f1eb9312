//! `cargo xtask package`: builds what is shipped into `target/package`.
//!
//! The programs are built once as static ones and once for the C library of this machine, and one
//! script installs them for every form.

mod archive;
mod debian;
mod images;
mod programs;
mod verify;

use std::path::{Path, PathBuf};
use std::{env, fs};

use self::programs::Programs;
use crate::prerequisites;
use crate::run::{Result, at, output, program, root, succeed, target};

/// The version in the workspace's manifest.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs with the options of its command line.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    match options {
        [] => build().map(drop),
        ["--verify"] => verify::run(),
        [other, ..] => Err(format!("package: expected --verify, got {other}")),
    }
}

/// Builds everything, and returns the folder.
pub(crate) fn build() -> Result<PathBuf> {
    prerequisites::packaging()?;
    let folder = target().join("package");
    let time = time()?;
    let programs = Programs::build(&time)?;
    let _ = fs::remove_dir_all(&folder);
    at(&folder, fs::create_dir_all(&folder))?;
    debian::build(&folder, &programs, VERSION, &time)?;
    archive::build(&folder, &programs, &time)?;
    images::build(&folder, &programs, &time)?;
    programs.write_bills(&folder)?;
    write_checksums(&folder)?;
    Ok(folder)
}

/// Makes the Debian packages of another version from the programs of [`build`], into this folder.
pub(crate) fn build_debian(folder: &Path, version: &str) -> Result<()> {
    let time = time()?;
    at(folder, fs::create_dir_all(folder))?;
    debian::build(folder, &Programs::built(), version, &time)
}

/// Writes the checksums of all files, and prints the names.
fn write_checksums(folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    for entry in at(folder, fs::read_dir(folder))? {
        files.push(at(folder, entry)?.file_name());
    }
    files.sort();
    for name in &files {
        let size = at(folder, fs::metadata(folder.join(name)))?.len();
        println!("{size:>10}  {}", name.display());
    }
    println!("in {}", folder.display());
    let mut command = program("sha256sum", &["--"]);
    let sums = output(command.args(files).current_dir(folder)).ok_or("sha256sum failed")?;
    let path = folder.join("SHA256SUMS");
    at(&path, fs::write(&path, sums + "\n"))
}

/// The time that every file gets: SOURCE_DATE_EPOCH, or that of the last commit, in seconds since
/// 1970.
fn time() -> Result<String> {
    if let Ok(time) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(time);
    }
    output(&mut program("git", &["log", "-1", "--format=%ct"])).ok_or_else(|| {
        "expected SOURCE_DATE_EPOCH or a checkout of the repository, got neither".into()
    })
}

/// A folder with what the installation script takes: these programs, the units, the
/// configuration and the manual.
pub(crate) fn stage(folder: &Path, programs: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    at(folder, fs::create_dir_all(folder))?;
    let packaging = root().join("packaging");
    for name in ["install.sh", "systemd", "etc", "man", "completions"] {
        copy(&packaging.join(name), folder)?;
    }
    let bin = folder.join("bin");
    at(&bin, fs::create_dir(&bin))?;
    for name in programs::SHIPPED {
        copy(&programs.join(name), &bin)?;
    }
    Ok(())
}

/// Copies a file or a folder into a folder.
fn copy(from: &Path, into: &Path) -> Result<()> {
    succeed(program("cp", &["-r", "--"]).arg(from).arg(into))
}
