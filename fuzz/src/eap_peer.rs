//! The peer between a hostile server and a holder of the SIM that accepts everything: checks what
//! the peer promises without any key.

use std::collections::HashMap;

use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Config, ForwardSecrecy, Group, Identity, IdentityKind,
    IdentityRequest, Method, Nai, NetworkNamePolicy, Outcome, OuterIdentity, Output, Peer,
    ReauthenticationAnswer,
};
use softsim_eap_packet::{Code, Packet, Type, typed};

/// The identity that names the subscriber.
const NAMED: &str = "6001010123456789@home.example";

/// How many answers the peer keeps to repeat them.
const REMEMBERED: usize = 64;

/// Runs the input as a script: an octet of configuration, then packets, answers and results.
pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let config = config(script.octet());
    let mut play = Play {
        requires: config.forward_secrecy == ForwardSecrecy::Require,
        peer: Peer::new(config),
        open: None,
        asked: HashMap::new(),
        ends: 0,
        proofs: 0,
        successes: 0,
        last: 0,
    };
    while !script.0.is_empty() {
        play.act(&mut script);
        play.settle();
    }
}

/// The rest of the input; zeros after its end.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octet(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn octets(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()) << 8 | usize::from(self.octet());
        let (octets, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        octets
    }
}

fn config(choice: u8) -> Config {
    let methods = match choice >> 5 & 1 {
        0 => vec![Method::AkaPrime, Method::Aka],
        _ => vec![Method::Aka],
    };
    Config {
        forward_secrecy: match choice & 3 {
            0 => ForwardSecrecy::Off,
            1 => ForwardSecrecy::Require,
            _ => ForwardSecrecy::Allow,
        },
        outer: match choice >> 2 & 7 {
            0 | 1 => OuterIdentity::Any,
            2 => OuterIdentity::PseudonymOrPermanent,
            3 => OuterIdentity::Anonymous,
            4 => OuterIdentity::Suci,
            5 => OuterIdentity::Fixed(identity("box17@home.example", IdentityKind::Anonymous)),
            _ => OuterIdentity::Fixed(identity(NAMED, IdentityKind::Permanent)),
        },
        methods,
        result_indication: choice & 0x40 == 0,
        decoration: (choice & 0x80 != 0).then(|| "visited.example".to_owned()),
        network_name_policy: NetworkNamePolicy::Warn,
        ..Config::new()
    }
}

fn identity(nai: &str, kind: IdentityKind) -> Identity {
    let nai = Nai::new(nai).expect("a good identity");
    Identity { nai, kind }
}

struct Play {
    requires: bool,
    peer: Peer,
    open: Option<Ask>,
    /// The requests for which AKA ran, and when, counted in answered requests.
    asked: HashMap<Vec<u8>, usize>,
    ends: usize,
    /// Challenges and re-authentications that were accepted.
    proofs: usize,
    successes: usize,
    /// The identifier of the last response.
    last: u8,
}

impl Play {
    fn act(&mut self, script: &mut Script<'_>) {
        let act = script.octet();
        match act & 7 {
            0 => self.peer.handle_packet(script.octets()),
            1 => {
                let kind = match act >> 3 & 1 {
                    0 => Type::AkaPrime,
                    _ => Type::Aka,
                };
                let (identifier, data) = (script.octet(), script.octets());
                if let Ok(packet) = typed(Code::Request, identifier, kind, data) {
                    self.peer.handle_packet(&packet);
                }
            }
            2 => {
                if let Some(ask) = self.open.take() {
                    let answer = self.good(&ask, act >> 3);
                    self.peer.answer(answer);
                }
            }
            3 => {
                // It fits only an ask of its own kind.
                let fits = matches!(self.open, Some(Ask::Verify { .. }));
                self.open = self.open.take().filter(|_| !fits);
                self.peer.answer(Answer::Verify(false));
            }
            4 => self.peer.handle_packet(&[3, self.last, 0, 4]),
            5 => self.peer.handle_packet(&[4, self.last, 0, 4]),
            6 => {
                let request = [1, script.octet(), 0, 5, 1];
                self.peer.handle_packet(&request);
            }
            _ => {
                self.open = None;
                self.ends += 1;
                self.peer.carrier_failed();
            }
        }
    }

