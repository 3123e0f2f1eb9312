//! Hosts that are broken, each in one way, and what the checks say of them.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use softsim_client::netd::check::{self, Checked, NamedInterface, NamedServer, Severity};
use softsim_client::netd::{Management, Status as NetdStatus};
use softsim_client::paths::Sockets;
use softsim_client::proto::{
    Enforcement, IdentityPrivacy, KekSource, KeyMemory, Overwrites, ProfileInfo, ProfileState,
    StatusAnswer, Times,
};
use softsim_sandbox::exit_status::{DEGRADED, DONE, NOT_READY, UNAVAILABLE};

use super::host::{Host, User};
use super::{bundle, examine};
use crate::failure::Failure;
use crate::finding::{Finding, State};
use crate::keyd::KeydStatus;

const KEYD: &str = "/proc/17";
const NETD: &str = "/proc/18";

/// A host below a folder of the test.
struct Sick {
    _root: tempfile::TempDir,
    host: Host,
}

impl Sick {
    /// A host on which all is as it should be.
    fn healthy() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| Path::new("/run/softsim").join(name);
        let this = Self {
            host: Host {
                root: root.path().into(),
                sockets: Sockets {
                    admin: at("admin.sock"),
                    network: at("network.sock"),
                    app: at("app.sock"),
                    supplicant: at("supplicant.sock"),
                    netd: at("netd.sock"),
                    netd_monitor: at("netd-monitor.sock"),
                },
                config: "/etc/softsim/netd.toml".into(),
                landlock: Ok(7),
                keyd: Ok(keyd()),
                netd: Ok(netd()),
                checked: Ok(Checked {
                    interfaces: vec![NamedInterface {
                        name: "eth1".into(),
                        controlled_port: true,
                    }],
                    ..Checked::default()
                }),
                run: programs,
            },
            _root: root,
        };
        this.lay_out();
        this
    }

    fn lay_out(&self) {
        for (path, text) in [
            ("/sys/module/secretmem/parameters/enable", "Y\n"),
            ("/proc/sys/kernel/yama/ptrace_scope", "1\n"),
            ("/proc/sys/kernel/core_pattern", "core\n"),
            ("/proc/swaps", "Filename Type Size Used Priority\n"),
            ("/sys/class/net/eth1/flags", "0x1003\n"),
            ("/sys/class/net/eth1/carrier", "1\n"),
            ("/proc/self/uid_map", "0 0 4294967295\n"),
            (
                "/etc/group",
                "softsim-network:x:980:\nsoftsim-admin:x:981:\nsoftsim-app:x:982:\n",
            ),
        ] {
            self.write(path, text);
        }
        let own = fs::metadata(&self.host.root).unwrap().uid();
        self.write(
            "/etc/passwd",
            &format!(
                "softsim-keyd:x:{own}:990::/:/bin/false\nsoftsim-netd:x:{}:991::/:/bin/false\n",
                own + 1
            ),
        );
        self.process(KEYD, "softsim-keyd", own);
        self.process(NETD, "softsim-netd", own + 1);
        for folder in [
            "/run/systemd/system",
            "/run/softsim",
            "/sys/module/nf_tables",
        ] {
            fs::create_dir_all(self.host.at(folder)).unwrap();
        }
        fs::create_dir_all(self.host.at("/var/lib/softsim/keyd")).unwrap();
        self.set_mode("/var/lib/softsim/keyd", 0o700);
        self.write("/etc/softsim/kek.cred", "k6iUCUh0RJCQyvL8k8q1UwAAA\n");
        for socket in ["network", "admin", "netd"] {
            let path = self.host.at(format!("/run/softsim/{socket}.sock"));
            UnixListener::bind(path).unwrap();
        }
    }

    fn process(&self, folder: &str, name: &str, uid: u32) {
        self.write(&format!("{folder}/comm"), &name[..name.len().min(15)]);
        self.write(
            &format!("{folder}/status"),
            &format!("Name: x\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"),
        );
        self.write(&format!("{folder}/uid_map"), "0 0 4294967295\n");
        self.write(
            &format!("{folder}/cmdline"),
            &format!("{name}\0--state\0/var/lib/softsim/keyd\0"),
        );
        self.write(&format!("{folder}/limits"), &limits(8 << 20));
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.host.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.host.at(path);
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }

    fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.host.at(path), Permissions::from_mode(mode)).unwrap();
    }

    /// The only finding that isn't fine.
    fn only(&self) -> Finding {
        let verdict = examine(&self.host);
        let findings = verdict.findings().iter();
        let bad: Vec<_> = findings
            .filter(|finding| finding.state != State::Fine)
            .collect();
        assert_eq!(bad.len(), 1, "{bad:#?}");
        let status = match bad[0].state {
            State::Wrong => NOT_READY,
            _ => DEGRADED,
        };
        assert_eq!(verdict.exit_status(), status);
        bad[0].clone()
    }

    /// Asserts what the only finding is that isn't fine.
    fn is(&self, state: State, found: &str, advice: &str) {
        let finding = self.only();
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
        let told = finding.advice.clone().unwrap_or_default();
        assert!(told.contains(advice), "{finding:?}");
    }
}

