//! Accesses of netd to the lab's own home network, for features that hostapd doesn't have: forward
//! secrecy, 5G with concealed identities and keys of applications, and pseudonyms and
//! re-authentication with both.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_aka::{KAusf, fiveg};
use softsim_client::keyd::{Connection, Error as KeydError};
use softsim_client::netd::{Access, AccessState, Authentication};
use softsim_client::proto::requests::AkmaKey;
use softsim_client::proto::{AkmaAnswer, Counters, Refusal};
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{
    Config, EapServer, Method, Register, Server, Step, SuciKey, SuciKeys,
};
use softsim_profile::{HomeNetworkKey, HomeNetworkKeys};
use softsim_testkit::processes::{built, messages};

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

const SERVING_NETWORK: &str = "5G:mnc001.mcc001.3gppnetwork.org";

/// An application function, and the security protocol with it.
const AF: &str = "af.example";
const UA_STAR: [u8; 5] = [1, 0, 0, 0, 2];

/// What the server observed in an authentication.
struct Seen {
    /// EAP-Response/Identity.
    outer: String,
    session_id: Vec<u8>,
    forward_secrecy: Option<Group>,
    k_ausf: Option<KAusf>,
}

/// The lab's server, and what it observes.
struct Watched {
    server: Server,
    outer: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl EapServer for Watched {
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        if self.outer.is_empty() && response.get(4) == Some(&1) {
            self.outer = String::from_utf8_lossy(&response[5..]).into_owned();
        }
        let step = self.server.handle(auc, response);
        if let Step::Success(_, session) = &step {
            self.seen.lock().unwrap().push(Seen {
                outer: self.outer.clone(),
                session_id: session.session_id.clone(),
                forward_secrecy: session.forward_secrecy,
                k_ausf: session
                    .k_ausf
                    .as_ref()
                    .map(|key| KAusf::new(*key.as_bytes())),
            });
        }
        step
    }
}

/// A gateway with one access to a home network.
struct Scene {
    home: Home,
    seen: Arc<Mutex<Vec<Seen>>>,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// If a group is given, the home network can decrypt SUCIs.
    fn new(mut config: Config, access: &str, concealed: Option<Group>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.gateway.afs.push(AF);
        if let Some(group) = concealed {
            let octets = [0x5c; 32];
            let key = PrivateKey::from_octets(group, &octets).unwrap();
            let scheme = u64::from(group.number());
            let public = HomeNetworkKey::new(27, scheme, key.public_key().as_bytes()).unwrap();
            options.prepare = Box::new(move |profile| {
                profile.home_network_keys = HomeNetworkKeys::new(&[public]).unwrap();
            });
            config.suci_keys = SuciKeys::new([SuciKey { id: 27, key }]);
        }
        let mut home = Home::installed(&folder.path().join("lab"), options).unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let server = watched_server(&home, config, &seen);
        let access = home.radius_access(&[server], access);
        home.gateway_mut().set_accesses(access);
        home.gateway_mut().start_netd(None).unwrap();
        Self {
            home,
            seen,
            _folder: folder,
        }
    }

    fn connect(&self) -> (Access, Vec<String>) {
        let (access, events) = self.home.gateway().connect().unwrap();
        (access, messages(events))
    }

    /// Authenticates, and asserts that netd and the server agree on the session.
    fn succeed(&self) -> (Authentication, Seen) {
        let (access, messages) = self.connect();
        assert_eq!(access.state, AccessState::Authorised, "{messages:#?}");
        let authentication = access.authentication.unwrap();
        let seen = self.seen.lock().unwrap().pop().unwrap();
        assert_eq!(authentication.session_id, hex::encode(&seen.session_id));
        assert_eq!(
            authentication.forward_secrecy,
            seen.forward_secrecy.is_some()
        );
        (authentication, seen)
    }

    fn fail(&self) -> Vec<String> {
        let (access, messages) = self.connect();
        assert!(
            matches!(access.state, AccessState::Held { .. }),
            "{access:#?}"
        );
        messages
    }

    fn counters(&self) -> Counters {
        self.home.gateway().status().unwrap().counters.unwrap()
    }

    fn imsi(&self) -> &str {
        self.home.subscription().profile.imsi.digits()
    }

    fn akma_key(&self) -> Result<AkmaAnswer, KeydError> {
        let mut app = Connection::connect(&self.home.gateway().sockets().app).unwrap();
        app.call(&AkmaKey {
            af: AF,
            ua_star: UA_STAR,
        })
    }

    fn is_not_anchored(&self) {
        let refused = self.akma_key();
        let expected = matches!(refused, Err(KeydError::Refused(Refusal::NotAnchored)));
        assert!(expected, "{refused:?}");
    }
}

fn watched_server(home: &Home, config: Config, seen: &Arc<Mutex<Vec<Seen>>>) -> SocketAddr {
    let seen = seen.clone();
    let open = move || -> Box<dyn EapServer> {
        Box::new(Watched {
            server: Server::new(config.clone()).unwrap(),
            outer: String::new(),
            seen: seen.clone(),
        })
    };
    home.radius_played_by(open).unwrap()
}

