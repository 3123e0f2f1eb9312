//! One authentication with EAP-AKA or EAP-AKA' (RFC 4187, RFC 9048): which message may come when,
//! and which question to the SIM is open.
//!
//! Each message of the method has its own module, which checks the message and handles the answers
//! to the questions that it raises. Each ends in a [`Reaction`], or in the [`Reason`] why the
//! conversation fails. These modules are parts of one type, [`Conversation`], and use this one,
//! which hands them their messages.

mod challenge;
mod identity;
mod notification;
mod reauthentication;
mod result;

use softsim_eap_packet::{
    AkaError, AkaMessage, Attribute, Builder, Code, Draft, Kind, Packet, Subtype,
};
use softsim_eap_types::{IdentityKind, IdentityRequest, Method};

use crate::ask::{Answer, Ask};
use crate::config::Config;
use crate::identity::Identity;
use crate::negotiation::Negotiation;
use crate::outcome::{Reason, Success, Unprocessable};
use crate::rounds::Rounds;

/// What the peer does after a request or an answer.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// Send this response.
    Respond(Vec<u8>),
    /// Ask this first; the response depends on the answer.
    Ask(Ask),
    /// Ignore the request, for this reason.
    Discard(&'static str),
}

/// How far the conversation has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The server has not proved itself yet.
    Unverified,
    /// The peer has verified and answered a challenge or a re-authentication.
    Verified {
        /// The outcome, once EAP-Success arrives.
        success: Success,
        /// Both sides use result indications, so the server must announce success under AT_MAC.
        result_indication: bool,
    },
    /// The server announced success under AT_MAC.
    Confirmed(Success),
    /// Only EAP-Failure can follow: the peer sent an error, or answered a notification of failure.
    Failing(Reason),
    /// The outcome was reported.
    Over,
}

/// The state that an open ask belongs to.
#[derive(Debug)]
enum Step {
    Identity {
        request: Vec<u8>,
        wanted: IdentityRequest,
    },
    Challenge(challenge::Open),
    Reauthentication(reauthentication::Open),
    Verify(notification::Open),
    Counter {
        response: Response,
        then: Phase,
    },
    Mac {
        draft: Draft,
        then: Phase,
    },
}

/// The parts of a response that are known before its attributes are encrypted.
#[derive(Debug)]
struct Response {
    subtype: Subtype,
    echo: Echo,
}

/// The attributes of a request that the response repeats.
#[derive(Debug, Clone, Copy, Default)]
struct Echo {
    checkcode: bool,
    result_indication: bool,
}

/// The state of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    method: Method,
    /// The identifier of the latest request of the method, which Success and Failure must have
    /// (RFC 3748 §4.2).
    identifier: Option<u8>,
    /// The identifier of the latest EAP-Notification, which may come between the method and its
    /// result.
    outside: Option<u8>,
    /// The identity of the key derivation: the last AT_IDENTITY, else EAP-Response/Identity (RFC
    /// 4187 §7).
    identity: Option<Identity>,
    /// Whether the peer has shown an identity that names the subscriber.
    named: bool,
    rounds: Rounds,
    kdf: Negotiation,
    kdf_fs: Negotiation,
    phase: Phase,
    /// Whether a challenge has come, after which the server may not ask for an identity.
    challenged: bool,
    challenges: u8,
    /// Whether the server has tried a fast re-authentication; it may do so once in a conversation.
    reauthenticated: bool,
    notified: bool,
    open: Option<Step>,
    warning: Option<String>,
}

impl Conversation {
    /// A new conversation; `outer` is the identity in EAP-Response/Identity, if there was one.
    pub(crate) fn new(method: Method, outer: Option<Identity>) -> Self {
        Conversation {
            method,
            identifier: None,
            outside: None,
            named: names(outer.as_ref()),
            identity: outer,
            rounds: Rounds::default(),
            kdf: Negotiation::default(),
            kdf_fs: Negotiation::default(),
            phase: Phase::Unverified,
            challenged: false,
            challenges: 0,
            reauthenticated: false,
            notified: false,
            open: None,
            warning: None,
        }
    }

