//! The exchange over a scripted carrier, with a scripted keyd that notes what it is asked.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use softsim_client::proto::requests::{Identity, IdentityRefused};
use softsim_client::proto::{
    IdentityAnswer, IdentityKind, IdentityRequest, Method, Realm, Refusal, RequestKind,
    decode_request, kind_of,
};
use softsim_eap::Config;
use softsim_eap_packet::{Attribute, Builder, Code, Subtype};

use super::super::carrier::Terms;
use super::super::conversation::Policy;
use super::*;
use crate::scripted_keyd::{self, encoded};

const IDENTITY_REQUEST: [u8; 5] = [1, 1, 0, 5, 1];

/// What keyd was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// For an identity, and whether inside the method.
    Identity(IdentityRequest, bool),
    /// To take a refusal, and whether it counts.
    Refused(bool),
}

/// A carrier that gives what the test queues.
struct Scripted {
    authorised: bool,
    asked: bool,
    outputs: VecDeque<Output>,
    /// The identities of EAP-Response/Identity.
    shown: Vec<String>,
}

impl Scripted {
    fn new(authorised: bool, outputs: impl IntoIterator<Item = Output>) -> Self {
        Self {
            authorised,
            asked: true,
            outputs: outputs.into_iter().collect(),
            shown: Vec::new(),
        }
    }
}

impl Carrier for Scripted {
    fn state(&self) -> State {
        State::Authenticating
    }

    fn is_authorised(&self) -> bool {
        self.authorised
    }

    fn asked(&self) -> bool {
        self.asked
    }

    fn connect(&mut self, _: Instant) {}

    fn disconnect(&mut self) {}

    async fn send(&mut self, eap: &[u8]) {
        if let [2, _, _, _, 1, identity @ ..] = eap {
            let identity = String::from_utf8(identity.to_vec()).unwrap();
            self.shown.push(identity);
        }
    }

    fn succeeded(&mut self, _: Instant) -> Result<Terms, Fault> {
        panic!("no server has proved itself");
    }

    fn failed(&mut self, _: Instant, _: Duration) {}

    async fn advance(&mut self) -> Result<Option<Output>, Fatal> {
        Ok(self.outputs.pop_front())
    }

    async fn receive(&mut self) -> Result<(), Fatal> {
        pending().await
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    async fn handle_timeout(&mut self, _: Instant) {}
}

/// The answer of a keyd that knows a pseudonym, and a re-authentication identity if it is `fast`,
/// and withholds the permanent identity.
fn answer(request: &[u8], asked: &Mutex<Vec<Asked>>, fast: &mut bool) -> Vec<u8> {
    match kind_of(request).unwrap() {
        RequestKind::Identity => {
            let Identity { kind, inside, .. } = decode_request(request).unwrap();
            asked.lock().unwrap().push(Asked::Identity(kind, inside));
            encoded::<Identity<'_>>(match kind {
                IdentityRequest::Permanent => Err(Refusal::IdentityWithheld),
                IdentityRequest::Any if std::mem::take(fast) => Ok(IdentityAnswer {
                    nai: "8fast@home".into(),
                    kind: IdentityKind::Reauthentication,
                }),
                _ => Ok(IdentityAnswer {
                    nai: "7alice@home".into(),
                    kind: IdentityKind::Pseudonym,
                }),
            })
        }
        RequestKind::IdentityRefused => {
            let IdentityRefused { counts, .. } = decode_request(request).unwrap();
            asked.lock().unwrap().push(Asked::Refused(counts));
            encoded::<IdentityRefused<'_>>(Ok(()))
        }
        other => panic!("not expected: {other}"),
    }
}

/// What keyd is asked, and which identities are shown, while the carrier does all that it has to.
async fn done(carrier: Scripted, mut fast: bool) -> (Vec<Asked>, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let keyd = scripted_keyd::connect(move |request| answer(request, &notes, &mut fast));
    let policy = Policy {
        peer: Config::new(),
        realm: Realm::Wlan,
    };
    let mut exchange = Exchange::new(carrier, Conversation::new(keyd.into(), &policy));
    while exchange.advance().await.unwrap().is_some() {}
    let asked = asked.lock().unwrap();
    (asked.clone(), exchange.carrier.shown)
}

