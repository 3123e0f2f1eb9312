//! The checks at start, and `--check`: all that is wrong is told at once, in words.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use softsim_client::netd::check::{Checked, Kind, NamedInterface, NamedServer};
use softsim_client::proto::requests::{DeviceCertificate, Hello};
use softsim_client::proto::{
    CertificateAnswer, HelloAnswer, MAX_REQUEST, PROTOCOL_VERSION, Refusal, RequestKind, Role,
    kind_of,
};
use softsim_sandbox::seqpacket::Listener;
use support::{Keyd, Netd, answer, encoded};

/// A folder for a netd: with a state folder, a secret, and a certificate.
struct Folder(tempfile::TempDir);

/// What a program said, and its exit status.
struct Said {
    text: String,
    status: i32,
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        DirBuilder::new()
            .mode(0o700)
            .create(folder.at("state"))
            .unwrap();
        fs::write(folder.at("secret"), "testing123\n").unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.at("secret"), private).unwrap();
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keyd(&self) -> Keyd {
        Keyd::start(&self.at("network.sock"))
    }

    /// Writes the configuration: the usual paths, and more.
    fn write(&self, more: &str) {
        self.write_all(&format!(
            "keyd_socket = 'network.sock'\ncontrol_socket = 'netd.sock'\nstate_dir = 'state'\n{more}"
        ));
    }

    fn write_all(&self, text: &str) {
        fs::write(self.at("netd.toml"), text).unwrap();
    }

    fn netd(&self) -> Command {
        let mut netd = Command::new(env!("CARGO_BIN_EXE_softsim-netd"));
        netd.arg("--config").arg(self.at("netd.toml"));
        netd
    }

    fn check(&self) -> Said {
        let output = self.netd().arg("--check").output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        Said {
            text: String::from_utf8(output.stdout).unwrap(),
            status: output.status.code().unwrap(),
        }
    }

    /// A start that must fail.
    fn start(&self) -> Said {
        let output = self.netd().output().unwrap();
        Said {
            text: String::from_utf8(output.stderr).unwrap(),
            status: output.status.code().unwrap(),
        }
    }

    /// Asserts what both say, and their status.
    fn assert_both(&self, status: i32, expected: &[&str]) {
        for said in [self.check(), self.start()] {
            for expected in expected {
                assert!(said.text.contains(expected), "{expected}: {}", said.text);
            }
            assert_eq!(said.status, status, "{}", said.text);
        }
    }

    /// The folder as it is shown.
    fn shown(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}

fn radius(name: &str, more: &str) -> String {
    format!(
        "[[access]]\nname = '{name}'\ncarrier = 'radius'\nservers = ['127.0.0.1:1812']\n\
         secret_files = ['secret']\n{more}\n"
    )
}

fn wired(name: &str, interface: &str, port: &str) -> String {
    format!(
        "[[access]]\nname = '{name}'\ncarrier = 'wired'\ninterface = '{interface}'\n\
         controlled_port = '{port}'\n"
    )
}

#[test]
fn what_is_right_is_valid_and_nothing_is_made() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    folder.write(&radius("aaa", ""));
    let before = fs::read_dir(folder.0.path()).unwrap().count();
    let said = folder.check();
    let file = folder.shown("netd.toml");
    assert_eq!(said.text, format!("{file}: 0 errors, 0 warnings\n"));
    assert_eq!(said.status, 0);
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), before);
}

