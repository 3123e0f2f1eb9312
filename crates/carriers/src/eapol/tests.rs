//! The supplicant against a correct authenticator, a hostile one, and a link that loses frames.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const AUTHENTICATOR: Address = [2, 0, 0, 0, 0, 1];
const IDENTITY: [u8; 5] = [1, 7, 0, 5, 1];
const METHOD: [u8; 8] = [1, 8, 0, 8, 50, 1, 0, 0];
const SUCCESS: [u8; 4] = [3, 8, 0, 4];
const FAILURE: [u8; 4] = [4, 8, 0, 4];
const HELD: Duration = Duration::from_secs(20);

fn eap(packet: &[u8]) -> Vec<u8> {
    Frame::build(Kind::Eap, packet).unwrap()
}

fn drain(supplicant: &mut Supplicant) -> Vec<Output> {
    std::iter::from_fn(|| supplicant.poll()).collect()
}

fn sent(kind: Kind, outputs: &[Output]) -> usize {
    let kinds = outputs.iter().filter_map(|output| match output {
        Output::Transmit { pdu, .. } => Some(Frame::parse(pdu).unwrap().kind),
        _ => None,
    });
    kinds.filter(|sent| *sent == kind).count()
}

/// A supplicant that has just sent its first EAPOL-Start.
fn connecting(now: Instant) -> Supplicant {
    let mut supplicant = Supplicant::new(Timers::default());
    supplicant.link(now, true);
    supplicant.connect(now);
    assert_eq!(sent(Kind::Start, &drain(&mut supplicant)), 1);
    supplicant
}

fn hear(supplicant: &mut Supplicant, now: Instant, packet: &[u8]) -> Vec<Output> {
    supplicant
        .handle_frame(now, AUTHENTICATOR, false, &eap(packet))
        .unwrap();
    drain(supplicant)
}

/// A supplicant whose port is open.
fn authenticated(now: Instant) -> Supplicant {
    let mut supplicant = connecting(now);
    hear(&mut supplicant, now, &IDENTITY);
    hear(&mut supplicant, now, &METHOD);
    hear(&mut supplicant, now, &SUCCESS);
    supplicant.succeeded(now);
    assert_eq!(
        drain(&mut supplicant),
        [Output::Port(PortStatus::Authorised)]
    );
    supplicant
}

#[test]
fn padding_behind_the_body_is_no_part_of_it() {
    let mut pdu = eap(&IDENTITY);
    pdu.resize(46, 0xa5);
    let frame = Frame::parse(&pdu).unwrap();
    assert_eq!((frame.kind, frame.body), (Kind::Eap, &IDENTITY[..]));
}

#[test]
fn a_later_version_is_read_like_ours() {
    let mut pdu = eap(&IDENTITY);
    pdu[0] = 9;
    assert_eq!(Frame::parse(&pdu).unwrap().version, 9);
    let mut supplicant = connecting(Instant::now());
    supplicant
        .handle_frame(Instant::now(), AUTHENTICATOR, false, &pdu)
        .unwrap();
    assert_eq!(supplicant.state(), State::Authenticating);
}

#[test]
fn frames_that_claim_more_than_they_hold_are_told_apart() {
    assert_eq!(Frame::parse(&[2, 0, 0]), Err(Error::TooShort { octets: 3 }));
    let pdu = [2, 0, 0xff, 0xff, 1];
    let error = Error::Length {
        claimed: 0xffff,
        received: 1,
    };
    assert_eq!(Frame::parse(&pdu), Err(error));
    assert_eq!(
        Frame::build(Kind::Eap, &vec![0; 70_000]),
        Err(Error::TooLong { octets: 70_000 })
    );
}