fn eap(packet: &[u8]) -> Output {
    Output::Eap {
        packet: packet.to_vec(),
        msk: None,
    }
}

/// What keyd is asked while the network sends these packets.
async fn asked(authorised: bool, packets: &[Vec<u8>]) -> Vec<Asked> {
    let outputs = packets.iter().map(|packet| eap(packet));
    done(Scripted::new(authorised, outputs), false).await.0
}

fn message(identifier: u8, subtype: Subtype, attribute: Attribute<'_>) -> Vec<u8> {
    Builder::new(Code::Request, identifier, Method::AkaPrime.into(), subtype)
        .attribute(attribute)
        .finish()
        .unwrap()
        .into_bytes()
}

/// Anybody on the wire can send an authorised gateway such requests.
#[tokio::test]
async fn what_comes_while_the_port_is_authorised_is_no_refusal() {
    let permanent = [
        IDENTITY_REQUEST.to_vec(),
        message(2, Subtype::Identity, Attribute::PermanentIdReq),
    ];
    let never_asked = [
        IDENTITY_REQUEST.to_vec(),
        message(2, Subtype::Identity, Attribute::FullauthIdReq),
        message(3, Subtype::Notification, Attribute::Notification(16384)),
        vec![4, 3, 0, 4],
    ];
    for authorised in [false, true] {
        let inside = !authorised;
        let expected = [
            Asked::Identity(IdentityRequest::Any, false),
            Asked::Identity(IdentityRequest::Permanent, inside),
        ];
        assert_eq!(asked(authorised, &permanent).await, expected);
        let told = inside.then_some(Asked::Refused(true));
        let expected = [
            Asked::Identity(IdentityRequest::Any, false),
            Asked::Identity(IdentityRequest::FullAuthentication, inside),
        ];
        let expected: Vec<_> = expected.into_iter().chain(told).collect();
        assert_eq!(asked(authorised, &never_asked).await, expected);
    }
}

