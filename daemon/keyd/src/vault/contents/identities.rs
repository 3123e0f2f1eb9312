//! What access networks call a subscriber: the identities that servers gave, and the context of a
//! fast re-authentication.

use std::fmt;

use softsim_aka::eap::MacKey;
use softsim_aka::{KAut, KAut128, KEncr, KRe, Mk};
use softsim_keyd_proto::Method;

use super::profile::Installation;
use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// An identity or the username of one, as a server gave it: UTF-8 without control characters (RFC
/// 7542 §2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Box<str>);

impl Name {
    /// The longest name, in octets: what an identity takes in RADIUS (RFC 7542 §2.3).
    pub const MAX: usize = 253;

    /// Takes 1 to 253 octets; nothing where they are no name.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(octets).ok()?;
        let fits = (1..=Self::MAX).contains(&name.len()) && !name.contains(char::is_control);
        fits.then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It follows a subscriber about, and logs travel.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name([redacted])")
    }
}

/// What stands for the permanent identity (RFC 4187 §4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudonym {
    /// The username; the realm is added where it is shown.
    pub name: Name,
    /// How often it may be shown.
    pub uses: Uses,
}

/// How often a pseudonym may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// Until another one comes.
    Unlimited,
    /// One time only: it came in an exchange that a SUCI began (RFC 9048 §5.2).
    Once,
    /// No more. It is kept nevertheless: who gave it knows the subscriber by a pseudonym.
    Spent,
}

impl Pseudonym {
    /// Takes the one time from a pseudonym that has only one.
    pub fn spend(&mut self) {
        if self.uses == Uses::Once {
            self.uses = Uses::Spent;
        }
    }
}

/// The context of a fast re-authentication (RFC 4187 §5).
#[derive(Debug, PartialEq, Eq)]
pub struct Reauthentication {
    /// The identity that stands for it, with its realm.
    pub identity: Name,
    /// Whether the identity was given out: that happens once.
    pub shown: bool,
    /// The highest AT_COUNTER that was accepted.
    pub counter: u16,
    /// Encrypts AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// Authenticates packets; of the root's method.
    pub k_aut: MacKey,
    /// What new keys are derived from.
    pub root: Root,
}

/// What the full authentication left to derive new keys from.
#[derive(Debug, PartialEq, Eq)]
pub enum Root {
    /// EAP-AKA (RFC 4187 §7).
    Aka(Mk),
    /// EAP-AKA' (RFC 9048 §3.3).
    AkaPrime {
        /// The root key.
        k_re: KRe,
        /// The access network, 1 to [`Root::MAX_NETWORK_NAME`] octets: on another one, it isn't
        /// for use.
        network_name: Box<[u8]>,
    },
}

impl Root {
    /// The longest name of an access network with which a full authentication leaves anything, in
    /// octets.
    pub const MAX_NETWORK_NAME: usize = 253;
}

impl Reauthentication {
    /// The method of the full authentication, which is that of the fast one.
    pub fn method(&self) -> Method {
        match self.root {
            Root::Aka(_) => Method::Aka,
            Root::AkaPrime { .. } => Method::AkaPrime,
        }
    }
}

/// What servers call a profile.
#[derive(Debug, PartialEq, Eq)]
pub struct Identities {
    /// The profile.
    pub(in super::super) of: Installation,
    /// The pseudonym, once there is one.
    pub pseudonym: Option<Pseudonym>,
    /// What the last authentication left for a fast one.
    pub reauthentication: Option<Reauthentication>,
}

impl Identities {
    /// Those of a profile that no server has named.
    pub(in super::super) fn none(of: Installation) -> Self {
        Self {
            of,
            pseudonym: None,
            reauthentication: None,
        }
    }
}

fields!(Identities {
    of,
    pseudonym,
    reauthentication
});

impl Contents for Identities {
    const TABLE: Table = Table::IDENTITIES;
}

fields!(Pseudonym { name, uses });
fields!(Reauthentication {
    identity,
    shown,
    counter,
    k_encr,
    k_aut,
    root
});

impl Field for Name {
    fn write(&self, to: &mut Writer) {
        to.sized(self.0.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::new(from.sized()?).ok_or(Malformed)
    }
}

impl Field for Uses {
    fn write(&self, to: &mut Writer) {
        (*self as u8).write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number = u8::read(from)?;
        [Self::Unlimited, Self::Once, Self::Spent]
            .into_iter()
            .find(|uses| *uses as u8 == number)
            .ok_or(Malformed)
    }
}

// How a record tells the method: by its EAP type.
const AKA: u8 = 23;
const AKA_PRIME: u8 = 50;

impl Field for Root {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Aka(mk) => {
                AKA.write(to);
                mk.write(to);
            }
            Self::AkaPrime { k_re, network_name } => {
                AKA_PRIME.write(to);
                k_re.write(to);
                network_name.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(from)? {
            AKA => Field::read(from).map(Self::Aka),
            AKA_PRIME => Ok(Self::AkaPrime {
                k_re: Field::read(from)?,
                network_name: Field::read(from)?,
            }),
            _ => Err(Malformed),
        }
    }
}

impl Field for MacKey {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Aka(k_aut) => {
                AKA.write(to);
                k_aut.write(to);
            }
            Self::AkaPrime(k_aut) => {
                AKA_PRIME.write(to);
                k_aut.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(from)? {
            AKA => Field::read(from).map(Self::Aka),
            AKA_PRIME => Field::read(from).map(Self::AkaPrime),
            _ => Err(Malformed),
        }
    }
}

macro_rules! keys {
    ($($key:ident)+) => { $(
        impl Field for $key {
            fn write(&self, to: &mut Writer) {
                self.as_bytes().write(to);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Field::read(from).map(Self::new)
            }
        }
    )+ };
}
keys!(KAut KAut128 KEncr KRe Mk);