#[test]
fn starts_go_to_the_group_address_and_then_there_is_no_authenticator() {
    let mut now = Instant::now();
    let mut supplicant = Supplicant::new(Timers::default());
    supplicant.link(now, true);
    supplicant.connect(now);
    let mut starts = 0;
    while supplicant.state() == State::Connecting {
        for output in drain(&mut supplicant) {
            let Output::Transmit { destination, pdu } = output else {
                panic!("{output:?}")
            };
            assert_eq!(destination, PAE_GROUP_ADDRESS);
            assert_eq!(pdu, [2, 1, 0, 0]);
            starts += 1;
            assert_eq!(
                supplicant.starts(),
                Some((starts, Timers::default().max_start))
            );
        }
        now = supplicant.poll_timeout().unwrap();
        supplicant.handle_timeout(now);
    }
    assert_eq!(starts, Timers::default().max_start);
    // IEEE 802.1X-2004 would open the port here, for a LAN without authentication.
    assert_eq!(supplicant.state(), State::Held);
    assert_eq!(supplicant.starts(), None);
    assert_eq!(supplicant.port().status(), PortStatus::Unauthorised);
    now += Timers::default().held_period;
    supplicant.handle_timeout(now);
    assert_eq!(supplicant.state(), State::Connecting);
}

#[test]
fn no_frame_is_sent_without_a_link_or_after_disconnect() {
    let now = Instant::now();
    let mut supplicant = Supplicant::new(Timers::default());
    supplicant.connect(now);
    supplicant.disconnect();
    supplicant.link(now, true);
    supplicant.respond(&IDENTITY);
    supplicant
        .handle_frame(now, AUTHENTICATOR, false, &eap(&IDENTITY))
        .unwrap();
    supplicant.succeeded(now);
    supplicant.failed(now, HELD);
    assert_eq!(drain(&mut supplicant), []);
    assert_eq!(supplicant.state(), State::Idle);
    // The supplicant was told to connect before the link came up.
    supplicant.link(now, false);
    supplicant.connect(now);
    supplicant.link(now, true);
    assert_eq!(sent(Kind::Start, &drain(&mut supplicant)), 1);
}

#[test]
fn response_to_a_unicast_request_is_unicast() {
    let now = Instant::now();
    for (unicast, expected) in [(false, PAE_GROUP_ADDRESS), (true, AUTHENTICATOR)] {
        let mut supplicant = connecting(now);
        supplicant
            .handle_frame(now, AUTHENTICATOR, unicast, &eap(&IDENTITY))
            .unwrap();
        supplicant.respond(&[2, 7, 0, 5, 1]);
        let Some(Output::Transmit { destination, .. }) = drain(&mut supplicant).pop() else {
            panic!()
        };
        assert_eq!(destination, expected);
    }
}

#[test]
fn only_eap_success_opens_the_port_and_each_end_closes_it() {
    type End = fn(&mut Supplicant, Instant);
    let ends: [(&str, End); 5] = [
        ("failure", |supplicant, now| {
            hear(supplicant, now, &METHOD);
            supplicant.proved();
            supplicant.failed(now, HELD);
        }),
        ("logoff", |supplicant, _| supplicant.disconnect()),
        ("link down", |supplicant, now| supplicant.link(now, false)),
        ("silence in a re-authentication", |supplicant, now| {
            hear(supplicant, now, &METHOD);
            supplicant.proved();
            supplicant.handle_timeout(now + Timers::default().auth_period);
        }),
        ("silence after our own Start", |supplicant, now| {
            supplicant.connect(now);
            for seconds in [5, 10, 15] {
                supplicant.handle_timeout(now + Duration::from_secs(seconds));
            }
        }),
    ];
    for (name, end) in ends {
        let now = Instant::now();
        let mut supplicant = authenticated(now);
        assert_eq!(supplicant.port().status(), PortStatus::Authorised);
        end(&mut supplicant, now);
        assert_eq!(
            supplicant.port().status(),
            PortStatus::Unauthorised,
            "{name}"
        );
        let outputs = drain(&mut supplicant);
        assert!(
            outputs.contains(&Output::Port(PortStatus::Unauthorised)),
            "{name}: {outputs:?}"
        );
        assert_eq!(sent(Kind::Logoff, &outputs), usize::from(name == "logoff"));
    }
}

#[test]
fn an_eap_success_that_the_peer_does_not_believe_opens_nothing() {
    let now = Instant::now();
    let mut supplicant = connecting(now);
    hear(&mut supplicant, now, &IDENTITY);
    let outputs = hear(&mut supplicant, now, &SUCCESS);
    assert_eq!(outputs, [Output::Eap(SUCCESS.to_vec())]);
    assert_eq!(supplicant.port().status(), PortStatus::Unauthorised);
}