fn five_g() -> Config {
    Config {
        network_name: SERVING_NETWORK.into(),
        ask_identity: None,
        ..Config::default()
    }
}

/// An access to a 5G core behind a non-3GPP access.
fn five_g_access(more: &str) -> String {
    format!("network_name = '{SERVING_NETWORK}'\nidentity = 'suci'\nrealm = 'nai-5gc'\n{more}")
}

#[test]
fn forward_secrecy_by_either_group_where_the_identity_tells_nothing() {
    if !built("forward secrecy", &DAEMONS) {
        return;
    }
    for group in [Group::X25519, Group::P256] {
        let config = Config {
            groups: vec![group],
            require_forward_secrecy: true,
            ask_identity: None,
            ..Config::default()
        };
        let access = "identity = 'suci'\nforward_secrecy = 'require'\n";
        let scene = Scene::new(config, access, Some(Group::X25519));
        let (authentication, seen) = scene.succeed();
        assert!(authentication.forward_secrecy);
        assert_eq!(seen.forward_secrecy, Some(group));
        assert_eq!(scene.counters().forward_secret, 1);
        assert!(!seen.outer.contains(scene.imsi()));
    }
}

#[test]
fn a_server_prefers_a_group_and_the_peer_takes_its_choice() {
    if !built("negotiation of the group", &DAEMONS) {
        return;
    }
    for groups in [[Group::X25519, Group::P256], [Group::P256, Group::X25519]] {
        let config = Config {
            groups: groups.to_vec(),
            ask_identity: None,
            ..Config::default()
        };
        let access = "identity = 'suci'\nforward_secrecy = 'allow'\n";
        let scene = Scene::new(config, access, Some(Group::P256));
        assert_eq!(scene.succeed().1.forward_secrecy, Some(groups[0]));
    }
}

#[test]
fn where_forward_secrecy_is_required_a_server_without_it_is_not_trusted() {
    if !built("forward secrecy required", &DAEMONS) {
        return;
    }
    let config = Config {
        ask_identity: None,
        ..Config::default()
    };
    let access = "identity = 'suci'\nforward_secrecy = 'require'\n";
    let scene = Scene::new(config, access, Some(Group::X25519));
    let messages = scene.fail();
    let rejected = |message: &String| message.contains("Authentication-Reject");
    assert!(messages.iter().any(rejected), "{messages:#?}");
    assert_eq!(
        scene.counters().authentications,
        0,
        "and no sequence number is used"
    );
}

#[test]
fn where_it_is_off_an_offer_of_forward_secrecy_is_passed_over() {
    if !built("forward secrecy off", &DAEMONS) {
        return;
    }
    let config = Config {
        groups: vec![Group::X25519],
        ask_identity: None,
        ..Config::default()
    };
    let access = "identity = 'suci'\nforward_secrecy = 'off'\n";
    let scene = Scene::new(config, access, Some(Group::X25519));
    assert_eq!(scene.succeed().1.forward_secrecy, None);
}

#[test]
fn fast_re_authentication_goes_on_from_an_authentication_with_forward_secrecy() {
    if !built("re-authentication after forward secrecy", &DAEMONS) {
        return;
    }
    let config = Config {
        groups: vec![Group::X25519],
        reauthentication: true,
        ask_identity: None,
        ..Config::default()
    };
    // The first identity is a SUCI, because the device has no other; later ones are those that the
    // server gave.
    let access = "identity = 'suci'\nforward_secrecy = 'require'\n";
    let mut scene = Scene::new(config.clone(), access, Some(Group::X25519));
    assert!(!scene.succeed().0.reauthenticated);

    // An access that requires forward secrecy makes only full authentications.
    let access = "forward_secrecy = 'allow'\n";
    let server = watched_server(&scene.home, config, &scene.seen);
    let access = scene.home.radius_access(&[server], access);
    let gateway = scene.home.gateway_mut();
    gateway.stop_netd();
    gateway.set_accesses(access);
    gateway.start_netd(None).unwrap();
    for _ in 0..3 {
        let (access, messages) = scene.connect();
        let authentication = access.authentication.unwrap();
        assert!(authentication.reauthenticated, "{messages:#?}");
    }
    assert_eq!(scene.counters().reauthentications, 3);
}

