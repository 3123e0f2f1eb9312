//! The identities that the peer shows: network access identifiers, and what they reveal.

use std::fmt;

use softsim_eap_types::IdentityKind;

/// The longest identity, in octets, which is what one RADIUS User-Name can hold (RFC 7542 §2.3).
const MAX_NAI: usize = 253;

/// A network access identifier (RFC 7542), such as
/// `6001010123456789@wlan.mnc001.mcc001.3gppnetwork.org`.
#[derive(Clone, PartialEq, Eq)]
pub struct Nai(String);

/// Why an identity can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNai {
    /// Not 1 to 253 octets.
    #[error("expected an identity of 1 to {MAX_NAI} octets, got {octets}")]
    Length {
        /// Octets given.
        octets: usize,
    },
    /// A control character, NUL among them.
    #[error("expected an identity without control characters, got one")]
    Control,
    /// It can't be decorated, because it has no realm or is decorated already.
    #[error("expected an identity with a realm and not yet decorated, got another")]
    NotDecorable,
}

impl Nai {
    /// Checks an identity that the peer is to send.
    ///
    /// # Errors
    /// [`BadNai`] when it is empty, too long, or holds control characters.
    pub fn new(nai: impl Into<String>) -> Result<Self, BadNai> {
        let nai = nai.into();
        if !(1..=MAX_NAI).contains(&nai.len()) {
            return Err(BadNai::Length { octets: nai.len() });
        }
        if nai.chars().any(char::is_control) {
            return Err(BadNai::Control);
        }
        Ok(Nai(nai))
    }

    /// The octets on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Decorates the identity, so that it is routed through another realm: `user@home` becomes
    /// `home!user@through` (RFC 7542 §3.3.1, TS 23.003 §19.3.3).
    ///
    /// # Errors
    /// [`BadNai`] when it has no realm or is decorated already, or is too long afterwards.
    pub fn decorated(&self, through: &str) -> Result<Self, BadNai> {
        match self.0.rsplit_once('@') {
            Some((user, home)) if !user.contains('!') => {
                Nai::new(format!("{home}!{user}@{through}"))
            }
            _ => Err(BadNai::NotDecorable),
        }
    }
}

/// Prints no identity: a permanent one is the subscriber's IMSI.
impl fmt::Debug for Nai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nai([redacted])")
    }
}

/// An identity, and what it reveals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identity as it is sent, without decoration.
    pub nai: Nai,
    /// What it reveals.
    pub kind: IdentityKind,
}

/// The identity in EAP-Response/Identity, which passes every network on the path in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OuterIdentity {
    /// A re-authentication identity, else a pseudonym, else the permanent identity.
    Any,
    /// A pseudonym, else the permanent identity.
    PseudonymOrPermanent,
    /// Only the realm: the server asks for more inside the method.
    Anonymous,
    /// The concealed permanent identity, here and wherever the server asks inside the method.
    Suci,
    /// This one.
    Fixed(Identity),
}
