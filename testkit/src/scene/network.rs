//! A conversation of the home network: it counts SQN, and remembers what it sent.

use softsim_aka::Msk;
use softsim_eap::{Group, Method};
use softsim_eap_packet::Packet;
use softsim_lab_simulators::eap_server::identity::IdentityMessages;

use super::{IDENTITY, credentials};
use crate::home_network::{Challenge, HomeNetwork, Reauthentication, Sent, Server};
use crate::session::{Round, Session};

/// The home network of a scene's SIM.
pub struct Network {
    /// The last challenge's SQN.
    pub sqn: u64,
    /// The identity from which the keys are derived.
    pub identity: Vec<u8>,
    /// The keys of the last challenge or re-authentication.
    pub session: Option<Session>,
    last: Option<Sent>,
    rounds: Vec<u8>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// A network that has sent no challenge yet.
    pub fn new() -> Self {
        Network {
            sqn: 0x20,
            identity: IDENTITY.into(),
            session: None,
            last: None,
            rounds: Vec::new(),
        }
    }

    /// Makes the next challenge, with a new SQN and a RAND that depends on it.
    pub fn challenge(&mut self, what: &Challenge) -> Vec<u8> {
        self.sqn += 0x20;
        let sent = self.home(what.clone()).challenge(self.sqn);
        let packet = sent.packet.clone();
        self.session = Some(Session::full(sent.derived(), sent.network_name()));
        self.last = Some(sent);
        packet
    }

    fn home(&self, sends: Challenge) -> HomeNetwork {
        HomeNetwork {
            credentials: credentials(),
            rand: std::array::from_fn(|i| self.sqn as u8 ^ i as u8),
            identity: self.identity.clone(),
            sends,
        }
    }

    /// A re-authentication request under the session's keys. Its identity is the re-authentication
    /// identity that the peer showed.
    pub fn reauthentication(&mut self, what: &Reauthentication) -> Vec<u8> {
        let round = Round {
            counter: what.counter,
            nonce_s: what.nonce_s,
            too_small: false,
        };
        let packet = self.server().reauthentication_with(what);
        self.session = Some(self.session().reauthenticated(&self.identity, round));
        packet
    }

    /// A notification with AT_MAC, made with the keys of the last challenge or re-authentication.
    /// After a re-authentication, it has that one's counter.
    pub fn notification(&self, identifier: u8, code: u16) -> Vec<u8> {
        let counter = self.session().round.map(|round| round.counter);
        self.notification_with(identifier, code, counter)
    }

    /// A notification with AT_MAC and this counter.
    pub fn notification_with(&self, identifier: u8, code: u16, counter: Option<u16>) -> Vec<u8> {
        self.server().notification_with(identifier, code, counter)
    }

    /// The server with the keys of the last challenge or re-authentication.
    fn server(&self) -> Server {
        Server {
            keys: self.session().keys.duplicate(),
        }
    }

    /// Adds an identity round to the checkcode.
    pub fn round(&mut self, request: &[u8], response: &[u8]) {
        self.rounds.extend(request);
        self.rounds.extend(response);
    }

    /// Begins a new conversation, whose checkcode covers no identity round yet.
    pub fn forget_rounds(&mut self) {
        self.rounds.clear();
    }

    /// AT_CHECKCODE of EAP-AKA' over the identity rounds.
    pub fn checkcode(&self) -> Vec<u8> {
        self.checkcode_of(Method::AkaPrime)
    }

    /// AT_CHECKCODE of EAP-AKA over the identity rounds.
    pub fn checkcode_of_aka(&self) -> Vec<u8> {
        self.checkcode_of(Method::Aka)
    }

    fn checkcode_of(&self, method: Method) -> Vec<u8> {
        let mut messages = IdentityMessages::default();
        messages.remember(method, &self.rounds);
        messages.checkcode()
    }

    /// The session of the last challenge or re-authentication.
    pub fn session(&self) -> &Session {
        self.session.as_ref().expect("a challenge went before")
    }

    /// The last challenge.
    pub fn last(&self) -> &Sent {
        self.last.as_ref().expect("a challenge went before")
    }

    /// Derives the MSK of the last challenge from the peer's public key in its response.
    pub fn forward_secret_msk(&self, response: &[u8], group: Group) -> Msk {
        let packet = Packet::parse(response).expect("the peer sends EAP");
        let message = packet.aka().expect("the peer sends the method");
        let theirs = group.public_key(message.pub_ecdhe().expect("AT_PUB_ECDHE"));
        let theirs = theirs.expect("a key of the group");
        self.last().forward_secret(group, theirs).msk
    }

    /// Takes SQN_MS from AUTS, and returns whether its MAC-S is valid for the last challenge's
    /// RAND.
    pub fn resynchronise(&mut self, auts: &[u8; 14]) -> bool {
        let sqn_ms = self.home(Challenge::default()).resynchronise(*auts);
        self.sqn = sqn_ms.unwrap_or(self.sqn);
        sqn_ms.is_some()
    }
}
