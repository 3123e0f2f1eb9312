//! Accesses of netd to Debian's hostapd, as a RADIUS server and as the authenticator of a wired
//! port: both methods, identities that hostapd assigns and loses, fast re-authentication,
//! synchronisation and protected results.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use softsim_client::netd::{Access, AccessState};
use softsim_client::proto::Counters;
use softsim_client::proto::requests::ForgetIdentities;
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd, Identities, Methods};
use softsim_lab_harness::netns::{self, Cable};
use softsim_lab_harness::prerequisite::skip;
use softsim_testkit::processes::{built, messages, stranger, wired_access};

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

const BOTH: [&str; 2] = ["aka-prime", "aka"];

/// The carrier between netd and hostapd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Radius,
    Wired,
}

/// A gateway with one access to hostapd.
struct Scene {
    carrier: Carrier,
    home: Home,
    hostapd: Hostapd,
    _folder: tempfile::TempDir,
}

/// The carriers that this machine can test.
fn carriers(test: &str) -> Vec<Carrier> {
    if Hostapd::program().is_none() {
        skip(&format!("{test}: hostapd is not installed"));
        return Vec::new();
    }
    if !built(test, &DAEMONS) {
        return Vec::new();
    }
    match netns::missing() {
        None => vec![Carrier::Radius, Carrier::Wired],
        Some(missing) => {
            skip(&format!("{test}, wired: {missing}"));
            vec![Carrier::Radius]
        }
    }
}

impl Scene {
    fn new(carrier: Carrier, options: hostapd::Options, access: &str) -> Self {
        Self::with_privacy(carrier, options, access, None)
    }

