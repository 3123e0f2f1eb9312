//! One authentication with EAP-AKA or EAP-AKA' (RFC 4187, RFC 9048): what may come when, and what
//! is open.
//!
//! Each message of the method has a module of its own: what is judged when it comes, and what
//! becomes of the answers to the asks it leads to. All of them end in a [`Reaction`], or in the
//! [`Reason`] why the conversation can only fail.

mod challenge;
mod identity;
mod notification;
mod reauthentication;
mod result;

use softsim_eap_types::{IdentityKind, IdentityRequest, Method};

use crate::ask::{Answer, Ask};
use crate::config::Config;
use crate::identity::Identity;
use crate::negotiation::Negotiation;
use crate::outcome::{Reason, Success, Unprocessable};
use crate::packet::{AkaError, AkaMessage, Attribute, Builder, Code, Draft, Kind, Packet, Subtype};
use crate::rounds::Rounds;

/// What the peer does with a request, or next with an answer.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// This is the response.
    Respond(Vec<u8>),
    /// The response depends on this.
    Ask(Ask),
    /// Nothing, for this reason.
    Discard(&'static str),
}

/// How far the conversation is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The server has not proved anything.
    Unverified,
    /// A challenge or a re-authentication was verified, and it was answered.
    Verified {
        /// What EAP-Success will mean.
        success: Success,
        /// Both sides use result indications: success must be announced under AT_MAC.
        result_indication: bool,
    },
    /// The server announced success under AT_MAC.
    Confirmed(Success),
    /// We sent or answered what can only be followed by EAP-Failure.
    Failing(Reason),
    /// The outcome is out.
    Over,
}

/// What an open ask is for.
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

/// A response that AT_MAC protects, as far as it is settled before anything is encrypted.
#[derive(Debug)]
struct Response {
    subtype: Subtype,
    echo: Echo,
}

/// What of a request is given back in the response to it.
#[derive(Debug, Clone, Copy, Default)]
struct Echo {
    checkcode: bool,
    result_indication: bool,
}

/// The state of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    method: Method,
    /// Of the latest request of the method, and so of Success or Failure (RFC 3748 §4.2).
    identifier: Option<u8>,
    /// Of the latest EAP-Notification, which may stand between the method and its result.
    outside: Option<u8>,
    /// What enters the key derivation: the last AT_IDENTITY, else EAP-Response/Identity (RFC 4187
    /// §7).
    identity: Option<Identity>,
    /// An identity was shown that names the subscriber.
    named: bool,
    rounds: Rounds,
    kdf: Negotiation,
    kdf_fs: Negotiation,
    phase: Phase,
    /// An identity round comes too late now.
    challenged: bool,
    challenges: u8,
    /// A fast re-authentication was tried: there is one in a conversation.
    reauthenticated: bool,
    notified: bool,
    open: Option<Step>,
    warning: Option<String>,
}

impl Conversation {
    /// A conversation in which EAP-Response/Identity said this, where it said anything.
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

    /// Whether a request of the method has been taken in.
    pub(crate) fn begun(&self) -> bool {
        self.identifier.is_some()
    }

    /// Whether a challenge or a re-authentication has come.
    pub(crate) fn challenged(&self) -> bool {
        self.challenged || self.reauthenticated
    }

    /// Whether the server may begin again without asking who we are: after a Nak it may offer what
    /// we have, and after an ephemeral key that is not valid everything starts again (RFC 9678
    /// §6.3).
    pub(crate) fn may_begin_again(&self) -> bool {
        matches!(
            self.phase,
            Phase::Failing(
                Reason::NoCommonMethod { .. } | Reason::Unprocessable(Unprocessable::PublicKey)
            )
        )
    }

    /// Whether what EAP-Response/Identity said in it has served its purpose.
    pub(crate) fn spent(&self) -> bool {
        (self.challenged() || self.ending()) && !self.may_begin_again()
    }

    /// What the owner should be told about the last request, once.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Remembers that something outside the method was answered under this identifier.
    pub(crate) fn answered_outside(&mut self, identifier: u8) {
        self.outside = Some(identifier);
    }

    /// Remembers our Nak: EAP-Failure may follow it.
    pub(crate) fn refused_method(&mut self, identifier: u8, offered: u8) {
        self.identifier = Some(identifier);
        self.phase = Phase::Failing(Reason::NoCommonMethod { offered });
    }

    /// Takes a request of the method that was not answered before.
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

    /// Takes the answer to the open ask; `None` when it is not one, and the ask stays open.
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

    /// Authentication-Reject or Client-Error 0, both without AT_MAC (RFC 4187 §6.3.1, 9.5
    /// and 9.9).
    fn fail(&mut self, reason: Reason) -> Reaction {
        let response = match reason {
            Reason::AuthenticationReject(_) => self.response(Subtype::AuthenticationReject, &[]),
            _ => self.response(Subtype::ClientError, &[Attribute::ClientErrorCode(0)]),
        };
        self.phase = Phase::Failing(reason);
        Reaction::Respond(response.into_bytes())
    }

    /// What of a request is to be given back, after AT_CHECKCODE was compared (RFC 4187 §6.2 and
    /// 10.13).
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

    /// Asks for AT_MAC of a response with these attributes, then those given back.
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

/// Whether an identity names the subscriber to everybody on the way.
fn names(identity: Option<&Identity>) -> bool {
    identity.is_some_and(|identity| !identity.kind.privacy_friendly())
}

fn unexpected<T>(subtype: Subtype) -> Result<T, Reason> {
    Err(Reason::Unprocessable(Unprocessable::Subtype(subtype)))
}

/// Refuses a message in which an attribute stands that must be understood and has no place in it.
/// What may be stepped over is stepped over: forward secrecy in AKA-Identity (RFC 9678 §6.5.1),
/// AT_BIDDING in EAP-AKA' (RFC 9048 §4).
fn allow(message: &AkaMessage<'_>, kinds: &[Kind]) -> Result<(), Reason> {
    let mut there = message.attributes.iter().map(Attribute::kind);
    match there.find(|kind| !kind.skippable() && !kinds.contains(kind)) {
        Some(kind) => Err(Reason::Unprocessable(Unprocessable::Misplaced(kind))),
        None => Ok(()),
    }
}

fn missing(kind: Kind) -> Reason {
    Reason::Unprocessable(Unprocessable::Missing(kind))
}

/// Whether something is encrypted: AT_IV and AT_ENCR_DATA come together (RFC 4187 §10.12).
fn encrypted(message: &AkaMessage<'_>) -> Result<bool, Reason> {
    match (message.iv(), message.encr_data()) {
        (Some(_), Some(_)) => Ok(true),
        (None, None) => Ok(false),
        (Some(_), None) => Err(missing(Kind::ENCR_DATA)),
        (None, Some(_)) => Err(missing(Kind::IV)),
    }
}