fn limits(octets: u64) -> String {
    format!("Limit  Soft Limit  Hard Limit  Units\nMax locked memory  {octets}  {octets}  bytes\n")
}

/// The other programs of a host on which all is as it should be.
fn programs(program: &Path, arguments: &[&OsStr], _user: Option<User>) -> io::Result<String> {
    let name = program.file_name().and_then(OsStr::to_str).unwrap();
    Ok(match (name, arguments[0].to_str().unwrap()) {
        (_, "--version") => format!("{name} {}", env!("CARGO_PKG_VERSION")),
        ("timedatectl", _) => "yes".into(),
        _ => String::new(),
    })
}

fn keyd() -> KeydStatus {
    let answer = StatusAnswer {
        enforcement: Enforcement {
            landlock_abi: 7,
            seccomp_calls: 12,
            key_memory: KeyMemory::SecretMemory,
            kek_source: KekSource::Credential,
            overwrites: Overwrites::InPlace,
            identity_privacy: IdentityPrivacy::Patient,
            identity_patience: 600,
            supplicant: false,
            test_profiles: false,
        },
        device_id: Some([0xd1; 32]),
        sealing_key_id: None,
        certified: false,
        trust_anchors: 1,
        profiles: 1,
        profile: Some(ProfileInfo {
            iccid: "8988211000000000078".into(),
            state: ProfileState::Enabled,
            algorithm: "milenage".into(),
            autn_mac_rejected: 0,
        }),
        capacity: 8,
        anchor: None,
        committed: None,
        accounts: None,
        identities: None,
        counters: None,
        changes: 0,
        times: Times {
            clock: 1_900_000_000,
            built: 1_800_000_000,
            kept: 0,
        },
    };
    KeydStatus {
        answer,
        certificate: None,
    }
}

/// A netd that is as it should be.
pub(crate) fn netd() -> NetdStatus {
    NetdStatus {
        release: env!("CARGO_PKG_VERSION").into(),
        uptime: 17,
        endpoint: None,
        landlock_abi: 7,
        seccomp_calls: 47,
        keyd_lost: None,
        accounts: None,
        accounts_fault: None,
        management: Management::NotBootstrapped { reason: None },
        accesses: Vec::new(),
    }
}