#[test]
fn two_accesses_with_errors_are_told_with_all_that_is_wrong_around_them() {
    let folder = Folder::new();
    fs::set_permissions(folder.at("state"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.at("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let first = radius("one", "realm = 'nowhere'\nmethods = []");
    let second = wired("two", "nonesuch0", "ebtables");
    folder.write(&format!("{first}{second}{}", radius("three", "")));
    let (file, secret) = (folder.shown("netd.toml"), folder.shown("secret"));
    folder.assert_both(
        78,
        &[
            &format!("{file}: line 1, keyd_socket: expected softsim-keyd on {}, got no such socket: start softsim-keyd", folder.shown("network.sock")),
            &format!("{file}: line 3, state_dir: expected a directory that nobody else may read or write to, got {0} of mode 0755: chmod 0700 {0}", folder.shown("state")),
            &format!("{file}: line 9, access \"one\", realm: expected one of `wlan`, "),
            &format!("{file}: line 10, access \"one\", methods: expected one or two different methods"),
            &format!("{file}: line 15, access \"two\", controlled_port: expected `nftables` or `none`, got `ebtables`"),
            &format!("{file}: line 20, access \"three\", secret_files: {secret}: expected a file that only its owner may read, got mode 0644: chmod 600 {secret}"),
            // What is named beside an error is checked, too.
            "line 14, access \"two\", interface: expected an interface of this host, got \"nonesuch0\"",
            "line 8, access \"one\", secret_files: ",
            "8 errors, 0 warnings",
        ],
    );
}

#[test]
fn a_program_gets_the_same_findings_and_what_the_configuration_names() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    let accesses = [
        radius("aaa", "realm = 'nowhere'"),
        wired("uplink", "nonesuch0", "nftables"),
    ];
    folder.write(&accesses.concat());
    let output = folder.netd().args(["--check", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let checked: Checked = serde_json::from_slice(&output.stdout).unwrap();
    let lines = checked.findings.iter();
    let lines: Vec<_> = lines
        .map(|finding| format!("{}: {}", finding.severity, finding.text))
        .collect();
    let text = folder.check().text;
    assert!(text.starts_with(&lines.join("\n")), "{text}");
    let realm = &checked.findings[0];
    assert_eq!(realm.file.as_deref(), Some(&*folder.at("netd.toml")));
    assert_eq!((realm.line, realm.kind), (Some(9), Kind::Configuration));
    assert_eq!(realm.access.as_deref(), Some("aaa"));
    assert_eq!(realm.field.as_deref(), Some("realm"));
    let server = &checked.servers[..];
    assert!(
        matches!(server, [NamedServer { of, host, port: 1812 }] if of == "aaa" && host == "127.0.0.1"),
        "{server:?}"
    );
    let interface = NamedInterface {
        name: "nonesuch0".into(),
        controlled_port: true,
    };
    assert_eq!(checked.interfaces, [interface]);
}

#[test]
fn names_and_interfaces_that_two_accesses_have_are_told_with_both_lines() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    folder.write(&format!("{0}{0}", wired("uplink", "lo", "none")));
    folder.assert_both(
        78,
        &[
            "line 10, access \"uplink\", name: expected a name that no other access has, got \"uplink\", which line 5 has",
            "line 12, access \"uplink\", interface: expected one access for each interface, got \"lo\", which line 7 has",
        ],
    );
}

#[test]
fn what_may_not_be_meant_is_a_warning_and_no_error() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    let settings = "forward_secrecy = 'require'";
    folder.write(&format!("sandbox = 'off'\n{}", radius("aaa", settings)));
    let said = folder.check();
    for expected in [
        "warning: ",
        "line 4, sandbox: softsim-netd runs unconfined, which is for debugging",
        "line 10, access \"aaa\", forward_secrecy: if the network loses its pseudonyms, the permanent identity is withheld for ever",
        "0 errors, 2 warnings",
    ] {
        assert!(said.text.contains(expected), "{}", said.text);
    }
    assert_eq!(said.status, 0);
}

/// A keyd that answers Hello like this.
fn greeting(
    answer_hello: impl Fn() -> Result<HelloAnswer, Refusal> + Send + Sync + 'static,
    folder: &Folder,
) -> Keyd {
    Keyd::start_with(&folder.at("network.sock"), move |request| {
        match kind_of(request) {
            Ok(RequestKind::Hello) => encoded::<Hello>(answer_hello()),
            _ => answer(request),
        }
    })
}

#[test]
fn the_socket_of_another_role_is_refused_at_start() {
    for role in [Role::Admin, Role::App, Role::Supplicant] {
        let folder = Folder::new();
        let hello = move || {
            Ok(HelloAnswer {
                version: PROTOCOL_VERSION,
                role,
                max_request: MAX_REQUEST as u32,
                max_handles: 4,
            })
        };
        let _keyd = greeting(hello, &folder);
        folder.write("");
        let expected = format!(
            "line 1, keyd_socket: expected softsim-keyd's socket of the role network, got that of the role {role}: give the path of softsim-keyd's --network"
        );
        folder.assert_both(78, &[&expected]);
    }
}

#[test]
fn a_keyd_of_another_release_is_told_as_such() {
    let folder = Folder::new();
    let hello = || {
        Err(Refusal::Version {
            expected: PROTOCOL_VERSION + 1,
            got: PROTOCOL_VERSION,
        })
    };
    let _keyd = greeting(hello, &folder);
    folder.write("");
    let expected = format!(
        "keyd_socket: expected a softsim-keyd of the release of softsim-netd: protocol version {}, got {}",
        PROTOCOL_VERSION,
        PROTOCOL_VERSION + 1
    );
    folder.assert_both(69, &[&expected]);
}

#[test]
fn a_keyd_that_is_not_there_is_told_from_a_file_and_from_another_socket() {
    let folder = Folder::new();
    fs::write(folder.at("file"), "").unwrap();
    drop(UnixListener::bind(folder.at("stale.sock")).unwrap());
    let _stream = UnixListener::bind(folder.at("stream.sock")).unwrap();
    for (socket, status, expected) in [
        ("missing.sock", 69, "got no such socket: start softsim-keyd"),
        (
            "stale.sock",
            69,
            "got a socket on which nobody listens: start softsim-keyd",
        ),
        (
            "file",
            78,
            "got a file that isn't a socket: give the path of",
        ),
        (
            "stream.sock",
            78,
            "got a socket of another kind: give the path of",
        ),
    ] {
        folder.write_all(&format!(
            "keyd_socket = '{socket}'\ncontrol_socket = 'netd.sock'\nstate_dir = 'state'\n"
        ));
        let expected = format!(
            "line 1, keyd_socket: expected softsim-keyd on {}, {expected}",
            folder.shown(socket)
        );
        folder.assert_both(status, &[&expected]);
    }
}

/// What `--print-config` says: standard output, standard error and exit status.
fn printed(file: &Path) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
        .args(["--print-config", "--config"])
        .arg(file)
        .output()
        .unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    (out, err, output.status.code())
}

#[test]
fn a_configuration_is_printed_without_secrets_and_the_printed_one_means_the_same_elsewhere() {
    let folder = Folder::new();
    folder.write(
        "[[access]]\nname = 'aaa'\ncarrier = 'radius'\nservers = ['x:1']\nsecret_files = ['secret']\n",
    );
    let (text, said, status) = printed(&folder.at("netd.toml"));
    assert_eq!((&*said, status), ("", Some(0)));
    assert!(!text.contains("testing123"), "{text}");
    assert!(text.contains("retry_at_most = 600  # default"), "{text}");
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("printed.toml");
    fs::write(&file, &text).unwrap();
    let (again, _, status) = printed(&file);
    assert_eq!(
        (again, status),
        (text.replace("  # default\n", "\n"), Some(0))
    );
}

#[test]
fn a_wrong_configuration_is_not_printed_and_all_errors_are_told() {
    let folder = Folder::new();
    folder.write("endpoint = 5\nnonsense = 1\n");
    let (text, said, status) = printed(&folder.at("netd.toml"));
    assert_eq!((&*text, status), ("", Some(78)));
    assert!(
        said.contains("line 4, endpoint: expected a string"),
        "{said}"
    );
    assert!(said.contains("line 5, nonsense: unknown field"), "{said}");
    assert!(said.ends_with("2 errors, 0 warnings\n"), "{said}");
}

#[test]
fn a_control_socket_without_a_folder_is_told() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    folder.write_all(
        "keyd_socket = 'network.sock'\ncontrol_socket = 'run/netd.sock'\nstate_dir = 'state'\n",
    );
    let expected = format!(
        "line 2, control_socket: expected a folder for the socket, got {0}: No such file or directory (os error 2): mkdir {0}",
        folder.shown("run")
    );
    folder.assert_both(71, &[&expected]);
}

