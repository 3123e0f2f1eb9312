//! The daemons and tools, built as they are shipped and gathered in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::prerequisites::MUSL_TARGET;
use crate::run::{Result, at, cargo, program, succeed, target};

/// A package, and the programs in it. Each daemon is built alone: with the features that it asks of
/// shared crates itself.
type Group = (&'static [&'static str], &'static [&'static str]);

const DAEMONS: [Group; 4] = [
    (&["softsim-keyd"], &["softsim-keyd"]),
    (&["softsim-netd"], &["softsim-netd"]),
    (&["softsim-bridge"], &["softsim-bridge"]),
    (&["softsim-anchord"], &["softsim-anchord"]),
];

const TOOLS: Group = (
    &["softsim-ctl", "softsim-issuer"],
    &["softsimctl", "softsim-issuer"],
);

const LAB: Group = (&["softsim-lab"], &["softsim-lab"]);

/// The most octets that keyd has as it is shipped: static and stripped.
const MAX_KEYD: u64 = 1_310_720;

/// How to build programs.
pub(crate) struct Build {
    profile: String,
    /// Another target than the host's default.
    triple: Option<String>,
    /// The program that runs cargo and adds the list of crates.
    auditable: Option<PathBuf>,
    /// A setting of cargo's configuration.
    config: Option<String>,
    /// SOURCE_DATE_EPOCH.
    time: Option<String>,
}

impl Build {
    fn of(profile: &str, triple: Option<&str>) -> Self {
        Self {
            profile: profile.into(),
            triple: triple.map(str::to_owned),
            auditable: None,
            config: None,
            time: None,
        }
    }

    /// As it is shipped.
    pub(crate) fn shipped(auditable: PathBuf, triple: &str, config: String, time: &str) -> Self {
        Self {
            auditable: Some(auditable),
            config: Some(config),
            time: Some(time.into()),
            ..Self::of("dist", Some(triple))
        }
    }

    /// Builds these programs into a folder.
    pub(crate) fn into_folder(self, folder: &Path, programs: &[&str]) -> Result<()> {
        at(folder, fs::create_dir_all(folder))?;
        let groups = DAEMONS.iter().chain([&TOOLS, &LAB]);
        for (packages, binaries) in groups {
            let wanted: Vec<_> = binaries
                .iter()
                .filter(|name| programs.contains(name))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            succeed(&mut self.command(packages))?;
            // Copy it now, because the next build may link the same binary again with other
            // features.
            for name in wanted {
                copy(&self.built().join(name), &folder.join(name))?;
            }
        }
        Ok(())
    }

    fn command(&self, packages: &[&str]) -> Command {
        let arguments = ["build", "--locked", "--profile", &self.profile, "--bins"];
        let mut command = match &self.auditable {
            None => cargo(&arguments),
            Some(tool) => {
                let mut command = program(&tool.to_string_lossy(), &["auditable"]);
                command.args(arguments);
                command
            }
        };
        for package in packages {
            command.args(["--package", package]);
        }
        if let Some(triple) = &self.triple {
            command.args(["--target", triple]);
            // For dependencies with C or assembly.
            command.env(format!("CC_{}", MUSL_TARGET.replace('-', "_")), "musl-gcc");
        }
        command.args(self.config.iter().flat_map(|config| ["--config", config]));
        command.envs(self.time.iter().map(|time| ("SOURCE_DATE_EPOCH", time)));
        command
    }

    /// Where cargo puts the programs.
    fn built(&self) -> PathBuf {
        let folder = target().join(self.triple.as_deref().unwrap_or_default());
        folder.join(match self.profile.as_str() {
            "dev" => "debug",
            profile => profile,
        })
    }
}

/// The programs of these groups.
fn programs_of<'g>(groups: impl IntoIterator<Item = &'g Group>) -> Vec<&'static str> {
    let programs = groups.into_iter().flat_map(|(_, programs)| *programs);
    programs.copied().collect()
}

/// Builds all programs and returns the folder that holds them.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    let folder = target().join("softsim").join(profile);
    let all = programs_of(DAEMONS.iter().chain([&TOOLS, &LAB]));
    Build::of(profile, None).into_folder(&folder, &all)?;
    Ok(folder)
}

/// Builds all programs in one run, as `cargo build` does, and returns the folder that holds them.
/// Here, each program has the features that all of them ask of the crates that they share.
pub(crate) fn build_together() -> Result<PathBuf> {
    let folder = target().join("softsim").join("together");
    at(&folder, fs::create_dir_all(&folder))?;
    let build = ["build", "--locked", "--quiet", "--workspace", "--bins"];
    succeed(&mut cargo(&build))?;
    for name in programs_of(DAEMONS.iter().chain([&TOOLS, &LAB])) {
        copy(&target().join("debug").join(name), &folder.join(name))?;
    }
    Ok(folder)
}

/// Builds the daemons as static programs for musl, and returns the folder that holds them.
pub(crate) fn build_static() -> Result<PathBuf> {
    let folder = target().join("softsim").join("static");
    Build::of("dev", Some(MUSL_TARGET)).into_folder(&folder, &programs_of(&DAEMONS))?;
    Ok(folder)
}

/// Builds keyd as it is shipped, and checks its size.
pub(crate) fn check_size() -> Result<()> {
    let folder = target().join("softsim").join("size");
    Build::of("dist", Some(MUSL_TARGET)).into_folder(&folder, &["softsim-keyd"])?;
    check_size_of(&folder.join("softsim-keyd"))
}

/// Checks the size of keyd as it is shipped.
pub(crate) fn check_size_of(keyd: &Path) -> Result<()> {
    let size = at(keyd, fs::metadata(keyd))?.len();
    println!("softsim-keyd: {size} octets");
    match size {
        0..=MAX_KEYD => Ok(()),
        _ => Err(format!(
            "softsim-keyd: expected at most {MAX_KEYD} octets, got {size}"
        )),
    }
}

/// Copies a program; a running one is replaced, not overwritten.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    at(from, fs::copy(from, to).map(drop))
}