#[test]
fn a_host_on_which_all_is_as_it_should_be_is_ready_and_each_part_is_told() {
    let verdict = examine(&Sick::healthy().host);
    assert_eq!(verdict.text(), "ready");
    assert_eq!(verdict.exit_status(), DONE);
    let names: Vec<_> = verdict
        .findings()
        .iter()
        .map(|finding| finding.name)
        .collect();
    for name in [
        "landlock",
        "secret memory",
        "lock limit",
        "ptrace",
        "core files",
        "swap",
        "nf_tables",
        "users",
        "groups",
        "separation",
        "user namespaces",
        "folders",
        "socket",
        "softsim-keyd",
        "softsim-netd",
        "release",
        "credential",
        "clock",
        "synchronisation",
        "units",
        "configuration",
        "interface",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[test]
fn what_the_kernel_lacks_is_told_with_what_to_boot_or_set() {
    let mut sick = Sick::healthy();
    sick.host.landlock = Err(io::ErrorKind::Unsupported.into());
    sick.is(State::Wrong, "refuses landlock", "lsm=");

    let mut sick = Sick::healthy();
    sick.host
        .keyd
        .as_mut()
        .unwrap()
        .answer
        .enforcement
        .key_memory = KeyMemory::Locked;
    sick.is(State::Amiss, "doesn't use memfd_secret", "LimitMEMLOCK=8M");
    sick.write("/sys/module/secretmem/parameters/enable", "N\n");
    sick.is(State::Amiss, "switched off", "secretmem.enable=1");
    sick.remove("/sys/module/secretmem/parameters/enable");
    sick.is(State::Amiss, "no memfd_secret", "CONFIG_SECRETMEM");

    let sick = Sick::healthy();
    sick.write(&format!("{KEYD}/limits"), &limits(512 << 10));
    sick.is(
        State::Amiss,
        "softsim-keyd may lock only 524288",
        "LimitMEMLOCK=8M",
    );

    let sick = Sick::healthy();
    sick.write("/proc/sys/kernel/yama/ptrace_scope", "0\n");
    sick.is(
        State::Amiss,
        "trace others",
        "sysctl -w kernel.yama.ptrace_scope=1",
    );

    let sick = Sick::healthy();
    sick.remove("/sys/module/nf_tables");
    sick.is(State::Unexamined, "no list of modules", "");
    sick.write("/proc/sys/kernel/osrelease", "6.1.0\n");
    sick.write(
        "/lib/modules/6.1.0/modules.dep",
        "kernel/net/ipv4/tcp.ko:\n",
    );
    sick.is(State::Amiss, "no nf_tables", "CONFIG_NF_TABLES");
}

#[test]
fn keys_in_ordinary_memory_may_be_swapped() {
    let mut sick = Sick::healthy();
    sick.write("/proc/swaps", "Filename Type\n/dev/vda2 partition\n");
    assert_eq!(examine(&sick.host).exit_status(), DONE);
    sick.host
        .keyd
        .as_mut()
        .unwrap()
        .answer
        .enforcement
        .key_memory = KeyMemory::Plain;
    let verdict = examine(&sick.host).text();
    assert!(verdict.contains("may be swapped to /dev/vda2"), "{verdict}");
}

#[test]
fn a_daemon_that_sees_other_users_as_65534_is_told_with_private_users() {
    let sick = Sick::healthy();
    sick.write(&format!("{KEYD}/uid_map"), "0 0 1\n990 990 1\n");
    sick.is(
        State::Wrong,
        "softsim-keyd sees other users as uid 65534",
        "PrivateUsers=no",
    );
}

#[test]
fn of_several_daemons_the_one_that_serves_the_socket_is_examined() {
    let sick = Sick::healthy();
    let own = fs::metadata(&sick.host.root).unwrap().uid();
    let other = "/proc/9";
    sick.process(other, "softsim-keyd", own);
    sick.write(&format!("{other}/uid_map"), "0 0 1\n");
    let line = "softsim-keyd\0--state\0/var/lib/softsim/keyd\0--admin=/run/softsim/admin.sock\0";
    sick.write(&format!("{KEYD}/cmdline"), line);
    assert_eq!(examine(&sick.host).text(), "ready");
    sick.write(&format!("{other}/cmdline"), line);
    sick.remove(KEYD);
    let verdict = examine(&sick.host).text();
    assert!(verdict.contains("uid 65534"), "{verdict}");
}

/// Root follows the advice.
#[test]
fn a_process_of_another_user_is_not_taken_for_a_daemon() {
    let sick = Sick::healthy();
    let own = fs::metadata(&sick.host.root).unwrap().uid();
    let forged = "/proc/9";
    sick.process(forged, "softsim-keyd", own + 7);
    let line = "softsim-keyd\0--state=/etc\0--admin=/run/softsim/admin.sock\0";
    sick.write(&format!("{forged}/cmdline"), line);
    assert_eq!(examine(&sick.host).text(), "ready");
}

#[test]
fn users_that_are_missing_or_shared_are_told() {
    let sick = Sick::healthy();
    sick.write("/etc/group", "softsim-network:x:980:\n");
    sick.is(
        State::Amiss,
        "/etc/group has no softsim-admin, softsim-app",
        "systemd-sysusers",
    );
    let sick = Sick::healthy();
    let own = fs::metadata(&sick.host.root).unwrap().uid();
    sick.process(NETD, "softsim-netd", own);
    sick.is(State::Amiss, "both run as uid", "User=");
}

#[test]
fn files_that_others_may_use_or_that_are_missing_are_told_with_the_command_that_helps() {
    let sick = Sick::healthy();
    sick.set_mode("/var/lib/softsim/keyd", 0o755);
    sick.is(
        State::Wrong,
        "mode 0755",
        "chmod 0700 /var/lib/softsim/keyd",
    );
    sick.remove("/var/lib/softsim/keyd");
    sick.is(State::Wrong, "is missing", "install -d -m 0700");

    let sick = Sick::healthy();
    let own = fs::metadata(&sick.host.root).unwrap().uid();
    sick.process(KEYD, "softsim-keyd", own + 7);
    let users = format!(
        "softsim-keyd:x:{}:990:::\nsoftsim-netd:x:{}:991:::\n",
        own + 7,
        own + 1
    );
    sick.write("/etc/passwd", &users);
    sick.is(
        State::Wrong,
        "softsim-keyd as its owner",
        "chown -R softsim-keyd",
    );

    let sick = Sick::healthy();
    sick.set_mode("/run/softsim", 0o777);
    sick.is(
        State::Wrong,
        "/run/softsim is of",
        "chmod go-w /run/softsim",
    );

    let sick = Sick::healthy();
    sick.write("/etc/softsim/kek", "k");
    sick.set_mode("/etc/softsim/kek", 0o640);
    let line = "softsim-keyd\0--state=/var/lib/softsim/keyd\0--kek-file\0/etc/softsim/kek\0";
    sick.write(&format!("{KEYD}/cmdline"), line);
    sick.is(
        State::Wrong,
        "/etc/softsim/kek is of",
        "chmod 0400 /etc/softsim/kek",
    );
}

#[test]
fn a_socket_that_is_missing_or_no_socket_is_told() {
    let sick = Sick::healthy();
    sick.remove("/run/softsim/admin.sock");
    sick.is(
        State::Wrong,
        "admin.sock is missing",
        "softsim-keyd*.socket",
    );
    sick.write("/run/softsim/admin.sock", "");
    sick.is(
        State::Wrong,
        "expected a socket",
        "rm /run/softsim/admin.sock",
    );
}

#[test]
fn a_daemon_that_cannot_be_asked_is_unexamined_and_one_that_does_not_answer_is_wrong() {
    let silent = |denied| Failure {
        denied,
        ..Failure::new(UNAVAILABLE, "admin.sock: no").advise("is softsim-keyd running?")
    };
    let mut sick = Sick::healthy();
    sick.host.keyd = Err(silent(true));
    sick.is(
        State::Unexamined,
        "admin.sock: no",
        "is softsim-keyd running?",
    );
    sick.host.keyd = Err(silent(false));
    sick.is(State::Wrong, "admin.sock: no", "is softsim-keyd running?");
}

#[test]
fn a_clock_that_is_behind_or_that_nothing_sets_is_told() {
    let mut sick = Sick::healthy();
    sick.host.keyd.as_mut().unwrap().answer.times.clock = 17;
    sick.is(
        State::Amiss,
        "1970-01-01T00:00:17Z is before",
        "timedatectl set-ntp true",
    );

    let mut sick = Sick::healthy();
    sick.host.run = |program, arguments, user| match program.ends_with("timedatectl") {
        true => Ok("no".into()),
        false => programs(program, arguments, user),
    };
    sick.is(
        State::Amiss,
        "isn't synchronised",
        "timedatectl set-ntp true",
    );
}

#[test]
fn the_kind_of_key_that_protects_the_credential_is_told() {
    let sick = Sick::healthy();
    sick.write("/etc/softsim/kek.cred", "BYRp2vb1QySABUnaD46i+wAA\n");
    sick.is(
        State::Amiss,
        "encrypted with no key",
        "systemd-creds encrypt",
    );
    let mut sick = Sick::healthy();
    sick.host
        .keyd
        .as_mut()
        .unwrap()
        .answer
        .enforcement
        .kek_source = KekSource::Development;
    sick.is(State::Amiss, "development key", "softsimctl vault rekey");
}

#[test]
fn units_that_failed_and_programs_of_another_release_are_told() {
    let mut sick = Sick::healthy();
    sick.host.run = |program, arguments, user| match program.ends_with("systemctl") {
        true => Ok("softsim-kek.service loaded failed failed Software SIM".into()),
        false => programs(program, arguments, user),
    };
    sick.is(
        State::Wrong,
        "softsim-kek.service has failed",
        "journalctl -u softsim-kek.service",
    );
    sick.host.run = |program, arguments, user| match program.ends_with("softsim-netd") {
        true => Ok("softsim-netd 0.0.1".into()),
        false => programs(program, arguments, user),
    };
    sick.is(State::Amiss, "another release", "one release");
    let mut sick = Sick::healthy();
    sick.host.netd.as_mut().unwrap().release = "0.0.1".into();
    sick.is(
        State::Amiss,
        "the softsim-netd that runs is 0.0.1",
        "systemctl restart softsim-netd",
    );
}

#[test]
fn a_bundle_tells_what_was_found_and_holds_neither_a_secret_nor_an_identity() {
    const SECRET: &str = "bright-orange-secret";
    const IMSI: &str = "001010000000256";
    let mut sick = Sick::healthy();
    for file in [
        "/etc/softsim/kek",
        "/etc/softsim/kek.cred",
        "/etc/softsim/radius.secret",
        "/etc/softsim/bootstrap.pem",
        "/var/lib/softsim/keyd/vault",
        "/var/lib/softsim/netd/accounts.json",
    ] {
        sick.write(file, SECRET);
    }
    sick.write(
        "/etc/softsim/netd.toml",
        &format!("secret_files = ['radius.secret'] # {SECRET}"),
    );
    sick.write(
        "/etc/softsim/keyd.conf",
        &format!("# {SECRET}\n--kek-file /etc/softsim/kek\n--network-user softsim-netd\n"),
    );
    sick.host.run = |program, arguments, user| match program.file_name().and_then(OsStr::to_str) {
        Some("softsim-netd") if arguments.last().unwrap() == &"--print-config" => {
            Ok("state_dir = \"/var/lib/softsim/netd\"".into())
        }
        Some("journalctl") => Ok(format!(
            "softsim-netd[1]: access uplink: shown 6{IMSI}@wlan.mnc001.mcc001.3gppnetwork.org\n\
             softsim-netd[1]: shown 7hN3x-q+P=@nai.example, IMSI {IMSI}\n\
             softsim-keyd[2]: installed 8988211000000000078 (a0c751310e4f632305bbc8039fce17c3bab3e8d7)\n\
             systemd[1]: softsim-port@eth1.service: started"
        )),
        _ => programs(program, arguments, user),
    };
    let text = bundle::text(&sick.host, &examine(&sick.host));
    for absent in [
        SECRET,
        IMSI,
        "8988211000000000078",
        "7hN3x",
        "a0c751310e",
        &"d1".repeat(32),
    ] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    for present in [
        "== findings\n",
        "fine       landlock         the kernel has ABI 7\n",
        "== versions\nsoftsimctl ",
        "\"key_memory\": \"memfd_secret\"",
        "state_dir = \"/var/lib/softsim/netd\"\n",
        "--kek-file /etc/softsim/kek\n--network-user softsim-netd\n",
        "softsim-port@eth1.service: started\n",
        "shown (identity)@wlan.mnc001.mcc001.3gppnetwork.org\n",
        "installed (number) (a0c75131…)\n",
    ] {
        assert!(text.contains(present), "{present}: {text}");
    }
}

fn finding(severity: Severity, kind: check::Kind) -> check::Finding {
    check::Finding {
        severity,
        kind,
        file: None,
        line: Some(3),
        access: None,
        field: Some("interface".into()),
        problem: "expected eth1".into(),
        way_out: Some("there are lo".into()),
        text: "line 3, interface: expected eth1: there are lo".into(),
    }
}

#[test]
fn what_netd_finds_in_its_configuration_is_told_but_a_netd_that_runs_has_its_rights() {
    let mut sick = Sick::healthy();
    let mut finds = |severity, kind| {
        sick.host.checked.as_mut().unwrap().findings = vec![finding(severity, kind)];
        sick.only()
    };
    let told = finds(Severity::Error, check::Kind::Configuration);
    assert_eq!(told.state, State::Wrong);
    assert_eq!(told.found, "line 3, interface: expected eth1");
    assert_eq!(told.advice.as_deref(), Some("there are lo"));
    let told = finds(Severity::Warning, check::Kind::Configuration);
    assert_eq!(told.state, State::Amiss);
    let told = finds(Severity::Error, check::Kind::System);
    assert_eq!(told.state, State::Unexamined);
    sick.host.checked = Err("softsim-netd --check: no such file".into());
    sick.is(State::Unexamined, "no such file", "");
}

#[test]
fn an_interface_that_is_down_or_has_no_carrier_is_told() {
    let sick = Sick::healthy();
    sick.write("/sys/class/net/eth1/flags", "0x1002\n");
    sick.is(State::Amiss, "eth1 is down", "ip link set eth1 up");
    sick.write("/sys/class/net/eth1/flags", "0x1003\n");
    sick.write("/sys/class/net/eth1/carrier", "0\n");
    sick.is(State::Amiss, "eth1 has no carrier", "cable");
}

#[test]
fn a_name_without_an_address_and_a_closed_port_are_told() {
    let mut sick = Sick::healthy();
    let mut names = |host: &str, port| {
        let (of, host) = ("bootstrap".into(), host.to_owned());
        sick.host.checked.as_mut().unwrap().servers = vec![NamedServer { of, host, port }];
        examine(&sick.host)
    };
    let unknown = names("gateway.invalid", 5684).text();
    assert!(
        unknown.contains("gateway.invalid has no address"),
        "{unknown}"
    );
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(names("127.0.0.1", port).text(), "ready");
    drop(listener);
    let closed = names("127.0.0.1", port).text();
    assert!(
        closed.contains(&format!("127.0.0.1:{port}: connection refused")),
        "{closed}"
    );
}
