//! The end of a conversation: when EAP-Success and EAP-Failure count (RFC 3748 §4.2, RFC 4187 §6.2,
//! §6.3.3 and §6.3.4).

use super::{Conversation, Phase, Reason};
use crate::outcome::Outcome;

impl Conversation {
    /// Handles EAP-Success, which counts only from a server that has proved itself.
    pub(crate) fn success(&mut self, identifier: u8) -> Result<Outcome, &'static str> {
        self.expect(identifier)?;
        match self.phase {
            Phase::Verified {
                success,
                result_indication: false,
            }
            | Phase::Confirmed(success) => {
                self.phase = Phase::Over;
                Ok(Outcome::Success(success))
            }
            Phase::Verified {
                result_indication: true,
                ..
            } => Err("the server has not sent the protected success notification"),
            Phase::Unverified => Err("the server has not proved itself"),
            Phase::Failing(_) => Err("the conversation has failed"),
            Phase::Over => Err("the conversation is over"),
        }
    }

    /// Handles EAP-Failure, which counts from a server that has proved itself, and when only a
    /// failure can follow.
    pub(crate) fn failure(&mut self, identifier: u8) -> Result<Outcome, &'static str> {
        self.expect(identifier)?;
        let reason = match self.phase {
            Phase::Failing(reason) => reason,
            Phase::Verified { success, .. } => Reason::Rejected {
                reauthentication: success.reauthenticated,
            },
            Phase::Unverified => return Err("the server has not proved itself"),
            Phase::Confirmed(_) => return Err("the server has announced success"),
            Phase::Over => return Err("the conversation is over"),
        };
        self.phase = Phase::Over;
        Ok(Outcome::Failure(reason))
    }

    /// Whether the method has begun and the server has not proved itself.
    pub(crate) fn awaits_proof(&self) -> bool {
        self.begun() && matches!(self.phase, Phase::Unverified)
    }

    /// Whether the server has proved itself, and nothing has failed since.
    pub(crate) fn has_proof(&self) -> bool {
        matches!(self.phase, Phase::Verified { .. } | Phase::Confirmed(_))
    }

    /// Whether [`Self::awaits_proof`] holds, and our last response had this identifier.
    pub(crate) fn awaits_proof_after(&self, identifier: u8) -> bool {
        self.awaits_proof() && self.expect(identifier).is_ok()
    }

    /// Whether only EAP-Failure can follow, or the outcome was reported already.
    pub(crate) fn ending(&self) -> bool {
        matches!(self.phase, Phase::Failing(_) | Phase::Over)
    }

    /// Ends the conversation because the carrier gave up. `None` means that the outcome was
    /// reported already.
    pub(crate) fn carrier_failed(&mut self) -> Option<Outcome> {
        self.open = None;
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => None,
            Phase::Failing(reason) => Some(Outcome::Failure(reason)),
            Phase::Unverified | Phase::Verified { .. } | Phase::Confirmed(_) => {
                Some(Outcome::Failure(Reason::Carrier))
            }
        }
    }

    fn expect(&self, identifier: u8) -> Result<(), &'static str> {
        if self.asking() {
            return Err("another request is being processed");
        }
        if ![self.identifier, self.outside].contains(&Some(identifier)) {
            return Err("its identifier is not that of our last response");
        }
        Ok(())
    }
}
