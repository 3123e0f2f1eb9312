//! The client against a correct server, a forger, a lossy link, and a packet that another program
//! computed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::packet::Writer;
use super::*;

const SUCCESS: [u8; 4] = [3, 7, 0, 4];
const FAILURE: [u8; 4] = [4, 7, 0, 4];
/// EAP-Response/Identity.
const IDENTITY: &[u8] = b"\x02\x01\x00\x1d\x016001010000000000@example";
/// A request authenticator whose octets result in waits without jitter.
const AUTHENTICATOR: [u8; 16] = [128; 16];

fn secret() -> Secret {
    Secret::new(b"xyzzy5461".to_vec()).unwrap()
}

fn client() -> Client {
    Client::new(secret(), "softsim").unwrap()
}

/// A client with one outstanding request, and that request as the server reads it.
fn asked(eap: &[u8]) -> (Client, Request) {
    let mut client = client();
    let datagram = client.request(Instant::now(), AUTHENTICATOR, eap).unwrap();
    (client, Request::parse(&datagram, &secret()).unwrap())
}

fn msk() -> Msk {
    Msk::new(std::array::from_fn(|i| i as u8))
}

#[test]
fn a_request_names_the_user_the_gateway_and_carries_the_eap_packet() {
    let mut client = client();
    let datagram = client
        .request(Instant::now(), AUTHENTICATOR, IDENTITY)
        .unwrap();
    let packet = Packet::parse(&datagram).unwrap();
    assert_eq!(packet.code, Code::AccessRequest);
    assert_eq!(packet.attributes[0].0, AttributeType::MESSAGE_AUTHENTICATOR);
    assert_eq!(
        packet.values(AttributeType::NAS_IDENTIFIER).next(),
        Some(&b"softsim"[..])
    );
    let request = Request::parse(&datagram, &secret()).unwrap();
    assert_eq!(request.user_name, b"6001010000000000@example");
    assert_eq!(request.eap, IDENTITY);
    assert_eq!(request.state, None);
}

#[test]
fn state_comes_back_unchanged_until_the_conversation_ends() {
    let (mut client, request) = asked(IDENTITY);
    let challenge = request
        .challenge(&secret(), b"\x01\x02\x00\x05\x01", b"\x00state\xff")
        .unwrap();
    let Ok(Answer::Challenge { eap }) = client.handle(&challenge) else {
        panic!()
    };
    assert_eq!(eap, b"\x01\x02\x00\x05\x01");
    let mut next = || client.request(Instant::now(), [1; 16], IDENTITY).unwrap();
    let request = Request::parse(&next(), &secret()).unwrap();
    assert_eq!(request.state.as_deref(), Some(&b"\x00state\xff"[..]));
    assert_eq!(request.identifier, 1);
    client
        .handle(&request.reject(&secret(), Some(&FAILURE)).unwrap())
        .unwrap();
    let datagram = client.request(Instant::now(), [2; 16], IDENTITY).unwrap();
    assert_eq!(Request::parse(&datagram, &secret()).unwrap().state, None);
}

#[test]
fn an_accept_computed_by_other_means_is_understood() {
    let datagram = concat!(
        "020700a05307264b51dd598ad6159938e172ecf15012d74197dbff8647453c56e7b2b8ee7cb14f0603070004",
        "1a3a000001371134812354c1e2a65be7c41550d4c24d38c1fb702cdce118e870e7e34c41df0e47204901f81f705d2c9982b4ddd239853ae14f82",
        "1a3a0000013710348124fc63b9a5f2fe5454abfc69c11f1c752e67c0385f277e8dc0a3df950324a9de19cfeb794c4b45343609e141dd28994949",
    );
    let datagram = hex::decode(datagram).unwrap();
    let mut client = client();
    for _ in 0..8 {
        client
            .request(Instant::now(), std::array::from_fn(|i| i as u8), IDENTITY)
            .unwrap();
    }
    let Ok(Answer::Accept {
        eap,
        msk: Some(received),
        ..
    }) = client.handle(&datagram)
    else {
        panic!()
    };
    assert_eq!(eap, SUCCESS);
    assert_eq!(received.expose(), msk().expose());
}

