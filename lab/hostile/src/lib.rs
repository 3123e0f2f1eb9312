//! A hostile EAP server. It runs named scenarios that break the rules, and checks the peer's
//! reactions.
//!
//! A [`Scenario`] is a sequence of [`ServerMessage`]s. Each request comes with the [`Reaction`]
//! that the peer must show. [`Hostile`] runs a scenario as an [`EapServer`], so that it can replace
//! the honest server: in memory with the peer alone, or behind RADIUS with netd and keyd. It notes
//! other reactions in the [`Record`].

mod forge;
mod malformed;
mod reaction;
mod scenarios;
mod stage;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use malformed::malformed;
pub use reaction::Reaction;
pub use scenarios::all;
use softsim_eap::{Config as PeerConfig, ForwardSecrecy, Method, NetworkName, OuterIdentity};
use softsim_eap_packet::{self as packet, Code, Packet, Type};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{EapServer, Reason, Step};
pub use stage::Stage;

/// Makes a request.
pub type MakeRequest = Box<dyn Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync>;

/// What the server sends next.
pub enum ServerMessage {
    /// A request, and the reaction that is expected of the peer.
    Request(MakeRequest, Reaction),
    /// EAP-Success: the conversation is over, and another one may follow.
    Success,
}

/// How the last conversation of a scenario must end at the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// EAP-Success is sent, and counts.
    Success,
    /// EAP-Failure is sent, and counts.
    Failure,
}

/// A setting of the peer, other than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Speaks this method only.
    Only(Method),
    /// Says a SUCI outside and inside.
    Suci,
    /// Forward secrecy is required.
    RequireForwardSecrecy,
    /// Forward secrecy is off.
    NoForwardSecrecy,
    /// EAP-AKA refuses vectors that were made for EAP-AKA'.
    RefuseSeparationBit,
    /// The access network that it is on.
    NetworkName(&'static str),
}

impl Setting {
    /// Changes a peer's configuration.
    pub fn apply(self, config: &mut PeerConfig) {
        match self {
            Self::Only(method) => config.methods = vec![method],
            Self::Suci => config.outer = OuterIdentity::Suci,
            Self::RequireForwardSecrecy => config.forward_secrecy = ForwardSecrecy::Require,
            Self::NoForwardSecrecy => config.forward_secrecy = ForwardSecrecy::Off,
            Self::RefuseSeparationBit => config.refuse_separation_bit = true,
            Self::NetworkName(name) => {
                config.network_name = NetworkName::new(name).expect("scenarios name a network");
            }
        }
    }
}

/// A scenario, and how it must end.
pub struct Scenario {
    /// What the server does.
    pub name: String,
    /// The clause that says how a peer must react.
    pub clause: &'static str,
    /// The peer's setting.
    pub settings: Vec<Setting>,
    /// What the server sends.
    pub messages: Vec<ServerMessage>,
    /// The end.
    pub end: End,
    /// Whether the SIM uses up a sequence number.
    pub uses_sqn: bool,
}

impl Scenario {
    /// A scenario that ends in failure, without a sequence number used up.
    pub(crate) fn new(name: impl Into<String>, clause: &'static str) -> Self {
        Self {
            name: name.into(),
            clause,
            settings: Vec::new(),
            messages: Vec::new(),
            end: End::Failure,
            uses_sqn: false,
        }
    }

