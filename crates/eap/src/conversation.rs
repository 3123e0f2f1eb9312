//! One EAP-AKA' full authentication (RFC 9048, RFC 4187): from the identity rounds to the notification.

use crate::config::{Config, Nai, NetworkNamePolicy};
use crate::kdf::{Negotiation, Verdict};
use crate::outcome::{Distrust, Outcome, Reason, Unprocessable};
use crate::packet::{
    AkaError, AkaMessage, Attribute, Builder, Code, Draft, Kind, Notification, Packet, Subtype,
    Type,
};
use crate::peer::{Answer, Ask, ChallengeAnswer};
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
    /// AUTN and AT_MAC of a challenge were verified, and it was answered.
    Verified {
        /// Both sides use result indications: success must be announced under AT_MAC.
        result_indication: bool,
    },
    /// The server announced success under AT_MAC.
    Confirmed,
    /// We sent or answered what can only be followed by EAP-Failure.
    Failing(Reason),
    /// The outcome is out.
    Over,
}

/// What an open ask is for.
#[derive(Debug)]
enum Step {
    Challenge {
        checkcode: bool,
        result_indication: bool,
    },
    Verify(Notification),
    Mac {
        draft: Draft,
        then: Phase,
    },
}

/// Challenges that the SIM is asked about in one conversation: the first, one after a resynchronisation, and two to spare.
const MOST_CHALLENGES: u8 = 4;

/// The state of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Of the latest request of the method, and so of Success or Failure (RFC 3748 section 4.2).
    identifier: Option<u8>,
    /// Of the latest EAP-Notification, which may stand between the method and its result.
    outside: Option<u8>,
    /// What enters the key derivation: the last AT_IDENTITY, else EAP-Response/Identity (RFC 9048 section 3.3).
    identity: Nai,
    rounds: Rounds,
    kdf: Negotiation,
    phase: Phase,
    /// An identity round comes too late now.
    challenged: bool,
    challenges: u8,
    notified: bool,
    open: Option<Step>,
    warning: Option<String>,
}

impl Conversation {
    pub(crate) fn new(config: &Config) -> Self {
        Conversation {
            identifier: None,
            outside: None,
            identity: config.outer.clone(),
            rounds: Rounds::default(),
            kdf: Negotiation::Open,
            phase: Phase::Unverified,
            challenged: false,
            challenges: 0,
            notified: false,
            open: None,
            warning: None,
        }
    }

    /// Whether an ask waits for its answer.
    pub(crate) fn asking(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a request of the method has been taken in.
    pub(crate) fn begun(&self) -> bool {
        self.identifier.is_some()
    }

    /// Whether a challenge has come.
    pub(crate) fn challenged(&self) -> bool {
        self.challenged
    }

    /// What the owner should be told about the last request, once.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Remembers that something outside the method was answered under this identifier.
    pub(crate) fn answered_outside(&mut self, identifier: u8) {
        self.outside = Some(identifier);
    }

    /// Whether our last word was a Nak: the server may now offer what we have.
    pub(crate) fn method_refused(&self) -> bool {
        matches!(self.phase, Phase::Failing(Reason::NoCommonMethod { .. }))
    }

    /// Remembers our Nak: EAP-Failure may follow it.
    pub(crate) fn refused_method(&mut self, identifier: u8, offered: u8) {
        self.identifier = Some(identifier);
        self.phase = Phase::Failing(Reason::NoCommonMethod { offered });
    }

    /// Takes a request of EAP-AKA' that was not answered before.
    pub(crate) fn request(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: Result<AkaMessage<'_>, AkaError>,
    ) -> Reaction {
        match self.phase {
            Phase::Confirmed => return Reaction::Discard("the server has announced success"),
            Phase::Over => return Reaction::Discard("the conversation is over"),
            Phase::Failing(_) => return Reaction::Discard("the conversation has failed"),
            Phase::Unverified | Phase::Verified { .. } => {}
        }
        self.identifier = Some(packet.identifier);
        let judged = match message {
            Err(error) => Err(Reason::Unprocessable(Unprocessable::Malformed(error))),
            Ok(message) => match message.subtype {
                Subtype::Identity => self.identity(config, packet, &message),
                Subtype::Challenge => self.challenge(config, packet, &message),
                Subtype::Notification => self.notification(packet, &message),
                other => Err(Reason::Unprocessable(Unprocessable::Subtype(other))),
            },
        };
        judged.unwrap_or_else(|reason| self.fail(reason))
    }

    /// Takes the answer to the open ask; `None` when it is not one, and the ask stays open.
    pub(crate) fn answer(&mut self, answer: Answer) -> Option<Reaction> {
        let judged = match (self.open.take()?, answer) {
            (
                Step::Challenge {
                    checkcode,
                    result_indication,
                },
                Answer::Challenge(answer),
            ) => self.challenge_answered(answer, checkcode, result_indication),
            (Step::Verify(code), Answer::Verify(true)) => self.notification_verified(code),
            (Step::Verify(_), Answer::Verify(false)) => {
                Err(Reason::Unprocessable(Unprocessable::Mac))
            }
            (Step::Mac { draft, then }, Answer::Mac(mac)) => {
                self.phase = then;
                Ok(Reaction::Respond(draft.with_mac(&mac)))
            }
            (_, Answer::Unavailable) => Err(Reason::Unprocessable(Unprocessable::Sim)),
            (step, _) => {
                self.open = Some(step);
                return None;
            }
        };
        Some(judged.unwrap_or_else(|reason| self.fail(reason)))
    }

    /// EAP-Success: counts only from a server that has proved itself (RFC 3748 section 4.2, RFC 4187 section 6.2).
    pub(crate) fn success(&mut self, identifier: u8) -> Result<Outcome, &'static str> {
        self.expect(identifier)?;
        match self.phase {
            Phase::Verified {
                result_indication: false,
            }
            | Phase::Confirmed => {
                self.phase = Phase::Over;
                Ok(Outcome::Success)
            }
            Phase::Verified {
                result_indication: true,
            } => Err("the protected success notification has not come"),
            Phase::Unverified => Err("the server has not proved itself"),
            Phase::Failing(_) => Err("the conversation has failed"),
            Phase::Over => Err("the conversation is over"),
        }
    }

