//! `cargo xtask demo`: builds all programs and lets the lab run the journey as an ordinary user.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::binaries;
use crate::prerequisites::{find, is_root};
use crate::run::{Result, succeed};

/// The user that runs the demo when root starts it, because root could read any memory. No
/// distribution has this user. `nobody` doesn't work: keyd refuses the number that stands for all
/// users without one.
pub(crate) const ORDINARY: u32 = 65533;

/// Runs the demo with the options of its command line.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    let mut profile = "dev";
    let mut lab_options = Vec::new();
    for option in options {
        match *option {
            "--release" => profile = "dist",
            "--hostapd" => lab_options.push("--hostapd"),
            other => {
                return Err(format!(
                    "demo: expected --hostapd or --release, got {other}"
                ));
            }
        }
    }
    if lab_options.contains(&"--hostapd") && find("hostapd").is_none() {
        return Err("demo --hostapd: hostapd is missing: apt-get install hostapd".into());
    }
    println!("building the programs: 3 to 15 minutes and about 2 GB if nothing is built yet");
    journey(&binaries::build(profile)?, &lab_options)
}

/// Runs the journey with the built programs, in a folder that is removed afterwards.
pub(crate) fn journey(programs: &Path, options: &[&str]) -> Result<()> {
    let folder = Folder::new()?;
    let mut command = Command::new(programs.join("softsim-lab"));
    if is_root() {
        // The ordinary user may not have access to the build folder, so it gets copies.
        command = Command::new(folder.take(programs)?.join("softsim-lab"));
        command.uid(ORDINARY).gid(ORDINARY);
    }
    command.current_dir(&folder.0);
    command.arg("demo").arg("--dir").arg(folder.0.join("lab"));
    succeed(command.args(options))
}

/// A temporary folder of the user that runs the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let folder = Self(std::env::temp_dir().join(format!("softsim-demo-{now:x}")));
        folder.at_folder(fs::create_dir(&folder.0))?;
        if is_root() {
            folder.at_folder(chown(&folder.0, Some(ORDINARY), Some(ORDINARY)))?;
        }
        Ok(folder)
    }

    fn take(&self, programs: &Path) -> Result<PathBuf> {
        let own = self.0.join("bin");
        self.at_folder(fs::create_dir(&own))?;
        for entry in self.at_folder(fs::read_dir(programs))? {
            let entry = self.at_folder(entry)?;
            self.at_folder(fs::copy(entry.path(), own.join(entry.file_name())))?;
        }
        Ok(own)
    }

    fn at_folder<T>(&self, outcome: std::io::Result<T>) -> Result<T> {
        outcome.map_err(|error| format!("{}: {error}", self.0.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