/// hostap 52b4cae4c: some authenticators ask for the identity from time to time, and for nothing
/// else.
#[test]
fn periodic_identity_requests_keep_the_port_open() {
    let start = Instant::now();
    let mut supplicant = authenticated(start);
    for minute in 1..60 {
        let now = start + Duration::from_secs(60 * minute);
        supplicant.handle_timeout(now);
        let outputs = hear(&mut supplicant, now, &IDENTITY);
        assert_eq!(outputs, [Output::Eap(IDENTITY.to_vec())]);
        supplicant.respond(&[2, 7, 0, 5, 1]);
        assert_eq!(sent(Kind::Eap, &drain(&mut supplicant)), 1);
        assert_eq!(supplicant.poll_timeout(), None);
    }
    assert_eq!(supplicant.port().status(), PortStatus::Authorised);
}

#[test]
fn the_port_stays_open_through_a_reauthentication_that_succeeds() {
    let now = Instant::now();
    let mut supplicant = authenticated(now);
    hear(&mut supplicant, now, &IDENTITY);
    hear(&mut supplicant, now, &METHOD);
    assert_eq!(supplicant.state(), State::Authenticating);
    supplicant.succeeded(now);
    assert_eq!(drain(&mut supplicant), []);
    assert_eq!(supplicant.port().status(), PortStatus::Authorised);
}

#[test]
fn unsolicited_eap_failure_leads_to_one_eapol_start_per_held_period() {
    let start = Instant::now();
    let mut supplicant = authenticated(start);
    let soon = hear(&mut supplicant, start, &FAILURE);
    assert_eq!(soon, [Output::Eap(FAILURE.to_vec())]);
    let now = start + Timers::default().held_period;
    let first = hear(&mut supplicant, now, &FAILURE);
    let second = hear(&mut supplicant, now, &FAILURE);
    assert_eq!(
        (sent(Kind::Start, &first), sent(Kind::Start, &second)),
        (1, 0)
    );
    assert_eq!(supplicant.port().status(), PortStatus::Authorised);
}

#[test]
fn a_failed_attempt_rests_unless_the_authenticator_asks() {
    let now = Instant::now();
    for asked in [false, true] {
        let mut supplicant = connecting(now);
        hear(&mut supplicant, now, &METHOD);
        supplicant.failed(now, HELD);
        assert_eq!(supplicant.state(), State::Held);
        assert_eq!(supplicant.poll_timeout(), Some(now + HELD));
        if asked {
            hear(&mut supplicant, now, &IDENTITY);
            assert_eq!(supplicant.state(), State::Authenticating);
        } else {
            supplicant.handle_timeout(now + HELD);
            assert_eq!(supplicant.state(), State::Connecting);
        }
    }
}

#[test]
fn unsolicited_requests_and_failures_do_not_prolong_the_held_state() {
    let now = Instant::now();
    let mut supplicant = connecting(now);
    hear(&mut supplicant, now, &METHOD);
    assert!(supplicant.asked());
    supplicant.failed(now, HELD);
    for second in 1..HELD.as_secs() {
        let now = now + Duration::from_secs(second);
        hear(&mut supplicant, now, &METHOD);
        assert_eq!(supplicant.state(), State::Authenticating);
        assert!(!supplicant.asked());
        hear(&mut supplicant, now, &FAILURE);
        supplicant.failed(now, HELD);
    }
    assert_eq!(supplicant.poll_timeout(), Some(now + HELD));
    supplicant.handle_timeout(now + HELD);
    hear(&mut supplicant, now + HELD, &METHOD);
    assert!(supplicant.asked());

    let mut supplicant = authenticated(now);
    hear(&mut supplicant, now, &METHOD);
    supplicant.proved();
    assert!(!supplicant.asked());
    supplicant.failed(now, HELD);
    assert_eq!(supplicant.poll_timeout(), Some(now + HELD));
}