#[test]
fn the_msk_survives_the_mppe_keys_and_never_shows_in_clear() {
    let (mut client, request) = asked(IDENTITY);
    let accept = request
        .accept(&secret(), &SUCCESS, Some(&msk()), 0x0123)
        .unwrap();
    assert!(
        !accept
            .windows(4)
            .any(|window| window == [0, 1, 2, 3] || window == [32, 33, 34, 35])
    );
    let Ok(Answer::Accept {
        msk: Some(received),
        ..
    }) = client.handle(&accept)
    else {
        panic!()
    };
    assert_eq!(received.expose(), msk().expose());
}

#[test]
fn an_accept_without_keys_has_no_msk() {
    let (mut client, request) = asked(IDENTITY);
    let accept = request.accept(&secret(), &SUCCESS, None, 0).unwrap();
    assert!(matches!(
        client.handle(&accept),
        Ok(Answer::Accept { msk: None, .. })
    ));
}

#[test]
fn broken_mppe_keys_are_an_error_and_not_a_missing_key() {
    let whole = |request: &Request| msk().vendor_attributes(&secret(), &request.authenticator, 1);
    type Breaking = fn([Vec<u8>; 2]) -> Vec<Vec<u8>>;
    let broken: [Breaking; 4] = [
        |[recv, _]| vec![recv],
        |[recv, send]| {
            vec![
                recv[..22]
                    .iter()
                    .copied()
                    .enumerate()
                    .map(|(i, o)| if i == 5 { 18 } else { o })
                    .collect(),
                send,
            ]
        },
        |[mut recv, send]| {
            recv[6] &= 0x7f;
            vec![recv, send]
        },
        |[mut recv, send]| {
            recv[8] ^= 1;
            vec![recv, send]
        },
    ];
    for breaking in broken {
        let (mut client, request) = asked(IDENTITY);
        let writer = Writer::new(
            Code::AccessAccept,
            request.identifier,
            &request.authenticator,
        )
        .eap(&SUCCESS);
        let writer = breaking(whole(&request))
            .iter()
            .fold(writer, |writer, key| {
                writer.attribute(AttributeType::VENDOR_SPECIFIC, key)
            });
        assert_eq!(
            client
                .handle(&writer.finish_answer(&secret()).unwrap())
                .unwrap_err(),
            Error::MppeKey
        );
    }
}

#[test]
fn both_keys_in_one_vendor_specific_attribute_are_found_among_others() {
    let (mut client, request) = asked(IDENTITY);
    let [recv, send] = msk().vendor_attributes(&secret(), &request.authenticator, 1);
    let value = [&recv[..], &[99, 3, 0], &send[4..]].concat();
    let accept = Writer::new(
        Code::AccessAccept,
        request.identifier,
        &request.authenticator,
    )
    .attribute(AttributeType::VENDOR_SPECIFIC, b"\x00\x00\x00\x09other")
    .attribute(AttributeType::VENDOR_SPECIFIC, &value)
    .eap(&SUCCESS)
    .finish_answer(&secret())
    .unwrap();
    let Ok(Answer::Accept {
        msk: Some(received),
        ..
    }) = client.handle(&accept)
    else {
        panic!()
    };
    assert_eq!(received.expose(), msk().expose());
}

#[test]
fn eap_packets_beyond_253_octets_are_split_and_put_together() {
    for octets in [253, 254, 506, 507, 1400, 3900] {
        let mut client = client();
        client
            .request(Instant::now(), AUTHENTICATOR, IDENTITY)
            .unwrap();
        let eap = vec![0xa5; octets];
        let datagram = client.request(Instant::now(), AUTHENTICATOR, &eap).unwrap();
        let request = Request::parse(&datagram, &secret()).unwrap();
        assert_eq!(request.eap, eap);
        let challenge = request.challenge(&secret(), &eap, b"s").unwrap();
        let packet = Packet::parse(&challenge).unwrap();
        assert_eq!(
            packet.values(AttributeType::EAP_MESSAGE).count(),
            octets.div_ceil(253)
        );
        let Ok(Answer::Challenge { eap: back }) = client.handle(&challenge) else {
            panic!()
        };
        assert_eq!(back, eap);
    }
    assert!(matches!(
        asked(IDENTITY)
            .0
            .request(Instant::now(), AUTHENTICATOR, &[0; 4096]),
        Err(Error::TooLong { .. })
    ));
}