    pub(crate) fn with(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    pub(crate) fn ask(
        mut self,
        make: impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static,
        reaction: Reaction,
    ) -> Self {
        self.messages
            .push(ServerMessage::Request(Box::new(make), reaction));
        self
    }

    /// EAP-Success, after which a conversation begins anew.
    pub(crate) fn succeed(mut self) -> Self {
        self.messages.push(ServerMessage::Success);
        self
    }

    pub(crate) fn uses_sqn(mut self) -> Self {
        self.uses_sqn = true;
        self
    }

    pub(crate) fn success(mut self) -> Self {
        self.end = End::Success;
        self.uses_sqn()
    }

    /// The method that the server speaks.
    pub fn method(&self) -> Method {
        let only = self.settings.iter().find_map(|setting| match setting {
            Setting::Only(method) => Some(*method),
            _ => None,
        });
        only.unwrap_or(Method::AkaPrime)
    }

    /// Whether the server sends two packets in a row, which is impossible over RADIUS.
    pub fn speaks_unasked(&self) -> bool {
        let silent = |message: &ServerMessage| {
            matches!(message, ServerMessage::Request(_, Reaction::Silence))
        };
        self.messages.iter().any(silent)
    }
}

/// How many messages were sent, and what the peer did wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The messages that were sent.
    pub sent: usize,
    /// Whether the scenario came to its end.
    pub finished: bool,
    /// Reactions other than the expected ones.
    pub findings: Vec<String>,
}

/// Runs one scenario. Clones share it, so that it can last for several conversations.
#[derive(Clone)]
pub struct Hostile(Arc<Mutex<Progress>>);

struct Progress {
    scenario: Arc<Scenario>,
    stage: Stage,
    record: Record,
    /// `None` before EAP-Response/Identity.
    awaited: Option<Reaction>,
}

impl Hostile {
    /// Runs the scenario with the subscriber with this IMSI.
    pub fn new(scenario: Arc<Scenario>, imsi: &str) -> Self {
        let stage = Stage::new(scenario.method(), imsi);
        Self(Arc::new(Mutex::new(Progress {
            scenario,
            stage,
            record: Record::default(),
            awaited: None,
        })))
    }

    /// What happened so far.
    pub fn record(&self) -> Record {
        self.progress().record.clone()
    }

    /// Notes that the peer sent nothing, and sends the next message if silence was the expected
    /// reaction.
    pub fn silence(&self, auc: &mut Auc) -> Step {
        let mut progress = self.progress();
        if progress.awaited != Some(Reaction::Silence) || progress.record.finished {
            return Step::Discard;
        }
        progress.awaited = None;
        progress.next(auc)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EapServer for Hostile {
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        let mut progress = self.progress();
        let Ok(packet) = Packet::parse(response) else {
            return Step::Discard;
        };
        if packet.code != Code::Response || progress.record.finished {
            return Step::Discard;
        }
        progress.stage.identifier = packet.identifier;
        match (progress.awaited.take(), packet.typed) {
            (None, Some((Type::Identity, identity))) => progress.stage.begin(identity),
            (None, _) => return Step::Discard,
            (Some(expected), _) => {
                if let Err(finding) = progress.stage.judge(&expected, &packet) {
                    let number = progress.record.sent;
                    progress
                        .record
                        .findings
                        .push(format!("message {number}: {finding}"));
                }
            }
        }
        progress.next(auc)
    }
}

impl Progress {
    fn next(&mut self, auc: &mut Auc) -> Step {
        let scenario = self.scenario.clone();
        let Some(message) = scenario.messages.get(self.record.sent) else {
            return self.end();
        };
        self.record.sent += 1;
        match message {
            ServerMessage::Request(make, reaction) => {
                self.awaited = Some(reaction.clone());
                let request = make(&mut self.stage, auc);
                self.stage.sent(&request);
                Step::Request(request)
            }
            ServerMessage::Success => self.succeed(),
        }
    }

    fn end(&mut self) -> Step {
        self.record.finished = true;
        match self.scenario.end {
            End::Success => self.succeed(),
            End::Failure => {
                let packet = packet::failure(self.stage.identifier).to_vec();
                Step::Failure(packet, Reason::ScenarioOver)
            }
        }
    }

    fn succeed(&mut self) -> Step {
        let packet = packet::success(self.stage.identifier).to_vec();
        match self.stage.session() {
            Some(session) => Step::Success(packet, Box::new(session)),
            None => Step::Failure(packet, Reason::ScenarioOver),
        }
    }
}
