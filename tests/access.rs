//! EAP-AKA' of the real daemons with the lab's own server and with Debian's hostapd, both with the
//! lab's AuC.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::net::SocketAddr;

use softsim_aka::{Amf, Msk};
use softsim_client::netd::{AccessState, Failure, MskComparison};
use softsim_client::proto::Refusal;
use softsim_lab_harness::error::Error;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_simulators::auc::{Auc, Subscriber};
use softsim_lab_simulators::eap_server::{Config, EapServer, Server, Step};
use softsim_testkit::processes::{built, messages, stranger};

/// A provisioned device and its server. hostapd runs until this is dropped.
struct Access {
    home: Home,
    server: SocketAddr,
    _hostapd: Option<Hostapd>,
    _folder: tempfile::TempDir,
}

/// The access networks: the lab's, and hostapd's if hostapd is installed.
fn networks(test: &str) -> Vec<Access> {
    let mut networks = Vec::new();
    if !built(test, &["softsim-keyd", "softsim-netd"]) {
        return networks;
    }
    networks.push(Access::new(false));
    if Hostapd::program().is_some() {
        networks.push(Access::new(true));
    } else {
        skip(&format!("{test} with hostapd: hostapd is not installed"));
    }
    networks
}

impl Access {
    fn new(with_hostapd: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
        let hostapd = with_hostapd.then(|| home.hostapd(hostapd::Options::default()).unwrap());
        Self {
            server: hostapd.as_ref().map_or(home.radius(), Hostapd::address),
            home,
            _hostapd: hostapd,
            _folder: folder,
        }
    }

    fn authenticate(&self) -> Result<(bool, Vec<String>), Error> {
        let (report, events) = self.home.eap_test_at(self.server)?;
        assert_eq!(report.msk, MskComparison::Equal);
        Ok((report.synchronised, messages(events)))
    }

    /// Asserts that keyd refuses the vector and stores no SQN, so that the next valid vector may
    /// have the same SQN.
    fn fails_cleanly_with(&self, broken: Subscriber) {
        let counted = || {
            let counters = self.home.gateway().status().unwrap().counters.unwrap();
            (counters.autn_rejected, counters.authentications)
        };
        let (rejections, authentications) = counted();
        let subscription = self.home.subscription();
        let sqn = subscription.sqn();
        subscription.replace(broken);
        let failed = self.authenticate().unwrap_err();
        let refused = Failure::Refused;
        assert!(
            matches!(failed, Error::Failed { failure, .. } if failure == refused),
            "{failed}"
        );
        assert_eq!(counted(), (rejections + 1, authentications));
        subscription.set_sqn(sqn);
        assert!(!self.authenticate().unwrap().0);
    }
}

#[test]
fn a_full_authentication_ends_with_the_servers_msk() {
    for access in networks("full authentication") {
        let (synchronised, messages) = access.authenticate().unwrap();
        assert!(!synchronised);
        let challenge = |text: &&String| text.contains("Challenge") && text.contains("AT_MAC");
        assert_eq!(messages.iter().filter(challenge).count(), 2, "{messages:?}");
        assert!(messages.last().unwrap().contains("Success"), "{messages:?}");
    }
}

/// The lab's server, which gives identities, and changes one bit of the MSK that it sends.
struct WithAnotherMsk(Server);

impl EapServer for WithAnotherMsk {
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        match self.0.handle(auc, response) {
            Step::Success(eap, mut session) => {
                let mut msk = *session.msk.as_bytes();
                msk[63] ^= 1;
                session.msk = Msk::new(msk);
                Step::Success(eap, session)
            }
            step => step,
        }
    }
}

