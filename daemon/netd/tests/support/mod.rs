//! netd in a folder of its own, and a scripted key process.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)] // Not every test needs all of it.

use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::netd::{self, Control, Event, Report};
use softsim_client::proto::requests::{DeviceCertificate, Hello, Identity, Status};
use softsim_client::proto::{
    Call, Counters, Enforcement, HelloAnswer, IdentityAnswer, IdentityKind, IdentityPrivacy,
    KekSource, KeyMemory, MAX_ANSWER, MAX_REQUEST, Overwrites, PROTOCOL_VERSION, Refusal,
    RequestKind, Role, StatusAnswer, Times, encode_answer, kind_of,
};

pub(crate) fn encoded<C: Call>(answer: Result<C::Answer, Refusal>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_ANSWER];
    encode_answer::<C>(&answer, &mut buffer).unwrap().to_vec()
}

pub(crate) fn hello(role: Role) -> Vec<u8> {
    encoded::<Hello>(Ok(HelloAnswer {
        version: PROTOCOL_VERSION,
        role,
        max_request: MAX_REQUEST as u32,
        max_handles: 4,
    }))
}

pub(crate) fn status() -> StatusAnswer {
    StatusAnswer {
        changes: 1,
        enforcement: Enforcement {
            landlock_abi: 7,
            seccomp_calls: 12,
            key_memory: KeyMemory::Plain,
            kek_source: KekSource::Development,
            overwrites: Overwrites::InPlace,
            identity_privacy: IdentityPrivacy::Conservative,
            identity_patience: 600,
            supplicant: false,
            test_profiles: false,
        },
        device_id: Some([0xd1; 32]),
        sealing_key_id: None,
        certified: false,
        trust_anchors: 0,
        profiles: 0,
        profile: None,
        capacity: 1,
        anchor: None,
        committed: None,
        accounts: None,
        counters: Some(Counters::default()),
        identities: None,
        times: Times {
            clock: 2_000_000_000,
            built: 1_800_000_000,
            kept: 0,
        },
    }
}

/// A device that has its key and nothing else.
pub(crate) fn answer(request: &[u8]) -> Vec<u8> {
    match kind_of(request).unwrap() {
        RequestKind::Hello => hello(Role::Network),
        RequestKind::Status => encoded::<Status>(Ok(status())),
        // Nothing ever changes.
        RequestKind::Wait => Vec::new(),
        RequestKind::Identity => encoded::<Identity<'_>>(Ok(IdentityAnswer {
            nai: "6001010000000007@wlan.mnc001.mcc001.3gppnetwork.org".into(),
            kind: IdentityKind::Permanent,
        })),
        RequestKind::DeviceCertificate => {
            encoded::<DeviceCertificate>(Err(Refusal::NoDeviceCertificate))
        }
        other => panic!("not expected: {other}"),
    }
}

/// A key process that answers every connection by the script, until it is dropped.
pub(crate) struct Keyd {
    listener: Socket,
    connections: Arc<Mutex<Vec<Socket>>>,
}

impl Keyd {
    pub(crate) fn start(path: &Path) -> Self {
        Self::start_with(path, answer)
    }

    /// With a script of the test's own.
    pub(crate) fn start_with(
        path: &Path,
        script: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(script);
        // An earlier one has left it.
        let _ = fs::remove_file(path);
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
        listener.listen(4).unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::clone(&connections);
        let accepting = listener.try_clone().unwrap();
        thread::spawn(move || {
            while let Ok((mut client, _)) = accepting.accept() {
                accepted.lock().unwrap().push(client.try_clone().unwrap());
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    let mut request = vec![0; MAX_REQUEST];
                    while let Ok(length @ 1..) = client.read(&mut request) {
                        client.write_all(&script(&request[..length])).unwrap();
                    }
                });
            }
        });
        Self {
            listener,
            connections,
        }
    }
}