/// Whatever ends an attempt before its method: a re-authentication identity goes out once (RFC 4187
/// §4.1.1.8), and only a refusal is told to keyd, which then gives another pseudonym.
#[tokio::test]
async fn an_attempt_that_ends_before_its_method_leaves_no_identity_to_the_next() {
    let failed = |failure| Output::Failed(Fault::new(failure, "over"));
    let silent = || Output::Silent(Fault::new(Failure::Unavailable, "silent"));
    type Ending<'a> = &'a dyn Fn(u8) -> Vec<Output>;
    let endings: [(&str, Ending<'_>, bool); 6] = [
        ("Access-Reject", &|_| vec![failed(Failure::Refused)], true),
        (
            "Access-Reject with EAP-Failure",
            &|identifier| vec![eap(&[4, identifier, 0, 4]), failed(Failure::Refused)],
            true,
        ),
        (
            "EAP-Failure and silence",
            &|identifier| vec![eap(&[4, identifier, 0, 4]), silent()],
            true,
        ),
        ("no server", &|_| vec![failed(Failure::Unavailable)], false),
        ("silence", &|_| vec![silent()], false),
        ("a lost link or an order", &|_| vec![Output::Abandon], false),
    ];
    for (name, ending, refused) in endings {
        let outputs = (1..=4).flat_map(|identifier| {
            let request = || Output::OwnRequest([1, identifier, 0, 5, 1].into());
            // The second one is a retransmission.
            [request(), request()].into_iter().chain(ending(identifier))
        });
        let (asked, shown) = done(Scripted::new(false, outputs), true).await;
        let expected = ["8fast@home", "7alice@home", "7alice@home", "7alice@home"];
        let twice: Vec<_> = expected.iter().flat_map(|nai| [*nai; 2]).collect();
        assert_eq!(shown, twice, "{name}");
        let told = asked
            .iter()
            .filter(|asked| **asked == Asked::Refused(false));
        assert_eq!(told.count(), if refused { 3 } else { 0 }, "{name}");
    }
}

/// What keyd gives and the network sees while these things happen, if keyd always has another
/// re-authentication identity.
async fn shown_with_fast_identities(carrier: Scripted) -> (Vec<String>, Vec<Asked>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let keyd = scripted_keyd::connect(move |request| answer(request, &notes, &mut true));
    let policy = Policy {
        peer: Config::new(),
        realm: Realm::Wlan,
    };
    let conversation = Conversation::new(keyd.into(), &policy);
    let mut exchange = Exchange::new(carrier, conversation);
    while exchange.advance().await.unwrap().is_some() {}
    let asked = asked.lock().unwrap();
    (exchange.carrier.shown, asked.clone())
}

/// A network that chooses by the realm, or by the first character, refuses each of them.
#[tokio::test]
async fn a_network_that_twice_refused_reauthentication_identities_sees_them_inside_the_method_only()
{
    let outputs = (1..=4).flat_map(|identifier| {
        let rejected = Output::Failed(Fault::new(Failure::Refused, "over"));
        [
            Output::OwnRequest([1, identifier, 0, 5, 1].into()),
            rejected,
        ]
    });
    let inside = message(9, Subtype::Identity, Attribute::AnyIdReq);
    let outputs = outputs.chain([eap(&IDENTITY_REQUEST), eap(&inside)]);
    let (shown, asked) = shown_with_fast_identities(Scripted::new(false, outputs)).await;
    let expected = ["8fast@home", "8fast@home", "7alice@home", "7alice@home"];
    assert_eq!(shown[..4], expected);
    assert_eq!(
        asked.last(),
        Some(&Asked::Identity(IdentityRequest::Any, true))
    );
}

/// Anybody on the wire can forge them.
#[tokio::test]
async fn failures_that_come_while_the_port_is_authorised_take_no_reauthentication_identity_away() {
    let outputs = (1..=4)
        .flat_map(|identifier| [eap(&[1, identifier, 0, 5, 1]), eap(&[4, identifier, 0, 4])]);
    let (shown, _) = shown_with_fast_identities(Scripted::new(true, outputs)).await;
    assert_eq!(shown, ["8fast@home"; 4]);
}

/// Anybody can ask an authorised gateway for its identity, and some authenticators do so as a
/// keep-alive.
#[tokio::test]
async fn requests_that_nobody_waited_for_cost_one_reauthentication_identity() {
    let asks = (1..=4).flat_map(|identifier| [eap(&[1, identifier, 0, 5, 1]), Output::Abandon]);
    let inside = [
        eap(&[1, 9, 0, 5, 1]),
        eap(&message(10, Subtype::Identity, Attribute::AnyIdReq)),
    ];
    let mut carrier = Scripted::new(true, asks.chain(inside));
    carrier.asked = false;
    let (shown, asked) = shown_with_fast_identities(carrier).await;
    let expected = ["8fast@home", "7alice@home", "7alice@home", "7alice@home"];
    assert_eq!(shown[..4], expected);
    let asks = |wanted| Asked::Identity(wanted, false);
    let mut expected = [asks(IdentityRequest::FullAuthentication); 6];
    expected[0] = asks(IdentityRequest::Any);
    assert_eq!(asked, expected);
}

/// How the exchange ended, in words.
async fn told(outputs: impl IntoIterator<Item = Output>) -> String {
    let keyd = scripted_keyd::connect(|request| panic!("not expected: {request:?}"));
    let policy = Policy {
        peer: Config::new(),
        realm: Realm::Wlan,
    };
    let conversation = Conversation::new(keyd.into(), &policy);
    let mut exchange = Exchange::new(Scripted::new(false, outputs), conversation);
    match exchange.advance().await.unwrap() {
        Some(Event::Failed(fault)) => fault.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_rejection_after_our_nak_tells_which_method_was_offered_and_which_we_asked_for() {
    let offered = || eap(&[1, 1, 0, 6, 13, 0x20]);
    let why = "the server offered EAP method 13, which is not enabled, \
               and we asked for EAP-AKA' or EAP-AKA";
    assert_eq!(told([offered(), eap(&[4, 1, 0, 4])]).await, why);
    let rejected = Output::Failed(Fault::new(Failure::Refused, "aaa: Access-Reject"));
    let expected = format!("aaa: Access-Reject: {why}");
    assert_eq!(told([offered(), rejected]).await, expected);
    let silent = Output::Silent(Fault::new(Failure::Unavailable, "silence"));
    assert_eq!(told([offered(), silent]).await, format!("silence: {why}"));
}
