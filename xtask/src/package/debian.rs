//! The Debian packages, made by debhelper.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::programs::Programs;
use super::{copy, stage};
use crate::run::{Result, at, output, program, root, succeed, target};

/// The revision of the packages of a version.
const REVISION: &str = "1";

/// Makes the packages of a version in a folder: keyd, netd, and the tools.
pub(super) fn build(folder: &Path, programs: &Programs, version: &str, time: &str) -> Result<()> {
    // The packages are written beside the folder that they are made in.
    let parent = target().join("softsim/debian-packages");
    let tree = parent.join("softsim");
    let _ = fs::remove_dir_all(&parent);
    stage(&tree, &programs.glibc)?;
    copy(&root().join("packaging/debian"), &tree)?;
    for file in ["CHANGELOG.md", "daemon/netd/netd.toml.example"] {
        copy(&root().join(file), &tree)?;
    }
    let changelog = tree.join("debian/changelog");
    at(&changelog, fs::write(&changelog, entry(version, time)?))?;
    let mut build = program("dpkg-buildpackage", &["--build=binary", "--no-sign"]);
    // The build dependencies are what `Build-Depends:` names and what built the programs.
    build.arg("--no-check-builddeps");
    build.env("SOURCE_DATE_EPOCH", time).current_dir(&tree);
    succeed(build.stdout(Stdio::null()))?;
    let architecture = output(&mut program("dpkg", &["--print-architecture"]));
    let architecture = architecture.ok_or("dpkg names no architecture")?;
    for name in ["softsim-keyd", "softsim-netd", "softsim-tools"] {
        let file = format!("{name}_{version}-{REVISION}_{architecture}.deb");
        copy(&parent.join(file), folder)?;
    }
    Ok(())
}

/// The one entry of the packages' changelog.
fn entry(version: &str, time: &str) -> Result<String> {
    let date = output(program("date", &["--utc", "--rfc-email", "--date"]).arg(format!("@{time}")));
    let date = date.ok_or_else(|| format!("expected a time in seconds since 1970, got {time}"))?;
    Ok(format!(
        "softsim ({version}-{REVISION}) unstable; urgency=medium\n\n  \
         * The changes are in /usr/share/doc/softsim-keyd/changelog.gz.\n\n \
         -- softsim authors <softsim@example.org>  {date}\n"
    ))
}
