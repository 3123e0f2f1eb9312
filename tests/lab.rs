//! `softsim-lab` as a program: what it prints, that it keeps running, and that it leaves nothing
//! behind.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use softsim_client::keyd::Connection;
use softsim_client::netd::{self, Control, Event, Report};
use softsim_client::proto::requests::Status;
use softsim_lab_harness::processes::binaries;
use softsim_lab_harness::subscription::random_profile;
use softsim_testkit::processes::built;

const PROGRAMS: [&str; 3] = ["softsim-keyd", "softsim-netd", "softsim-lab"];

/// A running lab, and its output before READY.
struct Lab {
    process: Child,
    variables: HashMap<String, String>,
}

impl Lab {
    fn start(arguments: &[&str], folder: &Path) -> Self {
        let mut process = Command::new(binaries().unwrap().join("softsim-lab"))
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut variables = HashMap::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "READY" {
                return Self { process, variables };
            }
            let (key, value) = line.split_once('=').expect("KEY=VALUE");
            variables.insert(key.to_owned(), value.to_owned());
        }
        panic!(
            "the lab ended before it was ready: {}",
            process.wait().unwrap()
        );
    }

    fn signal(&mut self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }

    fn daemons(&self) -> [String; 2] {
        ["SOFTSIM_KEYD_PID", "SOFTSIM_NETD_PID"].map(|key| self.variables[key].clone())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether the process with this id is one of ours.
fn runs(id: &str) -> bool {
    let command = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    command.starts_with("softsim-")
}

#[test]
fn up_prints_where_everything_is_and_a_signal_leaves_no_process() {
    if !built("softsim-lab up", &PROGRAMS) {
        return;
    }
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.toml"), random_profile().as_bytes()).unwrap();
        let arguments = ["up", "--dir", "lab", "--profile", "p.toml"];
        let mut lab = Lab::start(&arguments, folder.path());
        let daemons = lab.daemons();
        assert!(daemons.iter().all(|id| runs(id)));
        let mut admin =
            Connection::connect(lab.variables["SOFTSIM_ADMIN_SOCKET"].as_ref()).unwrap();
        assert_eq!(admin.call(&Status {}).unwrap().profiles, 1);
        let radius: std::net::SocketAddr = lab.variables["SOFTSIM_RADIUS"].parse().unwrap();
        assert!(radius.ip().is_loopback());
        for file in [
            "SOFTSIM_RADIUS_SECRET_FILE",
            "SOFTSIM_AUC_SOCKET",
            "SOFTSIM_NETD_SOCKET",
            "SOFTSIM_NETD_MONITOR_SOCKET",
        ] {
            assert!(Path::new(&lab.variables[file]).exists(), "{file}");
        }
        lab.signal(signal);
        assert!(!daemons.iter().any(|id| runs(id)), "after SIG{signal}");
    }
}

#[test]
fn keyd_alone_has_the_profile_and_a_signal_leaves_no_process() {
    if !built("softsim-lab keyd", &PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), random_profile().as_bytes()).unwrap();
    let arguments = ["keyd", "--dir", "lab", "--profile", "p.toml"];
    let mut lab = Lab::start(&arguments, folder.path());
    let mut admin = Connection::connect(lab.variables["SOFTSIM_ADMIN_SOCKET"].as_ref()).unwrap();
    assert_eq!(admin.call(&Status {}).unwrap().profiles, 1);
    assert!(!lab.variables.contains_key("SOFTSIM_RADIUS"));
    let daemons = lab.daemons();
    lab.signal("TERM");
    assert!(!daemons.iter().any(|id| runs(id)));
}

#[test]
fn netd_goes_on_without_keyd_and_ends_with_the_lab() {
    if !built("netd without keyd", &PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), random_profile().as_bytes()).unwrap();
    let arguments = ["keyd", "--dir", "lab", "--profile", "p.toml"];
    let mut lab = Lab::start(&arguments, folder.path());
    let [keyd, netd] = lab.daemons();
    assert!(
        Command::new("kill")
            .args(["-s", "KILL", &keyd])
            .status()
            .unwrap()
            .success()
    );
    let deadline = Instant::now() + Duration::from_secs(30);
    let control = Path::new(&lab.variables["SOFTSIM_NETD_SOCKET"]).to_owned();
    let says_so = || {
        let events = Control::run(&control, &netd::Command::Status {}).unwrap();
        match events.map(Result::unwrap).last() {
            Some(Event::Done {
                report: Report::Status(status),
            }) => status.keyd_lost.is_some(),
            other => panic!("{other:?}"),
        }
    };
    while !says_so() {
        assert!(Instant::now() < deadline, "netd says nothing of keyd");
        std::thread::sleep(Duration::from_millis(10));
    }
    lab.signal("TERM");
    assert!(!runs(&netd));
}

#[test]
fn a_bad_profile_names_its_field_and_starts_nothing() {
    if !built("softsim-lab with a bad profile", &PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let profile = random_profile().replace("ind_bits", "ind_bit");
    fs::write(folder.path().join("p.toml"), profile).unwrap();
    for command in ["up", "keyd"] {
        let ended = Command::new(binaries().unwrap().join("softsim-lab"))
            .args([command, "--dir", "lab", "--profile", "p.toml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(!ended.status.success() && ended.stdout.is_empty());
        let complaint = String::from_utf8(ended.stderr).unwrap();
        assert!(complaint.contains("profile: ind_bit: "), "{complaint}");
        assert!(!folder.path().join("lab").exists());
    }
}
