//! Starts softsim-keyd, softsim-netd, softsim-bridge and softsim-anchord in a folder, waits until
//! they answer, and ends them.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fmt, fs};

use serde::Serialize;
use softsim_client::keyd::Connection;
use softsim_client::netd::{Command as Ask, Control, Event};
use softsim_client::paths::Sockets;
use softsim_sandbox::random;

/// How long a daemon may take until it answers. Even a loaded machine takes only a tenth of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time between two checks whether it answers.
const INTERVAL: Duration = Duration::from_millis(5);

/// Why a daemon isn't running.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A program wasn't built, or is elsewhere.
    #[error(
        "{program}: expected the program there: build it, or name its folder in SOFTSIM_BIN_DIR"
    )]
    Missing {
        /// Where it was expected.
        program: PathBuf,
    },
    /// A file couldn't be created, or a program couldn't be started.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program ended instead of answering.
    #[error("{program} ended ({status}): {log}")]
    Ended {
        /// Which.
        program: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The program doesn't answer.
    #[error("{program} doesn't answer: {log}")]
    Silent {
        /// Which.
        program: &'static str,
        /// The end of its log.
        log: String,
    },
}

/// Names the file in an error.
pub(crate) fn at<T>(path: &Path, outcome: io::Result<T>) -> Result<T, ProcessError> {
    outcome.map_err(|source| ProcessError::File {
        path: path.to_owned(),
        source,
    })
}

/// The folder of the daemons' programs: SOFTSIM_BIN_DIR, or the folder of this program.
pub fn binaries() -> Result<PathBuf, ProcessError> {
    if let Some(folder) = env::var_os("SOFTSIM_BIN_DIR").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let own = at(Path::new("own program"), env::current_exe())?;
    let folder = own.parent().unwrap_or(Path::new("."));
    // Test programs are one level below the others.
    let below = folder.file_name() == Some(OsStr::new("deps"));
    let folder = if below { folder.parent() } else { None }.unwrap_or(folder);
    Ok(folder.to_owned())
}

/// The folder of the daemons as static programs (musl), if they were built: SOFTSIM_STATIC_BIN_DIR.
pub fn static_binaries() -> Option<PathBuf> {
    env::var_os("SOFTSIM_STATIC_BIN_DIR")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// The lab's folder, which only its owner may enter.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder; an existing one must be empty.
    pub fn create(path: &Path) -> Result<Self, ProcessError> {
        let path = at(path, std::path::absolute(path))?;
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut entries = at(&path, fs::read_dir(&path))?;
                if entries.next().is_some() {
                    let error = io::Error::new(error.kind(), "expected a new or an empty folder");
                    return at(&path, Err(error));
                }
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
                at(&path, fs::set_permissions(&path, mode))?;
            }
            other => at(&path, other)?,
        }
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The paths of the daemons' sockets. With a recorder, `network` is the recorder's.
    pub fn sockets(&self) -> Sockets {
        Sockets {
            admin: self.file("admin.sock"),
            network: self.file("network.sock"),
            app: self.file("app.sock"),
            supplicant: self.file("supplicant.sock"),
            netd: self.file("netd.sock"),
            netd_monitor: self.file("netd-monitor.sock"),
        }
    }

    /// The path of keyd's own network socket when there is a recorder.
    pub fn recorded_socket(&self) -> PathBuf {
        self.file("keyd.sock")
    }

    /// Writes a file for its owner alone.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, ProcessError> {
        self.write_with_mode(name, content, 0o600)
    }

    fn write_with_mode(
        &self,
        name: &str,
        content: &[u8],
        mode: u32,
    ) -> Result<PathBuf, ProcessError> {
        let path = self.file(name);
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        let mut file = at(&path, opened)?;
        at(&path, file.write_all(content))?;
        Ok(path)
    }

    fn subfolder(&self, name: &str) -> Result<PathBuf, ProcessError> {
        let path = self.file(name);
        let made = fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&path);
        at(&path, made)?;
        Ok(path)
    }
}