#[test]
fn another_secret_is_refused_on_both_sides() {
    let other = Secret::new(b"other".to_vec()).unwrap();
    let (mut client, request) = asked(IDENTITY);
    let accept = request.accept(&other, &SUCCESS, Some(&msk()), 1).unwrap();
    assert_eq!(
        client.handle(&accept).unwrap_err(),
        Error::MessageAuthenticator
    );
    let datagram = client
        .request(Instant::now(), AUTHENTICATOR, IDENTITY)
        .unwrap();
    assert_eq!(
        Request::parse(&datagram, &other),
        Err(Error::MessageAuthenticator)
    );
}

/// An answer without Message-Authenticator but with a valid Response Authenticator, as an attacker
/// on the path can forge it (Blast-RADIUS).
fn without_message_authenticator(request: &Request, code: u8, attributes: &[u8]) -> Vec<u8> {
    use md5::{Digest, Md5};
    let length = (20 + attributes.len() as u16).to_be_bytes();
    let head = [code, request.identifier, length[0], length[1]];
    let hash = Md5::new()
        .chain_update(head)
        .chain_update(request.authenticator);
    let authenticator = hash
        .chain_update(attributes)
        .chain_update(secret().expose())
        .finalize();
    [&head[..], &authenticator, attributes].concat()
}

#[test]
fn an_answer_without_message_authenticator_is_not_believed_even_if_its_response_authenticator_fits()
{
    let (mut client, request) = asked(IDENTITY);
    for (octet, code, eap) in [
        (2, Code::AccessAccept, SUCCESS),
        (3, Code::AccessReject, FAILURE),
        (11, Code::AccessChallenge, FAILURE),
    ] {
        let attributes = [&[79, 6][..], &eap].concat();
        let forged = without_message_authenticator(&request, octet, &attributes);
        assert_eq!(
            client.handle(&forged).unwrap_err(),
            Error::NoMessageAuthenticator(code)
        );
    }
    assert!(
        client
            .handle(&request.accept(&secret(), &SUCCESS, None, 0).unwrap())
            .is_ok()
    );
}

#[test]
fn a_forged_reject_leaves_the_request_under_way() {
    let (mut client, request) = asked(IDENTITY);
    let honest = request.reject(&secret(), Some(&FAILURE)).unwrap();
    for octet in 0..honest.len() {
        let mut forged = honest.clone();
        forged[octet] ^= 1;
        assert!(client.handle(&forged).is_err(), "octet {octet}");
    }
    assert!(client.poll_timeout().is_some());
    assert!(matches!(
        client.handle(&honest),
        Ok(Answer::Reject { eap: Some(_) })
    ));
    let again = Error::Again(Code::AccessReject);
    assert_eq!(client.handle(&honest).unwrap_err(), again);
}

#[test]
fn an_answer_to_another_request_is_ignored() {
    let (mut client, request) = asked(IDENTITY);
    let late = request.reject(&secret(), None).unwrap();
    client.request(Instant::now(), [1; 16], IDENTITY).unwrap();
    assert_eq!(
        client.handle(&late).unwrap_err(),
        Error::Identifier {
            expected: 1,
            got: 0
        }
    );
}

#[test]
fn an_answer_under_another_request_authenticator_is_a_forgery() {
    let (mut client, mut request) = asked(IDENTITY);
    request.authenticator = [9; 16];
    assert_eq!(
        client
            .handle(&request.reject(&secret(), None).unwrap())
            .unwrap_err(),
        Error::MessageAuthenticator
    );
}

#[test]
fn malformed_datagrams_are_told_why() {
    let header = |length: u16| [&[2, 0][..], &length.to_be_bytes(), &[0; 16]].concat();
    let attribute = |octets: &[u8]| [&header(20 + octets.len() as u16)[..], octets].concat();
    let truncated = |kind, claimed, left| Error::Truncated {
        attribute: AttributeType(kind),
        claimed,
        left,
    };
    let cases = [
        (vec![], Error::TooShort { octets: 0 }),
        (vec![2; 19], Error::TooShort { octets: 19 }),
        (
            header(19),
            Error::Length {
                claimed: 19,
                received: 20,
            },
        ),
        (
            header(21),
            Error::Length {
                claimed: 21,
                received: 20,
            },
        ),
        (
            [header(4097), vec![0; 4077]].concat(),
            Error::Length {
                claimed: 4097,
                received: 4097,
            },
        ),
        ([&[5][..], &header(20)[1..]].concat(), Error::Code(5)),
        (attribute(&[79]), truncated(79, 0, 1)),
        (attribute(&[79, 0]), truncated(79, 0, 2)),
        (attribute(&[79, 1]), truncated(79, 1, 2)),
        (attribute(&[79, 4, 0]), truncated(79, 4, 3)),
        (
            attribute(&[80, 3, 0]),
            Error::NoMessageAuthenticator(Code::AccessAccept),
        ),
        (
            attribute(&[&[80, 18], &[0; 16][..], &[80, 18], &[0; 16]].concat()),
            Error::NoMessageAuthenticator(Code::AccessAccept),
        ),
    ];
    for (datagram, expected) in cases {
        let (mut client, _) = asked(IDENTITY);
        assert_eq!(
            client.handle(&datagram).unwrap_err(),
            expected,
            "{datagram:02x?}"
        );
    }
}

