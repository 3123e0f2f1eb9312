//! The daemons and tools, built as they are shipped and gathered in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::prerequisites::MUSL_TARGET;
use crate::run::{Result, cargo, succeed, target};

/// Each daemon is built alone, as it is shipped: with the features that it asks of shared crates
/// itself.
const BUILDS: &[&[&str]] = &[
    &["softsim-keyd"],
    &["softsim-netd"],
    &["softsim-bridge"],
    &["softsim-anchord"],
    &["softsim-ctl", "softsim-issuer", "softsim-lab"],
];

const BINARIES: &[&str] = &[
    "softsim-keyd",
    "softsim-netd",
    "softsim-bridge",
    "softsim-anchord",
    "softsimctl",
    "softsim-issuer",
    "softsim-lab",
];

/// Builds all programs and returns the folder that holds them.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    let folder = target().join("softsim").join(profile);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let built = target().join(if profile == "dev" { "debug" } else { profile });
    for packages in BUILDS {
        let mut command = cargo(&["build", "--locked", "--profile", profile, "--bins"]);
        for package in *packages {
            command.args(["--package", package]);
        }
        succeed(&mut command)?;
        // Copy it now, because the next build may link the same binary again with other features.
        for name in BINARIES {
            if belongs(name, packages) {
                copy(&built.join(name), &folder.join(name))?;
            }
        }
    }
    Ok(folder)
}

/// Builds all programs in one run, as `cargo build` does, and returns the folder that holds them.
/// Here, each program has the features that all of them ask of the crates that they share.
pub(crate) fn build_together() -> Result<PathBuf> {
    let folder = target().join("softsim").join("together");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let build = ["build", "--locked", "--quiet", "--workspace", "--bins"];
    succeed(&mut cargo(&build))?;
    for name in BINARIES {
        copy(&target().join("debug").join(name), &folder.join(name))?;
    }
    Ok(folder)
}

/// Builds the daemons as static programs for musl, and returns the folder that holds them.
pub(crate) fn build_static() -> Result<PathBuf> {
    let folder = target().join("softsim").join("static");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for daemon in [
        "softsim-keyd",
        "softsim-netd",
        "softsim-bridge",
        "softsim-anchord",
    ] {
        let mut command = cargo(&[
            "build",
            "--locked",
            "--quiet",
            "--bins",
            "--package",
            daemon,
        ]);
        command.args(["--target", MUSL_TARGET]);
        // For dependencies with C or assembly.
        succeed(command.env(format!("CC_{}", MUSL_TARGET.replace('-', "_")), "musl-gcc"))?;
        let built = target().join(MUSL_TARGET).join("debug").join(daemon);
        copy(&built, &folder.join(daemon))?;
    }
    Ok(folder)
}

/// The most octets that keyd has as it is shipped: static and stripped.
const MAX_KEYD: u64 = 1_310_720;

/// Builds keyd as it is shipped, and checks its size.
pub(crate) fn check_size() -> Result<()> {
    let mut command = cargo(&["build", "--locked", "--quiet", "--profile", "dist"]);
    command.args(["--package", "softsim-keyd", "--bin", "softsim-keyd"]);
    succeed(command.args(["--target", MUSL_TARGET]))?;
    let keyd = target().join(MUSL_TARGET).join("dist").join("softsim-keyd");
    let size = fs::metadata(&keyd).map_err(|error| format!("{}: {error}", keyd.display()))?;
    println!("{} octets", size.len());
    if size.len() > MAX_KEYD {
        let got = size.len();
        return Err(format!(
            "softsim-keyd: expected at most {MAX_KEYD} octets, got {got}"
        ));
    }
    Ok(())
}

fn belongs(binary: &str, packages: &[&str]) -> bool {
    let package = if binary == "softsimctl" {
        "softsim-ctl"
    } else {
        binary
    };
    packages.contains(&package)
}

/// Copies a program; a running one is replaced, not overwritten.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
