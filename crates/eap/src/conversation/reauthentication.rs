//! AKA-Reauthentication: new keys without AKA, protected by those of the full authentication (RFC
//! 4187 §5).

use softsim_eap_packet::{AkaMessage, Attribute, Kind, Packet, Subtype};
use softsim_eap_types::IdentityKind;

use super::{
    Conversation, Echo, Phase, Reaction, Response, Step, allow, encrypted, missing, unexpected,
};
use crate::ask::{Ask, ReauthenticationAnswer};
use crate::config::Config;
use crate::outcome::{Reason, Success, Unprocessable};

/// A re-authentication that is being checked.
#[derive(Debug)]
pub(super) struct Open {
    echo: Echo,
    /// AT_MAC of the request, which is part of the Session-Id.
    mac: [u8; 16],
}

impl Conversation {
    /// Accepts one re-authentication in a conversation, before any challenge, and only if the
    /// peer's last identity was a re-authentication identity.
    pub(super) fn reauthentication(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        let identity = self
            .identity
            .as_ref()
            .filter(|identity| identity.kind == IdentityKind::Reauthentication);
        let Some(identity) = identity.filter(|_| !self.challenged()) else {
            return unexpected(Subtype::Reauthentication);
        };
        let identity = identity.nai.as_bytes().to_vec();
        self.reauthenticated = true;
        allow(message, &[Kind::MAC])?;
        let mac = message.mac().ok_or(missing(Kind::MAC))?;
        if !encrypted(message)? {
            return Err(missing(Kind::ENCR_DATA));
        }
        self.open = Some(Step::Reauthentication(Open {
            echo: self.echo(config, message)?,
            mac: *mac,
        }));
        Ok(Reaction::Ask(Ask::Reauthentication {
            method: self.method,
            packet: packet.bytes().to_vec(),
            identity,
        }))
    }

    /// Responds to a re-authentication that was checked. If its counter was used before, the
    /// response says so, and the server continues with a full authentication in the same
    /// conversation (§5.5).
    pub(super) fn reauthentication_answered(
        &mut self,
        open: &Open,
        answer: &ReauthenticationAnswer,
    ) -> Result<Reaction, Reason> {
        let (echo, then) = match answer {
            ReauthenticationAnswer::Fresh { nonce_s } => {
                let success = Success {
                    method: self.method,
                    session_id: Success::session_id(self.method, nonce_s, &open.mac),
                    reauthenticated: true,
                    forward_secrecy: false,
                };
                let result_indication = open.echo.result_indication;
                (
                    open.echo,
                    Phase::Verified {
                        success,
                        result_indication,
                    },
                )
            }
            ReauthenticationAnswer::CounterTooSmall => {
                let echo = Echo {
                    result_indication: false,
                    ..open.echo
                };
                (echo, Phase::Unverified)
            }
            ReauthenticationAnswer::Invalid => {
                return Err(Reason::Unprocessable(Unprocessable::Mac));
            }
        };
        Ok(self.under_counter(Subtype::Reauthentication, echo, then))
    }

    /// Asks for the encrypted AT_COUNTER, which every response under the keys of a
    /// re-authentication carries.
    pub(super) fn under_counter(&mut self, subtype: Subtype, echo: Echo, then: Phase) -> Reaction {
        let response = Response { subtype, echo };
        self.open = Some(Step::Counter { response, then });
        Reaction::Ask(Ask::EncryptedCounter)
    }

    pub(super) fn counter_encrypted(
        &mut self,
        response: &Response,
        then: Phase,
        iv: &[u8; 16],
        data: &[u8],
    ) -> Result<Reaction, Reason> {
        // One block holds AT_COUNTER and AT_COUNTER_TOO_SMALL with their padding.
        if data.len() != 16 {
            return Err(Reason::Unprocessable(Unprocessable::Sim));
        }
        let attributes = [Attribute::Iv(iv), Attribute::EncrData(data)];
        Ok(self.under_mac(response.subtype, &attributes, response.echo, then))
    }
}
