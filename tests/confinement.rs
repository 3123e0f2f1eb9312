//! The real daemons in their sandbox: which system calls they make, and that they survive being
//! stopped, frozen and traced.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use softsim_client::keyd::Connection;
use softsim_client::proto::requests::Status;
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_sandbox::seccomp::Filter;
use softsim_testkit::processes::{built, service_manager_message};
use softsim_testkit::trace::{Call, STRACE, confined};

/// How long the test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// The system calls of both daemons in the whole demo.
struct Traces {
    keyd: Vec<Call>,
    netd: Vec<Call>,
}

impl Traces {
    /// Runs the demo with each daemon under strace, which leaves the daemon a child of the demo.
    fn of_the_demo() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = binaries().unwrap();
        for daemon in ["softsim-keyd", "softsim-netd"] {
            let wrapper = folder.path().join(daemon);
            let (real, trace) = (programs.join(daemon), wrapper.with_extension("trace"));
            let script = format!(
                "#!/bin/sh\nexec {} -o {} {} \"$@\"\n",
                STRACE.join(" "),
                trace.display(),
                real.display()
            );
            fs::write(&wrapper, script).unwrap();
            fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).unwrap();
        }
        let demo = Command::new(programs.join("softsim-lab"))
            .args(["demo", "--dir"])
            .arg(folder.path().join("lab"))
            .env("SOFTSIM_BIN_DIR", folder.path())
            .output()
            .unwrap();
        // The demo's exit status doesn't count, because root may read what the demo expects to be
        // unreadable.
        let output = String::from_utf8_lossy(&demo.stdout);
        assert!(
            output.contains("EAP-Success"),
            "{output}{}",
            String::from_utf8_lossy(&demo.stderr)
        );
        let read = |daemon: &str| {
            let trace = folder.path().join(daemon).with_extension("trace");
            let trace = fs::read_to_string(trace).unwrap();
            without_helpers(trace.lines().filter_map(Call::parse).collect())
        };
        Self {
            keyd: read("softsim-keyd"),
            netd: read("softsim-netd"),
        }
    }
}

/// The calls of the daemon's own threads, without those of helper processes, which have their own
/// filters.
fn without_helpers(mut calls: Vec<Call>) -> Vec<Call> {
    let first = calls.first().map(|call| call.thread);
    let executes = |call: &&Call| call.name == "execve" && Some(call.thread) != first;
    let helpers: BTreeSet<_> = calls
        .iter()
        .filter(executes)
        .map(|call| call.thread)
        .collect();
    calls.retain(|call| !helpers.contains(&call.thread));
    calls
}

fn names(calls: &[Call]) -> BTreeSet<&str> {
    calls.iter().map(|call| call.name.as_str()).collect()
}

fn position(calls: &[Call], name: &str, first_arguments: &[u64]) -> usize {
    let found = calls.iter().position(|call| call.is(name, first_arguments));
    found.unwrap_or_else(|| panic!("no {name} {first_arguments:x?}"))
}

#[test]
fn the_journey_needs_each_call_of_keyds_filter_and_the_order_of_its_start_is_kept() {
    if !built(
        "confinement",
        &["softsim-keyd", "softsim-netd", "softsim-lab"],
    ) {
        return;
    }
    if Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        skip("the_journey_needs_each_call_of_keyds_filter: strace is missing");
        return;
    }
    let traces = Traces::of_the_demo();
    let allowed = |filter: Filter| filter.calls().iter().copied().collect::<BTreeSet<_>>();

    // keyd made exactly the calls that the filter allows, except exit_group, because it didn't
    // exit.
    let mut expected = allowed(Filter::Keyd);
    expected.remove("exit_group");
    assert_eq!(names(confined(&traces.keyd)), expected);
    // C libraries try a few others, which netd's filter refuses.
    let refused = BTreeSet::from(["clone3"]);
    let of_netd = allowed(Filter::Netd);
    for name in names(confined(&traces.netd)) {
        assert!(of_netd.contains(name) || refused.contains(name), "{name}");
    }

    // PR_SET_DUMPABLE, memory, landlock, seccomp; what the vault holds is read in between.
    let order = [
        position(&traces.keyd, "prctl", &[4, 0]),
        position(&traces.keyd, "memfd_secret", &[]),
        position(&traces.keyd, "prctl", &[38, 1]),
        position(&traces.keyd, "landlock_restrict_self", &[]),
        position(&traces.keyd, "seccomp", &[1]),
    ];
    assert!(order.is_sorted(), "{order:?}");

    // malloc(3) asks by brk(2) where the heap ends, and moves its end. keyd's loader only asks.
    let moves_the_heap = |calls: &[Call]| {
        calls
            .iter()
            .any(|call| call.name == "brk" && !call.is("brk", &[0]))
    };
    assert!(!moves_the_heap(&traces.keyd), "keyd called malloc");
    assert!(
        moves_the_heap(&traces.netd),
        "the trace doesn't show malloc"
    );
}

/// A keyd, with the socket of a service manager; killed on drop.
struct Watched {
    keyd: Child,
    manager: UnixDatagram,
    socket: PathBuf,
}