#[test]
fn a_request_without_eap_or_user_is_dropped_by_the_server() {
    let writer = || Writer::new(Code::AccessRequest, 0, &AUTHENTICATOR);
    let parse =
        |writer: Writer| Request::parse(&writer.finish_request(&secret()).unwrap(), &secret());
    assert_eq!(parse(writer().eap(b"x")), Err(Error::NoUserName));
    assert_eq!(
        parse(writer().attribute(AttributeType::USER_NAME, b"u")),
        Err(Error::NoEapMessage(Code::AccessRequest))
    );
}

#[test]
fn an_accept_or_challenge_without_eap_is_ignored() {
    for code in [Code::AccessAccept, Code::AccessChallenge] {
        let (mut client, request) = asked(IDENTITY);
        let bare = Writer::new(code, request.identifier, &request.authenticator)
            .finish_answer(&secret())
            .unwrap();
        assert_eq!(client.handle(&bare).unwrap_err(), Error::NoEapMessage(code));
    }
}

#[test]
fn retransmissions_are_identical_and_end_after_thirty_seconds() {
    let start = Instant::now();
    let mut client = client();
    let datagram = client.request(start, AUTHENTICATOR, IDENTITY).unwrap();
    assert_eq!(client.handle_timeout(start), None);
    let mut times = Vec::new();
    loop {
        let now = client.poll_timeout().unwrap();
        times.push((now - start).as_secs());
        match client.handle_timeout(now).unwrap() {
            Timeout::Retransmit {
                datagram: again,
                count,
            } => {
                assert_eq!(again, datagram);
                assert_eq!(count as usize, times.len());
            }
            Timeout::GaveUp(silence) => {
                assert_eq!(silence.sent as usize, times.len());
                break;
            }
        }
    }
    assert_eq!(times, [2, 6, 14, 30]);
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.handle_timeout(start + Duration::from_secs(60)), None);
}

/// Sends a request until the client gives it up; what it heard, and how long that took.
fn given_up(client: &mut Client, start: Instant, heard: &[Vec<u8>]) -> (Silence, Duration) {
    client.request(start, AUTHENTICATOR, IDENTITY).unwrap();
    for datagram in heard {
        assert!(client.handle(datagram).is_err());
    }
    loop {
        let now = client.poll_timeout().unwrap();
        if let Some(Timeout::GaveUp(silence)) = client.handle_timeout(now) {
            return (silence, now - start);
        }
    }
}

#[test]
fn with_another_server_to_turn_to_a_silent_one_is_given_up_sooner() {
    let mut client = client();
    client.set_alternative(true);
    let (silence, after) = given_up(&mut client, Instant::now(), &[]);
    assert_eq!((silence.sent, after.as_secs()), (3, 14));
    client.set_alternative(false);
    let (_, after) = given_up(&mut client, Instant::now(), &[]);
    assert_eq!(after.as_secs(), 30);
}

#[test]
fn what_was_heard_and_ignored_is_told_from_silence() {
    let (_, request) = asked(IDENTITY);
    let other = Secret::new(b"another".to_vec()).unwrap();
    let bare = without_message_authenticator(&request, 3, &[]);
    let key = |writer: Writer, kind| {
        let value = [&[0, 0, 1, 55, kind, 4, 0x80, 0][..]].concat();
        writer.attribute(AttributeType::VENDOR_SPECIFIC, &value)
    };
    let keys = accept_with(&request, |writer| key(key(writer, 16), 17));
    for (heard, expected, words) in [
        (vec![], None, "no answer to 4 packets"),
        (
            vec![request.reject(&other, None).unwrap()],
            Some(Error::MessageAuthenticator),
            "the shared secret probably differs",
        ),
        (
            vec![bare],
            Some(Error::NoMessageAuthenticator(Code::AccessReject)),
            "Message-Authenticator of 16 octets in Access-Reject",
        ),
        (vec![keys], Some(Error::MppeKey), "MS-MPPE keys"),
    ] {
        let (silence, _) = given_up(&mut client(), Instant::now(), &heard);
        assert_eq!(silence.ignored, expected);
        assert!(silence.to_string().contains(words), "{silence}");
    }
}

