//! An EAP-AKA and EAP-AKA' server without sockets or clock: one conversation (RFC 4187, RFC 9048,
//! RFC 9678).
//!
//! Responses go in, and each returns the next [`Step`]. The server gets vectors from the AuC, holds
//! the keys of its conversation, and shares a [`Register`] of pseudonyms and re-authentication
//! contexts with other conversations. As a home network of 5GS, it decrypts SUCIs and anchors
//! K_AUSF.
//!
//! `challenge` and `reauthentication` are parts of [`Server`], in files of their own; they and this
//! file use each other.

mod challenge;
mod config;
pub mod identity;
mod outcome;
mod reauthentication;
mod register;

#[cfg(test)]
mod tests;

use challenge::Challenge;
pub use config::{Config, IdentityRequest, SuciKey, SuciKeys};
use identity::{IdentityMessages, Known};
pub use outcome::{Reason, Session, Step};
use reauthentication::Reauthentication;
pub use register::Register;
use softsim_aka::kdf::{BadNetworkName, NetworkName};
use softsim_eap_packet::{
    self as packet, AkaMessage, Attribute, Builder, Code, Draft, Notification, Packet, Subtype,
    Type,
};
pub use softsim_eap_types::Method;
use softsim_lab_aka::Keys;

use crate::auc::Auc;

/// A server of a conversation, honest or hostile.
pub trait EapServer: Send {
    /// Handles a response, and returns the next step.
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step;
}

impl EapServer for Server {
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        Self::handle(self, auc, response)
    }
}

enum State {
    /// Waits for EAP-Response/Identity.
    Start,
    /// AKA-Identity was sent.
    Identity(IdentityRequest),
    /// AKA-Challenge was sent.
    Challenge(Box<Challenge>),
    /// AKA-Reauthentication was sent.
    Reauthentication(Box<Reauthentication>),
    /// The peer is authenticated, and was sent a notification of the result.
    Notified(Box<Notified>),
    /// The peer was sent a notification of the failure.
    Failing(Reason),
    /// Success or Failure was sent.
    Over,
}

/// The end of a conversation, once the peer has answered the notification.
struct Notified {
    keys: Keys,
    /// The counter of a fast re-authentication, which the notification and its answer carry.
    counter: Option<u16>,
    /// `Err` where the notification refuses access.
    outcome: Result<Box<Session>, Reason>,
}

/// The server's side of one conversation.
pub struct Server {
    config: Config,
    state: State,
    method: Method,
    /// The identifier of the request that waits for its response.
    identifier: u8,
    /// The peer's last identity, as received.
    identity: Vec<u8>,
    identity_messages: IdentityMessages,
}

impl Server {
    /// A conversation that begins with the peer's EAP-Response/Identity.
    ///
    /// # Errors
    /// The configured network name doesn't fit AT_KDF_INPUT.
    pub fn new(config: Config) -> Result<Self, BadNetworkName> {
        NetworkName::new(config.network_name.as_bytes())?;
        Ok(Self {
            method: config.methods.first().copied().unwrap_or(Method::AkaPrime),
            config,
            state: State::Start,
            identifier: 0,
            identity: Vec::new(),
            identity_messages: IdentityMessages::default(),
        })
    }

