//! Each daemon, started as by a service manager, with systemd's variables, descriptors, limits and
//! signals, both as it is built here and static with musl.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use softsim_client::keyd::Connection;
use softsim_client::netd::{self, Control, Event};
use softsim_client::proto::requests::Status;
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::{binaries, static_binaries};
use softsim_sandbox::seqpacket::Listener;
use softsim_testkit::processes::{built, service_manager_message};

const DAEMONS: [&str; 3] = ["softsim-keyd", "softsim-netd", "softsim-bridge"];

/// How long a test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// The watchdog's interval. No test kills a service that is late.
const WATCHDOG_USEC: &str = "100000";

const SIGTERM: i32 = 15;

/// A part of what systemd does between fork and exec: it ignores SIGPIPE, passes sockets from
/// descriptor 3 on, sets limits, and sets the variables with the service's own process id. The
/// shell gets the sockets as standard input and error, and the journal as standard output.
const EXEC: &str = "trap '' PIPE; exec 3<&0 4<&2 0</dev/null 2>&1; \
    LISTEN_PID=$$ WATCHDOG_PID=$$ exec prlimit --nofile=1024: --core=0 --memlock=8388608 \
    --nproc=512 -- \"$@\"";

/// A running service, which is killed on drop.
struct Service {
    child: Child,
    manager: UnixDatagram,
    /// The journal's end of its standard output and error.
    journal: Option<UnixStream>,
}

/// The kind of the socket on which a service reports its state.
#[derive(Clone, Copy)]
enum NotifySocket {
    Path,
    Abstract,
}

impl NotifySocket {
    /// The manager's end, and the value of NOTIFY_SOCKET.
    fn bind(self, folder: &Path) -> (UnixDatagram, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "softsim-service-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let (address, name) = match self {
            Self::Path => {
                let path = folder.join(&name);
                let address = SocketAddr::from_pathname(&path).unwrap();
                (address, path.to_str().unwrap().to_owned())
            }
            Self::Abstract => {
                let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
                (address, format!("@{name}"))
            }
        };
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        (manager, name)
    }
}

