//! SIGHUP: a confined netd reads its configuration again.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::{self, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use softsim_client::netd::{Command, Event};
use softsim_client::proto::{RequestKind, kind_of};
use support::{Keyd, Netd};

const READ_AGAIN: &str = "the configuration was read again";

/// A RADIUS server that never answers.
fn server() -> UdpSocket {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let patience = Duration::from_secs(20);
    server.set_read_timeout(Some(patience)).unwrap();
    server
}

/// Waits for a request from another socket than before.
fn other_request(server: &UdpSocket, before: Option<SocketAddr>) -> SocketAddr {
    loop {
        let (_, from) = server.recv_from(&mut [0; 4096]).unwrap();
        if Some(from) != before {
            return from;
        }
    }
}

/// A file with a secret, in a folder of its own.
struct Secret(tempfile::TempDir);

impl Secret {
    fn new() -> Self {
        let secret = Self(tempfile::tempdir().unwrap());
        secret.write("testing123");
        secret
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("secret")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), Permissions::from_mode(0o600)).unwrap();
    }
}

fn radius(name: &str, server: &UdpSocket, secret: &Path) -> String {
    format!(
        "[[access]]\nname = '{name}'\ncarrier = 'radius'\nservers = ['{}']\nsecret_files = ['{}']\n\
         retry_after = 10000\nretry_at_most = 10000\n",
        server.local_addr().unwrap(),
        secret.display()
    )
}

/// The names of the accesses, and how often each has begun to authenticate.
fn accesses(netd: &Netd) -> Vec<(String, u64)> {
    let accesses = netd.status().unwrap().accesses.into_iter();
    accesses
        .map(|access| (access.name, access.counters.attempts))
        .collect()
}

#[test]
fn accesses_are_added_removed_and_changed_and_the_others_go_on() {
    let secret = Secret::new();
    let (one, two, three) = (server(), server(), server());
    let radius = |name, server| radius(name, server, &secret.path());
    let (netd, _keyd) = Netd::start(&radius("one", &one));
    other_request(&one, None);
    let named = |name: &str| (name.to_owned(), 1);

    netd.reload(&[radius("two", &two), radius("one", &one)].concat());
    let from = other_request(&two, None);
    netd.await_log(READ_AGAIN, 1);
    assert_eq!(accesses(&netd), [named("two"), named("one")]);

    // Neither has changed; only their order has.
    netd.reload(&[radius("one", &one), radius("two", &two)].concat());
    netd.await_log(READ_AGAIN, 2);
    assert_eq!(accesses(&netd), [named("one"), named("two")]);

    netd.reload(&radius("two", &two));
    netd.await_log(READ_AGAIN, 3);
    assert_eq!(accesses(&netd), [named("two")]);

    // Another secret in the same file, then another server.
    secret.write("another secret");
    netd.reload(&radius("two", &two));
    other_request(&two, Some(from));
    netd.reload(&radius("two", &three));
    other_request(&three, None);
    assert_eq!(accesses(&netd), [named("two")]);
}

#[test]
fn a_configuration_with_errors_changes_nothing_and_each_is_told() {
    let secret = Secret::new();
    let one = server();
    let access = radius("one", &one, &secret.path());
    let (netd, _keyd) = Netd::start(&format!("log = 'warn'\n{access}"));
    other_request(&one, None);
    netd.reload("log = 'loud'\nendpiont = 'x'\n");
    netd.await_log("the configuration in force stays", 1);
    let log = netd.log();
    for wrong in ["got `loud`", "`endpiont`", "2 errors"] {
        assert!(log.contains(wrong), "{log}");
    }
    // A file that it didn't name at the start, and one that others may read.
    let unknown = Secret::new();
    netd.reload(&radius("two", &one, &unknown.path()));
    netd.await_log("when softsim-netd started", 1);
    fs::set_permissions(secret.path(), Permissions::from_mode(0o644)).unwrap();
    netd.reload(&access);
    netd.await_log("got mode 0644", 1);
    netd.await_log("the configuration in force stays", 3);
    assert_eq!(accesses(&netd), [("one".to_owned(), 1)]);
}