#[test]
fn an_answer_that_comes_again_is_told_and_is_no_reason_to_ignore_the_next() {
    let (mut client, request) = asked(IDENTITY);
    let challenge = request.challenge(&secret(), &[1, 2, 0, 4], b"x").unwrap();
    client.handle(&challenge).unwrap();
    let start = Instant::now();
    let (silence, _) = given_up(&mut client, start, std::slice::from_ref(&challenge));
    assert_eq!(silence.ignored, None);
    let error = client.handle(&challenge).unwrap_err();
    assert_eq!(error, Error::Again(Code::AccessChallenge));
}

/// RFC 5997 §3: each has a Message-Authenticator, and is answered with Access-Accept.
#[test]
fn status_server_is_answered_by_a_server_with_our_secret_and_disturbs_no_request() {
    let (mut client, request) = asked(IDENTITY);
    let probe = client.probe([9; 16]);
    let other = client.probe([10; 16]);
    let parsed = StatusRequest::parse(&probe.datagram, &secret()).unwrap();
    let packet = Packet::parse(&probe.datagram).unwrap();
    assert_eq!(packet.attributes[0].0, AttributeType::MESSAGE_AUTHENTICATOR);
    assert!(Request::parse(&probe.datagram, &secret()).is_err());
    let answer = parsed.answer(&secret()).unwrap();
    assert_eq!(probe.verify(&answer), Ok(()));
    assert!(other.verify(&answer).is_err());
    let guessed = Secret::new(b"guessed".to_vec()).unwrap();
    let forged = parsed.answer(&guessed).unwrap();
    assert_eq!(probe.verify(&forged), Err(Error::ResponseAuthenticator));
    assert!(StatusRequest::parse(&probe.datagram, &guessed).is_err());
    let mut bare = [&[12, 0, 0, 20][..], &[9; 16]].concat();
    assert!(StatusRequest::parse(&bare, &secret()).is_err());
    bare[0] = 1;
    assert!(StatusRequest::parse(&bare, &secret()).is_err());
    assert!(client.handle(&answer).is_err());
    let reject = request.reject(&secret(), None).unwrap();
    assert!(client.handle(&reject).is_ok());
}

#[test]
fn gateways_that_lost_power_together_do_not_retransmit_together() {
    let start = Instant::now();
    let first = |octet| {
        let mut client = client();
        client.request(start, [octet; 16], IDENTITY).unwrap();
        client.poll_timeout().unwrap() - start
    };
    assert_eq!(first(0), Duration::from_millis(1800));
    assert!(first(255) > Duration::from_millis(2190) && first(255) < Duration::from_millis(2200));
}

#[test]
fn secrets_print_redacted() {
    assert_eq!(
        format!("{:?} {:?}", secret(), msk()),
        "Secret([redacted]) Msk([redacted])"
    );
    assert_eq!(Secret::new(Vec::new()).unwrap_err(), Error::EmptySecret);
}

#[test]
fn names_that_fit_no_attribute_are_refused() {
    let long = "a".repeat(254);
    for name in ["", &long] {
        let error = Client::new(secret(), name).err().unwrap();
        let attribute = AttributeType::NAS_IDENTIFIER;
        let octets = name.len();
        assert_eq!(error, Error::AttributeLength { attribute, octets });
    }
    let identity = [&[2, 1, 1, 3, 1], long.as_bytes()].concat();
    let error = client().request(Instant::now(), AUTHENTICATOR, &identity);
    let (attribute, octets) = (AttributeType::USER_NAME, 254);
    assert_eq!(error, Err(Error::AttributeLength { attribute, octets }));
}