#[test]
fn an_interface_that_is_missing_is_told_with_those_that_are_there() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    folder.write(&wired("uplink", "nonesuch0", "none"));
    // It may come later, so that the service manager tries again.
    folder.assert_both(
        71,
        &["line 7, access \"uplink\", interface: expected an interface of this host, got \"nonesuch0\""],
    );
    let said = folder.check().text;
    let there = said.split("there are ").nth(1).unwrap();
    assert!(there.contains("lo"), "{said}");
}

#[test]
fn only_a_process_that_lacks_a_capability_is_told_that_it_needs_it() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root has capabilities that it could give up.
        return;
    }
    let folder = Folder::new();
    let _keyd = folder.keyd();
    folder.write(&wired("uplink", "lo", "nftables"));
    let said = folder.check();
    assert!(!said.text.contains("CAP_NET"), "{}", said.text);
    let without = |options: &[&str]| {
        let output = Command::new("setpriv")
            .args(options)
            .arg(env!("CARGO_BIN_EXE_softsim-netd"))
            .args(["--check", "--config"])
            .arg(folder.at("netd.toml"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = without(&["--bounding-set=-net_raw"]);
    assert!(said.contains("line 7, access \"uplink\", interface: expected the capability CAP_NET_RAW, which this process lacks: give CAP_NET_RAW to the container or the unit"), "{said}");
    assert!(!said.contains("CAP_NET_ADMIN"), "{said}");
    for path in ["", "netd.toml"] {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.at(path), open).unwrap();
    }
    let said = without(&["--reuid=65534", "--regid=65534", "--clear-groups"]);
    for expected in [
        "interface: expected the capability CAP_NET_RAW, which this process lacks: systemctl edit softsim-netd, and add CAP_NET_RAW to AmbientCapabilities= and CapabilityBoundingSet=, and AF_PACKET to RestrictAddressFamilies=\n",
        "controlled_port: expected the capability CAP_NET_ADMIN, which this process lacks: systemctl edit softsim-netd, and add CAP_NET_ADMIN to AmbientCapabilities= and CapabilityBoundingSet=\n",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn with_a_port_keeper_as_a_service_its_socket_counts_and_no_capability() {
    let folder = Folder::new();
    let _keyd = folder.keyd();
    let _keeper = Listener::bind(&folder.at("lo.sock"), 0o600).unwrap();
    let access =
        |socket: &str| wired("uplink", "lo", "nftables") + &format!("keeper_socket = '{socket}'\n");
    folder.write(&access("lo.sock"));
    let said = folder.check();
    assert!(
        said.text.ends_with("0 errors, 0 warnings\n"),
        "{}",
        said.text
    );
    // The port keeper waits for an interface that appears late.
    folder.write(&access("lo.sock").replace("'lo'", "'nonesuch0'"));
    let said = folder.check();
    assert!(
        said.text
            .contains("line 7, access \"uplink\", interface: expected an interface of this host"),
        "{}",
        said.text
    );
    assert_eq!(said.status, 0);

    fs::write(folder.at("file"), "").unwrap();
    let made = Command::new("mkfifo").arg(folder.at("fifo")).status();
    assert!(made.unwrap().success());
    drop(UnixListener::bind(folder.at("stale.sock")).unwrap());
    let _stream = UnixListener::bind(folder.at("stream.sock")).unwrap();
    let start = "systemctl enable --now softsim-port@lo.socket softsim-port@lo.service";
    for (socket, status, expected) in [
        ("missing.sock", 71, format!("got no such socket: {start}")),
        (
            "stale.sock",
            71,
            format!("got a socket on which nobody listens: {start}"),
        ),
        (
            "file",
            78,
            "got a file that isn't a socket: give the path of its socket".into(),
        ),
        (
            "fifo",
            78,
            "got a file that isn't a socket: give the path of its socket".into(),
        ),
        (
            "stream.sock",
            78,
            "got a socket of another kind: give the path of its socket".into(),
        ),
    ] {
        folder.write(&access(socket));
        let shown = folder.shown(socket);
        folder.assert_both(
            status,
            &[&format!("line 9, access \"uplink\", keeper_socket: expected a port keeper on {shown}, {expected}")],
        );
    }
}

#[test]
fn a_port_keeper_whose_socket_belongs_to_another_user_is_told_as_such() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root has a socket that others may not use, and can become another user.
        return;
    }
    let folder = Folder::new();
    let _keyd = folder.keyd();
    let _keeper = Listener::bind(&folder.at("lo.sock"), 0o600).unwrap();
    folder.write(&(wired("uplink", "lo", "nftables") + "keeper_socket = 'lo.sock'\n"));
    for path in ["", "netd.toml"] {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.at(path), open).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_softsim-netd"))
        .args(["--check", "--config"])
        .arg(folder.at("netd.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let expected =
        "Permission denied (os error 13): run softsim-netd as the user to whom the socket belongs";
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("CAP_NET"), "{said}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let folder = Folder::new();
    folder.write("endpoint = \n[[access]\n");
    folder.assert_both(
        78,
        &[
            "netd.toml: line 4, endpoint =: ",
            "netd.toml: line 5, [[access]: ",
        ],
    );
    folder.write_all("");
    fs::remove_file(folder.at("netd.toml")).unwrap();
    folder.assert_both(78, &["netd.toml: No such file or directory"]);
}

/// A certificate that is valid from the beginning of one year to that of another.
fn certificate(name: &str, from: i32, to: i32) -> rcgen::Certificate {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap()
}

#[test]
fn trust_anchors_that_are_not_valid_now_are_warnings_and_netd_starts() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let server = "[bootstrap]\nuri = 'coaps://127.0.0.1:9'\nautomatic = false\n";
    let trust = format!(
        "{server}server_trust = ['{}', '{}', '{}']\n",
        file("old"),
        file("young"),
        file("good")
    );
    for (name, from, to) in [
        ("old", 2020, 2033),
        ("young", 2034, 2050),
        ("good", 2030, 2050),
    ] {
        fs::write(file(name), certificate(name, from, to).pem()).unwrap();
    }
    let (netd, _keyd) = Netd::start(&trust);
    assert!(netd.status().is_some());
    let log = netd.log();
    for expected in [
        format!(
            "WARN softsim_netd::checks::finding: {}: line 7, bootstrap.server_trust: {}: expected a certificate that is valid now, got CN=old, expired 137 days ago (2033-01-01T00:00:00Z): softsim-netd trusts it all the same",
            netd.directory.path().join("netd.toml").display(),
            file("old")
        ),
        format!(
            "{}: expected a certificate that is valid now, got CN=young, not valid before 2034-01-01T00:00:00Z: is the clock right?",
            file("young")
        ),
    ] {
        assert!(log.contains(&expected), "{expected}: {log}");
    }
    assert!(!log.contains("CN=good"), "{log}");
}

#[test]
fn a_device_certificate_that_has_expired_or_expires_soon_is_a_warning() {
    for (from, to, expected) in [
        (2030, 2040, None),
        (
            2020,
            2033,
            Some(
                "warning: the device certificate CN=gateway: expired 137 days ago (2033-01-01T00:00:00Z): servers will refuse it; softsimctl enrol --certificate stores a new one",
            ),
        ),
        (
            2034,
            2035,
            Some(
                "warning: the device certificate CN=gateway: not valid before 2034-01-01T00:00:00Z: is the clock right?",
            ),
        ),
    ] {
        let der = certificate("gateway", from, to).der().to_vec();
        let folder = Folder::new();
        let _keyd = Keyd::start_with(&folder.at("network.sock"), move |request| {
            match kind_of(request) {
                Ok(RequestKind::DeviceCertificate) => {
                    let der = der.clone();
                    encoded::<DeviceCertificate>(Ok(CertificateAnswer { der }))
                }
                _ => answer(request),
            }
        });
        folder.write("");
        let said = folder.check();
        assert_eq!(said.status, 0, "{}", said.text);
        let warned = said.text.lines().find(|line| line.starts_with("warning: "));
        match (warned, expected) {
            (None, None) => {}
            (Some(warned), Some(expected)) => assert!(warned.starts_with(expected), "{warned}"),
            (warned, expected) => panic!("{warned:?}, {expected:?}"),
        }
    }
}