/// A running daemon, killed when it is dropped.
pub struct Daemon {
    program: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts keyd, whose own user has every role here, and waits until it answers on its admin
    /// socket. It opens its network socket at `network`. If there is no key file, this creates one.
    /// `more` holds further flags.
    pub fn keyd(folder: &Folder, network: &Path, more: &[&OsStr]) -> Result<Self, ProcessError> {
        let key = folder.file("kek");
        if !key.exists() {
            let mut octets = [0; 32];
            random::fill(&mut octets);
            folder.write_with_mode("kek", &octets, 0o400)?;
        }
        let sockets = folder.sockets();
        let state = folder.subfolder("keyd")?;
        let flags = [
            ("--state", state.as_path()),
            ("--kek-file", &key),
            ("--network", network),
            ("--admin", &sockets.admin),
            ("--app", &sockets.app),
        ];
        let arguments = flags.map(|(name, value)| [OsStr::new(name), value.as_os_str()]);
        let same_user = [OsStr::new("--same-user")];
        let arguments = [arguments.as_flattened(), &same_user, more].concat();
        let log = folder.file("keyd.log");
        let mut keyd = Self::spawn("softsim-keyd", plainly, &arguments, Stdio::null(), log)?;
        keyd.wait_until(|| Connection::connect(&sockets.admin).is_ok())?;
        Ok(keyd)
    }

    /// Starts netd and waits until it answers on its control socket. `accesses` is the end of its
    /// configuration; `command` makes the command that starts it, for example in a namespace.
    pub fn netd(
        folder: &Folder,
        config: &NetdConfig,
        accesses: &str,
        command: impl Fn(&Path) -> Command,
    ) -> Result<Self, ProcessError> {
        let path = folder.file("netd.toml");
        let text = toml::to_string(config).map_err(io::Error::other);
        let text = at(&path, text)?;
        at(&path, fs::write(&path, text + accesses))?;
        let arguments = [OsStr::new("--config"), path.as_os_str()];
        let log = folder.file("netd.log");
        let mut netd = Self::spawn("softsim-netd", command, &arguments, Stdio::null(), log)?;
        netd.wait_until(|| {
            Control::run(&config.control_socket, &Ask::Status {})
                .is_ok_and(|mut events| events.any(|event| matches!(event, Ok(Event::Done { .. }))))
        })?;
        Ok(netd)
    }

    /// Starts the bridge, for control sockets that need not exist yet, and waits until it serves.
    pub fn bridge(folder: &Folder, controls: &[&Path]) -> Result<Self, ProcessError> {
        let sockets = folder.subfolder("bridge")?;
        let keyd = folder.sockets().supplicant;
        let mut arguments = vec![OsStr::new("--keyd"), keyd.as_os_str()];
        arguments.extend([OsStr::new("--sockets"), sockets.as_os_str()]);
        for control in controls {
            arguments.extend([OsStr::new("--control"), control.as_os_str()]);
        }
        let log = folder.file("bridge.log");
        // A socket of an earlier bridge says nothing about this one.
        at(&log, fs::write(&log, b""))?;
        let nothing = Stdio::null();
        let mut bridge = Self::spawn("softsim-bridge", plainly, &arguments, nothing, log.clone())?;
        bridge.wait_until(|| fs::read_to_string(&log).is_ok_and(|log| log.contains("serving")))?;
        Ok(bridge)
    }

    /// Starts softsim-anchord with an opened TPM, which it inherits as from a service manager, and
    /// waits until it serves this user on its socket in the folder, `anchor.sock`. `command` makes
    /// the command that starts it.
    pub fn anchord(
        folder: &Folder,
        tpm: OwnedFd,
        user: u32,
        command: impl Fn(&Path) -> Command,
    ) -> Result<Self, ProcessError> {
        let socket = folder.file("anchor.sock");
        let user = user.to_string();
        let arguments = ["--user", &user, "--socket"].map(OsStr::new);
        let arguments = [&arguments[..], &[socket.as_os_str()]].concat();
        let log = folder.file("anchord.log");
        // As with the bridge.
        at(&log, fs::write(&log, b""))?;
        let mut anchord = Self::spawn("softsim-anchord", command, &arguments, tpm, log.clone())?;
        anchord
            .wait_until(|| fs::read_to_string(&log).is_ok_and(|log| log.contains("holds epoch")))?;
        Ok(anchord)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It doesn't end in time.
    pub fn await_end(&mut self, patience: Duration) -> Result<ExitStatus, ProcessError> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = at(&self.log, self.child.try_wait())? {
                return Ok(status);
            }
            sleep(INTERVAL);
        }
        Err(ProcessError::Silent {
            program: self.program,
            log: self.log_end(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn spawn(
        program: &'static str,
        command: impl Fn(&Path) -> Command,
        arguments: &[&OsStr],
        stdin: impl Into<Stdio>,
        log: PathBuf,
    ) -> Result<Self, ProcessError> {
        let path = binaries()?.join(program);
        if !path.is_file() {
            return Err(ProcessError::Missing { program: path });
        }
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log);
        let stderr: File = at(&log, opened)?;
        let child = command(&path)
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn();
        Ok(Self {
            program,
            child: at(&path, child)?,
            log,
        })
    }

    fn wait_until(&mut self, mut answers: impl FnMut() -> bool) -> Result<(), ProcessError> {
        let deadline = Instant::now() + PATIENCE;
        while !answers() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(ProcessError::Ended {
                    program: self.program,
                    status,
                    log: self.log_end(),
                });
            }
            if Instant::now() > deadline {
                return Err(ProcessError::Silent {
                    program: self.program,
                    log: self.log_end(),
                });
            }
            sleep(INTERVAL);
        }
        Ok(())
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("; ")
    }
}

