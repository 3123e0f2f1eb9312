//! The archive with static programs and the installation script, for every distribution.

use std::path::Path;

use super::programs::Programs;
use super::{VERSION, copy, stage};
use crate::prerequisites::MUSL_TARGET;
use crate::run::{Result, program, root, succeed, target};

/// Makes the archive in a folder.
pub(super) fn build(folder: &Path, programs: &Programs, time: &str) -> Result<()> {
    let name = format!("softsim-{VERSION}-{MUSL_TARGET}");
    let tree = target().join("softsim").join(&name);
    stage(&tree, &programs.musl)?;
    for file in [
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "daemon/netd/netd.toml.example",
    ] {
        copy(&root().join(file), &tree)?;
    }
    let archive = folder.join(format!("{name}.tar.gz"));
    tar(&tree, &archive, time, "--use-compress-program=gzip -n -9")
}

/// Packs a folder so that the archive depends on nothing but its files, their modes and the time.
pub(super) fn tar(folder: &Path, archive: &Path, time: &str, compression: &str) -> Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    let name = folder.file_name().unwrap_or_default();
    let mut command = program(
        "tar",
        &[
            "--create",
            "--sort=name",
            "--format=gnu",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mode=go=u,go-w",
            compression,
        ],
    );
    command
        .arg(format!("--mtime=@{time}"))
        .arg("--file")
        .arg(archive);
    succeed(command.arg("--directory").arg(parent).arg(name))
}