impl Service {
    /// Starts a service with two listening sockets of these names, and waits until it is ready.
    fn start(
        program: &Path,
        arguments: &[&OsStr],
        folder: &Path,
        notify: NotifySocket,
        sockets: [(&str, &Listener); 2],
    ) -> Self {
        let (manager, name) = notify.bind(folder);
        let (journal, output) = UnixStream::pair().unwrap();
        let [first, second] =
            sockets.map(|(_, socket)| Stdio::from(socket.as_fd().try_clone_to_owned().unwrap()));
        let child = Command::new("sh")
            .args(["-euc", EXEC, "sh"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
            .env("LANG", "C.UTF-8")
            .env("INVOCATION_ID", "ab".repeat(16))
            .env("JOURNAL_STREAM", "8:4711")
            .env("SYSTEMD_EXEC_PID", "1")
            .env("NOTIFY_SOCKET", name)
            .env("WATCHDOG_USEC", WATCHDOG_USEC)
            .env("LISTEN_FDS", "2")
            .env(
                "LISTEN_FDNAMES",
                format!("{}:{}", sockets[0].0, sockets[1].0),
            )
            .env("CREDENTIALS_DIRECTORY", folder.join("credentials"))
            .env("RUNTIME_DIRECTORY", folder.join("run"))
            .env("STATE_DIRECTORY", folder.join("state"))
            .stdin(first)
            .stderr(second)
            .stdout(Stdio::from(OwnedFd::from(output)))
            .spawn()
            .unwrap();
        let mut service = Self {
            child,
            manager,
            journal: Some(journal),
        };
        assert_eq!(service.hear(), "READY=1");
        service.is_alive("start");
        service
    }

    fn hear(&mut self) -> String {
        service_manager_message(&self.manager).unwrap_or_else(|error| {
            let log = self.log();
            panic!("{error}; {:?}; {log}", self.child.try_wait())
        })
    }

    /// What the service has logged so far.
    fn log(&mut self) -> String {
        let mut log = Vec::new();
        if let Some(journal) = &mut self.journal {
            journal.set_nonblocking(true).unwrap();
            let _ = journal.read_to_end(&mut log);
        }
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Asserts that the service still reports that it is alive.
    fn is_alive(&mut self, after: &str) {
        self.manager.set_nonblocking(true).unwrap();
        while self.manager.recv(&mut [0; 64]).is_ok() {}
        self.manager.set_nonblocking(false).unwrap();
        let mut signs = 0;
        while signs < 2 {
            match &*self.hear() {
                "WATCHDOG=1" => signs += 1,
                // netd has read its configuration again.
                "READY=1" => {}
                other => assert!(other.starts_with("RELOADING=1\n"), "{after}: {other}"),
            }
        }
        println!("alive after {after}");
    }

    /// Asserts that the service reads its configuration again, and says so.
    fn reloads(&mut self) {
        self.is_alive("a quiet start");
        self.signal("HUP");
        let reloading = "RELOADING=1\nMONOTONIC_USEC=";
        while !self.hear().starts_with(reloading) {}
        while self.hear() != "READY=1" {}
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Asserts that neither the service nor one of its helper processes holds a socket that it was
    /// started with and doesn't need, since somebody who takes the process over could use it.
    fn holds_none(&self, unused: [(&str, &Listener); 2]) {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let own = id.to_string();
        for process in children.split_whitespace().chain([&*own]) {
            for descriptor in fs::read_dir(format!("/proc/{process}/fd")).unwrap() {
                let held = fs::read_link(descriptor.unwrap().path());
                for (name, socket) in unused {
                    let fd = socket.as_fd().as_raw_fd();
                    let socket = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
                    assert_ne!(held.as_ref().ok(), Some(&socket), "{process}: {name}");
                }
            }
        }
    }

    /// The names and command lines of the service's helper processes, as `ps` shows them.
    fn helper_processes(&self) -> Vec<(String, String)> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let of = |process: &str, file: &str| {
            let octets = fs::read(format!("/proc/{process}/{file}")).unwrap();
            let text = String::from_utf8_lossy(&octets).replace('\0', " ");
            text.trim().to_owned()
        };
        let children = children.split_whitespace();
        let mut helpers: Vec<_> = children
            .map(|process| (of(process, "comm"), of(process, "cmdline")))
            .collect();
        helpers.sort();
        helpers
    }

    /// Asserts that the service survives what a service manager and its host may do to it.
    fn assert_survives(&mut self, answers: impl Fn()) {
        answers();
        for signal in ["HUP", "CONT"] {
            self.signal(signal);
            self.is_alive(signal);
            answers();
        }
        self.signal("STOP");
        let stopped = || fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        while !stopped().rsplit(") ").next().unwrap().starts_with('T') {
            thread::sleep(Duration::from_millis(1));
        }
        self.signal("CONT");
        self.is_alive("a stop");
        answers();
        // The journal is gone, and SIGHUP makes the service log a line.
        self.journal = None;
        self.signal("HUP");
        self.is_alive("the end of the journal");
        answers();
    }

    /// Stops the service. `says_so` states whether it reports that it is stopping.
    fn stop(mut self, says_so: bool) -> ExitStatus {
        // The manager's queue must have room.
        self.is_alive("the others' start");
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        // netd's connector may still send messages.
        while says_so && self.hear() != "STOPPING=1" {}
        status
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates what the directives of a unit create: folders, and a credential.
fn folders(folder: &Path) {
    for (name, mode) in [
        ("credentials", 0o700),
        ("run", 0o755),
        ("state", 0o700),
        ("state/netd", 0o700),
    ] {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    let kek = folder.join("credentials/kek");
    fs::write(&kek, [7; 32]).unwrap();
    fs::set_permissions(&kek, Permissions::from_mode(0o400)).unwrap();
}

/// keyd with sockets for these roles and for admin, then netd and the bridge as its clients.
fn each_daemon_lives(programs: &Path, notify: NotifySocket) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    folders(folder);
    let socket = |name: &str| folder.join("run").join(name);
    let [network, supplicant, unused, unused_too] =
        ["network", "supplicant", "unused", "unused-too"]
            .map(|name| Listener::bind(&socket(name), 0o600).unwrap());
    let state = folder.join("state/keyd");
    let mut keyd = Service::start(
        &programs.join("softsim-keyd"),
        &[
            "--state".as_ref(),
            state.as_os_str(),
            "--kek-credential".as_ref(),
            "kek".as_ref(),
            // All of them are ours here.
            "--same-user".as_ref(),
            "--same-user".as_ref(),
        ],
        folder,
        notify,
        [("network", &network), ("supplicant", &supplicant)],
    );
    let path = socket("network");
    keyd.assert_survives(|| {
        let status = Connection::connect(&path).and_then(|mut keyd| keyd.call(&Status {}));
        assert!(status.is_ok(), "{status:?}");
    });

    let config = folder.join("netd.toml");
    let control = socket("netd.sock");
    let text = format!(
        "keyd_socket = {path:?}\ncontrol_socket = {control:?}\nstate_dir = {:?}\nendpoint = 'gateway'\n",
        folder.join("state/netd"),
    );
    fs::write(&config, text).unwrap();
    let unused = [("unused", &unused), ("unused-too", &unused_too)];
    let mut netd = Service::start(
        &programs.join("softsim-netd"),
        &["--config".as_ref(), config.as_os_str()],
        folder,
        notify,
        unused,
    );
    netd.holds_none(unused);
    netd.reloads();
    let expected = [
        (
            "softsim-connect",
            format!(
                "softsim-netd connector {} {}",
                path.display(),
                config.display()
            ),
        ),
        ("softsim-names", "softsim-netd names".to_owned()),
    ];
    assert_eq!(
        netd.helper_processes(),
        expected.map(|(name, line)| (name.to_owned(), line))
    );
    netd.assert_survives(|| {
        let events = Control::run(&control, &netd::Command::Status {}).unwrap();
        let events: Vec<_> = events.collect();
        assert!(
            matches!(events.last(), Some(Ok(Event::Done { .. }))),
            "{events:?}"
        );
    });

    let supplicant = socket("supplicant");
    let mut bridge = Service::start(
        &programs.join("softsim-bridge"),
        &[
            "--keyd".as_ref(),
            supplicant.as_os_str(),
            "--sockets".as_ref(),
            folder.join("run").as_os_str(),
            "--control".as_ref(),
            folder.join("wlan0").as_os_str(),
        ],
        folder,
        notify,
        unused,
    );
    bridge.holds_none(unused);
    let line = format!("softsim-bridge finder {}", folder.join("wlan0").display());
    assert_eq!(
        bridge.helper_processes(),
        [("softsim-finder".to_owned(), line)]
    );
    bridge.assert_survives(|| {});

    // A service manager takes status 0 and SIGTERM for a clean end.
    let status = netd.stop(true);
    assert!(status.success(), "{status}");
    for service in [bridge, keyd] {
        let status = service.stop(false);
        assert_eq!(status.signal(), Some(SIGTERM), "{status}");
    }
}

#[test]
fn each_daemon_lives_as_a_service() {
    if built("each_daemon_lives_as_a_service", &DAEMONS) {
        let programs = binaries().unwrap();
        each_daemon_lives(&programs, NotifySocket::Path);
        each_daemon_lives(&programs, NotifySocket::Abstract);
    }
}

#[test]
fn each_static_daemon_lives_as_a_service() {
    let Some(programs) = static_binaries() else {
        skip("each_static_daemon_lives_as_a_service: SOFTSIM_STATIC_BIN_DIR is not set");
        return;
    };
    each_daemon_lives(&programs, NotifySocket::Path);
    each_daemon_lives(&programs, NotifySocket::Abstract);
}
