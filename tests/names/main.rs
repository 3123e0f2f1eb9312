//! Host names instead of addresses, on a simulated host with its own network, /etc and name
//! servers.

#![allow(clippy::unwrap_used, clippy::panic)]

mod calls;
mod services;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use softsim_client::netd::{AccessState, Failure, Management};
use softsim_lab_harness::error::Error;
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::host_files::HostFiles;
use softsim_lab_harness::name_server::{NameServer, Zone};
use softsim_lab_harness::netns::{self, Namespace};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::{binaries, static_binaries};
use softsim_lab_harness::supplicant::find;
use softsim_lab_simulators::pki::SERVER_NAME;
use softsim_netd::names::{helper, wire};
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{Received, pair};
use softsim_testkit::processes::built;

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

/// How long the test waits for an event that happens soon or never.
const PATIENCE: Duration = Duration::from_secs(20);

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The usual `hosts:` line of a distribution.
const USUAL: &str = "files dns";

/// A host, and a home network whose servers have names.
struct Host {
    home: Home,
    files: Arc<HostFiles>,
}

impl Host {
    /// Enrols the host's gateway and starts netd, which hasn't bootstrapped yet.
    fn new(folder: &Path, netd: Option<PathBuf>, switch: &str, resolv_conf: &str) -> Self {
        let files = Arc::new(HostFiles::new(folder).unwrap());
        files
            .write("nsswitch.conf", &format!("hosts: {switch}\n"))
            .unwrap();
        files.write("resolv.conf", resolv_conf).unwrap();
        let options = Options {
            host: Some(SERVER_NAME.into()),
            gateway: gateway::Options {
                netd,
                files: Some(files.clone()),
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let mut home = Home::start(&folder.join("lab"), options).unwrap();
        let device = home.enrol().unwrap();
        home.plan(&device).unwrap();
        home.start_netd().unwrap();
        Self { home, files }
    }

    /// Bootstraps, registers and authenticates with each server by its name, and asserts that
    /// netd's process is still the same.
    fn travels(&mut self) {
        let netd = self.home.gateway().netd().unwrap().id();
        self.home.bootstrap().unwrap();
        let Management::Registered { server, .. } = self.management() else {
            panic!("{:?}", self.management());
        };
        assert!(server.contains(SERVER_NAME), "{server}");
        self.home.eap_test().unwrap();
        self.is_well(netd);
    }

    fn management(&self) -> Management {
        self.home.gateway().netd_status().unwrap().management
    }

    fn is_well(&self, netd: u32) {
        assert_eq!(self.home.gateway().netd().unwrap().id(), netd);
        assert!(self.home.gateway().netd_status().is_ok());
    }

    /// Asserts that a bootstrap fails, and returns the reason.
    fn fails(&self) -> String {
        match self.home.bootstrap() {
            Err(Error::Failed { failure, reason }) => {
                assert_eq!(failure, Failure::Unavailable, "{reason}");
                reason
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a scenario in a separate network namespace.
fn on_a_host(test: &str, scenario: impl Fn(&Path) + Sync) {
    if let Some(reason) = netns::missing() {
        skip(&format!("{test}: {reason}"));
        return;
    }
    if built(test, &DAEMONS) {
        let namespace = Namespace::alone().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Another user runs netd's look-ups and must be able to read files in this directory.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        namespace.enter(|| scenario(folder.path())).unwrap();
    }
}

fn zone(addresses: &[IpAddr]) -> Zone {
    Zone {
        names: [(SERVER_NAME.into(), addresses.to_vec())].into(),
        long: false,
    }
}

#[test]
fn the_journey_by_names_of_the_hosts_file() {
    on_a_host("names in /etc/hosts", |folder| {
        let mut host = Host::new(folder, None, USUAL, "");
        let hosts = format!("127.0.0.1 localhost\n127.0.0.1 {SERVER_NAME}\n");
        host.files.write("hosts", &hosts).unwrap();
        host.travels();
        // An access that netd keeps connected works, too.
        let home = &mut host.home;
        let access = home.radius_access(&[home.at(home.radius())], "");
        home.gateway_mut().stop_netd();
        home.gateway_mut().set_accesses(access);
        home.start_netd().unwrap();
        let (access, _) = home.gateway().connect().unwrap();
        assert_eq!(access.state, AccessState::Authorised);
        assert!(access.at.starts_with(SERVER_NAME), "{}", access.at);
    });
}

#[test]
fn the_journey_by_names_that_a_name_server_knows() {
    on_a_host("names of a name server", |folder| {
        let _names = NameServer::start(HERE, zone(&[HERE])).unwrap();
        Host::new(folder, None, USUAL, "nameserver 127.0.0.1\n").travels();
    });
}

#[test]
fn a_static_netd_knows_hosts_and_name_servers() {
    let Some(programs) = static_binaries() else {
        skip("a_static_netd_knows_names: SOFTSIM_STATIC_BIN_DIR is not set");
        return;
    };
    on_a_host("names of a static netd", |folder| {
        let netd = programs.join("softsim-netd");
        let long = Zone {
            long: true,
            ..zone(&[HERE])
        };
        let _names = NameServer::start(HERE, long).unwrap();
        let mut host = Host::new(folder, Some(netd), "", "nameserver 127.0.0.1\n");
        host.travels();
        let hosts = format!("127.0.0.1 localhost\n127.0.0.1 {SERVER_NAME}\n");
        host.files.write("hosts", &hosts).unwrap();
        host.files.write("resolv.conf", "").unwrap();
        host.travels();
    });
}

#[test]
fn an_address_where_nobody_is_does_not_keep_the_others_from_being_tried() {
    on_a_host("an address where nobody is", |folder| {
        let both = [Ipv6Addr::LOCALHOST.into(), HERE];
        let _names = NameServer::start(HERE, zone(&both)).unwrap();
        let mut host = Host::new(folder, None, USUAL, "nameserver 127.0.0.1\n");
        // At first the host refuses datagrams to the servers' ports at ::1; then a process holds
        // these ports and doesn't answer.
        host.travels();
        let home = &host.home;
        let servers = [
            home.bootstrap_server().address(),
            home.management_server().address(),
            home.radius(),
        ];
        let _silent = servers.map(|server| UdpSocket::bind(("::1", server.port())).unwrap());
        host.travels();
    });
}

#[test]
fn without_a_name_server_netd_waits_and_finds_the_next_one() {
    on_a_host("no name server", |folder| {
        let _names = NameServer::start(Ipv4Addr::new(127, 0, 0, 2).into(), zone(&[HERE])).unwrap();
        let mut host = Host::new(folder, None, USUAL, "nameserver 127.0.0.1\n");
        let netd = host.home.gateway().netd().unwrap().id();
        assert!(host.fails().contains("the name has no address"));
        let Err(Error::Failed { reason, .. }) = host.home.eap_test() else {
            panic!("expected no authentication");
        };
        assert!(reason.contains("the name has no address"), "{reason}");
        host.is_well(netd);
        // The network now has other name servers: resolv.conf is replaced, and the first of its two
        // servers doesn't answer.
        let both = "nameserver 127.0.0.1\nnameserver 127.0.0.2\n";
        host.files.write("resolv.conf", both).unwrap();
        host.travels();
    });
}

#[test]
fn an_answer_that_is_too_long_for_udp_comes_by_tcp() {
    on_a_host("DNS over TCP", |folder| {
        let long = Zone {
            long: true,
            ..zone(&[HERE])
        };
        let _names = NameServer::start(HERE, long).unwrap();
        Host::new(folder, None, USUAL, "nameserver 127.0.0.1\n").travels();
    });
}

#[test]
fn an_account_whose_name_is_unknown_is_told_and_tried_again() {
    on_a_host("an account of an unknown name", |folder| {
        let mut host = Host::new(folder, None, USUAL, "");
        let hosts = format!("127.0.0.1 localhost\n127.0.0.1 {SERVER_NAME}\n");
        host.files.write("hosts", &hosts).unwrap();
        host.travels();
        host.files.write("hosts", "127.0.0.1 localhost\n").unwrap();
        // netd has the account after every start.
        host.home.gateway_mut().stop_netd();
        host.home.start_netd().unwrap();
        let netd = host.home.gateway().netd().unwrap().id();
        loop {
            match host.management() {
                Management::Unregistered {
                    reason: Some(reason),
                } => {
                    assert!(reason.contains(SERVER_NAME), "{reason}");
                    assert!(reason.contains("the name has no address"), "{reason}");
                    break;
                }
                Management::Unregistered { reason: None } => sleep(Duration::from_millis(5)),
                other => panic!("{other:?}"),
            }
        }
        host.is_well(netd);
    });
}

/// Tests the modules that nsswitch.conf may name: each finds the name or leaves it to the next
/// module.
#[test]
fn whatever_the_name_service_switch_asks_netd_lives() {
    on_a_host("the name service switch", |folder| {
        let _names = NameServer::start(HERE, zone(&[HERE])).unwrap();
        let mut host = Host::new(folder, None, USUAL, "nameserver 127.0.0.1\n");
        for switch in [
            "mymachines resolve [!UNAVAIL=return] files myhostname dns",
            "files resolve [!UNAVAIL=return] dns",
            "files mdns4_minimal [NOTFOUND=return] dns",
            "mdns dns",
            "nothing-of-this-name dns",
            "files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] myhostname dns",
        ] {
            let line = format!("hosts: {switch}\n");
            host.files.write("nsswitch.conf", &line).unwrap();
            host.travels();
        }
        host.files
            .write("nsswitch.conf", "hosts: myhostname\n")
            .unwrap();
        assert!(host.fails().contains("the name has no address"));
    });
}

/// A look-up that an attacker controls, simulated: strace replaces a call that only a question to a
/// name server makes by a forbidden one.
#[test]
fn a_look_up_that_makes_a_forbidden_call_ends_alone() {
    let test = "a look-up that makes a forbidden call";
    if find("strace").is_none() {
        skip(&format!("{test}: strace is missing"));
        return;
    }
    on_a_host(test, |folder| {
        let wrapper = folder.join("netd");
        let real = binaries().unwrap().join("softsim-netd");
        let script = format!(
            "#!/bin/sh\nexec strace -D -f -qq -o /dev/null -e inject=sendmmsg:error=EPERM:syscall=getppid {} \"$@\"\n",
            real.display()
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let mut host = Host::new(folder, Some(wrapper), USUAL, "nameserver 127.0.0.1\n");
        let netd = host.home.gateway().netd().unwrap().id();
        for _ in 0..2 {
            let reason = host.fails();
            assert!(reason.contains("ended by signal 31"), "{reason}");
            host.is_well(netd);
        }
        let hosts = format!("127.0.0.1 localhost\n127.0.0.1 {SERVER_NAME}\n");
        host.files.write("hosts", &hosts).unwrap();
        host.travels();
    });
}

#[test]
fn the_services_of_a_host_are_asked() {
    on_a_host("systemd-resolved and Avahi", |folder| {
        let mut host = Host::new(folder, None, "resolve", "");
        if let Some(module) = services::missing_module(&host.files) {
            skip(&format!(
                "the_services_of_a_host_are_asked: {module} is missing"
            ));
            return;
        }
        services::start_resolved(&host.files);
        host.travels();
        services::start_avahi(&host.files);
        host.files.write("nsswitch.conf", "hosts: mdns4\n").unwrap();
        host.travels();
    });
}

/// The test sets limits as a service manager's `LimitNOFILE=` and `LimitAS=` do. The helper sets
/// its own limits, and must not raise any.
#[test]
fn a_helper_whose_limits_are_lower_than_its_own_serves() {
    if !built("the helper under limits", &DAEMONS) {
        return;
    }
    for limit in ["-n 48", "-v 400000"] {
        let (ours, theirs) = pair().unwrap();
        let script = format!("ulimit {limit}; exec \"$@\"");
        let mut helper = Command::new("sh")
            .args(["-euc", &script, "sh"])
            .arg(binaries().unwrap().join("softsim-netd"))
            .arg(helper::SUBCOMMAND)
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        let mut said = [0; wire::MAX];
        poll::wait(&mut [poll::Entry::readable(&ours)], Some(PATIENCE)).unwrap();
        let Ok(Received::Datagram(length)) = ours.receive(&mut said) else {
            panic!("{limit}: it says nothing");
        };
        assert_eq!(&said[..length], wire::READY, "{limit}");
        drop(ours);
        assert!(helper.wait().unwrap().success());
    }
}

/// A look-up could run for minutes, and one that an attacker controls for ever.
#[test]
fn no_look_up_outlives_netd_or_the_helper() {
    on_a_host("look-ups end with netd", |folder| {
        let _silent = UdpSocket::bind((HERE, 53)).unwrap();
        let patient = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n";
        let mut host = Host::new(folder, None, USUAL, patient);
        for victim in ["netd", "helper"] {
            let netd = host.home.gateway().netd().unwrap().id();
            let helper = soon("the helper", || child_of(netd, helper::SUBCOMMAND));
            let look_up = thread::scope(|scope| {
                let bootstrap = scope.spawn(|| host.home.bootstrap());
                let look_up = soon("a look-up", || child_of(helper, helper::SUBCOMMAND));
                kill(if victim == "netd" { netd } else { helper });
                assert!(bootstrap.join().unwrap().is_err());
                look_up
            });
            for process in [netd, helper, look_up] {
                soon(&format!("{victim} killed, the end of {process}"), || {
                    has_ended(process).then_some(())
                });
            }
            host.home.gateway_mut().stop_netd();
            host.home.start_netd().unwrap();
        }
    });
}

/// Waits for a value that comes soon or never.
fn soon<T>(what: &str, mut come: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match come() {
            Some(come) => return come,
            None => assert!(Instant::now() < end, "not in time: {what}"),
        }
        sleep(Duration::from_millis(2));
    }
}

/// A child of this parent with this argument in its command line; a forked child keeps the command
/// line.
fn child_of(parent: u32, argument: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    children.split_whitespace().find_map(|child| {
        let arguments = fs::read_to_string(format!("/proc/{child}/cmdline")).ok()?;
        let found = arguments.split('\0').any(|one| one == argument);
        child.parse().ok().filter(|_| found)
    })
}

fn kill(process: u32) {
    let process = process.to_string();
    let killed = Command::new("kill").args(["-s", "KILL", &process]).status();
    assert!(killed.unwrap().success());
}

/// Whether a process has ended; it may still be a zombie.
fn has_ended(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}
