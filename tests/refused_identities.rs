//! Which identities leave in the attempts after one that a network refused before its method began,
//! and after the profile or its identities changed: the real daemons, over RADIUS and on a wire.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use softsim_client::netd::AccessState;
use softsim_client::proto::requests::{Disable, Enable, ForgetIdentities};
use softsim_client::proto::{Call, Counters};
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd, Identities};
use softsim_lab_harness::netns::{self, Cable, INTERFACE};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::supplicant::find;
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{Config, EapServer, Reason, Server, Step};
use softsim_link::ethernet::{FrameSocket, index};
use softsim_testkit::processes::{built, wired_access};

/// The time in which whatever a test waits for happens.
const PATIENCE: Duration = Duration::from_secs(30);

const PAE_GROUP_ADDRESS: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 3];

/// The identity in EAP-Response/Identity.
fn identity(eap: &[u8]) -> Option<String> {
    let (head, identity) = eap.split_at_checked(5)?;
    (head[0] == 2 && head[4] == 1).then(|| String::from_utf8_lossy(identity).into_owned())
}

/// What its first character says of an identity of EAP-AKA' (TS 23.003 §19.3).
fn kind(identity: &str) -> &'static str {
    match identity.as_bytes().first() {
        Some(b'6') => "permanent",
        Some(b'7') => "pseudonym",
        Some(b'8') => "re-authentication",
        Some(b'a') if identity.starts_with("anonymous@") => "anonymous",
        _ => "other",
    }
}

/// The identities of EAP-Response/Identity, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, eap: &[u8]) {
        self.0.lock().unwrap().extend(identity(eap));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What a server does with an identity.
#[derive(Clone, Copy, Default)]
enum Verdict {
    #[default]
    Serve,
    Reject,
    Ignore,
}

/// A server that rejects or ignores every identity before its method, while it is told so.
struct Gate {
    verdict: Arc<Mutex<Verdict>>,
    seen: Seen,
    server: Server,
}

impl EapServer for Gate {
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        self.seen.note(response);
        match *self.verdict.lock().unwrap() {
            Verdict::Serve => self.server.handle(auc, response),
            Verdict::Reject => Step::Failure(vec![4, response[1], 0, 4], Reason::UnknownIdentity),
            Verdict::Ignore => Step::Discard,
        }
    }
}

/// A gateway with one access to such a server.
struct Radius {
    home: Home,
    verdict: Arc<Mutex<Verdict>>,
    seen: Seen,
    _folder: tempfile::TempDir,
}