    /// An answer that fits the ask; `choice` varies it.
    fn good(&mut self, ask: &Ask, choice: u8) -> Answer {
        match ask {
            Ask::Identity { wanted, .. } => match choice % 7 {
                6 if *wanted == IdentityRequest::Suci => Answer::Identity(identity(
                    "type0.rid0.schid1@home.example",
                    IdentityKind::Suci,
                )),
                0 => Answer::Identity(identity(
                    "8reauth@home.example",
                    IdentityKind::Reauthentication,
                )),
                1 => Answer::Identity(identity("7pseudonym", IdentityKind::Pseudonym)),
                2 => Answer::Identity(identity(NAMED, IdentityKind::Permanent)),
                3 => Answer::Identity(identity("anonymous@home.example", IdentityKind::Anonymous)),
                4 => Answer::Withheld,
                _ => Answer::Unavailable,
            },
            Ask::Challenge { group, .. } => Answer::Challenge(match choice % 8 {
                0 => ChallengeAnswer::SyncFailure([7; 14]),
                1 => ChallengeAnswer::AutnRejected,
                2 => ChallengeAnswer::MacInvalid,
                3 => ChallengeAnswer::PublicKeyInvalid,
                _ => {
                    self.proofs += 1;
                    ChallengeAnswer::Success {
                        res: vec![5; 8],
                        res_bits: 64,
                        public_key: group.map(|group| vec![2; Group::public_key_length(group)]),
                    }
                }
            }),
            Ask::Reauthentication { .. } => Answer::Reauthentication(match choice % 4 {
                0 => ReauthenticationAnswer::CounterTooSmall,
                1 => ReauthenticationAnswer::Invalid,
                _ => {
                    self.proofs += 1;
                    ReauthenticationAnswer::Fresh { nonce_s: [6; 16] }
                }
            }),
            Ask::Verify { .. } => Answer::Verify(!choice.is_multiple_of(4)),
            Ask::EncryptedCounter => Answer::Encrypted {
                iv: [1; 16],
                data: vec![2; 16],
            },
            Ask::Mac { .. } => Answer::Mac([4; 16]),
        }
    }

    fn settle(&mut self) {
        let (mut sent, mut done) = (0, 0);
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Send(packet) => {
                    sent += 1;
                    self.sent(&packet);
                }
                Output::Ask(ask) => {
                    assert!(self.open.is_none(), "one ask at a time");
                    self.once(&ask);
                    self.open = Some(ask);
                }
                Output::Note(note) => drop(note.to_string()),
                Output::Refused => {}
                Output::Done(outcome) => {
                    done += 1;
                    self.successes += usize::from(matches!(outcome, Outcome::Success(_)));
                    assert!(self.successes <= self.proofs, "success needs proof");
                }
            }
        }
        assert!(sent <= 1 && done <= 1);
    }

    fn once(&mut self, ask: &Ask) {
        if let Ask::Challenge { packet, .. } | Ask::Reauthentication { packet, .. } = ask {
            let before = self.asked.insert(packet.clone(), self.ends);
            let forgotten = before.is_none_or(|before| self.ends - before >= REMEMBERED);
            assert!(forgotten, "AKA runs once for a request");
        }
    }

    fn sent(&mut self, octets: &[u8]) {
        self.ends += 1;
        let packet = Packet::parse(octets).expect("the peer sends EAP");
        assert_eq!(packet.code, Code::Response);
        self.last = packet.identifier;
        let named = octets
            .windows(16)
            .any(|part| part == &NAMED.as_bytes()[..16]);
        assert!(!(named && self.requires), "no identity against the policy");
        if let Ok(message) = packet.aka() {
            assert!(
                message.res().is_none() || self.proofs > 0,
                "RES needs proof"
            );
        }
    }
}
