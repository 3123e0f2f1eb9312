//! AKA-Notification: S bit, P bit, AT_MAC, and the encrypted counter after a re-authentication (RFC
//! 4187 §6.1, §9.10 and §9.11).

use softsim_eap_packet::{AkaMessage, Kind, Notification, Packet, Subtype};

use super::{Conversation, Echo, Phase, Reaction, Step, allow, encrypted, missing};
use crate::ask::Ask;
use crate::outcome::{Reason, Success, Unprocessable};

/// A notification whose AT_MAC is being checked.
#[derive(Debug)]
pub(super) struct Open {
    code: Notification,
    success: Success,
}

impl Conversation {
    pub(super) fn notification(
        &mut self,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        allow(message, &[Kind::NOTIFICATION, Kind::MAC])?;
        let code = message.notification().ok_or(missing(Kind::NOTIFICATION))?;
        if std::mem::replace(&mut self.notified, true) {
            let second = Unprocessable::SecondNotification(code);
            return Err(Reason::Unprocessable(second));
        }
        let (before, under_mac) = (code.before_challenge(), message.mac().is_some());
        match self.phase {
            // A server that refuses our RES counts the challenge as failed, and therefore still
            // uses these codes after it.
            _ if before && !code.success() && !under_mac => {
                self.phase = Phase::Failing(Reason::Notified(code));
                let response = self.response(Subtype::Notification, &[]);
                Ok(Reaction::Respond(response.into_bytes()))
            }
            Phase::Verified { success, .. } if !before && under_mac => {
                if success.reauthenticated && !encrypted(message)? {
                    return Err(missing(Kind::ENCR_DATA));
                }
                self.open = Some(Step::Verify(Open { code, success }));
                Ok(Reaction::Ask(Ask::Verify {
                    packet: packet.bytes().to_vec(),
                }))
            }
            _ => Err(Reason::Unprocessable(Unprocessable::NotificationPhase(
                code,
            ))),
        }
    }

    /// Answers a notification whose AT_MAC is right, even if its code is unknown.
    pub(super) fn notification_verified(&mut self, open: Open) -> Reaction {
        let then = match open.code {
            Notification::SUCCESS => Phase::Confirmed(open.success),
            other if other.success() => self.phase,
            other => Phase::Failing(Reason::Notified(other)),
        };
        if open.success.reauthenticated {
            self.under_counter(Subtype::Notification, Echo::default(), then)
        } else {
            self.under_mac(Subtype::Notification, &[], Echo::default(), then)
        }
    }
}
