//! The peer of EAP (RFC 3748 section 4): requests, results, retransmissions; the method itself is a [`Conversation`].

use crate::answered::{Answered, Current, Fingerprint, fingerprint};
use crate::config::Config;
use crate::conversation::{Conversation, Reaction};
use crate::note::{Direction, Note};
use crate::outcome::Outcome;
use crate::packet::{self, Code, Packet, Subtype, Type};
use std::collections::VecDeque;
use std::fmt;

/// What the peer wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this packet to the server.
    Send(Vec<u8>),
    /// Ask whoever holds the SIM, and give the reply to [`Peer::answer`]. At most one ask is open at a time.
    Ask(Ask),
    /// Something passed that people may want to read.
    Note(Note),
    /// The conversation ended. Another may follow in the same peer, begun by the server.
    Done(Outcome),
}

/// A question to the holder of the SIM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Check AUTN and AT_MAC of this challenge, run AKA, derive the keys: answer with [`Answer::Challenge`].
    Challenge {
        /// The whole EAP request.
        packet: Vec<u8>,
        /// The identity that enters the key derivation.
        identity: Vec<u8>,
    },
    /// Check AT_MAC of this request with the keys of the last challenge: answer with [`Answer::Verify`].
    Verify {
        /// The whole EAP request.
        packet: Vec<u8>,
    },
    /// Compute AT_MAC of this response with the keys of the last challenge: answer with [`Answer::Mac`].
    Mac {
        /// The whole EAP response, AT_MAC zero.
        packet: Vec<u8>,
    },
}

/// The reply to an [`Ask`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Challenge`].
    Challenge(ChallengeAnswer),
    /// To [`Ask::Mac`]: the 16 octets of AT_MAC.
    Mac([u8; 16]),
    /// To [`Ask::Verify`]: whether AT_MAC is right.
    Verify(bool),
    /// To any ask: the SIM can't be asked now, or refuses for reasons of its own.
    Unavailable,
}

/// What the SIM made of a challenge.
#[derive(PartialEq, Eq)]
pub enum ChallengeAnswer {
    /// AUTN and AT_MAC are right, and the SQN is stored.
    Success {
        /// RES, ⌈res_bits / 8⌉ octets.
        res: Vec<u8>,
        /// The length of RES in bits, 32 to 128.
        res_bits: u16,
    },
    /// AUTN is genuine, its SQN is out of range; this is AUTS.
    SyncFailure([u8; 14]),
    /// AUTN is wrong, or its separation bit is 0.
    AutnRejected,
    /// AUTN is right and AT_MAC is wrong.
    MacInvalid,
}

impl fmt::Debug for ChallengeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChallengeAnswer::Success { .. } => "Success([redacted])",
            ChallengeAnswer::SyncFailure(_) => "SyncFailure",
            ChallengeAnswer::AutnRejected => "AutnRejected",
            ChallengeAnswer::MacInvalid => "MacInvalid",
        })
    }
}

/// An EAP-AKA' peer.
#[derive(Debug)]
pub struct Peer {
    config: Config,
    outputs: VecDeque<Output>,
    conversation: Conversation,
    /// Counts conversations, for [`Answered`].
    number: u64,
    /// The server may begin anew: it asked for our identity, or the conversation is over.
    restart: bool,
    /// The latest EAP-Request/Identity.
    identity_request: Option<Fingerprint>,
    /// What the open ask belongs to.
    current: Option<Current>,
    answered: Answered,
}

impl Peer {
    /// A peer that waits for the server's first request.
    pub fn new(config: Config) -> Self {
        Peer {
            conversation: Conversation::new(&config),
            config,
            outputs: VecDeque::new(),
            number: 0,
            restart: false,
            identity_request: None,
            current: None,
            answered: Answered::default(),
        }
    }

    /// What is to be done next; call until `None` after each of the other calls.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes a packet from the server. Anything may come; what can't be used is noted and otherwise ignored.
    pub fn handle_packet(&mut self, received: &[u8]) {
        let packet = match Packet::parse(received) {
            Ok(packet) => packet,
            Err(error) => return self.note(Note::unreadable(error)),
        };
        match (packet.code, packet.typed) {
            (Code::Success, _) => self.result(&packet, Conversation::success),
            (Code::Failure, _) => self.result(&packet, Conversation::failure),
            (Code::Request, Some((kind, data))) => self.request(&packet, kind, data),
            (Code::Request | Code::Response, _) => {
                self.discard(&packet, "a peer takes requests only")
            }
        }
    }

    /// Takes the reply to the open ask. A reply that does not fit it changes nothing.
    pub fn answer(&mut self, answer: Answer) {
        let reaction = self.conversation.answer(answer);
        if let (Some(reaction), Some(current)) = (reaction, self.current) {
            self.react(reaction, current);
        }
    }

    /// Tells that the carrier gave up: rejected without EAP, timed out, link down. Ends the conversation unless it has ended.
    pub fn carrier_failed(&mut self) {
        let outcome = self.conversation.carrier_failed();
        self.finish(outcome);
    }