    /// The method.
    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// Whether an ask waits for its answer.
    pub(crate) fn asking(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the conversation has accepted a request of the method.
    pub(crate) fn begun(&self) -> bool {
        self.identifier.is_some()
    }

    /// Whether a challenge or a re-authentication has come.
    pub(crate) fn challenged(&self) -> bool {
        self.challenged || self.reauthenticated
    }

    /// Whether the server may start again without asking for our identity: after a Nak, with a
    /// method that we support, or after an invalid ephemeral key (RFC 9678 §6.3).
    pub(crate) fn may_begin_again(&self) -> bool {
        matches!(
            self.phase,
            Phase::Failing(
                Reason::NoCommonMethod { .. } | Reason::Unprocessable(Unprocessable::PublicKey)
            )
        )
    }

    /// Whether this conversation no longer needs the identity of EAP-Response/Identity.
    pub(crate) fn spent(&self) -> bool {
        (self.challenged() || self.ending()) && !self.may_begin_again()
    }

    /// Takes the warning about the last request, if there is one.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Remembers the identifier of a request outside the method that the peer answered.
    pub(crate) fn answered_outside(&mut self, identifier: u8) {
        self.outside = Some(identifier);
    }

    /// Remembers that the peer sent a Nak, after which EAP-Failure may follow.
    pub(crate) fn refused_method(&mut self, identifier: u8, offered: u8) {
        self.identifier = Some(identifier);
        self.phase = Phase::Failing(Reason::NoCommonMethod { offered });
    }

    /// Handles a request of the method that the peer has not answered before.
    pub(crate) fn request(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: Result<AkaMessage<'_>, AkaError>,
    ) -> Reaction {
        match self.phase {
            Phase::Confirmed(_) => return Reaction::Discard("the server has announced success"),
            Phase::Over => return Reaction::Discard("the conversation is over"),
            Phase::Failing(_) => return Reaction::Discard("the conversation has failed"),
            Phase::Unverified | Phase::Verified { .. } => {}
        }
        self.identifier = Some(packet.identifier);
        let judged = match message {
            Err(error) => Err(Reason::Unprocessable(Unprocessable::Malformed(error))),
            Ok(message) => match message.subtype {
                Subtype::Identity => self.identity_request(config, packet, &message),
                Subtype::Challenge => self.challenge(config, packet, &message),
                Subtype::Reauthentication => self.reauthentication(config, packet, &message),
                Subtype::Notification => self.notification(packet, &message),
                other => unexpected(other),
            },
        };
        judged.unwrap_or_else(|reason| self.fail(reason))
    }

    /// Handles the answer to the open ask. `None` means that the answer doesn't fit, and that the
    /// ask stays open.
    pub(crate) fn answer(&mut self, config: &Config, answer: Answer) -> Option<Reaction> {
        let judged = match (self.open.take()?, answer) {
            (_, Answer::Unavailable) => Err(Reason::Unprocessable(Unprocessable::Sim)),
            (Step::Identity { request, wanted }, Answer::Identity(identity)) => {
                self.identity_given(config, request, wanted, identity)
            }
            (Step::Identity { .. }, Answer::Withheld) => {
                Err(Reason::Unprocessable(Unprocessable::IdentityWithheld))
            }
            (Step::Challenge(open), Answer::Challenge(answer)) => {
                self.challenge_answered(open, answer)
            }
            (Step::Reauthentication(open), Answer::Reauthentication(answer)) => {
                self.reauthentication_answered(&open, &answer)
            }
            (Step::Verify(open), Answer::Verify(true)) => Ok(self.notification_verified(open)),
            (Step::Verify(_), Answer::Verify(false)) => {
                Err(Reason::Unprocessable(Unprocessable::Mac))
            }
            (Step::Counter { response, then }, Answer::Encrypted { iv, data }) => {
                self.counter_encrypted(&response, then, &iv, &data)
            }
            (Step::Mac { draft, then }, Answer::Mac(mac)) => {
                self.phase = then;
                Ok(Reaction::Respond(draft.with_mac(&mac)))
            }
            (step, _) => {
                self.open = Some(step);
                return None;
            }
        };
        Some(judged.unwrap_or_else(|reason| self.fail(reason)))
    }

    /// Responds with Authentication-Reject or Client-Error 0, both without AT_MAC (RFC 4187 §6.3.1,
    /// §9.5 and §9.9).
    fn fail(&mut self, reason: Reason) -> Reaction {
        let response = match reason {
            Reason::AuthenticationReject(_) => self.response(Subtype::AuthenticationReject, &[]),
            _ => self.response(Subtype::ClientError, &[Attribute::ClientErrorCode(0)]),
        };
        self.phase = Phase::Failing(reason);
        Reaction::Respond(response.into_bytes())
    }

    /// Compares AT_CHECKCODE, and returns the attributes that the response must repeat (RFC 4187
    /// §6.2 and §10.13).
    fn echo(&self, config: &Config, message: &AkaMessage<'_>) -> Result<Echo, Reason> {
        let checkcode = message.checkcode();
        if checkcode.is_some_and(|checkcode| checkcode != self.rounds.checkcode(self.method)) {
            return Err(Reason::Unprocessable(Unprocessable::Checkcode));
        }
        Ok(Echo {
            checkcode: checkcode.is_some(),
            result_indication: config.result_indication && message.result_ind(),
        })
    }

    /// Builds a response from these attributes and the repeated ones, and asks for its AT_MAC.
    fn under_mac(
        &mut self,
        subtype: Subtype,
        attributes: &[Attribute<'_>],
        echo: Echo,
        then: Phase,
    ) -> Reaction {
        let checkcode = self.rounds.checkcode(self.method);
        let mut attributes = attributes.to_vec();
        attributes.extend(echo.checkcode.then_some(Attribute::Checkcode(&checkcode)));
        attributes.extend(echo.result_indication.then_some(Attribute::ResultInd));
        attributes.push(Attribute::Mac(&[0; 16]));
        let draft = self.response(subtype, &attributes);
        let packet = draft.bytes().to_vec();
        self.open = Some(Step::Mac { draft, then });
        Reaction::Ask(Ask::Mac { packet })
    }

    fn response(&self, subtype: Subtype, attributes: &[Attribute<'_>]) -> Draft {
        let builder = Builder::new(
            Code::Response,
            self.identifier.unwrap_or(0),
            self.method.into(),
            subtype,
        );
        attributes
            .iter()
            .fold(builder, |builder, attribute| builder.attribute(*attribute))
            .finish()
            .expect("identities have at most 253 octets, lists of AT_KDF came in a packet that held more, the rest is short")
    }
}

/// Whether everybody on the path learns from an identity who the subscriber is.
fn names(identity: Option<&Identity>) -> bool {
    identity.is_some_and(|identity| !identity.kind.privacy_friendly())
}

fn unexpected<T>(subtype: Subtype) -> Result<T, Reason> {
    Err(Reason::Unprocessable(Unprocessable::Subtype(subtype)))
}

/// Refuses a message with a non-skippable attribute that doesn't belong in it. The peer ignores
/// skippable attributes: those of forward secrecy in AKA-Identity (RFC 9678 §6.5.1), AT_BIDDING in
/// EAP-AKA' (RFC 9048 §4).
fn allow(message: &AkaMessage<'_>, kinds: &[Kind]) -> Result<(), Reason> {
    let mut there = message.attributes().map(|attribute| attribute.kind());
    match there.find(|kind| !kind.skippable() && !kinds.contains(kind)) {
        Some(kind) => Err(Reason::Unprocessable(Unprocessable::Misplaced(kind))),
        None => Ok(()),
    }
}

fn missing(kind: Kind) -> Reason {
    Reason::Unprocessable(Unprocessable::Missing(kind))
}

/// Whether the message has encrypted attributes. AT_IV and AT_ENCR_DATA must come together (RFC
/// 4187 §10.12).
fn encrypted(message: &AkaMessage<'_>) -> Result<bool, Reason> {
    match (message.iv(), message.encr_data()) {
        (Some(_), Some(_)) => Ok(true),
        (None, None) => Ok(false),
        (Some(_), None) => Err(missing(Kind::ENCR_DATA)),
        (None, Some(_)) => Err(missing(Kind::IV)),
    }
}