/// A request of a method that the peer doesn't speak and an EAP-Failure are enough to end an
/// attempt, and a request alone is enough to begin one that falls silent.
#[test]
fn frames_that_anybody_can_forge_leave_an_open_port_open() {
    type End = fn(&mut Supplicant, Instant);
    let ends: [End; 2] = [
        |supplicant, now| {
            hear(supplicant, now, &FAILURE);
            supplicant.failed(now, HELD);
        },
        |supplicant, now| supplicant.handle_timeout(now + Timers::default().auth_period),
    ];
    for end in ends {
        let start = Instant::now();
        for before in [Duration::ZERO, Timers::default().held_period] {
            let mut supplicant = authenticated(start);
            let now = start + before;
            hear(&mut supplicant, now, &METHOD);
            assert_eq!(supplicant.state(), State::Authenticating);
            end(&mut supplicant, now);
            assert_eq!(supplicant.state(), State::Authenticated);
            let outputs = drain(&mut supplicant);
            let closed = Output::Port(PortStatus::Unauthorised);
            assert!(!outputs.contains(&closed), "{outputs:?}");
            assert_eq!(supplicant.port().status(), PortStatus::Authorised);
        }
    }
}

#[test]
fn an_attempt_that_fell_silent_before_a_proof_is_over_for_the_peer() {
    let now = Instant::now();
    let mut supplicant = authenticated(now);
    hear(&mut supplicant, now, &METHOD);
    supplicant.handle_timeout(now + Timers::default().auth_period);
    assert!(drain(&mut supplicant).contains(&Output::Abandon));
}

/// The EAPOL-Starts in these outputs, all to the group address.
fn starts(outputs: &[Output]) -> usize {
    let transmitted = outputs.iter().filter_map(|output| match output {
        Output::Transmit { destination, pdu } => Some((*destination, &pdu[..])),
        _ => None,
    });
    transmitted
        .inspect(|sent| assert_eq!(*sent, (PAE_GROUP_ADDRESS, &[2, 1, 0, 0][..])))
        .count()
}

/// An authenticator that has restarted may need an EAPOL-Start, and may miss one.
#[test]
fn a_doubtful_session_leads_to_one_eapol_start_per_held_period_until_a_success() {
    let start = Instant::now();
    let period = Timers::default().held_period;
    let mut supplicant = authenticated(start);
    hear(&mut supplicant, start, &FAILURE);
    // Nobody answers.
    for number in 1..20 {
        let now = supplicant.poll_timeout().unwrap();
        assert_eq!(now, start + number * period);
        supplicant.handle_timeout(now);
        assert_eq!(starts(&drain(&mut supplicant)), 1);
        assert_eq!(supplicant.port().status(), PortStatus::Authorised);
    }
    let now = start + 20 * period;
    hear(&mut supplicant, now, &IDENTITY);
    hear(&mut supplicant, now, &METHOD);
    supplicant.proved();
    supplicant.succeeded(now);
    assert_eq!(supplicant.poll_timeout(), None);
}

/// This is also what keeps whoever forges frames from closing the port sooner.
#[test]
fn the_third_eapol_start_that_leads_to_a_failure_ends_the_session_and_none_before() {
    let start = Instant::now();
    let period = Timers::default().held_period;
    let mut supplicant = authenticated(start);
    let mut sent = Vec::new();
    let mut now = start;
    // Two failures a second.
    while supplicant.state() == State::Authenticated {
        assert!(now < start + 10 * period, "the port stays open");
        supplicant.handle_timeout(now);
        let mut outputs = drain(&mut supplicant);
        outputs.extend(hear(&mut supplicant, now, &METHOD));
        supplicant.failed(now, HELD);
        outputs.extend(hear(&mut supplicant, now, &FAILURE));
        sent.extend(std::iter::repeat_n(now, starts(&outputs)));
        now += Duration::from_secs(1);
    }
    let last = start + MAX_REFUSALS * period;
    let expected: Vec<_> = (1..=MAX_REFUSALS)
        .map(|number| start + number * period)
        .collect();
    assert_eq!(sent, expected);
    assert_eq!(supplicant.state(), State::Held);
    assert_eq!(supplicant.port().status(), PortStatus::Unauthorised);
    // From then on, the attempts are the entity's own.
    assert_eq!(supplicant.poll_timeout(), Some(last + HELD));
    supplicant.handle_timeout(last + HELD);
    assert_eq!(supplicant.state(), State::Connecting);
    hear(&mut supplicant, last + HELD, &METHOD);
    assert!(supplicant.asked());
}