/// Starts a program that takes its standard input for a descriptor of this name from its service
/// manager.
pub fn inheriting(name: &str, program: &Path) -> Command {
    const EXEC: &str = "exec 3<&0 0</dev/null; LISTEN_PID=$$ exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-euc", EXEC, "sh"]).arg(program);
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
    command
}

/// Starts a program in our own namespace.
pub fn plainly(program: &Path) -> Command {
    Command::new(program)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It doesn't matter if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// netd's configuration file.
#[derive(Debug, Serialize)]
pub struct NetdConfig {
    /// keyd's network socket, or the recorder's.
    pub keyd_socket: PathBuf,
    /// Where netd opens its control socket.
    pub control_socket: PathBuf,
    /// Where netd opens its monitor socket.
    pub monitor_socket: PathBuf,
    /// Where netd keeps its accounts.
    pub state_dir: PathBuf,
    /// The bootstrap server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<NetdBootstrap>,
}

/// The bootstrap server, as netd knows it from the factory.
#[derive(Debug, Serialize)]
pub struct NetdBootstrap {
    uri: String,
    server_trust: Vec<PathBuf>,
    /// Whether netd bootstraps by itself.
    automatic: bool,
}

impl NetdConfig {
    /// The files in the lab's folder that netd needs.
    pub fn new(folder: &Folder, bootstrap: Option<NetdBootstrap>) -> Result<Self, ProcessError> {
        let sockets = folder.sockets();
        Ok(Self {
            keyd_socket: sockets.network,
            control_socket: sockets.netd,
            monitor_socket: sockets.netd_monitor,
            state_dir: folder.subfolder("netd")?,
            bootstrap,
        })
    }
}

impl NetdBootstrap {
    /// A server with an address or a name, whose certificate was issued by the authority in a PEM
    /// file. netd bootstraps on command.
    pub fn new(server: impl fmt::Display, authority: PathBuf) -> Self {
        Self {
            uri: format!("coaps://{server}"),
            server_trust: vec![authority],
            automatic: false,
        }
    }

    /// Makes netd bootstrap by itself while it has no accounts, as on a gateway.
    pub fn automatic(self) -> Self {
        Self {
            automatic: true,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_its_owners_alone_and_so_are_its_files() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::create(&outer.path().join("lab")).unwrap();
        let file = folder.write("secret", b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&outer.path().join("lab")), 0o700);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_folder_that_holds_something_is_not_used() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("something"), b"").unwrap();
        let error = Folder::create(outer.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("expected a new or an empty folder"),
            "{error}"
        );
    }

    #[test]
    fn netd_is_configured_in_its_own_words() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::create(&outer.path().join("lab")).unwrap();
        let bootstrap = NetdBootstrap::new("127.0.0.1:5684", "ca.pem".into());
        let config = NetdConfig::new(&folder, Some(bootstrap)).unwrap();
        let text = toml::to_string(&config).unwrap();
        let bootstrap = "[bootstrap]\nuri = \"coaps://127.0.0.1:5684\"\nserver_trust = [\"ca.pem\"]\nautomatic = false\n";
        assert!(text.ends_with(bootstrap), "{text}");
        assert!(text.contains("lab/network.sock") && text.contains("lab/netd.sock"));
    }
}
