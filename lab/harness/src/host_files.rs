//! An /etc and a /run for one test, so that a daemon doesn't see the machine's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The variable that names a folder with additional modules of the C library (`cargo xtask test`
/// fills one).
const MODULES: &str = "SOFTSIM_NAME_SERVICE_MODULES";

/// Where Debian's C library looks for modules.
const LIBRARIES: &str = if cfg!(target_arch = "x86_64") {
    "/usr/lib/x86_64-linux-gnu"
} else {
    "/usr/lib/aarch64-linux-gnu"
};

/// Two folders that a program sees as /etc and /run, and modules of the name service switch. This
/// needs root.
#[derive(Debug)]
pub struct HostFiles {
    etc: PathBuf,
    run: PathBuf,
    modules: Option<PathBuf>,
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
            modules: env::var_os(MODULES)
                .filter(|modules| !modules.is_empty())
                .map(PathBuf::from),
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

    /// Replaces a file of /etc, as a network manager does.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.etc.join("new");
        fs::write(&new, text)?;
        fs::rename(new, self.etc.join(name))
    }

    /// The folder that is seen as /run.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Whether the program will find a module of the name service switch.
    pub fn has_module(&self, name: &str) -> bool {
        let file = format!("libnss_{name}.so.2");
        let folders = self.modules.iter().map(PathBuf::as_path);
        folders
            .chain([Path::new(LIBRARIES)])
            .any(|folder| folder.join(&file).is_file())
    }

    /// A command that sees these folders; the started process is the program itself.
    pub fn command(&self, program: &Path) -> Command {
        const SCRIPT: &str = "\
            mount --bind \"$1\" /etc; mount --bind \"$2\" /run; libraries=$3; modules=$4; shift 4
            test -z \"$modules\" ||
                mount -t overlay overlay -o \"lowerdir=$modules:$libraries\" \"$libraries\"
            exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", SCRIPT, "sh"])
            .args([&self.etc, &self.run])
            .arg(LIBRARIES)
            .arg(self.modules.as_deref().unwrap_or(Path::new("")))
            .arg(program);
        command
    }
}
