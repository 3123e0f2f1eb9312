//! The reactions that a peer must show.

use softsim_eap_packet::{AkaMessage, Attribute, Packet, Subtype, Type, parse_encrypted};

use super::Stage;

/// The required answer of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// AKA-Identity with an AT_IDENTITY.
    Identity,
    /// AKA-Challenge with the right RES, under AT_MAC.
    Challenge,
    /// As [`Reaction::Challenge`], with an ephemeral public key of its own.
    ForwardSecretChallenge,
    /// AKA-Challenge with this AT_KDF and nothing else.
    Kdf(u16),
    /// AKA-Challenge with this AT_KDF_FS and nothing else.
    KdfFs(u16),
    /// AKA-Synchronization-Failure with AT_AUTS and a copy of the last AT_KDF list, which the AuC
    /// believes.
    SynchronizationFailure,
    /// AKA-Authentication-Reject without attributes.
    AuthenticationReject,
    /// AKA-Client-Error 0 without other attributes.
    ClientError,
    /// AKA-Reauthentication with the counter, under AT_MAC.
    Reauthentication,
    /// AKA-Reauthentication with the counter and AT_COUNTER_TOO_SMALL, under AT_MAC.
    CounterTooSmall,
    /// AKA-Notification without attributes.
    Notification,
    /// AKA-Notification under AT_MAC.
    NotificationUnderMac,
    /// AKA-Notification with the counter, under AT_MAC.
    NotificationWithCounter,
    /// EAP-Nak that names these types.
    Nak(Vec<u8>),
    /// EAP-Response/Identity.
    EapIdentity,
    /// EAP-Response/Notification.
    EapNotification,
    /// The same packet as its last answer.
    Same,
    /// Nothing.
    Silence,
}

impl Stage {
    /// Checks the reaction. The error says what came instead.
    pub(super) fn judge(
        &mut self,
        expected: &Reaction,
        response: &Packet<'_>,
    ) -> Result<(), String> {
        let same = self.last_response == response.bytes();
        let other = || {
            Err(format!(
                "expected {expected:?}, got {}",
                described(response)
            ))
        };
        let fits = match (expected, response.typed) {
            (Reaction::Same, _) => same,
            (Reaction::Nak(wanted), Some((Type::Nak, types))) => types == wanted,
            (Reaction::EapIdentity, Some((Type::Identity, _)))
            | (Reaction::EapNotification, Some((Type::Notification, _))) => true,
            (_, Some((kind, _))) if kind == self.method.into() => match response.aka() {
                Ok(message) => self.judge_message(expected, response.bytes(), &message)?,
                Err(error) => return Err(format!("malformed response: {error}")),
            },
            _ => false,
        };
        self.last_response = response.bytes().to_vec();
        if fits { Ok(()) } else { other() }
    }

    fn judge_message(
        &mut self,
        expected: &Reaction,
        response: &[u8],
        message: &AkaMessage<'_>,
    ) -> Result<bool, String> {
        let bare = message.attributes().next().is_none();
        let is = |subtype| message.subtype == subtype;
        Ok(match expected {
            Reaction::Identity => {
                let Some(identity) = message.identity() else {
                    return Ok(false);
                };
                self.identified(identity, response);
                is(Subtype::Identity)
            }
            Reaction::Challenge => is(Subtype::Challenge) && self.res_is_right(message, false)?,
            Reaction::ForwardSecretChallenge => {
                is(Subtype::Challenge) && self.res_is_right(message, true)?
            }
            Reaction::Kdf(kdf) => {
                is(Subtype::Challenge) && message.attributes().eq([Attribute::Kdf(*kdf)])
            }
            Reaction::KdfFs(kdf) => {
                is(Subtype::Challenge) && message.attributes().eq([Attribute::KdfFs(*kdf)])
            }
            Reaction::SynchronizationFailure => {
                is(Subtype::SynchronizationFailure) && self.auts_is_right(message)
            }
            Reaction::AuthenticationReject => is(Subtype::AuthenticationReject) && bare,
            Reaction::ClientError => {
                is(Subtype::ClientError) && message.attributes().eq([Attribute::ClientErrorCode(0)])
            }
            Reaction::Reauthentication => {
                is(Subtype::Reauthentication) && self.counter_is_right(message, Some(false))?
            }
            Reaction::CounterTooSmall => {
                is(Subtype::Reauthentication) && self.counter_is_right(message, Some(true))?
            }
            Reaction::Notification => is(Subtype::Notification) && bare,
            Reaction::NotificationUnderMac => {
                is(Subtype::Notification) && self.mac_is_right(message, &[])?
            }
            Reaction::NotificationWithCounter => {
                is(Subtype::Notification) && self.counter_is_right(message, None)?
            }
            Reaction::Nak(_)
            | Reaction::EapIdentity
            | Reaction::EapNotification
            | Reaction::Same
            | Reaction::Silence => false,
        })
    }