impl Radius {
    fn new(privacy: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            gateway: gateway::Options {
                identity_privacy: privacy,
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let mut home = Home::installed(&folder.path().join("lab"), options).unwrap();
        let (verdict, seen) = (Arc::default(), Seen::default());
        let config = Config {
            pseudonyms: true,
            reauthentication: true,
            ..Config::default()
        };
        let (gate, noted) = (Arc::clone(&verdict), seen.clone());
        let open = move || -> Box<dyn EapServer> {
            Box::new(Gate {
                verdict: Arc::clone(&gate),
                seen: noted.clone(),
                server: Server::new(config.clone()).unwrap(),
            })
        };
        let server = home.radius_played_by(open).unwrap();
        let access = home.radius_access(&[server], "");
        home.gateway_mut().set_accesses(access);
        home.start_netd().unwrap();
        Self {
            home,
            verdict,
            seen,
            _folder: folder,
        }
    }

    fn is_to(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap() = verdict;
    }

    /// One attempt: the identity that the server saw first, and whether it succeeded.
    fn attempt(&self) -> (String, bool) {
        let state = self.home.gateway().connect().unwrap().0.state;
        let seen = self.seen.take();
        (seen[0].clone(), state == AccessState::Authorised)
    }

    /// The kinds of identity that this many attempts show first.
    fn kinds<const N: usize>(&self) -> [&'static str; N] {
        [(); N].map(|()| kind(&self.attempt().0))
    }

    /// Waits until the server sees an identity of this kind.
    fn sees(&self, expected: &str) {
        let end = Instant::now() + PATIENCE;
        let is_it = |identity: &String| kind(identity) == expected;
        while !self.seen.take().last().is_some_and(is_it) {
            assert!(Instant::now() < end, "{expected}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the access is in a state, without an order.
    fn comes_to(&self, state: fn(&AccessState) -> bool) {
        let end = Instant::now() + PATIENCE;
        let now = || self.home.gateway().access().unwrap().state;
        while !state(&now()) {
            assert!(Instant::now() < end, "{}", now());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Asks keyd as an administrator.
fn ask<C: Call>(home: &Home, request: &C) -> C::Answer {
    home.gateway().admin().unwrap().call(request).unwrap()
}

#[test]
fn a_server_that_rejects_before_its_method_sees_one_identity_after_the_other_and_no_imsi() {
    if !built("rejected identities", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let radius = Radius::new(None);
    assert!(radius.attempt().1);
    radius.is_to(Verdict::Reject);
    let permanent = counters(&radius.home).permanent_identities;
    let expected = [
        "re-authentication",
        "pseudonym",
        "anonymous",
        "pseudonym",
        "anonymous",
    ];
    assert_eq!(radius.kinds::<5>(), expected);
    // It would know the subscriber inside its method.
    let _ = radius.attempt();
    radius.is_to(Verdict::Serve);
    let (shown, authorised) = radius.attempt();
    assert_eq!((kind(&shown), authorised), ("anonymous", true));
    let counters = counters(&radius.home);
    assert_eq!(counters.permanent_identities, permanent);
    assert_eq!(counters.patience_over, 0);
}

#[test]
fn a_liberal_gateway_shows_its_permanent_identity_when_its_pseudonym_was_rejected() {
    if !built("rejected, liberal", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let radius = Radius::new(Some("liberal"));
    assert!(radius.attempt().1);
    radius.is_to(Verdict::Reject);
    let expected = ["re-authentication", "pseudonym", "permanent", "pseudonym"];
    assert_eq!(radius.kinds::<4>(), expected);
}

/// An authenticator that the test plays, on the other end of the cable.
struct Authenticator {
    socket: FrameSocket,
    identifier: u8,
}

impl Authenticator {
    fn on(cable: &Cable) -> Self {
        let open = || FrameSocket::open(index(INTERFACE)?, 0x888e, PAE_GROUP_ADDRESS);
        Self {
            socket: cable.authenticator.enter(open).unwrap().unwrap(),
            identifier: 100,
        }
    }

    fn send(&self, eap: &[u8]) {
        let length = u16::try_from(eap.len()).unwrap().to_be_bytes();
        let pdu = [&[2, 0], &length[..], eap].concat();
        self.socket.send(PAE_GROUP_ADDRESS, &pdu).unwrap();
    }

    /// The next frame of the gateway, from the EtherType on.
    fn receive(&self) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 2048];
        loop {
            assert!(Instant::now() < end, "the gateway sends nothing");
            match self.socket.receive(&mut buffer) {
                Ok(received) => return buffer[..received.length].to_vec(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for EAPOL-Start.
    fn started(&self) {
        while self.receive()[1] != 1 {}
    }

    /// Asks for the identity, in a new request or, with `again`, in the same.
    fn ask(&mut self, again: bool) -> String {
        self.identifier += u8::from(!again);
        self.send(&[1, self.identifier, 0, 5, 1]);
        loop {
            let frame = self.receive();
            if frame[1] == 0
                && let Some(identity) = identity(&frame[4..])
            {
                assert_eq!(frame[5], self.identifier);
                return identity;
            }
        }
    }

    fn fail(&self) {
        self.send(&[4, self.identifier, 0, 4]);
    }
}

/// A gateway that hostapd has given a pseudonym and a re-authentication identity, and that meets an
/// authenticator played by the test.
struct Wired {
    home: Home,
    authenticator: Authenticator,
    _folder: tempfile::TempDir,
}

impl Wired {
    fn new(test: &str) -> Option<Self> {
        let program = |name: &str| find(name).is_none().then(|| format!("{name} is missing"));
        let missing = program("hostapd").or_else(|| netns::missing().map(str::to_owned));
        if let Some(missing) = missing {
            skip(&format!("{test}: {missing}"));
            return None;
        }
        if !built(test, &["softsim-keyd", "softsim-netd"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let cable = Arc::new(Cable::new().unwrap());
        let options = Options {
            gateway: gateway::Options {
                accesses: wired_access(
                    "none",
                    "auth_period = 1\nstart_period = 1\nmax_start = 100\n",
                ),
                cable: Some(Arc::clone(&cable)),
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let mut home = Home::installed(&folder.path().join("lab"), options).unwrap();
        let options = hostapd::Options {
            identities: Identities::All,
            ..hostapd::Options::default()
        };
        let hostapd: Hostapd = home.wired_hostapd(&cable, options).unwrap();
        home.start_netd().unwrap();
        let state = home.gateway().connect().unwrap().0.state;
        assert_eq!(state, AccessState::Authorised);
        drop(hostapd);
        Some(Self {
            authenticator: Authenticator::on(&cable),
            home,
            _folder: folder,
        })
    }

    /// Plays the authenticator while the gateway tries again and again.
    fn play(&mut self, test: impl FnOnce(&mut Authenticator, &Home)) {
        let Self {
            home,
            authenticator,
            ..
        } = self;
        home.gateway().disconnect().unwrap();
        thread::scope(|scope| {
            let home = &*home;
            // The order is carried out when the first attempt has ended.
            scope.spawn(|| home.gateway().connect());
            authenticator.started();
            test(authenticator, home);
        });
    }
}

#[test]
fn another_profile_or_forgotten_identities_end_an_attempt_and_a_session_and_begin_another() {
    if !built("another subscriber", &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let radius = Radius::new(None);
    assert!(radius.attempt().1);
    // A session ends, and another begins with the permanent identity, which is all that keyd knows.
    let forget = ForgetIdentities { iccid: None };
    let is_authorised = |state: &AccessState| *state == AccessState::Authorised;
    ask(&radius.home, &forget);
    radius.sees("permanent");
    radius.comes_to(is_authorised);

    // So does an attempt that hears nothing, and would repeat its identity for half a minute.
    radius.is_to(Verdict::Ignore);
    thread::scope(|scope| {
        scope.spawn(|| radius.home.gateway().connect());
        radius.sees("re-authentication");
        ask(&radius.home, &forget);
        radius.sees("permanent");
        radius.is_to(Verdict::Serve);
    });
    radius.comes_to(is_authorised);

    // Without a profile, no network sees anything; with one, the access comes back by itself.
    let profile = radius.home.gateway().status().unwrap().profile.unwrap();
    let iccid = &*profile.iccid;
    ask(&radius.home, &Disable { iccid });
    radius.comes_to(|state| matches!(state, AccessState::Held { .. }));
    radius.seen.take();
    ask(&radius.home, &Enable { iccid });
    radius.comes_to(is_authorised);
    assert_eq!(kind(&radius.seen.take()[0]), "re-authentication");
}

fn counters(home: &Home) -> Counters {
    home.gateway().status().unwrap().counters.unwrap()
}

#[test]
fn on_a_wire_an_identity_that_met_a_failure_gives_way_to_the_next() {
    let Some(mut wired) = Wired::new("refused on a wire") else {
        return;
    };
    wired.play(|authenticator, home| {
        let permanent = counters(home).permanent_identities;
        let first = authenticator.ask(false);
        assert_eq!(kind(&first), "re-authentication");
        assert_eq!(authenticator.ask(true), first, "the same request again");
        for expected in ["pseudonym", "anonymous", "pseudonym"] {
            authenticator.fail();
            authenticator.started();
            assert_eq!(kind(&authenticator.ask(false)), expected);
        }
        // An authenticator that asks again before the gateway does.
        authenticator.fail();
        assert_eq!(kind(&authenticator.ask(false)), "anonymous");
        assert_eq!(counters(home).permanent_identities, permanent);
    });
}

#[test]
fn on_a_wire_silence_costs_a_re_authentication_identity_and_no_pseudonym() {
    let Some(mut wired) = Wired::new("silence on a wire") else {
        return;
    };
    wired.play(|authenticator, home| {
        assert_eq!(kind(&authenticator.ask(false)), "re-authentication");
        let mut pseudonyms = Vec::new();
        for _ in 0..3 {
            authenticator.started();
            pseudonyms.push(authenticator.ask(false));
        }
        assert_eq!(kind(&pseudonyms[0]), "pseudonym");
        pseudonyms.dedup();
        assert_eq!(pseudonyms.len(), 1);
        assert_eq!(counters(home).pseudonyms_refused, 0);
    });
}

/// An authenticator may ask for the identity of an authorised gateway from time to time.
#[test]
fn on_a_wire_a_forgotten_identity_is_not_given_to_an_authenticator_that_asks_again() {
    let Some(mut wired) = Wired::new("forgotten on a wire") else {
        return;
    };
    let authenticator = &mut wired.authenticator;
    assert_eq!(kind(&authenticator.ask(false)), "re-authentication");
    assert_eq!(kind(&authenticator.ask(false)), "re-authentication");
    ask(&wired.home, &ForgetIdentities { iccid: None });
    authenticator.started();
    assert_eq!(kind(&authenticator.ask(false)), "permanent");
}
