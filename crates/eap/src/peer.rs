//! The EAP peer (RFC 3748 §4): requests, results and retransmissions. A [`Conversation`] runs the
//! method itself.

use std::collections::VecDeque;

use softsim_eap_packet::{self as packet, Code, Packet, Subtype, Type};
use softsim_eap_types::Method;

use crate::answered::{Answered, Current, Fingerprint, fingerprint};
use crate::ask::{Answer, Ask};
use crate::config::Config;
use crate::conversation::{Conversation, Reaction};
use crate::note::{Direction, Note};
use crate::outcome::{AuthenticationReject, Outcome, Reason};
use crate::outer::Outer;

/// The first EAP type that is a method (RFC 3748 §5).
const FIRST_METHOD: u8 = 4;

/// What the peer wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this packet to the server.
    Send(Vec<u8>),
    /// Ask whoever holds the SIM, and give the reply to [`Peer::answer`]. At most one ask is open
    /// at a time.
    Ask(Ask),
    /// A description of a message, for people to read.
    Note(Note),
    /// The server let the exchange fail before it had proved itself, as one does that doesn't know
    /// the identity it saw. Nobody proves such a failure, so that it comes only when the exchange
    /// is over.
    Refused,
    /// The conversation ended. The server may begin another with the same peer.
    Done(Outcome),
}

/// A peer of EAP-AKA' and EAP-AKA.
#[derive(Debug)]
pub struct Peer {
    config: Config,
    outputs: VecDeque<Output>,
    conversation: Conversation,
    /// Counts conversations, for [`Answered`] and [`Outer`].
    number: u64,
    /// Whether the server may begin a new conversation, because it asked for our identity or the
    /// last conversation is over.
    restart: bool,
    outer: Outer,
    /// The latest EAP-Request/Identity.
    identity_request: Option<Fingerprint>,
    /// The identifier of the EAP-Request/Identity for which the SIM is being asked.
    asking_outer: Option<u8>,
    /// The request that the open ask of the conversation belongs to.
    current: Option<Current>,
    answered: Answered,
    /// Whether an EAP-Failure followed our last response, before the server had proved itself.
    refused: bool,
}

impl Peer {
    /// A peer that waits for the server's first request.
    pub fn new(config: Config) -> Self {
        let preferred = config.allowed().next().unwrap_or(Method::AkaPrime);
        Peer {
            conversation: Conversation::new(preferred, None),
            config,
            outputs: VecDeque::new(),
            number: 0,
            restart: true,
            outer: Outer::default(),
            identity_request: None,
            asking_outer: None,
            current: None,
            answered: Answered::default(),
            refused: false,
        }
    }

    /// The next output. Call it after each of the other calls, until it returns `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Handles a packet from the server. It may hold any octets: the peer notes what it can't use,
    /// and ignores it otherwise.
    pub fn handle_packet(&mut self, received: &[u8]) {
        let packet = match Packet::parse(received) {
            Ok(packet) => packet,
            Err(error) => return self.note(Note::unreadable(error)),
        };
        match (packet.code, packet.typed) {
            (Code::Success, _) => self.result(&packet, Conversation::success),
            (Code::Failure, _) => {
                self.refused |= self.is_unproven_answer(packet.identifier);
                self.result(&packet, Conversation::failure);
            }
            (Code::Request, Some((kind, data))) => self.request(&packet, kind, data),
            (Code::Request | Code::Response, _) => {
                self.discard(&packet, "a peer accepts requests only")
            }
        }
    }