#[test]
fn a_server_with_another_msk_is_refused_by_keyd_which_confirms_nothing_of_it() {
    if !built("another MSK", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
    let config = Config {
        pseudonyms: true,
        reauthentication: true,
        ..Config::default()
    };
    let other = config.clone();
    let other = move || -> Box<dyn EapServer> {
        Box::new(WithAnotherMsk(Server::new(other.clone()).unwrap()))
    };
    let right = move || -> Box<dyn EapServer> { Box::new(Server::new(config.clone()).unwrap()) };
    let other = home.radius_played_by(other).unwrap();
    let right = home.radius_played_by(right).unwrap();
    let refused = home.eap_test_at(other).unwrap_err().to_string();
    let expected = Refusal::OtherMsk.to_string();
    assert!(refused.contains(&expected), "{refused}");
    assert_eq!(
        home.gateway()
            .status()
            .unwrap()
            .counters
            .unwrap()
            .authentications,
        1
    );

    let shown = || home.eap_test_at(right).unwrap().0.authentication.identity;
    assert_eq!(
        shown(),
        "pseudonym",
        "a stand-by, since the server had our response"
    );
    assert_eq!(shown(), "re-authentication identity");
}

#[test]
fn a_sim_ahead_of_its_auc_synchronises_it_and_succeeds() {
    for access in networks("synchronisation") {
        let subscription = access.home.subscription();
        let behind = subscription.sqn();
        for _ in 0..2 {
            assert!(!access.authenticate().unwrap().0);
        }
        subscription.set_sqn(behind);
        let (synchronised, messages) = access.authenticate().unwrap();
        assert!(synchronised, "{messages:?}");
        let auts = |text: &String| text.contains("AT_AUTS");
        assert!(messages.iter().any(auts), "{messages:?}");
        assert!(!access.authenticate().unwrap().0, "in step again");
    }
}

#[test]
fn another_k_is_refused_and_the_sim_stays_as_it_was() {
    for access in networks("another K") {
        access.fails_cleanly_with(stranger());
    }
}

#[test]
fn a_k_that_differs_from_the_operators_is_told_by_profile() {
    for access in networks("K told by profile") {
        access.home.subscription().replace(stranger());
        let failed = access.authenticate().unwrap_err().to_string();
        let profile = access.home.gateway().status().unwrap().profile.unwrap();
        assert_eq!(profile.autn_mac_rejected, 1);
        assert!(failed.contains(&profile.iccid), "{failed}");
        let cause = "K or OPc of the profile differs from the operator's";
        assert!(failed.contains(cause), "{failed}");
    }
}

#[test]
fn an_amf_without_the_separation_bit_is_refused_and_the_sim_stays_as_it_was() {
    for access in networks("separation bit") {
        let subscription = access.home.subscription();
        let mut subscriber = subscription.subscriber(subscription.sqn());
        subscriber.set_amf(Amf::new([0, 0]));
        access.fails_cleanly_with(subscriber);
    }
}

#[test]
fn another_network_name_is_in_the_log_unless_the_policy_ignores_it() {
    if !built("network name", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    for (policy, accepted, logged) in [
        ("fail", false, true),
        ("warn", true, true),
        ("ignore", true, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::installed(&folder.path().join("lab"), Options::default()).unwrap();
        let config = Config {
            network_name: "EVIL:network".into(),
            ..Config::default()
        };
        let open = move || -> Box<dyn EapServer> { Box::new(Server::new(config.clone()).unwrap()) };
        let server = home.radius_played_by(open).unwrap();
        let more = format!("network_name_policy = '{policy}'\n");
        let access = home.radius_access(&[server], &more);
        home.gateway_mut().set_accesses(access);
        home.gateway_mut().start_netd(None).unwrap();
        let (access, events) = home.gateway().connect().unwrap();
        let authorised = access.state == AccessState::Authorised;
        assert_eq!(authorised, accepted, "{policy} {events:?}");
        let log = fs::read_to_string(home.gateway().folder().file("netd.log")).unwrap();
        let warned = |line: &str| {
            line.contains("WARN") && line.contains("expected the network name WLAN, got EVIL")
        };
        assert_eq!(log.lines().any(warned), logged, "{policy} {log}");
    }
}
