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
use super::super::scripted_keyd::{self, encoded};
use super::*;

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
    outputs: VecDeque<Output>,
}

impl Carrier for Scripted {
    fn state(&self) -> State {
        State::Authenticating
    }

    fn is_authorised(&self) -> bool {
        self.authorised
    }

    fn connect(&mut self, _: Instant) {}

    fn disconnect(&mut self) {}

    async fn send(&mut self, _: &[u8]) {}

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

/// The answer of a keyd that knows a pseudonym and withholds the permanent identity.
fn answer(request: &[u8], asked: &Mutex<Vec<Asked>>) -> Vec<u8> {
    match kind_of(request).unwrap() {
        RequestKind::Identity => {
            let Identity { kind, inside, .. } = decode_request(request).unwrap();
            asked.lock().unwrap().push(Asked::Identity(kind, inside));
            encoded::<Identity<'_>>(match kind {
                IdentityRequest::Permanent => Err(Refusal::IdentityWithheld),
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

/// What keyd is asked while the network sends these packets.
async fn asked(authorised: bool, packets: &[Vec<u8>]) -> Vec<Asked> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let keyd = scripted_keyd::connect(move |request| answer(request, &notes));
    let policy = Policy {
        peer: Config::new(),
        realm: Realm::Wlan,
    };
    let eap = |packet: &Vec<u8>| Output::Eap {
        packet: packet.clone(),
        msk: None,
    };
    let carrier = Scripted {
        authorised,
        outputs: packets.iter().map(eap).collect(),
    };
    let mut exchange = Exchange::new(carrier, Conversation::new(keyd.into(), &policy));
    while exchange.advance().await.unwrap().is_some() {}
    let asked = asked.lock().unwrap();
    asked.clone()
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