    /// Handles a response, and returns the next step.
    pub fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        let Ok(response) = Packet::parse(response) else {
            return Step::Discard;
        };
        let started = !matches!(self.state, State::Start);
        if response.code != Code::Response || (started && response.identifier != self.identifier) {
            return Step::Discard;
        }
        self.identifier = response.identifier;
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, response.typed) {
            (State::Start, Some((Type::Identity, identity))) => {
                self.identity = identity.to_vec();
                self.begin(auc)
            }
            (State::Failing(reason), Some((kind, _))) if kind == self.method.into() => {
                self.fail(reason)
            }
            (State::Identity(_) | State::Challenge(_), Some((Type::Nak, wanted))) => {
                self.another_method(auc, wanted)
            }
            (state @ (State::Start | State::Over | State::Failing(_)), _) => {
                self.state = state;
                Step::Discard
            }
            (state, Some((kind, _))) if kind == self.method.into() => match response.aka() {
                Ok(message) => self.aka(auc, state, &response, &message),
                Err(error) => self.notify_failure(Reason::Malformed(error)),
            },
            (state, _) => {
                self.state = state;
                Step::Discard
            }
        }
    }

    fn aka(
        &mut self,
        auc: &mut Auc,
        state: State,
        response: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Step {
        match (state, message.subtype) {
            (_, Subtype::ClientError) => self.fail(Reason::ClientError(
                message.client_error_code().unwrap_or(0),
            )),
            (State::Identity(asked), Subtype::Identity) => {
                self.identity_messages
                    .remember(self.method, response.bytes());
                self.identity = message.identity().unwrap_or_default().to_vec();
                self.identified(auc, asked.next())
            }
            (State::Challenge(challenge), Subtype::Challenge) => {
                self.challenge_answered(challenge, message)
            }
            (State::Challenge(_), Subtype::AuthenticationReject) => {
                self.fail(Reason::AuthenticationReject)
            }
            (State::Challenge(challenge), Subtype::SynchronizationFailure) => {
                self.resynchronise(auc, *challenge, message)
            }
            (State::Reauthentication(sent), Subtype::Reauthentication) => {
                self.reauthentication_answered(auc, *sent, message)
            }
            (State::Notified(notified), Subtype::Notification) => {
                self.notification_answered(*notified, message)
            }
            (_, subtype) => self.notify_failure(Reason::OutOfPlace(subtype)),
        }
    }

    /// The method, and what the identity that is there leads to.
    fn begin(&mut self, auc: &mut Auc) -> Step {
        match self.config.ask_identity {
            Some(request) => self.ask_identity(request),
            None => self.identified(auc, Some(IdentityRequest::Any)),
        }
    }

    /// The peer wants one of the methods that it names (RFC 3748 §5.3.1).
    fn another_method(&mut self, auc: &mut Auc, wanted: &[u8]) -> Step {
        let refused = self.method;
        let choice = wanted.iter().find_map(|wanted| {
            let offered = self.config.methods.iter().copied();
            offered
                .filter(|method| *method != refused)
                .find(|method| method.number() == *wanted)
        });
        match choice {
            Some(method) => {
                self.method = method;
                self.identity_messages = IdentityMessages::default();
                self.begin(auc)
            }
            None => self.fail(Reason::Nak),
        }
    }

    fn ask_identity(&mut self, request: IdentityRequest) -> Step {
        self.state = State::Identity(request);
        let asked = match request {
            IdentityRequest::Permanent if !self.config.asks_permanent => IdentityRequest::FullAuth,
            request => request,
        };
        let draft = finish(self.request(Subtype::Identity).attribute(asked.attribute()));
        self.identity_messages.remember(self.method, draft.bytes());
        Step::Request(draft.into_bytes())
    }

    /// Handles an identity: continues with a re-authentication or a challenge, asks for a more
    /// revealing identity, or gives up.
    fn identified(&mut self, auc: &mut Auc, more: Option<IdentityRequest>) -> Step {
        match (self.config.who(auc, self.method, &self.identity), more) {
            (Known::Reauthentication(context), _) => self.reauthenticate(*context),
            (Known::Subscriber(imsi), _) => {
                let (kdfs, groups) = (self.config.kdfs.clone(), self.config.groups.clone());
                self.challenge(auc, imsi, kdfs, groups, false)
            }
            (Known::Nobody, Some(request)) => self.ask_identity(request),
            (Known::Nobody, None) => self.notify_failure(Reason::UnknownIdentity),
        }
    }

    /// Ends with success, at once or after a protected notification (RFC 4187 §6.2).
    fn authenticated(
        &mut self,
        keys: Keys,
        counter: Option<u16>,
        session: Box<Session>,
        result_ind: bool,
    ) -> Step {
        let (code, outcome) = match self.config.deny {
            Some(code) => (code, Err(Reason::Denied(code))),
            None if self.config.result_indication && result_ind => {
                (Notification::SUCCESS, Ok(session))
            }
            None => return self.succeed(session),
        };
        let mut builder = self
            .request(Subtype::Notification)
            .attribute(Attribute::Notification(code.0));
        if let Some(counter) = counter {
            builder = keys.encrypted(builder, &[Attribute::Counter(counter)]);
        }
        let packet = keys.authenticated(builder, &[]);
        self.state = State::Notified(Box::new(Notified {
            keys,
            counter,
            outcome,
        }));
        Step::Request(packet)
    }

    fn notification_answered(&mut self, notified: Notified, message: &AkaMessage<'_>) -> Step {
        if !notified.keys.authentic(message, &[]) {
            return self.fail(Reason::Mac);
        }
        if let Some(counter) = notified.counter
            && notified.keys.counter_in(message) != Some(counter)
        {
            return self.fail(Reason::Counter);
        }
        match notified.outcome {
            Ok(session) => self.succeed(session),
            Err(reason) => self.fail(reason),
        }
    }

    fn succeed(&mut self, session: Box<Session>) -> Step {
        Step::Success(packet::success(self.identifier).to_vec(), session)
    }

    /// Failure at once: after a message with which the peer ended the conversation (RFC 4187
    /// §6.3.2).
    fn fail(&mut self, reason: Reason) -> Step {
        Step::Failure(packet::failure(self.identifier).to_vec(), reason)
    }

    /// Failure that the server has found: a notification goes first (RFC 4187 §6.3.2).
    fn notify_failure(&mut self, reason: Reason) -> Step {
        let failure = Attribute::Notification(Notification::FAILURE.0);
        let draft = finish(self.request(Subtype::Notification).attribute(failure));
        self.state = State::Failing(reason);
        Step::Request(draft.into_bytes())
    }

    fn request(&mut self, subtype: Subtype) -> Builder {
        self.identifier = self.identifier.wrapping_add(1);
        Builder::new(Code::Request, self.identifier, self.method.into(), subtype)
    }

    /// Whether AT_CHECKCODE, if present, covers the identity messages that were exchanged (RFC 4187
    /// §10.13).
    fn checkcode_fits(&self, message: &AkaMessage<'_>) -> bool {
        let expected = self.identity_messages.checkcode();
        message.checkcode().is_none_or(|found| found == expected)
    }
}

fn finish(builder: Builder) -> Draft {
    builder
        .finish()
        .expect("the server's attributes fit, the network name by NetworkName")
}