/// An authenticator may refuse an identity before its method begins, and one that has lost its
/// server falls silent.
#[test]
fn an_eap_failure_without_a_method_and_silence_are_refusals_too() {
    type End = fn(&mut Supplicant, Instant);
    let ends: [End; 2] = [
        |supplicant, now| {
            hear(supplicant, now, &IDENTITY);
            hear(supplicant, now, &FAILURE);
        },
        |supplicant, now| {
            hear(supplicant, now, &METHOD);
            supplicant.handle_timeout(now + Timers::default().auth_period);
        },
    ];
    for end in ends {
        let start = Instant::now();
        let mut supplicant = authenticated(start);
        hear(&mut supplicant, start, &FAILURE);
        for refusals in 0..MAX_REFUSALS {
            assert_eq!(supplicant.state(), State::Authenticated, "{refusals}");
            let now = supplicant.poll_timeout().unwrap();
            supplicant.handle_timeout(now);
            assert_eq!(starts(&drain(&mut supplicant)), 1);
            end(&mut supplicant, now);
        }
        assert_eq!(supplicant.state(), State::Held);
        assert_eq!(supplicant.port().status(), PortStatus::Unauthorised);
    }
}

#[test]
fn a_success_ends_the_doubt_and_the_refusals_before_it_do_not_count() {
    let mut now = Instant::now();
    let mut supplicant = authenticated(now);
    for round in 0..10 * MAX_REFUSALS {
        hear(&mut supplicant, now, &FAILURE);
        for _ in 1..MAX_REFUSALS {
            now = supplicant.poll_timeout().unwrap();
            supplicant.handle_timeout(now);
            hear(&mut supplicant, now, &METHOD);
            supplicant.failed(now, HELD);
        }
        assert_eq!(supplicant.state(), State::Authenticated, "{round}");
        hear(&mut supplicant, now, &METHOD);
        supplicant.proved();
        supplicant.succeeded(now);
        assert_eq!(supplicant.poll_timeout(), None);
    }
}

/// Each of them would begin the time anew that an authenticator has for its next packet.
#[test]
fn forged_requests_do_not_keep_an_open_port_from_asking_its_authenticator() {
    let start = Instant::now();
    let mut supplicant = authenticated(start);
    let mut outputs = Vec::new();
    let mut seconds = 0;
    while starts(&outputs) == 0 {
        let now = start + Duration::from_secs(seconds);
        assert!(now < start + 3 * Timers::default().held_period);
        supplicant.handle_timeout(now);
        outputs.extend(hear(&mut supplicant, now, &METHOD));
        seconds += 1;
    }
    assert_eq!(supplicant.port().status(), PortStatus::Authorised);
}

#[test]
fn an_order_to_ask_again_sends_one_eapol_start_in_a_doubtful_session_and_in_no_other() {
    let now = Instant::now();
    let mut supplicant = authenticated(now);
    supplicant.ask_again(now);
    assert_eq!(drain(&mut supplicant), []);
    hear(&mut supplicant, now, &FAILURE);
    supplicant.ask_again(now);
    assert_eq!(starts(&drain(&mut supplicant)), 1);
    let next = now + Timers::default().held_period;
    assert_eq!(supplicant.poll_timeout(), Some(next));
}

/// Otherwise a forged request would take the renewal of a session away.
#[test]
fn an_order_to_connect_ends_an_attempt_that_anybody_may_have_begun_and_no_other() {
    let now = Instant::now();
    for proved in [false, true] {
        let mut supplicant = authenticated(now);
        hear(&mut supplicant, now, &METHOD);
        if proved {
            supplicant.proved();
        }
        supplicant.connect(now);
        let outputs = drain(&mut supplicant);
        assert_eq!(outputs.contains(&Output::Abandon), !proved);
        assert_eq!(sent(Kind::Start, &outputs), usize::from(!proved));
        assert_eq!(supplicant.port().status(), PortStatus::Authorised);
    }
}

#[test]
fn an_authenticator_that_falls_silent_is_asked_again() {
    let now = Instant::now();
    let mut supplicant = connecting(now);
    hear(&mut supplicant, now, &METHOD);
    supplicant.handle_timeout(now + Timers::default().auth_period);
    let outputs = drain(&mut supplicant);
    assert_eq!(outputs[0], Output::Abandon);
    assert_eq!(sent(Kind::Start, &outputs), 1);
}

