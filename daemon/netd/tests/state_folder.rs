//! What netd shares with nobody: its state folder and its control socket.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::{self, DirBuilder};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::netd::{self, Control};
use support::{Keyd, Netd};

/// Starts a netd that isn't waited for.
fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
        .arg("--config")
        .arg(config)
        // The log goes there; nothing stays behind in the pipe of a netd that runs on.
        .env("RUST_LOG", "error")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The exit status of a netd that ends by itself, and its last words.
fn ends(mut netd: Child) -> (i32, String) {
    let end = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = netd.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            netd.kill().unwrap();
            panic!("netd runs on");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut words = String::new();
    netd.stderr.unwrap().read_to_string(&mut words).unwrap();
    (status.code().unwrap(), words)
}

/// A folder with a state folder and a key process, and a configuration for a netd in it.
struct Folder {
    directory: tempfile::TempDir,
    _keyd: Keyd,
}

impl Folder {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        DirBuilder::new().mode(0o700).create(path).unwrap();
        let keyd = Keyd::start(&directory.path().join("network.sock"));
        Self {
            directory,
            _keyd: keyd,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a configuration.
    fn config(&self, file: &str, control: &str, state: &str, more: &str) -> PathBuf {
        let network = self.at("network.sock");
        let text = format!(
            "keyd_socket = '{}'\ncontrol_socket = '{control}'\nstate_dir = '{state}'\n{more}",
            network.display()
        );
        fs::write(self.at(file), text).unwrap();
        self.at(file)
    }

    fn usual(&self) -> PathBuf {
        self.config("netd.toml", "netd.sock", "state", "")
    }

    fn answers(&self) -> bool {
        let answer = Control::run(&self.at("netd.sock"), &netd::Command::Status {});
        answer.is_ok_and(|mut events| events.next().is_some_and(|event| event.is_ok()))
    }
}

#[test]
fn a_second_netd_with_the_same_folder_or_socket_is_refused_and_the_first_goes_on() {
    let (netd, _keyd) = Netd::start("");
    let at = |name: &str| netd.directory.path().join(name);
    DirBuilder::new().mode(0o700).create(at("other")).unwrap();
    let socket = fs::metadata(&netd.control).unwrap().ino();
    for (control, state, used) in [
        ("netd.sock", "state", "state"),
        ("netd.sock", "other", "netd.sock"),
        ("other.sock", "state", "state"),
    ] {
        let text = format!(
            "keyd_socket = 'network.sock'\ncontrol_socket = '{control}'\nstate_dir = '{state}'\n"
        );
        fs::write(at("second.toml"), text).unwrap();
        let (status, words) = ends(start(&at("second.toml")));
        let expected = format!(
            "another softsim-netd (pid {}) uses {}",
            netd.child.id(),
            at(used).display()
        );
        assert!(
            status == 75 && words.contains(&expected),
            "{status}: {words}"
        );
        assert_eq!(fs::metadata(&netd.control).unwrap().ino(), socket);
        assert!(netd.status().is_some());
    }
}

#[test]
fn of_several_that_start_at_once_one_runs() {
    let folder = Folder::new();
    let config = folder.usual();
    for _ in 0..5 {
        let mut netds: Vec<_> = (0..4).map(|_| start(&config)).collect();
        let end = Instant::now() + Duration::from_secs(20);
        let running = |netd: &mut Child| netd.try_wait().unwrap().is_none();
        while netds
            .iter_mut()
            .filter_map(|netd| running(netd).then_some(()))
            .count()
            > 1
        {
            assert!(Instant::now() < end, "more than one runs");
            thread::sleep(Duration::from_millis(5));
        }
        while !folder.answers() {
            assert!(Instant::now() < end, "none answers");
            thread::sleep(Duration::from_millis(5));
        }
        let (mut run, ended): (Vec<_>, Vec<_>) = netds
            .into_iter()
            .map(|mut netd| (running(&mut netd), netd))
            .partition(|(running, _)| *running);
        for (_, netd) in ended {
            let (status, words) = ends(netd);
            assert!(
                status == 75 && words.contains("another softsim-netd"),
                "{words}"
            );
        }
        let (_, survivor) = &mut run[0];
        survivor.kill().unwrap();
        survivor.wait().unwrap();
    }
}

#[test]
fn a_killed_netd_leaves_nothing_that_stops_the_next_one() {
    let folder = Folder::new();
    let config = folder.usual();
    for _ in 0..3 {
        let mut netd = start(&config);
        let end = Instant::now() + Duration::from_secs(20);
        while !folder.answers() {
            assert!(netd.try_wait().unwrap().is_none(), "it ended");
            assert!(Instant::now() < end, "it doesn't answer");
            thread::sleep(Duration::from_millis(5));
        }
        netd.kill().unwrap();
        netd.wait().unwrap();
        assert!(folder.at("netd.sock").exists());
    }
}

#[test]
fn a_socket_on_which_another_process_listens_is_not_taken_from_it() {
    let folder = Folder::new();
    let stream = UnixListener::bind(folder.at("stream.sock")).unwrap();
    let packets = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    packets
        .bind(&SockAddr::unix(folder.at("packets.sock")).unwrap())
        .unwrap();
    packets.listen(1).unwrap();
    fs::write(folder.at("file.sock"), b"a file").unwrap();
    for socket in ["stream.sock", "packets.sock", "file.sock"] {
        let inode = fs::metadata(folder.at(socket)).unwrap().ino();
        let (status, words) = ends(start(&folder.config("netd.toml", socket, "state", "")));
        assert!(status == 74 && words.contains(socket), "{status}: {words}");
        assert_eq!(fs::metadata(folder.at(socket)).unwrap().ino(), inode);
    }
    drop(stream);
}

#[test]
fn a_state_folder_that_is_missing_or_not_ours_alone_is_refused_by_name() {
    let folder = Folder::new();
    let mode = |mode| fs::set_permissions(folder.at("state"), fs::Permissions::from_mode(mode));
    let refused = |state: &str, expected: &str| {
        let (status, words) = ends(start(&folder.config("netd.toml", "netd.sock", state, "")));
        assert!(
            status == 78 && words.contains(expected),
            "{status}: {words}"
        );
        assert!(!words.contains("sandbox"), "{words}");
    };
    let missing = folder.at("missing");
    let missing = missing.display();
    refused(
        "missing",
        &format!("state_dir: {missing} is missing: mkdir -m 0700 {missing}"),
    );
    refused("network.sock", "state_dir: expected a directory, got");
    // Who may read a folder may lock it, too.
    for others in [0o777, 0o770, 0o1777, 0o702, 0o755, 0o704, 0o740] {
        mode(others).unwrap();
        refused("state", &format!("of mode {others:04o}"));
    }
    mode(0o711).unwrap();
    // As root, a folder of somebody else can be had.
    if chown(folder.at("state"), Some(1), None).is_ok() {
        refused("state", "state_dir: expected a directory of uid 0, got");
    }
}

#[test]
fn configuration_trust_anchors_and_secrets_in_the_state_folder_are_refused() {
    let folder = Folder::new();
    fs::write(folder.at("state/ca.pem"), b"").unwrap();
    symlink("state/ca.pem", folder.at("link.pem")).unwrap();
    fs::write(folder.at("state/secret"), b"secret").unwrap();
    let bootstrap = |file| format!("[bootstrap]\nuri = 'coaps://x'\nserver_trust = ['{file}']\n");
    let access = |file| {
        format!(
            "[[access]]\nname = 'a'\ncarrier = 'radius'\nservers = ['127.0.0.1:9']\nsecret_files = ['{file}']\n"
        )
    };
    for (field, more) in [
        ("bootstrap.server_trust", bootstrap("state/ca.pem")),
        ("bootstrap.server_trust", bootstrap("link.pem")),
        ("access \"a\", secret_files", access("state/secret")),
    ] {
        let (status, words) = ends(start(&folder.config(
            "netd.toml",
            "netd.sock",
            "state",
            &more,
        )));
        let expected = format!("{field}: expected a file outside of state_dir");
        assert!(
            status == 78 && words.contains(&expected),
            "{status}: {words}"
        );
    }
    let (status, words) = ends(start(&folder.config(
        "state/netd.toml",
        "../netd.sock",
        ".",
        "",
    )));
    assert!(
        status == 78 && words.contains("netd.toml: expected a file outside of state_dir"),
        "{words}"
    );
}

#[test]
fn a_radius_secret_that_others_can_read_is_refused_with_the_way_out() {
    let folder = Folder::new();
    let secret = folder.at("secret");
    fs::write(&secret, "testing123\n").unwrap();
    let access = "[[access]]\nname = 'aaa'\ncarrier = 'radius'\nservers = ['127.0.0.1:1812']\nsecret_files = ['secret']\n";
    let config = folder.config("netd.toml", "netd.sock", "state", access);
    for mode in [0o644, 0o604] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let (status, words) = ends(start(&config));
        let secret = secret.display();
        let expected = format!("got mode {mode:04o}: chmod 600 {secret}");
        assert!(
            status == 78 && words.contains(&expected),
            "{status}: {words}"
        );
    }
}
