//! A gateway's directory, in which a test starts and kills keyd.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread;

use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use softsim_client::keyd::Connection;
use softsim_keyd_proto::requests::Status;
use softsim_keyd_proto::{MAX_ANSWER, Role, StatusAnswer};
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{self, Received};
use tempfile::TempDir;

/// A directory for one keyd, and the flags with which it starts.
pub struct Host {
    program: &'static str,
    directory: TempDir,
    roles: Vec<Role>,
    same_user: bool,
    extra: Vec<String>,
}

/// A running keyd, killed on drop.
pub struct Running {
    /// The process.
    pub child: Child,
    /// Its standard error after the first line.
    pub log: BufReader<ChildStderr>,
    /// The line that lists what keyd enforces.
    pub first_line: String,
}

impl Host {
    /// Makes a directory for this keyd program.
    pub fn new(program: &'static str) -> Self {
        let host = Self {
            program,
            directory: tempfile::tempdir().unwrap(),
            roles: Role::ALL.to_vec(),
            same_user: true,
            extra: Vec::new(),
        };
        fs::write(host.path("kek"), [7; 32]).unwrap();
        fs::set_permissions(host.path("kek"), Permissions::from_mode(0o400)).unwrap();
        host
    }

    /// Adds a flag.
    pub fn with(mut self, flag: impl Into<String>) -> Self {
        self.extra.push(flag.into());
        self
    }

    /// Drops `--same-user`, so that each user has one role and the test's own user only
    /// administers.
    pub fn with_users_apart(mut self) -> Self {
        self.same_user = false;
        self
    }

    /// Drops the socket for the role supplicant, as in the default installation.
    pub fn without_supplicant(mut self) -> Self {
        self.roles.retain(|role| *role != Role::Supplicant);
        self
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command that starts keyd.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
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

    /// Starts keyd.
    pub fn start(&self) -> Running {
        Running::of(&mut self.command())
    }

    /// Starts keyd under this limit of the shell's ulimit.
    pub fn start_limited(&self, limit: &str) -> Running {
        let script = format!("ulimit {limit}; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, "sh", self.program])
            .args(self.command().get_args())
            .stderr(Stdio::piped());
        Running::of(&mut shell)
    }

    /// Runs keyd, which must refuse to start.
    pub fn refused(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Connects a client in this role.
    pub fn connect(&self, role: Role) -> Connection {
        Connection::connect(&self.path(role.name())).unwrap()
    }

    /// Connects a client in this role that sends and receives plain datagrams.
    pub fn raw(&self, role: Role) -> seqpacket::Connection {
        seqpacket::Connection::connect(&self.path(role.name())).unwrap()
    }

    /// Asks keyd for its status.
    pub fn status(&self) -> StatusAnswer {
        self.connect(Role::Admin).call(&Status {}).unwrap()
    }
}

impl Running {
    /// Starts this command, and waits for its first line on standard error.
    pub fn of(command: &mut Command) -> Self {
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

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Kills keyd with SIGKILL, as a power failure would, and returns what it logged after the
    /// first line.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // This fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `client` in a thread of another user, whose supplementary groups are these and whose
/// primary group is none of theirs. Only root can do so.
pub fn as_user<T: Send>(uid: u32, groups: &[u32], client: impl FnOnce() -> T + Send) -> T {
    let groups: Vec<_> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (user, own) = (Uid::from_raw(uid), Gid::from_raw(uid));
    let in_thread = move || {
        set_thread_groups(&groups).unwrap();
        set_thread_res_gid(own, own, own).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        client()
    };
    thread::scope(|scope| scope.spawn(in_thread).join().unwrap())
}

/// Waits for one datagram.
pub fn receive(connection: &seqpacket::Connection) -> Vec<u8> {
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

/// Waits until keyd closes the connection or sends a datagram, and returns whether it closed it.
pub fn closes(connection: &seqpacket::Connection) -> bool {
    let mut entries = [poll::Entry::readable(connection)];
    poll::wait(&mut entries, None).unwrap();
    matches!(
        connection.receive(&mut [0; 64]),
        Ok(Received::Closed) | Err(_)
    )
}