impl Watched {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("network");
        let manager = UnixDatagram::bind(folder.join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        // Like a service manager, this sets keyd's process id in the environment.
        let keyd = Command::new("sh")
            .args(["-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh"])
            .arg(binaries().unwrap().join("softsim-keyd"))
            .arg("--state")
            .arg(folder.join("state"))
            .args(["--development-key", "--same-user"])
            .arg("--network")
            .arg(&socket)
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env("WATCHDOG_USEC", "20000")
            .spawn()
            .unwrap();
        let watched = Self {
            keyd,
            manager,
            socket,
        };
        assert_eq!(watched.hear(), "READY=1");
        watched
    }

    fn hear(&self) -> String {
        service_manager_message(&self.manager).unwrap()
    }

    /// Asserts that keyd answers and continues to notify the watchdog.
    fn assert_serves(&mut self, after: &str) {
        self.manager.set_nonblocking(true).unwrap();
        let mut word = [0; 64];
        while self.manager.recv(&mut word).is_ok() {}
        self.manager.set_nonblocking(false).unwrap();
        let status = Connection::connect(&self.socket).and_then(|mut keyd| keyd.call(&Status {}));
        assert!(status.is_ok(), "{after}: {status:?}");
        for _ in 0..2 {
            assert_eq!(self.hear(), "WATCHDOG=1", "{after}");
        }
        assert_eq!(self.keyd.try_wait().unwrap(), None, "{after}");
    }

    fn id(&self) -> String {
        self.keyd.id().to_string()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id()]).status();
        assert!(sent.unwrap().success());
    }

    /// The letter of proc(5): S asleep, T stopped by a signal, t by a tracer.
    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.keyd.id())).unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        after_name.chars().next().unwrap()
    }

    fn wait_for_state(&self, wanted: char) {
        wait_until(&format!("state {wanted}"), || self.state() == wanted);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.keyd.kill();
        let _ = self.keyd.wait();
    }
}

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "{what} did not come");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_keyd_that_was_stopped_frozen_or_traced_goes_on() {
    if !built("a_keyd_that_was_stopped", &["softsim-keyd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut keyd = Watched::start(folder.path());
    keyd.assert_serves("start");
    for _ in 0..20 {
        keyd.signal("STOP");
        keyd.wait_for_state('T');
        keyd.signal("CONT");
    }
    keyd.assert_serves("stops");
    if let Err(reason) = freeze_and_thaw(&keyd) {
        skip(&format!("a_keyd_that_was_frozen: {reason}"));
    }
    keyd.assert_serves("a freeze");
    if let Err(reason) = trace_and_detach(&keyd) {
        skip(&format!("a_keyd_that_was_traced: {reason}"));
    }
    keyd.assert_serves("a tracer");
}

/// Freezes keyd in a separate control group, as when a container is paused, and thaws it.
fn freeze_and_thaw(keyd: &Watched) -> Result<(), String> {
    let no_group = |error: std::io::Error| format!("no control group can be made: {error}");
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let root = roots
        .iter()
        .map(Path::new)
        .find(|root| root.join("cgroup.procs").is_file());
    let root = root.ok_or("there is no cgroup v2")?;
    let group = root.join(format!("softsim-{}", keyd.id()));
    fs::create_dir(&group).map_err(no_group)?;
    let frozen = || {
        fs::write(group.join("cgroup.procs"), keyd.id())?;
        fs::write(group.join("cgroup.freeze"), "1")?;
        wait_until("a frozen process", || {
            let events = fs::read_to_string(group.join("cgroup.events"));
            events.is_ok_and(|events| events.contains("frozen 1"))
        });
        fs::write(group.join("cgroup.freeze"), "0")?;
        fs::write(root.join("cgroup.procs"), keyd.id())
    };
    let outcome = frozen().map_err(no_group);
    let _ = fs::remove_dir(&group);
    outcome
}

/// As root, lets strace seize, interrupt, trace and release keyd.
fn trace_and_detach(keyd: &Watched) -> Result<(), String> {
    let trace = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-p", &keyd.id()])
        .stderr(Stdio::piped())
        .spawn();
    let mut trace = match trace {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err("strace is missing".into()),
        other => other.unwrap(),
    };
    let tracer = format!("TracerPid:\t{}\n", trace.id());
    let mut ended = false;
    wait_until("a tracer", || {
        let status = fs::read_to_string(format!("/proc/{}/status", keyd.keyd.id())).unwrap();
        ended = trace.try_wait().unwrap().is_some();
        ended || status.contains(&tracer)
    });
    if ended {
        return Err("it can't be traced: needs root".into());
    }
    // strace sees keyd while it waits and while it runs.
    for _ in 0..4 {
        keyd.hear();
    }
    let id = trace.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(sent.unwrap().success());
    trace.wait().unwrap();
    wait_until("the end of the trace", || {
        let status = fs::read_to_string(format!("/proc/{}/status", keyd.keyd.id())).unwrap();
        status.contains("TracerPid:\t0\n")
    });
    Ok(())
}