    fn with_privacy(
        carrier: Carrier,
        options: hostapd::Options,
        access: &str,
        identity_privacy: Option<&'static str>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cable = (carrier == Carrier::Wired).then(|| Arc::new(Cable::new().unwrap()));
        let lab = Options {
            gateway: gateway::Options {
                identity_privacy,
                cable: cable.clone(),
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let mut home = Home::installed(&folder.path().join("lab"), lab).unwrap();
        let (hostapd, access) = match cable {
            None => {
                let hostapd = home.hostapd(options).unwrap();
                let access = home.radius_access(&[hostapd.address()], access);
                (hostapd, access)
            }
            Some(cable) => {
                let hostapd = home.wired_hostapd(&cable, options).unwrap();
                (hostapd, wired_access("none", access))
            }
        };
        home.gateway_mut().set_accesses(access);
        home.gateway_mut().start_netd(None).unwrap();
        Self {
            carrier,
            home,
            hostapd,
            _folder: folder,
        }
    }

    /// Authenticates, and returns the access's state and the messages.
    fn connect(&self) -> (Access, Vec<String>) {
        let (access, events) = self.home.gateway().connect().unwrap();
        (access, messages(events))
    }

    /// Authenticates, and asserts that it succeeds.
    fn succeed(&self) -> (softsim_client::netd::Authentication, Vec<String>) {
        let (access, messages) = self.connect();
        assert_eq!(access.state, AccessState::Authorised, "{messages:#?}");
        (access.authentication.unwrap(), messages)
    }

    /// Authenticates, and asserts that it fails. A wired hostapd then waits for a minute, so the
    /// test starts a new one.
    fn fail(&mut self) {
        let (access, messages) = self.connect();
        let held = matches!(access.state, AccessState::Held { .. });
        assert!(held, "{access:#?} {messages:#?}");
        if self.carrier == Carrier::Wired {
            self.hostapd.restart().unwrap();
        }
    }

    fn counters(&self) -> Counters {
        self.home.gateway().status().unwrap().counters.unwrap()
    }

    /// Kills both daemons at once, and starts them on their stored state.
    fn cut_the_power(&mut self) {
        let gateway = self.home.gateway_mut();
        gateway.stop();
        gateway.start_keyd().unwrap();
        gateway.start_netd(None).unwrap();
    }
}

fn only(method: &str) -> String {
    format!("methods = ['{method}']\n")
}

fn has(messages: &[String], part: &str) -> bool {
    messages.iter().any(|message| message.contains(part))
}

fn giving(identities: Identities) -> hostapd::Options {
    hostapd::Options {
        identities,
        ..hostapd::Options::default()
    }
}

#[test]
fn a_full_authentication_succeeds_with_either_method() {
    for carrier in carriers("hostapd, full") {
        for (method, name) in [("aka-prime", "EAP-AKA'"), ("aka", "EAP-AKA")] {
            let scene = Scene::new(carrier, hostapd::Options::default(), &only(method));
            for _ in 0..2 {
                let (authentication, messages) = scene.succeed();
                assert_eq!(authentication.method, name, "{messages:#?}");
                assert!(!authentication.reauthenticated);
            }
            assert_eq!(scene.counters().authentications, 2);
        }
    }
}

#[test]
fn methods_are_negotiated_and_one_that_is_not_allowed_is_declined() {
    for carrier in carriers("hostapd, negotiation") {
        let offering = |methods| hostapd::Options {
            methods,
            ..hostapd::Options::default()
        };
        // netd shows an identity of EAP-AKA', and still accepts EAP-AKA.
        let both = "methods = ['aka-prime', 'aka']\n";
        let scene = Scene::new(carrier, offering(Methods::Aka), both);
        assert_eq!(scene.succeed().0.method, "EAP-AKA");
        for (offered, allowed) in [(Methods::Aka, "aka-prime"), (Methods::AkaPrime, "aka")] {
            let mut scene = Scene::new(carrier, offering(offered), &only(allowed));
            scene.fail();
            assert_eq!(scene.counters().authentications, 0);
        }
    }
}

#[test]
fn a_full_authentication_is_followed_by_three_fast_ones() {
    for carrier in carriers("hostapd, fast re-authentication") {
        for method in BOTH {
            let scene = Scene::new(carrier, giving(Identities::Reauthentication), &only(method));
            let (first, _) = scene.succeed();
            assert!(!first.reauthenticated);
            for _ in 0..3 {
                let (authentication, messages) = scene.succeed();
                assert!(authentication.reauthenticated, "{method}: {messages:#?}");
                assert!(has(&messages, "Reauthentication"), "{messages:#?}");
            }
            let counters = scene.counters();
            assert_eq!(
                (counters.authentications, counters.reauthentications),
                (1, 3)
            );
        }
    }
}

#[test]
fn a_fast_re_authentication_follows_a_power_cut() {
    for carrier in carriers("hostapd, fast re-authentication after a power cut") {
        let mut scene = Scene::new(carrier, giving(Identities::All), "");
        scene.succeed();
        scene.succeed();
        scene.cut_the_power();
        let (authentication, messages) = scene.succeed();
        assert!(authentication.reauthenticated, "{messages:#?}");
    }
}

#[test]
fn a_re_authentication_identity_that_hostapd_lost_leads_to_a_full_authentication() {
    for carrier in carriers("hostapd, lost re-authentication identity") {
        for method in BOTH {
            let mut scene =
                Scene::new(carrier, giving(Identities::Reauthentication), &only(method));
            scene.succeed();
            scene.hostapd.restart().unwrap();
            let (authentication, messages) = scene.succeed();
            assert!(!authentication.reauthenticated, "{method}: {messages:#?}");
            assert!(scene.succeed().0.reauthenticated, "and is given a new one");
        }
    }
}

#[test]
fn a_pseudonym_hides_the_imsi_from_the_second_time_on() {
    for carrier in carriers("hostapd, pseudonyms") {
        for method in BOTH {
            let mut scene = Scene::new(carrier, giving(Identities::Pseudonyms), &only(method));
            assert_eq!(scene.succeed().0.identity, "permanent identity");
            let shown = scene.counters().permanent_identities;
            for _ in 0..3 {
                assert_eq!(scene.succeed().0.identity, "pseudonym");
            }
            assert_eq!(scene.counters().permanent_identities, shown);
            scene.cut_the_power();
            assert_eq!(scene.succeed().0.identity, "pseudonym", "it is stored");
            assert_eq!(scene.counters().permanent_identities, 0);
        }
    }
}

#[test]
fn a_pseudonym_that_hostapd_lost_is_replaced_where_the_policy_is_liberal() {
    for carrier in carriers("hostapd, lost pseudonym, liberal") {
        let options = giving(Identities::Pseudonyms);
        let mut scene = Scene::with_privacy(carrier, options, "", Some("liberal"));
        scene.succeed();
        scene.hostapd.restart().unwrap();
        let (_, messages) = scene.succeed();
        assert!(has(&messages, "AT_PERMANENT_ID_REQ"), "{messages:#?}");
        assert_eq!(scene.succeed().0.identity, "pseudonym", "a new one");
    }
}

#[test]
fn the_imsi_is_withheld_from_a_hostapd_that_lost_the_pseudonym_until_somebody_decides() {
    for carrier in carriers("hostapd, lost pseudonym, conservative") {
        let mut scene = Scene::new(carrier, giving(Identities::Pseudonyms), "");
        scene.succeed();
        let shown = scene.counters().permanent_identities;
        scene.hostapd.restart().unwrap();
        scene.fail();
        let counters = scene.counters();
        assert_eq!(counters.permanent_identities, shown);
        assert!(counters.identities_withheld > 0);

        let mut admin = scene.home.gateway().admin().unwrap();
        admin.call(&ForgetIdentities { iccid: None }).unwrap();
        assert_eq!(scene.succeed().0.identity, "permanent identity");
        assert_eq!(scene.succeed().0.identity, "pseudonym");
    }
}

#[test]
fn a_sim_ahead_of_its_auc_synchronises_it() {
    for carrier in carriers("hostapd, synchronisation") {
        for method in BOTH {
            let scene = Scene::new(carrier, hostapd::Options::default(), &only(method));
            let behind = scene.home.subscription().sqn();
            scene.succeed();
            scene.home.subscription().set_sqn(behind);
            let (_, messages) = scene.succeed();
            assert!(has(&messages, "AT_AUTS"), "{method}: {messages:#?}");
            assert_eq!(scene.counters().synchronisation_failures, 1);
            let (_, messages) = scene.succeed();
            assert!(!has(&messages, "AT_AUTS"), "in step again");
        }
    }
}

#[test]
fn a_protected_result_is_taken_where_both_sides_want_it() {
    for carrier in carriers("hostapd, protected result") {
        for method in BOTH {
            for (offered, wanted) in [(true, true), (true, false), (false, true)] {
                let options = hostapd::Options {
                    result_indication: offered,
                    identities: Identities::Reauthentication,
                    ..hostapd::Options::default()
                };
                let access = format!("{}result_indication = {wanted}\n", only(method));
                let scene = Scene::new(carrier, options, &access);
                for reauthenticated in [false, true] {
                    let (authentication, messages) = scene.succeed();
                    assert_eq!(authentication.reauthenticated, reauthenticated);
                    assert_eq!(
                        has(&messages, "Notification"),
                        offered && wanted,
                        "{messages:#?}"
                    );
                }
            }
        }
    }
}

#[test]
fn another_k_is_refused_and_the_sim_stays_as_it_was() {
    for carrier in carriers("hostapd, another K") {
        for method in BOTH {
            let mut scene = Scene::new(carrier, hostapd::Options::default(), &only(method));
            let sqn = scene.home.subscription().sqn();
            scene.home.subscription().replace(stranger());
            scene.fail();
            let counters = scene.counters();
            assert_eq!((counters.autn_rejected, counters.authentications), (1, 0));
            scene.home.subscription().set_sqn(sqn);
            scene.succeed();
        }
    }
}
