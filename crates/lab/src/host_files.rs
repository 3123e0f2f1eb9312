//! An /etc and a /run of a test's own, for a daemon that is not to see the machine's.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Two folders that a program sees as /etc and /run; root only.
#[derive(Debug)]
pub struct HostFiles {
    etc: PathBuf,
    run: PathBuf,
}

impl HostFiles {
    /// Makes both folders in another, with a hosts file that knows localhost.
    ///
    /// # Errors
    /// They can't be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let files = Self {
            etc: folder.join("etc"),
            run: folder.join("run"),
        };
        fs::create_dir(&files.etc)?;
        fs::create_dir(&files.run)?;
        files.write("hosts", "127.0.0.1 localhost\n")?;
        // The C library's modules are found where the loader's cache has them.
        if let Ok(cache) = fs::read("/etc/ld.so.cache") {
            fs::write(files.etc.join("ld.so.cache"), cache)?;
        }
        Ok(files)
    }

    /// Writes a file of /etc, in place of the one that is there, as who manages a network does it.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.etc.join("new");
        fs::write(&new, text)?;
        fs::rename(new, self.etc.join(name))
    }

    /// What is /run.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// A command that sees both, as the very process that is started.
    pub fn command(&self, program: &Path) -> Command {
        const SCRIPT: &str =
            "mount --bind \"$1\" /etc && mount --bind \"$2\" /run && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", SCRIPT, "sh"])
            .args([&self.etc, &self.run])
            .arg(program);
        command
    }
}
