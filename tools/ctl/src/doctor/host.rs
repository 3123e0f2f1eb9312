//! What the checks look at: the files of a host below a root folder, what the daemons say, and what
//! other programs say.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use softsim_client::netd::Status as NetdStatus;
use softsim_client::netd::check::Checked;
use softsim_client::paths::Sockets;
use softsim_sandbox::landlock::Abi;
use softsim_sandbox::process;

use crate::failure::Failure;
use crate::files;
use crate::keyd::{self, KeydStatus};

/// The key process's program, and the name of its process.
pub(super) const KEYD: &str = "softsim-keyd";
/// The network daemon's program, and the name of its process.
pub(super) const NETD: &str = "softsim-netd";

/// A host.
pub(super) struct Host {
    /// Where its file system begins.
    pub(super) root: PathBuf,
    /// The sockets of the daemons.
    pub(super) sockets: Sockets,
    /// netd's configuration.
    pub(super) config: PathBuf,
    /// The landlock ABI that the kernel offers.
    pub(super) landlock: io::Result<u32>,
    /// What keyd says.
    pub(super) keyd: Result<KeydStatus, Failure>,
    /// What netd says.
    pub(super) netd: Result<NetdStatus, Failure>,
    /// What netd's own checks of its configuration find, or why they can't be made.
    pub(super) checked: Result<Checked, String>,
    /// Runs a program, as this user if it isn't given, and returns its standard output.
    pub(super) run: Run,
}

/// Runs a program with arguments.
pub(super) type Run = fn(&Path, &[&OsStr], Option<User>) -> io::Result<String>;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    pub(super) uid: u32,
}

impl Host {
    /// The host that this program runs on.
    pub(super) fn this(sockets: &Sockets, config: &Path) -> Self {
        let host = Self {
            root: "/".into(),
            sockets: sockets.clone(),
            config: config.to_owned(),
            landlock: Abi::newest().map(Abi::number),
            keyd: keyd::keyd_status(sockets),
            netd: keyd::netd_status(sockets),
            checked: Err(String::new()),
            run,
        };
        Self {
            checked: host.check(),
            ..host
        }
    }

    /// The place of an absolute path.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file, without blanks around it.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let octets = fs::read(self.at(path))?;
        Ok(String::from_utf8_lossy(&octets).trim().to_owned())
    }

    /// The process of a daemon, whose helpers have other names. If several are running, it is the
    /// one whose command line names keyd's admin socket or netd's configuration. Only root, this
    /// user and the daemon's own user can run it: anybody else could forge its name, and the advice
    /// that root would get.
    pub(super) fn process(&self, name: &str) -> Option<Process> {
        let named = match name {
            KEYD => self.sockets.admin.to_str()?,
            _ => self.config.to_str()?,
        };
        let own = self.number("/etc/passwd", name).ok().flatten();
        let mut running = self.processes(name);
        running.retain(|process| [Some(0), Some(process::uid()), own].contains(&Some(process.uid)));
        let is_named = |process: &&Process| {
            let line = self.read(format!("/proc/{}/cmdline", process.id));
            line.is_ok_and(|line| line.split(['\0', '=']).any(|word| word == named))
        };
        match (running.iter().find(is_named), &*running) {
            (Some(process), _) => Some(*process),
            (None, [process]) => Some(*process),
            (None, _) => None,
        }
    }

    fn processes(&self, name: &str) -> Vec<Process> {
        // The kernel keeps 15 octets of a name.
        let name = &name[..name.len().min(15)];
        let entries = fs::read_dir(self.at("/proc")).into_iter().flatten();
        let ids = entries.flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let processes = ids.filter_map(|id| {
            let comm = self.read(format!("/proc/{id}/comm")).ok()?;
            let status = self.read(format!("/proc/{id}/status")).ok()?;
            let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
            let uid = uid.split_whitespace().next()?.parse().ok()?;
            (comm == name).then_some(Process { id, uid })
        });
        processes.collect()
    }

    /// The number of a user or a group in a table of this host: /etc/passwd or /etc/group.
    pub(super) fn number(&self, table: &str, name: &str) -> io::Result<Option<u32>> {
        let table = self.read(table)?;
        let mut rows = table.lines().map(|row| row.split(':').collect::<Vec<_>>());
        let row = rows.find(|row| row.first() == Some(&name));
        Ok(row.and_then(|row| row.get(2)?.parse().ok()))
    }

    /// The user that netd runs as, in the group that may connect to keyd: the one of its name, or
    /// of its process.
    fn user_of_netd(&self) -> Option<User> {
        let named = self.number("/etc/passwd", NETD).ok().flatten();
        let uid = named.or_else(|| Some(self.process(NETD)?.uid))?;
        let socket = fs::metadata(self.at(&self.sockets.network)).ok()?;
        Some(User {
            uid,
            gid: socket.gid(),
        })
    }

    /// Lets netd check its configuration. Root does so as netd's user, since the checks are about
    /// what that user may do.
    fn check(&self) -> Result<Checked, String> {
        let arguments = [
            "--config".as_ref(),
            self.config.as_os_str(),
            "--check".as_ref(),
            "--json".as_ref(),
        ];
        let user = match process::uid() {
            0 => Some(
                self.user_of_netd()
                    .ok_or("expected a user called softsim-netd and keyd's network socket")?,
            ),
            _ => None,
        };
        let said = (self.run)(&files::program(NETD), &arguments, user)
            .map_err(|error| format!("softsim-netd --check: {error}"))?;
        serde_json::from_str(&said).map_err(|_| "softsim-netd --check didn't answer".to_owned())
    }

    /// Whether systemd manages this host.
    pub(super) fn has_systemd(&self) -> bool {
        self.at("/run/systemd/system").is_dir()
    }
}

fn run(program: &Path, arguments: &[&OsStr], user: Option<User>) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    // The user that it becomes gets nothing of root's.
    let kept = std::env::var_os("PATH");
    command.env_clear().envs(kept.map(|path| ("PATH", path)));
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