/// An access that ended couldn't begin again, and nobody would try.
#[test]
fn without_keyd_a_reload_ends_no_access() {
    let secret = Secret::new();
    let (one, two) = (server(), server());
    let (netd, keyd) = Netd::start(&radius("one", &one, &secret.path()));
    other_request(&one, None);
    drop(keyd);
    netd.await_keyd(|lost| lost.is_some());
    netd.reload(&radius("one", &two, &secret.path()));
    netd.await_log("the configuration in force stays", 1);
    assert_eq!(accesses(&netd).len(), 1);
    let _keyd = Keyd::start(&netd.keyd_socket());
    netd.await_keyd(|lost| lost.is_none());
    netd.reload(&radius("one", &two, &secret.path()));
    other_request(&two, None);
}

#[test]
fn what_a_running_netd_cannot_change_is_named_each_time() {
    let (netd, _keyd) = Netd::start("");
    let wired = "[[access]]\nname = 'wire'\ncarrier = 'wired'\ninterface = 'lo'\ncontrolled_port = 'none'\n";
    for count in 1..=2 {
        netd.reload(&format!("endpoint = 'another'\n{wired}"));
        netd.await_log(READ_AGAIN, count);
        netd.await_log("endpoint needs a restart", count);
        netd.await_log("a wired access needs a restart", count);
    }
    assert_eq!(accesses(&netd), []);
    assert_eq!(netd.status().unwrap().endpoint, Some("d1".repeat(32)));
}

const WIRED: &str = "carrier = 'wired'\ninterface = 'lo'\ncontrolled_port = 'none'\n";

/// Whether a process of this id is there, be it as a zombie.
fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// The port keepers that a netd has started.
fn keepers(netd: &Netd) -> Vec<u32> {
    let id = netd.child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let children = children
        .split_whitespace()
        .map(|child| child.parse().unwrap());
    let name = |child| fs::read_to_string(format!("/proc/{child}/comm")).unwrap();
    children
        .filter(|child: &u32| name(*child) == "softsim-port\n")
        .collect()
}

#[test]
fn a_wired_access_that_is_removed_leaves_no_process_behind() {
    let (netd, _keyd) = Netd::start(&format!("[[access]]\nname = 'wire'\n{WIRED}"));
    let keeper = keepers(&netd)[0];
    netd.reload("");
    netd.await_log(READ_AGAIN, 1);
    assert_eq!(accesses(&netd), []);
    let end = Instant::now() + Duration::from_secs(20);
    while is_there(keeper) {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(2));
    }
}

/// Its port would close, and nobody could open it before a restart.
#[test]
fn a_wired_access_under_another_name_goes_on_under_its_old_one() {
    let (netd, _keyd) = Netd::start(&format!("[[access]]\nname = 'wire'\n{WIRED}"));
    let keeper = keepers(&netd);
    netd.reload(&format!("[[access]]\nname = 'uplink'\n{WIRED}"));
    netd.await_log(READ_AGAIN, 1);
    assert_eq!(accesses(&netd)[0].0, "wire");
    assert_eq!(keepers(&netd), keeper);
    for name in ["wire", "uplink"] {
        netd.await_log(
            &format!("a wired access needs a restart to begin or change access=\"{name}\""),
            1,
        );
    }
}

/// Both would show the network the same identities.
#[test]
fn an_access_begins_again_by_itself_when_the_one_before_has_ended_and_not_before() {
    begins_again(|[_, two]| two);
}

#[test]
fn an_access_that_is_to_end_begins_again_if_the_configuration_is_what_it_was() {
    begins_again(|[one, _]| one);
}