    fn mac_is_right(&self, message: &AkaMessage<'_>, extra: &[u8]) -> Result<bool, String> {
        let keys = self.keys().ok_or("answered under keys that nobody has")?;
        match keys.authentic(message, extra) {
            true => Ok(true),
            false => Err("AT_MAC is missing or wrong".into()),
        }
    }

    fn res_is_right(&mut self, message: &AkaMessage<'_>, ephemeral: bool) -> Result<bool, String> {
        self.mac_is_right(message, &[])?;
        let xres = self.vector().map(|vector| vector.xres.as_bytes().to_vec());
        if message.res().map(|(_, res)| res.to_vec()) != xres {
            return Err("AT_RES is missing or wrong".into());
        }
        if message.pub_ecdhe().is_some() != ephemeral {
            return Err("AT_PUB_ECDHE was not to be expected, or is missing".into());
        }
        if let Some(public_key) = message.pub_ecdhe() {
            self.agree(public_key)?;
        }
        Ok(true)
    }

    /// AT_COUNTER of the session, with AT_COUNTER_TOO_SMALL or without.
    fn counter_is_right(
        &self,
        message: &AkaMessage<'_>,
        too_small: Option<bool>,
    ) -> Result<bool, String> {
        let extra = match too_small {
            Some(_) => &self.nonce_s[..],
            None => &[],
        };
        self.mac_is_right(message, extra)?;
        let data = self.keys().and_then(|keys| keys.decrypted(message));
        let data = data.ok_or("expected AT_ENCR_DATA, got none")?;
        let inside = parse_encrypted(&data).map_err(|error| error.to_string())?;
        if !inside.contains(&Attribute::Counter(self.counter)) {
            return Err(format!(
                "expected AT_COUNTER {}, got {inside:?}",
                self.counter
            ));
        }
        let found = inside.contains(&Attribute::CounterTooSmall);
        Ok(found == (too_small == Some(true)))
    }

    /// RFC 9048 §3.2: the list comes back; RFC 4187 §9.6: no AT_MAC, nothing else.
    fn auts_is_right(&mut self, message: &AkaMessage<'_>) -> bool {
        let copies = self.kdfs.iter().map(|kdf| Attribute::Kdf(*kdf));
        let Some(auts) = message.auts() else {
            return false;
        };
        self.auts = Some(*auts);
        message
            .attributes()
            .eq([Attribute::Auts(auts)].into_iter().chain(copies))
    }
}

/// Describes a packet in a few words, without identities.
fn described(response: &Packet<'_>) -> String {
    match (response.typed, response.aka()) {
        (_, Ok(message)) => {
            let kinds: Vec<_> = message.attributes().map(|a| a.kind()).collect();
            format!("{} with {kinds:?}", message.subtype)
        }
        (Some((kind, _)), _) => format!("{kind:?}"),
        (None, _) => format!("{:?}", response.code),
    }
}
