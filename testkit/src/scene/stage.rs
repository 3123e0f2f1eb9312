//! Connects peer, SIM and network.

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_eap::{Ask, Config, Note, Outcome, Output, Peer, Success};
use softsim_eap_packet::{self as packet, Packet, Subtype, Type};
use softsim_usim::{Imsi, MncLength};

use super::{
    Challenge, IMSI, Network, PSEUDONYM, Permanent, REAUTHENTICATION_ID, Reauthentication, Sim,
    credentials, typed,
};

/// All outputs of the peer for one packet.
#[derive(Debug, Default)]
pub struct Step {
    /// The responses.
    pub sent: Vec<Vec<u8>>,
    /// The requests to the SIM.
    pub asks: Vec<Ask>,
    /// The notes for the log.
    pub notes: Vec<Note>,
    /// Whether the server has refused the identity.
    pub refused: bool,
    /// How the conversation ended.
    pub done: Vec<Outcome>,
}

impl Step {
    /// The only response's subtype, and the names of its attributes.
    pub fn response(&self) -> (Subtype, String) {
        let message = Packet::parse(self.bytes())
            .and_then(|packet| packet.aka().map_err(|_| packet::PacketError::NoType));
        let message = message.expect("the response is one of the method");
        let names: Vec<_> = message
            .attributes()
            .map(|attribute| attribute.kind().to_string())
            .collect();
        (message.subtype, names.join(" "))
    }

    /// The octets of the only response.
    pub fn bytes(&self) -> &[u8] {
        assert_eq!(self.sent.len(), 1, "one response: {:#?}", self.notes);
        &self.sent[0]
    }

    fn says(&self, after_type: &[u8]) -> bool {
        self.sent.len() == 1
            && matches!(self.sent[0][4], 23 | 50)
            && self.sent[0][5..] == *after_type
    }

    /// Whether the response is Client-Error with "unable to process packet".
    pub fn is_client_error(&self) -> bool {
        self.says(&[14, 0, 0, 22, 1, 0, 0])
    }

    /// Whether the response is Authentication-Reject.
    pub fn is_authentication_reject(&self) -> bool {
        self.says(&[2, 0, 0])
    }

    /// Whether the peer sent nothing, asked nothing and didn't finish.
    pub fn is_silence(&self) -> bool {
        self.sent.is_empty() && self.asks.is_empty() && self.done.is_empty()
    }

    /// How the conversation succeeded, if it did.
    pub fn success(&self) -> Option<Success> {
        match self.done[..] {
            [Outcome::Success(success)] => Some(success),
            _ => None,
        }
    }

    /// Whether the conversation succeeded.
    pub fn succeeded(&self) -> bool {
        self.success().is_some()
    }
}

/// Peer, SIM and home network.
pub struct Scene {
    /// The EAP peer.
    pub peer: Peer,
    /// The SIM that answers the peer.
    pub sim: Sim,
    /// The home network that sends the requests.
    pub network: Network,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// A peer that has answered EAP-Request/Identity.
    pub fn new() -> Self {
        Scene::with(Config::new())
    }

    /// Like [`Scene::new`], with this configuration.
    pub fn with(config: Config) -> Self {
        let mut scene = Scene::unasked(config);
        scene.feed(&typed(0, Type::Identity, b""));
        scene
    }

    /// A peer that has received no packet yet.
    pub fn unasked(config: Config) -> Self {
        let mut sim = Sim::with(&credentials(), 0);
        sim.imsi = Imsi::new(IMSI.as_bytes(), MncLength::Two).unwrap();
        sim.permanent = Permanent::Always;
        let key = PrivateKey::from_octets(Group::X25519, &[0x5c; 32]).unwrap();
        sim.suci_key = Some((1, key.public_key()));
        Scene {
            peer: Peer::new(config),
            sim,
            network: Network::new(),
        }
    }

    /// Replaces the peer by a new one; SIM and network stay.
    pub fn reconfigure(&mut self, config: Config) {
        self.peer = Peer::new(config);
    }

    /// Gives the peer a packet, and lets the SIM answer what the peer asks.
    pub fn feed(&mut self, packet: &[u8]) -> Step {
        self.peer.handle_packet(packet);
        self.settle()
    }

    /// Lets the SIM answer until the peer has no more output.
    pub fn settle(&mut self) -> Step {
        let mut step = Step::default();
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Send(packet) => step.sent.push(packet),
                Output::Note(note) => step.notes.push(note),
                Output::Refused => step.refused = true,
                Output::Done(outcome) => {
                    if let Outcome::Success(_) = outcome {
                        self.sim.confirm();
                    }
                    step.done.push(outcome);
                }
                Output::Ask(ask) => {
                    let answer = self.sim.answer(&ask);
                    step.asks.push(ask);
                    self.peer.answer(answer);
                }
            }
        }
        step
    }

    /// Gives the peer a challenge.
    pub fn challenge(&mut self, what: &Challenge) -> Step {
        let packet = self.network.challenge(what);
        self.feed(&packet)
    }

    /// Gives the peer a fast re-authentication request.
    pub fn reauthentication(&mut self, what: &Reauthentication) -> Step {
        let packet = self.network.reauthentication(what);
        self.feed(&packet)
    }

    /// Gives the peer EAP-Success.
    pub fn success(&mut self, identifier: u8) -> Step {
        self.feed(&packet::success(identifier))
    }

    /// Gives the peer EAP-Failure.
    pub fn failure(&mut self, identifier: u8) -> Step {
        self.feed(&packet::failure(identifier))
    }

    /// A peer after a full authentication in which the server gave [`PSEUDONYM`] and
    /// [`REAUTHENTICATION_ID`].
    pub fn known() -> Self {
        Scene::known_with(Config::new(), &Challenge::default())
    }

    /// Like [`Scene::known`], with this configuration and challenge.
    pub fn known_with(config: Config, challenge: &Challenge) -> Self {
        let mut scene = Scene::with(config);
        scene.network.identity = scene.shown_outside();
        scene.challenge(&Challenge {
            next_pseudonym: Some(PSEUDONYM.into()),
            next_reauth_id: Some(REAUTHENTICATION_ID.into()),
            ..challenge.clone()
        });
        assert!(scene.success(10).succeeded());
        scene
    }

    /// The identity with which the peer answers another EAP-Request/Identity.
    fn shown_outside(&mut self) -> Vec<u8> {
        self.feed(&typed(0, Type::Identity, b"")).bytes()[5..].to_vec()
    }

    /// A peer that has answered a valid challenge with the identifier 10.
    pub fn verified(what: &Challenge) -> Self {
        let mut scene = Scene::new();
        let step = scene.challenge(what);
        assert_eq!(step.response().0, Subtype::Challenge);
        assert!(scene.network.session().verifies(step.bytes()));
        scene
    }
}