    /// Handles the answer to the open ask. An answer that doesn't fit the ask changes nothing.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(identifier) = self.asking_outer {
            return self.outer_answered(identifier, answer);
        }
        let reaction = self.conversation.answer(&self.config, answer);
        if let (Some(reaction), Some(current)) = (reaction, self.current) {
            self.react(reaction, current);
        }
    }

    /// Ends the conversation, unless it has ended, because the carrier gave up: it rejected us
    /// without EAP, timed out, or lost the link. The identity that the network saw isn't shown
    /// again unless the SIM gives it again.
    pub fn carrier_failed(&mut self) {
        self.asking_outer = None;
        self.end_refused();
        self.outer.forget();
        if let Some(current) = self.current.take() {
            self.answered.record(self.number, current, None);
        }
        let outcome = self.conversation.carrier_failed();
        self.finish(outcome);
    }

    /// Does the same as [`Self::carrier_failed`], for a carrier that says that the network has
    /// rejected the peer.
    pub fn rejected(&mut self) {
        self.refused |= self.is_outer_pending() || self.conversation.awaits_proof();
        self.carrier_failed();
    }

    /// Whether the server has proved itself, and the conversation goes on: AUTN and AT_MAC of a
    /// challenge, or AT_MAC of a re-authentication, were right and new.
    pub fn has_proof(&self) -> bool {
        self.conversation.has_proof()
    }

    /// Whether a response with this identifier was our last, to a server that has not proved
    /// itself.
    fn is_unproven_answer(&self, identifier: u8) -> bool {
        match self.is_outer_pending() {
            true => self.outer.was_shown_in(identifier),
            false => self.conversation.awaits_proof_after(identifier),
        }
    }

    /// Whether the server knows our identity for a conversation that has not begun.
    fn is_outer_pending(&self) -> bool {
        self.outer.said_for() > self.number
    }

    /// Reports a failure that nobody proved, once nothing else has followed it.
    fn end_refused(&mut self) {
        if std::mem::take(&mut self.refused) {
            self.outer.forget();
            self.outputs.push_back(Output::Refused);
        }
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
            Err(_) if self.is_unproven_answer(packet.identifier) => {
                self.discard(packet, "the server has not proved itself");
            }
            Err(why) => self.discard(packet, why),
        }
    }

    fn finish(&mut self, outcome: Option<Outcome>) {
        self.restart = true;
        let Some(outcome) = outcome else { return };
        let bid_down = Reason::AuthenticationReject(AuthenticationReject::BidDown);
        self.outer.ended(outcome == Outcome::Failure(bid_down));
        self.outputs.push_back(Output::Done(outcome));
    }

    fn request(&mut self, packet: &Packet<'_>, kind: Type, data: &[u8]) {
        if self.conversation.asking() || self.asking_outer.is_some() {
            return self.discard(packet, "another request is being processed");
        }
        let method = self
            .config
            .allowed()
            .find(|method| Type::from(*method) == kind);
        match (kind, method) {
            (Type::Identity, _) => self.identity(packet),
            (Type::Notification, _) => self.notification(packet, data),
            (_, Some(method)) => self.method(packet, method, data),
            (other, None) => self.nak(packet, other),
        }
    }

    /// Handles EAP-Request/Identity. A new conversation may follow, or the request was a keep-alive
    /// and the old one goes on.
    fn identity(&mut self, packet: &Packet<'_>) {
        self.note(Note::of(Direction::Received, packet));
        let request = Some(fingerprint(packet.bytes()));
        // Before a challenge, the same request is a retransmission. After a challenge, it comes
        // from an authenticator that starts each conversation with the same identifier.
        if self.identity_request != request || self.conversation.challenged() || self.refused {
            self.restart = true;
        }
        self.identity_request = request;
        self.end_refused();
        let coming = self.number + u64::from(self.restart);
        self.outer.hand_over(self.conversation.spent(), coming);
        match self.outer.begin(&self.config) {
            Some(ask) => self.ask_outer(packet.identifier, ask),
            None => self.respond_identity(packet.identifier),
        }
    }

    fn ask_outer(&mut self, identifier: u8, ask: Ask) {
        self.asking_outer = Some(identifier);
        self.outputs.push_back(Output::Ask(ask));
    }

    fn outer_answered(&mut self, identifier: u8, answer: Answer) {
        let next = match answer {
            Answer::Identity(identity) => self.outer.given(&self.config, identity),
            Answer::Withheld => self.outer.withheld(&self.config),
            Answer::Unavailable => {
                // The peer sends nothing, so that the server asks again.
                self.asking_outer = None;
                return;
            }
            _ => return,
        };
        self.asking_outer = None;
        match next {
            Some(ask) => self.ask_outer(identifier, ask),
            None => self.respond_identity(identifier),
        }
    }

    fn respond_identity(&mut self, identifier: u8) {
        self.outer.shown_in(identifier);
        let said = self.outer.on_the_wire(&self.config);
        self.send_typed(identifier, Type::Identity, &said);
    }

    /// Handles EAP-Request/Notification (RFC 3748 §5.2), a text to display, which the peer
    /// acknowledges at any time.
    fn notification(&mut self, packet: &Packet<'_>, text: &[u8]) {
        let note = Note::of(Direction::Received, packet);
        self.note(note.remark(text.escape_ascii().to_string()));
        self.conversation.answered_outside(packet.identifier);
        self.send_typed(packet.identifier, Type::Notification, &[]);
    }

    /// Handles a request of a method that we don't speak. Before ours has begun, the peer tells the
    /// server which methods it supports (RFC 3748 §5.3.1).
    fn nak(&mut self, packet: &Packet<'_>, offered: Type) {
        if offered.octet() < FIRST_METHOD {
            return self.discard(packet, "no request has this type");
        }
        if self.restart {
            self.begin(self.conversation.method());
        }
        if self.conversation.begun() && !self.conversation.may_begin_again() {
            return self.discard(packet, "another method is under way");
        }
        self.note(Note::of(Direction::Received, packet));
        self.conversation
            .refused_method(packet.identifier, offered.octet());
        let mut wanted: Vec<u8> = self.config.allowed().map(|m| m.number()).collect();
        if wanted.is_empty() {
            // 0 says that no method is acceptable.
            wanted.push(0);
        }
        self.send_typed(packet.identifier, Type::Nak, &wanted);
    }

    fn method(&mut self, packet: &Packet<'_>, method: Method, data: &[u8]) {
        let request = fingerprint(packet.bytes());
        let subtype = data.first().copied().map(Subtype::from);
        let run_before = self.answered.by_sim(&request);
        let begins = match subtype {
            // A request that the SIM has seen never begins a conversation, because AKA runs only
            // once for it.
            Some(Subtype::Challenge | Subtype::Reauthentication) => run_before.is_none(),
            // A notification belongs to the current conversation. It begins another one only if the
            // current one is at its end and the server has asked for our identity again.
            Some(Subtype::Notification) => {
                let asked_again = self.outer.said_for() > self.number;
                !self.conversation.begun() || (asked_again && self.conversation.ending())
            }
            _ => true,
        };
        if begins && (self.restart || self.conversation.may_begin_again()) {
            self.begin(method);
        } else if let Some(answer) = run_before.or_else(|| {
            self.answered
                .in_conversation(self.number, packet.identifier, &request)
        }) {
            let Some(answer) = answer.map(<[u8]>::to_vec) else {
                return self.discard(packet, "its answer was never sent, and AKA runs only once");
            };
            self.note(Note::of(Direction::Received, packet).remark("again"));
            return self.send(answer);
        }
        if method != self.conversation.method() {
            return self.discard(packet, "another method is under way");
        }
        let note = Note::of(Direction::Received, packet);
        let reaction = self
            .conversation
            .request(&self.config, packet, packet.aka());
        match (&reaction, self.conversation.take_warning()) {
            (Reaction::Discard(_), _) => {}
            (_, Some(warning)) => self.note(note.warning(warning)),
            (_, None) => self.note(note),
        }
        let current = Current {
            identifier: packet.identifier,
            request,
            asked: false,
        };
        match reaction {
            Reaction::Discard(why) => self.discard(packet, why),
            other => self.react(other, current),
        }
    }

    fn begin(&mut self, method: Method) {
        self.outer
            .hand_over(self.conversation.spent(), self.number + 1);
        self.restart = false;
        self.number += 1;
        self.conversation = Conversation::new(method, self.outer.identity());
    }

    fn react(&mut self, reaction: Reaction, current: Current) {
        // Whatever failed, the server goes on.
        self.refused = false;
        match reaction {
            Reaction::Ask(ask) => {
                // Asking for an identity doesn't run AKA. A later conversation may send the same
                // request for one.
                let asked = current.asked || !matches!(ask, Ask::Identity { .. });
                self.current = Some(Current { asked, ..current });
                self.outputs.push_back(Output::Ask(ask));
            }
            Reaction::Respond(response) => {
                self.current = None;
                let answer = Some(response.clone());
                self.answered.record(self.number, current, answer);
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