/// While the port was open, the peer may have answered an authenticator that only asked for the
/// identity.
#[test]
fn whatever_ends_or_renews_a_session_ends_what_the_peer_has_begun() {
    let now = Instant::now();
    let ends: [fn(&mut Supplicant, Instant); 3] = [
        |supplicant, now| supplicant.connect(now),
        |supplicant, now| supplicant.link(now, false),
        |supplicant, _| supplicant.disconnect(),
    ];
    for end in ends {
        let mut supplicant = connecting(now);
        hear(&mut supplicant, now, &METHOD);
        supplicant.succeeded(now);
        drain(&mut supplicant);
        end(&mut supplicant, now);
        assert!(drain(&mut supplicant).contains(&Output::Abandon));
    }
}

#[test]
fn other_kinds_of_frames_change_nothing() {
    let now = Instant::now();
    let mut supplicant = connecting(now);
    for kind in [Kind::Start, Kind::Logoff, Kind::Other(3), Kind::Other(255)] {
        let pdu = Frame::build(kind, &METHOD).unwrap();
        supplicant
            .handle_frame(now, AUTHENTICATOR, false, &pdu)
            .unwrap();
    }
    assert_eq!(drain(&mut supplicant), []);
    assert_eq!(supplicant.state(), State::Connecting);
}

/// Bodies that no authenticator sends (RFC 3748 §4).
const NO_PACKETS: [&[u8]; 18] = [
    &[],
    &[1],
    &[1, 9, 0],
    // A request without a type, one that claims more than there is, and one that claims less.
    &[1, 9, 0, 4],
    &[1, 9, 0, 9, 50, 1, 0, 0],
    &[1, 9, 0, 4, 50],
    &[1, 9, 0, 0, 50],
    &[1, 9, 0xff, 0xff, 50, 1, 0, 0],
    // A request to be answered with nothing, and one that is an answer.
    &[1, 9, 0, 5, 0],
    &[1, 9, 0, 6, 3, 50],
    // A result with data, and results that claim too much or too little.
    &[3, 9, 0, 5, 0],
    &[4, 9, 0, 5, 0],
    &[4, 9, 0, 3],
    &[4, 9, 0, 8],
    // A response, and codes that aren't defined.
    &[2, 9, 0, 5, 1],
    &[0, 9, 0, 4],
    &[5, 9, 0, 5, 50],
    &[0xff; 60],
];

#[test]
fn what_is_no_eap_packet_of_an_authenticator_changes_nothing_in_any_state() {
    let start = Instant::now();
    let now = start + Timers::default().held_period;
    let mut held = connecting(start);
    hear(&mut held, start, &METHOD);
    held.failed(now, HELD);
    drain(&mut held);
    let mut conversing = authenticated(start);
    conversing
        .handle_frame(start, AUTHENTICATOR, true, &eap(&METHOD))
        .unwrap();
    drain(&mut conversing);
    for mut supplicant in [connecting(start), authenticated(start), held, conversing] {
        let before = format!("{supplicant:?}");
        for body in NO_PACKETS {
            let handled = supplicant.handle_frame(now, [2; 6], false, &eap(body));
            assert!(handled.is_err(), "{body:?}");
            assert_eq!(format!("{supplicant:?}"), before, "{body:?}");
        }
    }
}

#[test]
fn an_eap_packet_goes_to_the_peer_without_what_follows_it() {
    let now = Instant::now();
    let mut supplicant = connecting(now);
    let padded = [&METHOD[..], &[0; 40]].concat();
    assert_eq!(
        hear(&mut supplicant, now, &padded),
        [Output::Eap(METHOD.to_vec())]
    );
}

#[test]
fn a_text_to_display_begins_no_attempt() {
    let now = Instant::now();
    let mut supplicant = authenticated(now);
    let text = [1, 9, 0, 7, 2, b'h', b'i'];
    assert_eq!(
        hear(&mut supplicant, now, &text),
        [Output::Eap(text.to_vec())]
    );
    assert_eq!(supplicant.state(), State::Authenticated);
    assert_eq!(supplicant.poll_timeout(), None);
}

/// A link that loses, duplicates or delays three frames in ten.
struct Link {
    random: u64,
    late: Option<Vec<u8>>,
}

impl Link {
    fn chance(&mut self, of_ten: u64) -> bool {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 10 < of_ten
    }

