//! The helper processes of netd under strace: each rule of their filters is needed by a call that
//! one of them makes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use softsim_lab_harness::host_files::HostFiles;
use softsim_lab_harness::name_server::{NameServer, Zone};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::{binaries, static_binaries};
use softsim_lab_harness::supplicant::find;
use softsim_lab_simulators::pki::SERVER_NAME;
use softsim_netd::connector::{self, process};
use softsim_netd::names::helper;
use softsim_netd::names::wire::{Answer, MAX, Name, READY, Request};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Connection, Listener, Received, pair};
use softsim_testkit::processes::{built, service_manager_message};
use softsim_testkit::trace::{Call, Rule, STRACE, confined, spare};

use crate::{HERE, on_a_host, services};

/// How long the test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rules that no look-up of this test needs, and what needs them.
const NOT_EVERY_TIME: &[(&str, &str)] = &[
    ("restart_syscall", "a stop in a wait"),
    (
        "ppoll",
        "systemd's modules where the answer isn't there yet",
    ),
    ("brk", "more memory than the helper had"),
    (
        "pread64",
        "glibc: a module with more headers than it reads at once",
    ),
    (
        "getrandom",
        "newer versions of systemd's modules: hash keys",
    ),
    ("fstat", "newer versions of glibc: newfstatat"),
];

/// A name server for each combination of UDP or TCP and IPv4 or IPv6.
const NAME_SERVERS: [&str; 3] = ["127.0.0.1", "127.0.0.2", "::1"];

/// The modules that nsswitch.conf may name.
const SWITCHES: [&str; 6] = [
    "files dns",
    "mymachines myhostname mdns dns",
    "nothing-of-this-name dns",
    "resolve [!UNAVAIL=return] mdns4_minimal [NOTFOUND=return] dns",
    "resolve",
    "mdns4",
];

/// A helper process of netd, under strace.
struct Traced {
    process: Child,
    netd: Connection,
    trace: PathBuf,
}

impl Traced {
    /// Starts it with this command for strace.
    fn start(strace: &mut Command, trace: &Path, program: &Path, arguments: &[&OsStr]) -> Self {
        let (netd, theirs) = pair().unwrap();
        let process = strace
            .args(&STRACE[1..])
            .arg("-o")
            .args([trace, program])
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        Self {
            process,
            netd,
            trace: trace.to_owned(),
        }
    }

    fn hear(&self) -> Vec<u8> {
        let mut datagram = [0; MAX];
        poll::wait(&mut [Entry::readable(&self.netd)], Some(PATIENCE)).unwrap();
        match self.netd.receive(&mut datagram) {
            Ok(Received::Datagram(length)) => datagram[..length].to_vec(),
            other => panic!("{other:?}"),
        }
    }

    fn finds(&self, name: &str, how: &str) {
        let name = Name::new(name).unwrap();
        self.netd.send(&Request { id: 7, name }.encode()).unwrap();
        let answer = Answer::decode(&self.hear());
        let Some((7, Answer::Addresses(addresses))) = answer else {
            panic!("{how}: {answer:?}");
        };
        assert!(
            addresses.iter().any(|address| address.ip() == HERE),
            "{how}"
        );
    }

    /// Ends the processes, and returns their system calls.
    fn ends(mut self) -> Calls {
        drop(self.netd);
        assert!(self.process.wait().unwrap().success());
        let end = Instant::now() + PATIENCE;
        let own = self.process.id();
        loop {
            let trace = fs::read_to_string(&self.trace).unwrap();
            let calls: Vec<_> = trace.lines().filter_map(Call::parse).collect();
            // strace writes the last line after the process has ended.
            if calls
                .iter()
                .any(|call| call.thread == own && call.name == "exit_group")
            {
                return Calls::of(own, calls);
            }
            assert!(Instant::now() < end, "the trace has no end");
            sleep(Duration::from_millis(1));
        }
    }
}

/// The calls that a process and its forked children made, each under its own filter.
#[derive(Debug, Default)]
struct Calls {
    /// The calls under the process's filter, which include those of a child before it has its own
    /// filter.
    own: Vec<Call>,
    of_copies: Vec<Call>,
}

impl Calls {
    fn of(process: u32, made: Vec<Call>) -> Self {
        let mut processes = BTreeMap::<_, Vec<_>>::new();
        for call in made {
            processes.entry(call.thread).or_default().push(call);
        }
        let mut calls = Self {
            own: confined(&processes.remove(&process).unwrap()).to_vec(),
            of_copies: Vec::new(),
        };
        for copy in processes.into_values() {
            let under_its_own = confined(&copy);
            calls
                .own
                .extend_from_slice(&copy[..copy.len() - under_its_own.len()]);
            calls.of_copies.extend_from_slice(under_its_own);
        }
        calls
    }
}

/// A name that the module myhostname looks up in the kernel's routes, and a name for the addresses
/// of the loopback interface.
const GATEWAY: &str = "_gateway";
const LOOPBACK: &str = "a.localhost";