#[test]
fn the_user_is_whoever_the_latest_identity_response_names() {
    let mut client = client();
    let mut user = |eap: &[u8]| {
        let datagram = client.request(Instant::now(), AUTHENTICATOR, eap)?;
        Ok(Request::parse(&datagram, &secret())?.user_name)
    };
    assert_eq!(user(b"\x02\x01\x00\x06\x32\x01"), Err(Error::NoUserName));
    assert_eq!(user(IDENTITY).unwrap(), b"6001010000000000@example");
    assert_eq!(
        user(b"\x02\x01\x00\x06\x32\x01").unwrap(),
        b"6001010000000000@example"
    );
    assert_eq!(user(b"\x02\x02\x00\x06\x01x").unwrap(), b"x");
}

/// An Access-Accept with EAP-Success and additional attributes.
fn accept_with(request: &Request, more: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
    let writer = Writer::new(
        Code::AccessAccept,
        request.identifier,
        &request.authenticator,
    );
    more(writer.eap(&SUCCESS)).finish_answer(&secret()).unwrap()
}

#[test]
fn a_session_ends_after_session_timeout_or_goes_on_with_termination_action() {
    let timeout =
        |writer: Writer| writer.attribute(AttributeType::SESSION_TIMEOUT, &[0, 0, 14, 16]);
    let action = |writer: Writer, octet| {
        writer.attribute(AttributeType::TERMINATION_ACTION, &[0, 0, 0, octet])
    };
    let limit = |more: &dyn Fn(Writer) -> Writer| {
        let (mut client, request) = asked(IDENTITY);
        match client.handle(&accept_with(&request, more)) {
            Ok(Answer::Accept { limit, .. }) => Ok(limit),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    let after = |reauthenticate| {
        let after = Duration::from_secs(3600);
        Ok(Some(SessionLimit {
            after,
            reauthenticate,
        }))
    };
    assert_eq!(limit(&|writer| writer), Ok(None));
    assert_eq!(limit(&|writer| action(writer, 1)), Ok(None));
    assert_eq!(limit(&timeout), after(false));
    assert_eq!(limit(&|writer| action(timeout(writer), 0)), after(false));
    assert_eq!(limit(&|writer| action(timeout(writer), 1)), after(true));
    let longer = |writer: Writer| writer.attribute(AttributeType::SESSION_TIMEOUT, &[0, 1, 0, 0]);
    assert_eq!(limit(&|writer| longer(timeout(writer))), after(false));
    assert_eq!(limit(&|writer| timeout(longer(writer))), after(false));
    let both = |writer: Writer, second| action(action(timeout(writer), 1), second);
    assert_eq!(limit(&|writer| both(writer, 1)), after(true));
    assert_eq!(limit(&|writer| both(writer, 0)), after(false));
    let short = |writer: Writer| writer.attribute(AttributeType::SESSION_TIMEOUT, &[1]);
    assert_eq!(
        limit(&short),
        Err(Error::Number(AttributeType::SESSION_TIMEOUT))
    );
}

#[test]
fn eap_messages_with_others_between_them_are_ignored() {
    let (mut client, request) = asked(IDENTITY);
    let scattered = accept_with(&request, |writer| {
        writer.attribute(AttributeType::STATE, b"s").eap(&SUCCESS)
    });
    assert_eq!(client.handle(&scattered).unwrap_err(), Error::ScatteredEap);
    assert!(client.poll_timeout().is_some());
}

#[test]
fn what_was_given_up_is_not_answered_any_more() {
    let (mut client, request) = asked(IDENTITY);
    client.abandon();
    let late = request.reject(&secret(), Some(&FAILURE)).unwrap();
    assert_eq!(client.handle(&late).unwrap_err(), Error::NothingAsked);
    assert_eq!(client.poll_timeout(), None);
}

proptest! {
    #[test]
    fn no_datagram_makes_the_client_or_the_server_panic_or_believe(datagram in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (mut client, _) = asked(IDENTITY);
        prop_assert!(client.handle(&datagram).is_err());
        prop_assert!(Request::parse(&datagram, &secret()).is_err());
    }

    #[test]
    fn no_attributes_behind_a_valid_header_make_the_parser_panic(attributes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let length = (20 + attributes.len() as u16).to_be_bytes();
        let datagram = [&[2, 0, length[0], length[1]][..], &[0; 16], &attributes].concat();
        if let Ok(packet) = Packet::parse(&datagram) {
            prop_assert_eq!(packet.attributes.iter().map(|(_, value)| value.len() + 2).sum::<usize>(), attributes.len());
        }
    }
}
