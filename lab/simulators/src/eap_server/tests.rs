//! The server against a peer of a few lines, which can be told to misbehave.
#![allow(clippy::unwrap_used, clippy::panic)]

use softsim_aka::{Amf, Autn, Rand};
use softsim_eap_packet::AkaError;
use softsim_lab_aka::{Agreement, Derived};
use softsim_usim::{AuthenticationFailure, SeparationBit, SqnState};

use super::config::KDF;
use super::*;
use crate::auc::tests::{IMSI, algorithm, auc, subscriber, usim};

const NAI: &[u8] = b"6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";

/// A peer that answers as RFC 9048 says, and keeps what its keys are derived from.
struct Peer {
    usim: SqnState,
    identity: Vec<u8>,
    identity_messages: IdentityMessages,
    derived: Option<Derived>,
    result_indication: bool,
}

impl Peer {
    fn new(floor: u64) -> Self {
        let identity = NAI.to_vec();
        Self {
            usim: usim(floor),
            identity,
            identity_messages: IdentityMessages::default(),
            derived: None,
            result_indication: false,
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let packet = Packet::parse(request).unwrap();
        let message = packet.aka().unwrap();
        let response =
            |subtype| Builder::new(Code::Response, packet.identifier, Type::AkaPrime, subtype);
        match message.subtype {
            Subtype::Identity => {
                let answer =
                    response(Subtype::Identity).attribute(Attribute::Identity(&self.identity));
                let answer = answer.finish().unwrap().into_bytes();
                self.identity_messages.remember(Method::AkaPrime, request);
                self.identity_messages.remember(Method::AkaPrime, &answer);
                answer
            }
            Subtype::Challenge if message.kdfs().next() != Some(KDF) => {
                response(Subtype::Challenge)
                    .attribute(Attribute::Kdf(KDF))
                    .finish()
                    .unwrap()
                    .into_bytes()
            }
            Subtype::Challenge => self.answer_challenge(&message, &response),
            Subtype::Notification if !message.notification().unwrap().before_challenge() => {
                let keys = self.keys();
                assert!(keys.authentic(&message, &[]));
                keys.authenticated(response(Subtype::Notification), &[])
            }
            Subtype::Notification => response(Subtype::Notification)
                .finish()
                .unwrap()
                .into_bytes(),
            other => panic!("{other}"),
        }
    }

    fn answer_challenge(
        &mut self,
        message: &AkaMessage<'_>,
        response: &dyn Fn(Subtype) -> Builder,
    ) -> Vec<u8> {
        let (rand, autn) = (
            Rand::new(*message.rand().unwrap()),
            Autn::new(*message.autn().unwrap()),
        );
        let verified = match self
            .usim
            .check(&algorithm(), &rand, &autn, SeparationBit::Required)
        {
            Ok(verified) => verified,
            Err(AuthenticationFailure::SyncFailure(auts)) => {
                let answer = response(Subtype::SynchronizationFailure)
                    .attribute(Attribute::Auts(auts.as_bytes()));
                let copies = message.kdfs().map(Attribute::Kdf);
                return copies
                    .fold(answer, Builder::attribute)
                    .finish()
                    .unwrap()
                    .into_bytes();
            }
            Err(_) => {
                return response(Subtype::AuthenticationReject)
                    .finish()
                    .unwrap()
                    .into_bytes();
            }
        };
        let agreement = Agreement {
            ck: &verified.ck,
            ik: &verified.ik,
            sqn_xor_ak: verified.sqn_xor_ak,
            network_name: message.kdf_input().unwrap(),
            identity: &self.identity,
            shared_secret: None,
        };
        let derived = agreement.keys(Method::AkaPrime);
        let right = derived.keys.authentic(message, &[]);
        assert!(right, "the challenge's AT_MAC");
        let checkcode = self.identity_messages.checkcode();
        assert_eq!(message.checkcode().unwrap(), checkcode);
        self.usim.accept(&verified).unwrap();

        let mut answer = response(Subtype::Challenge)
            .attribute(Attribute::Res {
                bits: verified.res.bits(),
                value: verified.res.as_bytes(),
            })
            .attribute(Attribute::Checkcode(&checkcode));
        if self.result_indication && message.result_ind() {
            answer = answer.attribute(Attribute::ResultInd);
        }
        let derived = self.derived.insert(derived);
        derived.keys.authenticated(answer, &[])
    }

    fn keys(&self) -> &Keys {
        &self.derived.as_ref().unwrap().keys
    }
}

/// The whole conversation: the subtypes that the server sent, and its last step.
fn converse(server: &mut Server, auc: &mut Auc, peer: &mut Peer) -> (Vec<Subtype>, Step) {
    let mut response = packet::typed(Code::Response, 0xfe, Type::Identity, &peer.identity).unwrap();
    let mut sent = Vec::new();
    loop {
        match server.handle(auc, &response) {
            Step::Request(request) => {
                sent.push(Packet::parse(&request).unwrap().aka().unwrap().subtype);
                response = peer.answer(&request);
            }
            end => return (sent, end),
        }
        assert!(sent.len() < 20, "the conversation does not end");
    }
}

fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::default();
    change(&mut config);
    Server::new(config).unwrap()
}