    /// EAP-Failure: counts from a server that has proved itself, and after what only a failure can follow.
    pub(crate) fn failure(&mut self, identifier: u8) -> Result<Outcome, &'static str> {
        self.expect(identifier)?;
        let reason = match self.phase {
            Phase::Failing(reason) => reason,
            Phase::Verified { .. } => Reason::Rejected,
            Phase::Unverified => return Err("the server has not proved itself"),
            Phase::Confirmed => return Err("the server has announced success"),
            Phase::Over => return Err("the conversation is over"),
        };
        self.phase = Phase::Over;
        Ok(Outcome::Failure(reason))
    }

    /// The carrier gave up; `None` when the outcome is out already.
    pub(crate) fn carrier_failed(&mut self) -> Option<Outcome> {
        self.open = None;
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => None,
            Phase::Failing(reason) => Some(Outcome::Failure(reason)),
            Phase::Unverified | Phase::Verified { .. } | Phase::Confirmed => {
                Some(Outcome::Failure(Reason::Carrier))
            }
        }
    }

    fn expect(&self, identifier: u8) -> Result<(), &'static str> {
        if self.asking() {
            return Err("a request is being worked on");
        }
        if ![self.identifier, self.outside].contains(&Some(identifier)) {
            return Err("its identifier is not that of our last response");
        }
        Ok(())
    }

    /// AKA-Identity (RFC 4187 section 4.1).
    fn identity(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        if self.challenged {
            return Err(Reason::Unprocessable(Unprocessable::Subtype(
                Subtype::Identity,
            )));
        }
        self.rounds.next(message)?;
        // There is no pseudonym and no re-authentication identity, so that every question has the same answer.
        self.identity = config.permanent.clone();
        let response = self
            .response(
                Subtype::Identity,
                &[Attribute::Identity(self.identity.as_bytes())],
            )
            .into_bytes();
        self.rounds.record(packet.bytes(), &response);
        Ok(Reaction::Respond(response))
    }

    /// AKA'-Challenge: everything that can be judged without a key is judged before the SIM is asked.
    fn challenge(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        if let Phase::Verified { .. } = self.phase {
            return Err(Reason::Unprocessable(Unprocessable::Subtype(
                Subtype::Challenge,
            )));
        }
        self.challenged = true;
        if let Verdict::Ask(choice) = self.kdf.judge(message.kdfs())? {
            return Ok(Reaction::Respond(
                self.response(Subtype::Challenge, &[Attribute::Kdf(choice)])
                    .into_bytes(),
            ));
        }
        self.network_name(config, message.kdf_input())?;
        for (kind, there) in [
            (Kind::RAND, message.rand().is_some()),
            (Kind::AUTN, message.autn().is_some()),
            (Kind::MAC, message.mac().is_some()),
        ] {
            if !there {
                return Err(Reason::Unprocessable(Unprocessable::Missing(kind)));
            }
        }
        if message
            .checkcode()
            .is_some_and(|checkcode| checkcode != self.rounds.checkcode())
        {
            return Err(Reason::Unprocessable(Unprocessable::Checkcode));
        }
        if self.challenges == MOST_CHALLENGES {
            return Err(Reason::Unprocessable(Unprocessable::TooManyChallenges));
        }
        self.challenges += 1;
        self.open = Some(Step::Challenge {
            checkcode: message.checkcode().is_some(),
            result_indication: config.result_indication && message.result_ind(),
        });
        Ok(Reaction::Ask(Ask::Challenge {
            packet: packet.bytes().to_vec(),
            identity: self.identity.as_bytes().to_vec(),
        }))
    }

    /// AT_KDF_INPUT against the network we are on (RFC 9048 section 3.1).
    fn network_name(&mut self, config: &Config, received: Option<&[u8]>) -> Result<(), Reason> {
        let received = received
            .filter(|name| !name.is_empty())
            .ok_or(Reason::Distrusted(Distrust::NoNetworkName))?;
        match config.network_name_policy {
            _ if config.network_name.matches(received) => Ok(()),
            NetworkNamePolicy::Ignore => Ok(()),
            NetworkNamePolicy::Warn => {
                let (expected, got) = (&config.network_name, received.escape_ascii());
                self.warning = Some(format!("expected the network name {expected}, got {got}"));
                Ok(())
            }
            NetworkNamePolicy::Fail => Err(Reason::Distrusted(Distrust::NetworkName)),
        }
    }

    fn challenge_answered(
        &mut self,
        answer: ChallengeAnswer,
        checkcode: bool,
        result_indication: bool,
    ) -> Result<Reaction, Reason> {
        let (res, bits) = match answer {
            ChallengeAnswer::Success { res, res_bits } => (res, res_bits),
            ChallengeAnswer::SyncFailure(auts) => return Ok(self.synchronization_failure(&auts)),
            ChallengeAnswer::AutnRejected => return Err(Reason::Distrusted(Distrust::Autn)),
            ChallengeAnswer::MacInvalid => return Err(Reason::Unprocessable(Unprocessable::Mac)),
        };
        if !(32..=128).contains(&bits) || res.len() != usize::from(bits).div_ceil(8) {
            return Err(Reason::Unprocessable(Unprocessable::Sim));
        }
        let hash = self.rounds.checkcode();
        let mut attributes = vec![Attribute::Res { bits, value: &res }];
        attributes.extend(checkcode.then_some(Attribute::Checkcode(&hash)));
        attributes.extend(result_indication.then_some(Attribute::ResultInd));
        Ok(self.under_mac(
            Subtype::Challenge,
            &attributes,
            Phase::Verified { result_indication },
        ))
    }

    /// AT_AUTS and a copy of the agreed list of AT_KDF (RFC 9048 section 3.2), never AT_MAC.
    fn synchronization_failure(&self, auts: &[u8; 14]) -> Reaction {
        let mut attributes = vec![Attribute::Auts(auts)];
        attributes.extend(self.kdf.agreed().iter().map(|kdf| Attribute::Kdf(*kdf)));
        Reaction::Respond(
            self.response(Subtype::SynchronizationFailure, &attributes)
                .into_bytes(),
        )
    }

    /// AKA-Notification (RFC 4187 section 6.1).
    fn notification(
        &mut self,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        let missing = Reason::Unprocessable(Unprocessable::Missing(Kind::NOTIFICATION));
        let code = message.notification().ok_or(missing)?;
        if std::mem::replace(&mut self.notified, true) {
            return Err(Reason::Unprocessable(Unprocessable::SecondNotification(
                code,
            )));
        }
        let verified = matches!(self.phase, Phase::Verified { .. });
        match (
            code.before_challenge(),
            code.success(),
            message.mac().is_some(),
        ) {
            // A server that refuses our RES counts the challenge as failed, and so still uses these codes after it.
            (true, false, false) => {
                self.phase = Phase::Failing(Reason::Notified(code));
                Ok(Reaction::Respond(
                    self.response(Subtype::Notification, &[]).into_bytes(),
                ))
            }
            (false, _, true) if verified => {
                self.open = Some(Step::Verify(code));
                Ok(Reaction::Ask(Ask::Verify {
                    packet: packet.bytes().to_vec(),
                }))
            }
            _ => Err(Reason::Unprocessable(Unprocessable::NotificationPhase(
                code,
            ))),
        }
    }

    /// The notification is the server's. Codes that we do not know are answered too.
    fn notification_verified(&mut self, code: Notification) -> Result<Reaction, Reason> {
        let then = match code {
            Notification::SUCCESS => Phase::Confirmed,
            other if other.success() => self.phase,
            other => Phase::Failing(Reason::Notified(other)),
        };
        Ok(self.under_mac(Subtype::Notification, &[], then))
    }

    /// Authentication-Reject or Client-Error 0, both without AT_MAC (RFC 4187 section 6.3.1).
    fn fail(&mut self, reason: Reason) -> Reaction {
        let response = match reason {
            Reason::Distrusted(_) => self.response(Subtype::AuthenticationReject, &[]),
            _ => self.response(Subtype::ClientError, &[Attribute::ClientErrorCode(0)]),
        };
        self.phase = Phase::Failing(reason);
        Reaction::Respond(response.into_bytes())
    }

    fn under_mac(
        &mut self,
        subtype: Subtype,
        attributes: &[Attribute<'_>],
        then: Phase,
    ) -> Reaction {
        let draft = self.response(subtype, &[attributes, &[Attribute::Mac(&[0; 16])]].concat());
        let packet = draft.bytes().to_vec();
        self.open = Some(Step::Mac { draft, then });
        Reaction::Ask(Ask::Mac { packet })
    }

    fn response(&self, subtype: Subtype, attributes: &[Attribute<'_>]) -> Draft {
        let builder = Builder::new(
            Code::Response,
            self.identifier.unwrap_or(0),
            Type::AkaPrime,
            subtype,
        );
        attributes
            .iter()
            .fold(builder, |builder, attribute| builder.attribute(*attribute))
            .finish()
            .expect("identities have at most 253 octets, and a list of AT_KDF came in a packet that held more beside it")
    }
}