    fn carry(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        if self.chance(3) {
            return Vec::new();
        }
        let mut arrives = vec![frame];
        if self.chance(3) {
            arrives.push(arrives[0].clone());
        }
        if self.chance(3) {
            let first = arrives.remove(0);
            arrives.extend(self.late.replace(first));
        } else {
            arrives.extend(self.late.take());
        }
        arrives
    }
}

/// An authenticator with a method of three rounds: repeats its request (RFC 3748 §4.3),
/// every three seconds.
struct Authenticator {
    identifier: u8,
    round: u8,
    waiting: bool,
    repeat: Instant,
}

impl Authenticator {
    const ROUNDS: u8 = 3;

    fn request(&self) -> Vec<u8> {
        let kind = if self.round == 0 { 1 } else { 50 };
        eap(&[1, self.identifier, 0, 5, kind])
    }

    fn hear(&mut self, now: Instant, pdu: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame::parse(pdu).unwrap();
        match (frame.kind, frame.body) {
            (Kind::Start, _) => {
                self.round = 0;
                self.waiting = true;
            }
            (Kind::Eap, [2, identifier, ..]) if self.waiting && *identifier == self.identifier => {
                self.round += 1;
            }
            _ => return None,
        }
        self.identifier = self.identifier.wrapping_add(1);
        self.repeat = now + Duration::from_secs(3);
        if self.round > Self::ROUNDS {
            self.waiting = false;
            return Some(eap(&[3, self.identifier.wrapping_sub(1), 0, 4]));
        }
        Some(self.request())
    }
}

#[test]
fn a_link_that_loses_doubles_and_reorders_three_frames_in_ten_ends_with_an_open_port() {
    for seed in 0..200 {
        let mut now = Instant::now();
        let limit = now + Duration::from_secs(3600);
        let mut link = Link {
            random: seed,
            late: None,
        };
        let mut supplicant = Supplicant::new(Timers::default());
        let mut authenticator = Authenticator {
            identifier: 1,
            round: 0,
            waiting: false,
            repeat: now,
        };
        supplicant.link(now, true);
        supplicant.connect(now);
        // The peer answers each request, and accepts a success after the last round.
        let mut rounds = 0;
        while supplicant.port().status() == PortStatus::Unauthorised {
            assert!(now < limit, "seed {seed}");
            let Some(output) = supplicant.poll() else {
                let repeat = authenticator.waiting.then_some(authenticator.repeat);
                now = [supplicant.poll_timeout(), repeat]
                    .into_iter()
                    .flatten()
                    .min()
                    .unwrap();
                supplicant.handle_timeout(now);
                if repeat == Some(now) {
                    authenticator.repeat = now + Duration::from_secs(3);
                    for pdu in link.carry(authenticator.request()) {
                        // A frame that is late may be one of ours.
                        let _ = supplicant.handle_frame(now, AUTHENTICATOR, false, &pdu);
                    }
                }
                continue;
            };
            match output {
                Output::Transmit { pdu, .. } => {
                    for pdu in link.carry(pdu) {
                        let Some(answer) = authenticator.hear(now, &pdu) else {
                            continue;
                        };
                        for pdu in link.carry(answer) {
                            let _ = supplicant.handle_frame(now, AUTHENTICATOR, false, &pdu);
                        }
                    }
                }
                Output::Eap(packet) => match packet[0] {
                    1 => {
                        rounds += u32::from(packet[4] == 50);
                        supplicant.respond(&[2, packet[1], 0, 5, packet[4]]);
                    }
                    3 if rounds > 0 => supplicant.succeeded(now),
                    _ => {}
                },
                Output::Abandon => rounds = 0,
                Output::Port(_) => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn no_frame_makes_the_supplicant_panic_or_open_the_port(
        frames in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..64), any::<bool>(), 0u64..40), 0..20)
    ) {
        let mut now = Instant::now();
        let mut supplicant = connecting(now);
        for (pdu, unicast, seconds) in frames {
            now += Duration::from_secs(seconds);
            supplicant.handle_timeout(now);
            let _ = supplicant.handle_frame(now, AUTHENTICATOR, unicast, &pdu);
            let valid = eap(&pdu);
            let _ = supplicant.handle_frame(now, AUTHENTICATOR, unicast, &valid);
            prop_assert_eq!(supplicant.port().status(), PortStatus::Unauthorised);
            drain(&mut supplicant);
        }
    }
}