fn session(end: Step) -> Session {
    match end {
        Step::Success(_, session) => *session,
        other => panic!("{other:?}"),
    }
}

fn reason(end: Step) -> Reason {
    match end {
        Step::Failure(_, reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_authentication_leaves_both_sides_with_the_same_msk() {
    let mut peer = Peer::new(0);
    let (sent, end) = converse(&mut server(|_| ()), &mut auc(0), &mut peer);
    assert_eq!(sent, [Subtype::Identity, Subtype::Challenge]);
    let session = session(end);
    let derived = peer.derived.unwrap();
    assert_eq!(session.imsi, IMSI);
    assert_eq!(session.msk, derived.msk);
}

#[test]
fn success_carries_the_identifier_of_the_last_response() {
    let (_, end) = converse(&mut server(|_| ()), &mut auc(0), &mut Peer::new(0));
    // The identity came with 0xfe; identity request and challenge followed.
    assert!(matches!(end, Step::Success(packet, _) if packet == [3, 0, 0, 4]));
}

#[test]
fn without_an_identity_round_the_first_identity_goes_into_the_keys() {
    let mut peer = Peer::new(0);
    let (sent, end) = converse(
        &mut server(|c| c.ask_identity = None),
        &mut auc(0),
        &mut peer,
    );
    assert_eq!(sent, [Subtype::Challenge]);
    assert_eq!(session(end).msk, peer.derived.unwrap().msk);
}

#[test]
fn an_identity_that_names_nobody_is_asked_for_until_it_is_permanent() {
    let mut peer = Peer::new(0);
    peer.identity = b"anonymous@wlan.mnc001.mcc001.3gppnetwork.org".to_vec();
    let (sent, end) = converse(&mut server(|_| ()), &mut auc(0), &mut peer);
    let expected = [
        Subtype::Identity,
        Subtype::Identity,
        Subtype::Identity,
        Subtype::Notification,
    ];
    assert_eq!(sent, expected);
    assert_eq!(reason(end), Reason::UnknownIdentity);
}

#[test]
fn one_synchronisation_failure_is_followed_by_success() {
    let mut peer = Peer::new(1 << 30);
    let (sent, end) = converse(&mut server(|_| ()), &mut auc(0), &mut peer);
    assert_eq!(
        sent,
        [Subtype::Identity, Subtype::Challenge, Subtype::Challenge]
    );
    assert_eq!(session(end).msk, peer.derived.unwrap().msk);
}

#[test]
fn a_peer_that_stays_out_of_step_is_refused() {
    let (mut server, mut auc, mut peer) = (server(|_| ()), auc(0), Peer::new(1 << 30));
    let identity = packet::typed(Code::Response, 1, Type::Identity, NAI).unwrap();
    let Step::Request(request) = server.handle(&mut auc, &identity) else {
        panic!()
    };
    let Step::Request(challenge) = server.handle(&mut auc, &peer.answer(&request)) else {
        panic!()
    };
    let Step::Request(challenge) = server.handle(&mut auc, &peer.answer(&challenge)) else {
        panic!()
    };
    peer.usim = usim(1 << 40);
    let Step::Request(notification) = server.handle(&mut auc, &peer.answer(&challenge)) else {
        panic!()
    };
    let end = server.handle(&mut auc, &peer.answer(&notification));
    assert_eq!(reason(end), Reason::Resynchronisation);
}

#[test]
fn another_k_ends_in_authentication_reject() {
    let mut auc = auc(0);
    auc.insert(IMSI, subscriber([0x47; 16], 0));
    let (_, end) = converse(&mut server(|_| ()), &mut auc, &mut Peer::new(0));
    assert_eq!(reason(end), Reason::AuthenticationReject);
}

#[test]
fn an_amf_without_the_separation_bit_ends_in_authentication_reject() {
    let mut auc = auc(0);
    auc.subscriber(IMSI).unwrap().set_amf(Amf::new([0, 0]));
    let (_, end) = converse(&mut server(|_| ()), &mut auc, &mut Peer::new(0));
    assert_eq!(reason(end), Reason::AuthenticationReject);
}

#[test]
fn an_unknown_function_in_front_is_negotiated_down_to_the_known_one() {
    let mut peer = Peer::new(0);
    let (sent, end) = converse(&mut server(|c| c.kdfs = vec![9, 1]), &mut auc(0), &mut peer);
    assert_eq!(
        sent,
        [Subtype::Identity, Subtype::Challenge, Subtype::Challenge]
    );
    assert_eq!(session(end).msk, peer.derived.unwrap().msk);
}

#[test]
fn the_retry_has_the_choice_in_front_of_the_whole_list_and_the_same_vector() {
    let (mut server, mut auc) = (
        server(|c| (c.kdfs, c.ask_identity) = (vec![9, 1], None)),
        auc(0),
    );
    let identity = packet::typed(Code::Response, 1, Type::Identity, NAI).unwrap();
    let Step::Request(first) = server.handle(&mut auc, &identity) else {
        panic!()
    };
    let Step::Request(retry) = server.handle(&mut auc, &Peer::new(0).answer(&first)) else {
        panic!()
    };
    let (first, retry) = (
        Packet::parse(&first).unwrap(),
        Packet::parse(&retry).unwrap(),
    );
    let (first, retry) = (first.aka().unwrap(), retry.aka().unwrap());
    assert!(first.kdfs().eq([9, 1]));
    assert!(retry.kdfs().eq([1, 9, 1]));
    assert_eq!((first.rand(), first.autn()), (retry.rand(), retry.autn()));
}

#[test]
fn with_result_indications_success_comes_after_the_notification_is_answered() {
    let mut peer = Peer::new(0);
    peer.result_indication = true;
    let (sent, end) = converse(
        &mut server(|c| c.result_indication = true),
        &mut auc(0),
        &mut peer,
    );
    assert_eq!(
        sent,
        [Subtype::Identity, Subtype::Challenge, Subtype::Notification]
    );
    assert_eq!(session(end).msk, peer.derived.unwrap().msk);
}

/// Sends one response to a fresh challenge, changed by `change`, and gives the reason of the
/// failure.
fn after_challenge(change: impl FnOnce(&mut Vec<u8>)) -> Reason {
    let (mut server, mut auc, mut peer) = (server(|c| c.ask_identity = None), auc(0), Peer::new(0));
    let identity = packet::typed(Code::Response, 1, Type::Identity, NAI).unwrap();
    let Step::Request(challenge) = server.handle(&mut auc, &identity) else {
        panic!()
    };
    let mut response = peer.answer(&challenge);
    change(&mut response);
    match server.handle(&mut auc, &response) {
        Step::Request(notification) => reason(server.handle(&mut auc, &peer.answer(&notification))),
        end => reason(end),
    }
}

#[test]
fn a_changed_response_fails_at_its_mac() {
    let reason = after_challenge(|response| *response.last_mut().unwrap() ^= 1);
    assert_eq!(reason, Reason::Mac);
}

#[test]
fn a_wrong_res_under_a_right_mac_fails() {
    let (mut server, mut auc, mut peer) = (server(|c| c.ask_identity = None), auc(0), Peer::new(0));
    let identity = packet::typed(Code::Response, 1, Type::Identity, NAI).unwrap();
    let Step::Request(challenge) = server.handle(&mut auc, &identity) else {
        panic!()
    };
    peer.answer(&challenge);
    let wrong = Builder::new(Code::Response, 2, Type::AkaPrime, Subtype::Challenge).attribute(
        Attribute::Res {
            bits: 64,
            value: &[0; 8],
        },
    );
    let wrong = peer.keys().authenticated(wrong, &[]);
    let Step::Request(notification) = server.handle(&mut auc, &wrong) else {
        panic!()
    };
    assert_eq!(
        reason(server.handle(&mut auc, &peer.answer(&notification))),
        Reason::Res
    );
}

#[test]
fn a_client_error_ends_the_conversation_at_once() {
    let reason = after_challenge(|response| {
        let error = Builder::new(Code::Response, 2, Type::AkaPrime, Subtype::ClientError);
        *response = error
            .attribute(Attribute::ClientErrorCode(0))
            .finish()
            .unwrap()
            .into_bytes();
    });
    assert_eq!(reason, Reason::ClientError(0));
}

#[test]
fn a_nak_without_a_method_on_offer_ends_the_conversation_at_once() {
    let reason = after_challenge(|response| {
        *response = packet::typed(Code::Response, 2, Type::Nak, &[23]).unwrap()
    });
    assert_eq!(reason, Reason::Nak);
}

#[test]
fn malformed_attributes_end_in_failure() {
    let reason = after_challenge(|response| {
        *response =
            packet::typed(Code::Response, 2, Type::AkaPrime, &[1, 0, 0, 3, 0, 0, 0]).unwrap();
    });
    assert!(
        matches!(reason, Reason::Malformed(AkaError::ZeroLength { .. })),
        "{reason}"
    );
}

#[test]
fn what_is_not_the_awaited_response_is_discarded_and_disturbs_nothing() {
    let (mut server, mut auc, mut peer) = (server(|c| c.ask_identity = None), auc(0), Peer::new(0));
    let identity = packet::typed(Code::Response, 1, Type::Identity, NAI).unwrap();
    let Step::Request(challenge) = server.handle(&mut auc, &identity) else {
        panic!()
    };
    let response = peer.answer(&challenge);
    let mut other_identifier = response.clone();
    other_identifier[1] ^= 1;
    for stray in [
        &identity,
        &challenge,
        &other_identifier,
        &vec![2, 2],
        &vec![],
    ] {
        assert!(
            matches!(server.handle(&mut auc, stray), Step::Discard),
            "{stray:02x?}"
        );
    }
    assert!(matches!(
        server.handle(&mut auc, &response),
        Step::Success(..)
    ));
    assert!(
        matches!(server.handle(&mut auc, &response), Step::Discard),
        "the conversation is over"
    );
}

#[test]
fn a_network_name_that_fits_no_attribute_is_refused() {
    let config = Config {
        network_name: String::new(),
        ..Config::default()
    };
    assert!(Server::new(config).is_err());
}