/// Changes the server of an access that can't end at once, from the first to the second, and then
/// to the one that is to be asked.
fn begins_again(then: impl for<'a> FnOnce([&'a UdpSocket; 2]) -> &'a UdpSocket) {
    let (asked, asks) = mpsc::channel();
    let answers = Arc::new(Mutex::new(()));
    let held = answers.lock().unwrap();
    let script = {
        let answers = Arc::clone(&answers);
        move |request: &[u8]| {
            if kind_of(request) == Ok(RequestKind::Identity) {
                asked.send(()).unwrap();
                drop(answers.lock());
            }
            support::answer(request)
        }
    };
    let secret = Secret::new();
    let (one, two) = (server(), server());
    let radius = |server| {
        format!(
            "{}automatic = false\n",
            radius("one", server, &secret.path())
        )
    };
    let (netd, _keyd) = Netd::start_with(&radius(&one), script);
    thread::scope(|threads| {
        let connect = || netd.run(&Command::AccessConnect { name: None });
        threads.spawn(connect);
        asks.recv_timeout(Duration::from_secs(20)).unwrap();
        netd.reload(&radius(&two));
        netd.await_log("it hasn't ended yet", 1);
        netd.await_log(READ_AGAIN, 1);
        let then = then([&one, &two]);
        netd.reload(&radius(then));
        netd.await_log(READ_AGAIN, 2);
        drop(held);
        let before = other_request(&one, None);
        netd.await_log(READ_AGAIN, 3);
        threads.spawn(connect);
        other_request(then, Some(before));
        netd.reload("");
    });
}

#[test]
fn the_level_of_the_log_changes() {
    let (netd, _keyd) = Netd::start("log = 'error'\n");
    netd.reload("log = 'info'\n");
    netd.await_log(READ_AGAIN, 1);
    assert!(!netd.log().contains("enforced"));
}

/// Writes a certificate that is valid from the first until the second of these years.
fn certificate(path: &Path, [from, until]: [i32; 2]) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut certificate = rcgen::CertificateParams::default();
    certificate.not_before = rcgen::date_time_ymd(from, 1, 1);
    certificate.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = certificate.self_signed(&key).unwrap();
    fs::write(path, certificate.pem()).unwrap();
}

/// A bootstrap server that isn't there.
fn bootstrap(trust: &Path, automatic: bool) -> String {
    format!(
        "[bootstrap]\nuri = 'coaps://127.0.0.1:9'\nserver_trust = ['{}']\nautomatic = {automatic}\n",
        trust.display()
    )
}

/// The wait before the next attempt would never grow.
#[test]
fn a_reload_that_leaves_the_bootstrap_server_as_it_is_lets_nobody_try_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    certificate(&authority, [2020, 4000]);
    // Each attempt asks for the device certificate, which isn't there.
    let attempts = Arc::new(AtomicUsize::new(0));
    let script = {
        let attempts = Arc::clone(&attempts);
        move |request: &[u8]| {
            if kind_of(request) == Ok(RequestKind::DeviceCertificate) {
                attempts.fetch_add(1, Ordering::Relaxed);
            }
            support::answer(request)
        }
    };
    let configuration = bootstrap(&authority, true);
    let (netd, _keyd) = Netd::start_with(&configuration, script);
    netd.await_log("the bootstrap failed", 1);
    let before = attempts.load(Ordering::Relaxed);
    netd.reload(&configuration);
    netd.await_log(READ_AGAIN, 1);
    let failed = netd.run(&Command::Bootstrap {});
    assert!(matches!(failed, Some(Event::Failed { .. })), "{failed:?}");
    assert_eq!(attempts.load(Ordering::Relaxed), before + 1);
}

#[test]
fn a_trust_anchor_that_has_expired_is_told_at_a_reload_too() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    certificate(&authority, [2020, 4000]);
    let configuration = bootstrap(&authority, false);
    let (netd, _keyd) = Netd::start(&configuration);
    assert!(!netd.log().contains("valid now"));
    certificate(&authority, [2020, 2021]);
    netd.reload(&configuration);
    netd.await_log(READ_AGAIN, 1);
    netd.await_log("expected a certificate that is valid now", 1);
}

#[test]
fn the_bootstrap_server_is_the_new_one_with_the_certificates_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    certificate(&authority, [2020, 4000]);
    let bootstrap = |automatic| bootstrap(&authority, automatic);
    let (netd, _keyd) = Netd::start(&bootstrap(false));
    netd.reload(&bootstrap(true));
    // It begins by itself, and gets as far as without a server.
    netd.await_log("the bootstrap failed", 1);
    fs::write(&authority, "no certificate").unwrap();
    netd.reload(&bootstrap(true));
    netd.await_log("expected certificates in PEM", 1);
    netd.await_log("the configuration in force stays", 1);
}