/// Looks names up in every way.
fn look_up(program: &Path, files: &HostFiles, trace: &Path) -> Calls {
    let mut strace = files.command(Path::new(STRACE[0]));
    let helper = Traced::start(&mut strace, trace, program, &[helper::SUBCOMMAND.as_ref()]);
    assert_eq!(helper.hear(), READY);
    let write = |switch: &str, server: &str| {
        let switch = format!("hosts: {switch}\n");
        files.write("nsswitch.conf", &switch).unwrap();
        let server = format!("nameserver {server}\n");
        files.write("resolv.conf", &server).unwrap();
    };
    for server in NAME_SERVERS {
        write(SWITCHES[0], server);
        helper.finds("localhost", "a file");
        helper.finds(SERVER_NAME, server);
    }
    for switch in SWITCHES {
        write(switch, NAME_SERVERS[0]);
        helper.finds(SERVER_NAME, switch);
        helper.finds(GATEWAY, switch);
        helper.finds(LOOPBACK, switch);
    }
    helper.ends()
}

/// What this machine lacks for the test.
fn missing(files: &HostFiles) -> Option<&'static str> {
    let strace = find("strace").is_none().then_some("strace");
    let musl = static_binaries()
        .is_none()
        .then_some("a static netd (SOFTSIM_STATIC_BIN_DIR)");
    strace.or(musl).or(services::missing_module(files))
}

#[test]
fn the_names_helper_and_its_look_ups_need_each_rule_of_their_filters() {
    let test = "the rules of look-ups";
    on_a_host(test, |folder| {
        let files = HostFiles::new(folder).unwrap();
        if let Some(what) = missing(&files) {
            skip(&format!("{test}: {what} is missing"));
            return;
        }
        services::start_resolved(&files);
        services::start_avahi(&files);
        let both = [Ipv6Addr::LOCALHOST.into(), HERE];
        let zone = |long| Zone {
            names: [SERVER_NAME, GATEWAY, LOOPBACK]
                .map(|name| (name.into(), both.to_vec()))
                .into(),
            long,
        };
        let _over_udp = NameServer::start(HERE, zone(false)).unwrap();
        let _over_tcp = NameServer::start(Ipv4Addr::new(127, 0, 0, 2).into(), zone(true)).unwrap();
        let _over_ipv6 = NameServer::start(Ipv6Addr::LOCALHOST.into(), zone(true)).unwrap();

        let mut made = Calls::default();
        for (c_library, programs) in [("glibc", binaries().ok()), ("musl", static_binaries())] {
            let program = programs.unwrap().join("softsim-netd");
            let calls = look_up(&program, &files, &folder.join(c_library));
            made.own.extend(calls.own);
            made.of_copies.extend(calls.of_copies);
        }
        let look_up = Rule::all("look-up");
        let spare_here = spare(&look_up, &made.of_copies).into_iter();
        let spare_everywhere: Vec<_> = spare_here
            .filter(|rule| NOT_EVERY_TIME.iter().all(|(call, _)| *call != rule.call))
            .collect();
        assert!(spare_everywhere.is_empty(), "{spare_everywhere:#?}");
        // The helper has the rules of its children as well, so a call that those allow needs no
        // rule of the helper's own.
        let is_theirs = |call: &Call| look_up.iter().any(|rule| rule.allows(call));
        made.own.retain(|call| !is_theirs(call));
        let names = Rule::all("names");
        let spare = spare(&names, &made.own);
        assert!(spare.is_empty(), "{spare:#?}");
    });
}

#[test]
fn the_connector_needs_each_rule_of_its_filter() {
    let test = "the rules of the connector";
    if find("strace").is_none() {
        skip(&format!("{test}: strace is missing"));
        return;
    }
    if !built(test, &["softsim-netd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for (c_library, programs) in [("glibc", binaries().ok()), ("musl", static_binaries())] {
        let Some(programs) = programs else {
            skip(&format!("{test}: SOFTSIM_STATIC_BIN_DIR is not set"));
            return;
        };
        let program = programs.join("softsim-netd");
        made.extend(connect(&program, &folder.path().join(c_library)).own);
    }
    let rules = Rule::all("connector");
    let spare = spare(&rules, &made);
    assert!(spare.is_empty(), "{spare:#?}");
}

/// Has a connector do everything that it does: messages to the service manager, a connection to
/// keyd and one that fails, and a file.
fn connect(program: &Path, trace: &Path) -> Calls {
    let notify = trace.with_extension("notify");
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let keyd = trace.with_extension("keyd");
    let mut strace = Command::new(STRACE[0]);
    strace.env("NOTIFY_SOCKET", &notify);
    let arguments = [
        process::SUBCOMMAND.as_ref(),
        keyd.as_os_str(),
        program.as_os_str(),
    ];
    let connector = Traced::start(&mut strace, trace, program, &arguments);
    assert_eq!(connector.hear(), connector::wire::READY);
    let ask = |request: connector::wire::Request| connector.netd.send(&request.encode()).unwrap();
    ask(connector::wire::Request::Ready);
    assert_eq!(service_manager_message(&manager).unwrap(), "READY=1");
    ask(connector::wire::Request::Reloading(7));
    let reloading = service_manager_message(&manager).unwrap();
    assert_eq!(reloading, "RELOADING=1\nMONOTONIC_USEC=7");
    ask(connector::wire::Request::Keyd);
    let error = connector::wire::error_of(&connector.hear()).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let listener = Listener::bind(&keyd, 0o600).unwrap();
    ask(connector::wire::Request::Keyd);
    assert_eq!(connector.hear(), connector::wire::CONNECTED);
    assert!(listener.accept().unwrap().is_some());
    ask(connector::wire::Request::File(0));
    assert!(connector::wire::access_of(&connector.hear()).is_some());
    connector.ends()
}