    fn result(
        &mut self,
        packet: &Packet<'_>,
        judge: fn(&mut Conversation, u8) -> Result<Outcome, &'static str>,
    ) {
        match judge(&mut self.conversation, packet.identifier) {
            Ok(outcome) => {
                self.note(Note::of(Direction::Received, packet));
                self.finish(Some(outcome));
            }
            Err(why) => self.discard(packet, why),
        }
    }

    fn finish(&mut self, outcome: Option<Outcome>) {
        self.restart = true;
        self.outputs.extend(outcome.map(Output::Done));
    }

    fn request(&mut self, packet: &Packet<'_>, kind: Type, data: &[u8]) {
        if self.conversation.asking() {
            return self.discard(packet, "a request is being worked on");
        }
        match kind {
            Type::Identity => self.identity(packet),
            Type::Notification => self.notification(packet, data),
            Type::AkaPrime => self.aka_prime(packet, data),
            other => self.nak(packet, other),
        }
    }

    /// EAP-Request/Identity: a new conversation may follow, or this was a keep-alive and the old one goes on.
    fn identity(&mut self, packet: &Packet<'_>) {
        self.note(Note::of(Direction::Received, packet));
        let request = Some(fingerprint(packet.bytes()));
        // The same request while identities are still being settled is a retransmission. After a challenge it is an
        // authenticator that counts from the same identifier each time.
        if self.identity_request != request || self.conversation.challenged() {
            self.restart = true;
        }
        self.identity_request = request;
        let outer = self.config.outer.clone();
        self.send_typed(packet.identifier, Type::Identity, outer.as_bytes());
    }

    /// EAP-Request/Notification (RFC 3748 section 5.2): a text to display, to be acknowledged at any time.
    fn notification(&mut self, packet: &Packet<'_>, text: &[u8]) {
        let note = Note::of(Direction::Received, packet);
        self.note(note.remark(text.escape_ascii().to_string()));
        self.conversation.answered_outside(packet.identifier);
        self.send_typed(packet.identifier, Type::Notification, &[]);
    }

    /// Another method: before ours has begun, the server is told what we have (RFC 3748 section 5.3.1).
    fn nak(&mut self, packet: &Packet<'_>, offered: Type) {
        if self.restart {
            self.begin();
        }
        if self.conversation.begun() && !self.conversation.method_refused() {
            return self.discard(packet, "another method is under way");
        }
        self.note(Note::of(Direction::Received, packet));
        self.conversation
            .refused_method(packet.identifier, offered.octet());
        self.send_typed(packet.identifier, Type::Nak, &[Type::AkaPrime.octet()]);
    }

    fn aka_prime(&mut self, packet: &Packet<'_>, data: &[u8]) {
        let request = fingerprint(packet.bytes());
        let current = Current {
            identifier: packet.identifier,
            request,
            asked: false,
        };
        let subtype = data.first().copied().map(Subtype::from);
        let run_before = self.answered.by_sim(&request);
        let begins = match subtype {
            // A challenge that the SIM has seen never begins anything: AKA runs once for it.
            Some(Subtype::Challenge) => run_before.is_none(),
            // A notification belongs to the conversation that there is.
            Some(Subtype::Notification) => false,
            _ => true,
        };
        if begins && (self.restart || self.conversation.method_refused()) {
            self.begin();
        } else if let Some(answer) = run_before.or_else(|| {
            self.answered
                .under_identifier(self.number, packet.identifier)
        }) {
            let answer = answer.to_vec();
            self.note(Note::of(Direction::Received, packet).remark("again"));
            return self.send(answer);
        }
        let note = Note::of(Direction::Received, packet);
        let reaction = self
            .conversation
            .request(&self.config, packet, packet.aka());
        match (&reaction, self.conversation.take_warning()) {
            (Reaction::Discard(_), _) => {}
            (_, Some(warning)) => self.note(note.remark(warning)),
            (_, None) => self.note(note),
        }
        match reaction {
            Reaction::Discard(why) => self.discard(packet, why),
            other => self.react(other, current),
        }
    }

    fn begin(&mut self) {
        self.restart = false;
        self.number += 1;
        self.conversation = Conversation::new(&self.config);
    }

    fn react(&mut self, reaction: Reaction, current: Current) {
        match reaction {
            Reaction::Ask(ask) => {
                self.current = Some(Current {
                    asked: true,
                    ..current
                });
                self.outputs.push_back(Output::Ask(ask));
            }
            Reaction::Respond(response) => {
                self.current = None;
                self.answered.record(self.number, current, response.clone());
                self.send(response);
            }
            Reaction::Discard(_) => self.current = None,
        }
    }

    fn send_typed(&mut self, identifier: u8, kind: Type, data: &[u8]) {
        let response = packet::typed(Code::Response, identifier, kind, data);
        self.send(response.expect("an identity has at most 253 octets"));
    }

    fn send(&mut self, response: Vec<u8>) {
        if let Ok(packet) = Packet::parse(&response) {
            self.note(Note::of(Direction::Sent, &packet));
        }
        self.outputs.push_back(Output::Send(response));
    }

    fn discard(&mut self, packet: &Packet<'_>, why: &str) {
        self.note(Note::of(Direction::Received, packet).remark(format!("discarded: {why}")));
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }
}
