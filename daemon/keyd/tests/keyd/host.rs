//! A gateway's folder with the program in it, started and killed as often as it takes.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use softsim_client::keyd::Connection;
use softsim_keyd_proto::requests::Status;
use softsim_keyd_proto::{MAX_ANSWER, Role, StatusAnswer};
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{self, Received};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// A directory for one keyd, and how it is started there.
pub(crate) struct Host {
    directory: TempDir,
    roles: Vec<Role>,
    same_user: bool,
    extra: Vec<String>,
}

/// A running keyd, killed on drop.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) log: BufReader<ChildStderr>,
    /// The line about what is enforced.
    pub(crate) first_line: String,
}

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self {
            directory: tempfile::tempdir().unwrap(),
            roles: Role::ALL.to_vec(),
            same_user: true,
            extra: Vec::new(),
        };
        fs::write(host.path("kek"), [7; 32]).unwrap();
        fs::set_permissions(host.path("kek"), Permissions::from_mode(0o400)).unwrap();
        host
    }

    pub(crate) fn with(mut self, flag: impl Into<String>) -> Self {
        self.extra.push(flag.into());
        self
    }

    /// With users as its flags name them: this one administers, and is nobody else.
    pub(crate) fn with_users_apart(mut self) -> Self {
        self.same_user = false;
        self
    }

    /// As it is shipped: without the socket that has to be asked for.
    pub(crate) fn without_supplicant(mut self) -> Self {
        self.roles.retain(|role| *role != Role::Supplicant);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--state")
            .arg(self.path("state"))
            .arg("--kek-file")
            .arg(self.path("kek"))
            .args(&self.extra)
            .stderr(Stdio::piped());
        if self.same_user {
            command.arg("--same-user");
        }
        for role in &self.roles {
            let socket = self.path(role.name());
            command.arg(format!("--{role}={}", socket.display()));
        }
        command
    }

    pub(crate) fn start(&self) -> Running {
        Running::of(&mut self.command())
    }

    /// Starts it under a limit of the shell's ulimit.
    pub(crate) fn start_limited(&self, limit: &str) -> Running {
        let script = format!("ulimit {limit}; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, "sh", PROGRAM])
            .args(self.command().get_args())
            .stderr(Stdio::piped());
        Running::of(&mut shell)
    }

    /// Runs a keyd that is to refuse its start.
    pub(crate) fn refused(&self) -> Output {
        self.command().output().unwrap()
    }

    pub(crate) fn connect(&self, role: Role) -> Connection {
        Connection::connect(&self.path(role.name())).unwrap()
    }

    pub(crate) fn raw(&self, role: Role) -> seqpacket::Connection {
        seqpacket::Connection::connect(&self.path(role.name())).unwrap()
    }

    pub(crate) fn status(&self) -> StatusAnswer {
        self.connect(Role::Admin).call(&Status {}).unwrap()
    }
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut first_line = String::new();
        log.read_line(&mut first_line).unwrap();
        Self {
            child,
            log,
            first_line,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends it as a power cut would; what it said after its first line.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, or killed here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for one datagram.
pub(crate) fn receive(connection: &seqpacket::Connection) -> Vec<u8> {
    let mut buffer = vec![0; MAX_ANSWER];
    loop {
        match connection.receive(&mut buffer).unwrap() {
            Received::Datagram(length) => return buffer[..length].to_vec(),
            Received::Nothing => {
                let mut entries = [poll::Entry::readable(connection)];
                poll::wait(&mut entries, None).unwrap();
            }
            other => panic!("expected a datagram, got {other:?}"),
        }
    }
}

/// Waits for the end of a connection.
pub(crate) fn closes(connection: &seqpacket::Connection) -> bool {
    let mut entries = [poll::Entry::readable(connection)];
    poll::wait(&mut entries, None).unwrap();
    matches!(
        connection.receive(&mut [0; 64]),
        Ok(Received::Closed) | Err(_)
    )
}