impl Drop for Keyd {
    fn drop(&mut self) {
        let _ = self.listener.shutdown(Shutdown::Both);
        for connection in self.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// softsim-netd in a folder of its own.
pub(crate) struct Netd {
    pub(crate) child: Child,
    pub(crate) control: PathBuf,
    pub(crate) directory: tempfile::TempDir,
}

impl Drop for Netd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        eprint!("{}", self.log());
    }
}

impl Netd {
    pub(crate) fn start(more: &str) -> (Self, Keyd) {
        Self::start_with(more, answer)
    }

    /// Beside a key process with this script.
    pub(crate) fn start_with(
        more: &str,
        script: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> (Self, Keyd) {
        let (netd, keyd) = Self::begin(more, script);
        netd.await_service();
        (netd, keyd)
    }

    /// Waits until it answers.
    pub(crate) fn await_service(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.status().is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it beside a key process with this script, and doesn't wait for it.
    pub(crate) fn begin(
        more: &str,
        script: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> (Self, Keyd) {
        Self::begin_as(more, script, |_| {
            Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
        })
    }

    /// Starts it as this command, which gets the folder of its files.
    pub(crate) fn begin_as(
        more: &str,
        script: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
        command: impl FnOnce(&Path) -> Command,
    ) -> (Self, Keyd) {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        DirBuilder::new().mode(0o700).create(file("state")).unwrap();
        let keyd = Keyd::start_with(&file("network.sock"), script);
        fs::write(file("netd.toml"), Self::configuration(more)).unwrap();
        let child = command(directory.path())
            .arg("--config")
            .arg(file("netd.toml"))
            .stderr(File::create(file("netd.log")).unwrap())
            .spawn()
            .unwrap();
        let control = file("netd.sock");
        let netd = Self {
            child,
            control,
            directory,
        };
        (netd, keyd)
    }

    /// The path of keyd's socket.
    pub(crate) fn keyd_socket(&self) -> PathBuf {
        self.directory.path().join("network.sock")
    }

    /// Waits until what it says of keyd holds.
    pub(crate) fn await_keyd(&self, holds: impl Fn(Option<&str>) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let lost = self.status().unwrap().keyd_lost;
            if holds(lost.as_deref()) {
                return;
            }
            assert!(Instant::now() < end, "{lost:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has written down.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("netd.log")).unwrap()
    }

    pub(crate) fn status(&self) -> Option<netd::Status> {
        match self.run(&netd::Command::Status {})? {
            Event::Done {
                report: Report::Status(status),
            } => Some(status),
            other => panic!("{other:?}"),
        }
    }

    /// The last event of a command.
    pub(crate) fn run(&self, command: &netd::Command) -> Option<Event> {
        Control::run(&self.control, command).ok()?.last()?.ok()
    }

    /// What a line is answered with.
    pub(crate) fn say(&self, line: &[u8]) -> Event {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        // A line that is too long may be answered before it is read to its end.
        let _ = stream.write_all(line);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    pub(crate) fn wait(&mut self) -> Option<ExitStatus> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

/// A netd with a limit that a test changes.
impl Netd {
    /// Lets it have so many descriptors.
    pub(crate) fn limit_descriptors(&self, most: u32) {
        let id = self.child.id().to_string();
        let limit = format!("--nofile={most}:");
        let set = Command::new("prlimit")
            .args(["--pid", &id, &limit])
            .status();
        assert!(set.unwrap().success());
    }
}

/// A netd with a configuration that a test changes.
impl Netd {
    fn configuration(more: &str) -> String {
        format!(
            "keyd_socket = 'network.sock'\ncontrol_socket = 'netd.sock'\nstate_dir = 'state'\n{more}"
        )
    }

    /// Replaces the configuration as an editor does, and sends SIGHUP.
    pub(crate) fn reload(&self, more: &str) {
        let file = |name: &str| self.directory.path().join(name);
        fs::write(file("new"), Self::configuration(more)).unwrap();
        fs::rename(file("new"), file("netd.toml")).unwrap();
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "HUP", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the log has so many lines with this text.
    pub(crate) fn await_log(&self, text: &str, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.log().matches(text).count() < count {
            assert!(Instant::now() < end, "{text}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}
