//! The identities that servers assigned to a profile, and its re-authentication context.

use std::fmt;

use softsim_aka::eap::MacKey;
use softsim_aka::{KAut, KAut128, KEncr, KRe, Mk};
use softsim_keyd_proto::Method;

use super::profile::Installation;
use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// An identity or the username of one, as a server assigned it: UTF-8 without control characters
/// (RFC 7542 §2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Box<str>);

impl Name {
    /// The longest name, in octets: as long as an identity may be in RADIUS (RFC 7542 §2.3).
    pub const MAX: usize = 253;

    /// Takes 1 to 253 octets; `None` if they are not a name.
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

/// Doesn't print the name, since names identify a subscriber and logs are passed on.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name([redacted])")
    }
}

/// The identity that replaces the permanent one (RFC 4187 §4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudonym {
    /// The username. keyd adds the realm when it shows the pseudonym.
    pub name: Name,
    /// How often it may be shown.
    pub uses: Uses,
}

/// How often a pseudonym may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// Until the server assigns another.
    Unlimited,
    /// Once: the server assigned it in an exchange that began with a SUCI (RFC 9048 §5.2).
    Once,
    /// Never again. keyd keeps it, since it shows that the server knows the subscriber by a
    /// pseudonym.
    Spent,
}

impl Pseudonym {
    /// Marks a one-time pseudonym as spent.
    pub fn spend(&mut self) {
        if self.uses == Uses::Once {
            self.uses = Uses::Spent;
        }
    }
}

/// The context of a fast re-authentication (RFC 4187 §5).
#[derive(Debug, PartialEq, Eq)]
pub struct Reauthentication {
    /// The re-authentication identity, with its realm.
    pub identity: Name,
    /// Whether the identity was given out, which happens only once.
    pub shown: bool,
    /// The highest AT_COUNTER that was accepted.
    pub counter: u16,
    /// The key of AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// The key of AT_MAC, of the same method as the root.
    pub k_aut: MacKey,
    /// The root of new keys.
    pub root: Root,
}

/// The key of the full authentication from which new keys are derived.
#[derive(Debug, PartialEq, Eq)]
pub enum Root {
    /// EAP-AKA (RFC 4187 §7).
    Aka(Mk),
    /// EAP-AKA' (RFC 9048 §3.3).
    AkaPrime {
        /// The root key.
        k_re: KRe,
        /// The access network, 1 to [`Root::MAX_NETWORK_NAME`] octets. The root must not be used
        /// on another one.
        network_name: Box<[u8]>,
    },
}

impl Root {
    /// The longest name of an access network after which a context is stored, in octets.
    pub const MAX_NETWORK_NAME: usize = 253;
}

impl Reauthentication {
    fn is_possible(&self) -> bool {
        match (&self.root, &self.k_aut) {
            (Root::Aka(_), MacKey::Aka(_)) => true,
            (Root::AkaPrime { network_name, .. }, MacKey::AkaPrime(_)) => {
                network_name.len() <= Root::MAX_NETWORK_NAME
            }
            _ => false,
        }
    }

    /// The method of the full authentication, and therefore of the fast one.
    pub fn method(&self) -> Method {
        match self.root {
            Root::Aka(_) => Method::Aka,
            Root::AkaPrime { .. } => Method::AkaPrime,
        }
    }
}

/// The identities of a profile.
#[derive(Debug, PartialEq, Eq)]
pub struct Identities {
    /// The profile.
    pub(in super::super) of: Installation,
    /// The pseudonym, if a server has assigned one.
    pub pseudonym: Option<Pseudonym>,
    /// The re-authentication context, if the last authentication left one.
    pub reauthentication: Option<Reauthentication>,
}

impl Identities {
    /// The identities of a profile to which no server has assigned any.
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

    fn is_possible(&self) -> bool {
        let context = self.reauthentication.as_ref();
        context.is_none_or(Reauthentication::is_possible)
    }
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
