//! SIGHUP: a confined netd reads its configuration again.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::{self, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

#[test]
fn the_level_of_the_log_changes() {
    let (netd, _keyd) = Netd::start("log = 'error'\n");
    netd.reload("log = 'info'\n");
    netd.await_log(READ_AGAIN, 1);
    assert!(!netd.log().contains("enforced"));
}

#[test]
fn the_bootstrap_server_is_the_new_one_with_the_certificates_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default();
    let certificate = certificate.self_signed(&key).unwrap();
    fs::write(&authority, certificate.pem()).unwrap();
    let bootstrap = |automatic: bool| {
        format!(
            "[bootstrap]\nuri = 'coaps://127.0.0.1:9'\nserver_trust = ['{}']\nautomatic = {automatic}\n",
            authority.display()
        )
    };
    let (netd, _keyd) = Netd::start(&bootstrap(false));
    netd.reload(&bootstrap(true));
    // It begins by itself, and gets as far as without a server.
    netd.await_log("the bootstrap failed", 1);
    fs::write(&authority, "no certificate").unwrap();
    netd.reload(&bootstrap(true));
    netd.await_log("expected certificates in PEM", 1);
    netd.await_log("the configuration in force stays", 1);
}