#[test]
fn in_5g_the_suci_hides_the_imsi_and_applications_get_the_home_networks_keys() {
    if !built("5G", &DAEMONS) {
        return;
    }
    for group in [Group::X25519, Group::P256] {
        let scene = Scene::new(five_g(), &five_g_access(""), Some(group));
        scene.is_not_anchored();
        let (authentication, seen) = scene.succeed();
        assert_eq!(authentication.identity, "SUCI");
        let scheme = format!("type0.rid0.schid{}.hnkey27.", group.number());
        assert!(seen.outer.starts_with(&scheme), "{}", seen.outer);
        let realm = "@nai.5gc.mnc001.mcc001.3gppnetwork.org";
        assert!(seen.outer.ends_with(realm), "{}", seen.outer);
        assert!(!seen.outer.contains(&scene.imsi()[5..]));
        assert_eq!(scene.counters().permanent_identities, 0);

        let key = scene.akma_key().unwrap();
        let (k_ausf, imsi) = (seen.k_ausf.unwrap(), scene.imsi().as_bytes());
        let af_id = [AF.as_bytes(), &UA_STAR].concat();
        let k_af = fiveg::k_af(&fiveg::k_akma(&k_ausf, imsi), &af_id);
        assert_eq!(key.k_af.expose(), k_af.as_bytes());
        let a_tid = hex::encode(fiveg::a_tid(&k_ausf, imsi).as_bytes());
        let realm = "5gc.mnc001.mcc001.3gppnetwork.org";
        assert_eq!(key.a_kid, format!("rid0.atid{a_tid}@{realm}"));
    }
}

#[test]
fn a_suci_is_never_the_same_twice() {
    if !built("SUCI", &DAEMONS) {
        return;
    }
    let scene = Scene::new(five_g(), &five_g_access(""), Some(Group::X25519));
    assert_ne!(scene.succeed().1.outer, scene.succeed().1.outer);
}

#[test]
fn offload_to_wlan_with_5g_credentials_anchors_no_keys() {
    if !built("NSWO", &DAEMONS) {
        return;
    }
    let config = Config {
        network_name: "5G:NSWO".into(),
        ..five_g()
    };
    let access = "network_name = '5G:NSWO'\nidentity = 'suci'\nrealm = 'nswo'\n";
    let scene = Scene::new(config, access, Some(Group::X25519));
    let (_, seen) = scene.succeed();
    assert!(
        seen.outer.contains("@5gc-nswo.mnc001.mcc001."),
        "{}",
        seen.outer
    );
    assert!(seen.k_ausf.is_none());
    scene.is_not_anchored();
}

#[test]
fn a_plain_aaa_anchors_no_keys() {
    if !built("no 5G", &DAEMONS) {
        return;
    }
    let scene = Scene::new(Config::default(), "", None);
    assert!(scene.succeed().1.k_ausf.is_none());
    scene.is_not_anchored();
}

#[test]
fn anchored_keys_go_with_the_key_process() {
    if !built("anchored keys", &DAEMONS) {
        return;
    }
    let mut scene = Scene::new(five_g(), &five_g_access(""), Some(Group::X25519));
    scene.succeed();
    scene.akma_key().unwrap();
    let gateway = scene.home.gateway_mut();
    gateway.stop();
    gateway.start_keyd().unwrap();
    scene.is_not_anchored();
}

#[test]
fn another_network_name_than_the_configured_one_is_not_trusted() {
    if !built("network name", &DAEMONS) {
        return;
    }
    let config = Config {
        network_name: "5G:mnc002.mcc001.3gppnetwork.org".into(),
        ..five_g()
    };
    let scene = Scene::new(config, &five_g_access(""), Some(Group::X25519));
    scene.fail();
    assert_eq!(scene.counters().authentications, 0);
}

#[test]
fn an_anonymous_first_identity_and_a_decorated_one_reach_the_home_network() {
    if !built("anonymous and decorated", &DAEMONS) {
        return;
    }
    let home_realm = "wlan.mnc001.mcc001.3gppnetwork.org";
    let scene = Scene::new(Config::default(), "identity = 'anonymous'\n", None);
    let (authentication, seen) = scene.succeed();
    assert_eq!(seen.outer, format!("anonymous@{home_realm}"));
    assert_eq!(authentication.identity, "anonymous identity");

    let visited = "wlan.mnc071.mcc610.3gppnetwork.org";
    let access = format!("decoration_realm = '{visited}'\n");
    let scene = Scene::new(Config::default(), &access, None);
    let (_, seen) = scene.succeed();
    assert!(
        seen.outer.starts_with(&format!("{home_realm}!6")),
        "{}",
        seen.outer
    );
    assert!(
        seen.outer.ends_with(&format!("@{visited}")),
        "{}",
        seen.outer
    );
}

#[test]
fn a_server_that_was_set_back_is_told_that_the_counter_is_too_small() {
    if !built("counter", &DAEMONS) {
        return;
    }
    for method in [Method::AkaPrime, Method::Aka] {
        let register = Register::default();
        let config = Config {
            methods: vec![method],
            reauthentication: true,
            register: register.clone(),
            ..Config::default()
        };
        let access = match method {
            Method::AkaPrime => "methods = ['aka-prime']\n",
            Method::Aka => "methods = ['aka']\n",
        };
        let scene = Scene::new(config, access, None);
        scene.succeed();
        assert!(scene.succeed().0.reauthenticated);
        assert!(scene.succeed().0.reauthenticated);
        register.set_counters(1);
        let (access, messages) = scene.connect();
        assert_eq!(access.state, AccessState::Authorised, "{messages:#?}");
        assert!(
            !access.authentication.unwrap().reauthenticated,
            "{messages:#?}"
        );
        scene.seen.lock().unwrap().clear();
        assert!(scene.succeed().0.reauthenticated);
    }
}
