//! The identities that servers assigned to a profile, and its re-authentication context.

use std::{fmt, mem};

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

/// The usernames that servers assigned to replace the permanent identity (RFC 4187 §4.1.1.3). keyd
/// adds the realm when it shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pseudonyms {
    /// The usual ones, each of which may be shown until the server assigns another.
    Pair(Pair),
    /// The server assigned it in an exchange that began with a SUCI, so it may be shown once (RFC
    /// 9048 §5.2).
    OneTime {
        /// The username.
        name: Name,
        /// Whether it was shown. keyd keeps it, since it shows that the server knows the
        /// subscriber by a pseudonym.
        spent: bool,
    },
}

/// The two pseudonyms of which the server knows at least one, whatever message was lost.
///
/// A server that keeps one pseudonym replaces it when our response to a challenge arrives. Whether
/// it arrived, the peer learns from EAP-Success, if that arrives; and anybody can forge one.
/// Therefore the pseudonym that was shown stays until its successor has carried a challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The one to show first: the last that carried a challenge with a right AT_MAC, or that came
    /// in an authentication which succeeded as far as keyd can know.
    pub proven: Option<Name>,
    /// The one to show after the first was refused: the newest that came under AT_MAC, or, once
    /// that has succeeded, the one before it.
    pub stand_by: Option<Name>,
}

impl Default for Pseudonyms {
    fn default() -> Self {
        Self::Pair(Pair::default())
    }
}

impl Pseudonyms {
    /// Whether the server knows the subscriber by a pseudonym, as far as keyd can know. A stand-by
    /// alone came in the first authentication of all, which may have failed.
    pub fn are_known(&self) -> bool {
        match self {
            Self::Pair(pair) => pair.proven.is_some(),
            Self::OneTime { .. } => true,
        }
    }

    /// How many there are to show.
    pub fn count(&self) -> usize {
        match self {
            Self::Pair(Pair { proven, stand_by }) => {
                proven.iter().count() + stand_by.iter().count()
            }
            Self::OneTime { spent, .. } => usize::from(!spent),
        }
    }

    /// Marks a one-time pseudonym as shown.
    pub fn spend(&mut self) {
        if let Self::OneTime { spent, .. } = self {
            *spent = true;
        }
    }

    /// A challenge for this identity had a right AT_MAC, and assigned `next`. The server knows the
    /// identity; it knows the next one only if our response arrives.
    ///
    /// After a one-time pseudonym, the next one is kept when the authentication has succeeded:
    /// until then, there is the SUCI.
    pub fn challenged(&mut self, identity: &[u8], next: Option<&Name>) {
        let Self::Pair(pair) = self else { return };
        let is_it = |name: &Name| name.as_str().as_bytes() == username(identity);
        if pair.stand_by.as_ref().is_some_and(is_it) {
            mem::swap(&mut pair.proven, &mut pair.stand_by);
        }
        if let Some(next) = next.filter(|next| pair.proven.as_ref() != Some(next)) {
            pair.stand_by = Some(next.clone());
        }
    }

    /// The authentication in which `shown` was shown and `next` assigned succeeded, as far as keyd
    /// can know. The pseudonym before it becomes the stand-by, unless there is a newer one: another
    /// access may have authenticated at the same time.
    pub fn confirmed(&mut self, next: Name, shown: Option<&Name>) {
        match self {
            Self::Pair(pair) if pair.proven.as_ref() == Some(&next) => {}
            Self::Pair(pair) => {
                let before = pair.proven.replace(next);
                let is_newer =
                    |name: &Name| pair.proven.as_ref() != Some(name) && shown != Some(name);
                if !pair.stand_by.as_ref().is_some_and(is_newer) {
                    pair.stand_by = before;
                }
            }
            Self::OneTime { .. } => {
                *self = Self::Pair(Pair {
                    proven: Some(next),
                    stand_by: None,
                });
            }
        }
    }
}

/// The part of an identity before its realm.
pub fn username(identity: &[u8]) -> &[u8] {
    let at = identity.iter().position(|octet| *octet == b'@');
    &identity[..at.unwrap_or(identity.len())]
}

/// How far the wait has come at whose end the permanent identity is shown to a network that has
/// refused every pseudonym. It is stored in quarters, so that a wait takes four writes, and goes on
/// after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// How often the permanent identity was shown at the end of such a wait.
    pub shown: u8,
    /// The quarters of the present wait that have passed, below [`Patience::QUARTERS`].
    pub quarters: u8,
}

impl Patience {
    /// The parts of a wait.
    pub const QUARTERS: u8 = 4;
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
    /// The pseudonyms that servers have assigned.
    pub pseudonyms: Pseudonyms,
    /// The re-authentication context, if the last authentication left one.
    pub reauthentication: Option<Reauthentication>,
    /// The wait before the permanent identity is shown.
    pub patience: Patience,
}

impl Identities {
    /// The identities of a profile to which no server has assigned any.
    pub(in super::super) fn none(of: Installation) -> Self {
        Self {
            of,
            pseudonyms: Pseudonyms::default(),
            reauthentication: None,
            patience: Patience::default(),
        }
    }
}

fields!(Identities {
    of,
    pseudonyms,
    reauthentication,
    patience
});

impl Contents for Identities {
    const TABLE: Table = Table::IDENTITIES;

    fn is_possible(&self) -> bool {
        let context = self.reauthentication.as_ref();
        context.is_none_or(Reauthentication::is_possible)
            && self.patience.quarters < Patience::QUARTERS
    }
}

fields!(Pair { proven, stand_by });
fields!(Patience { shown, quarters });
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

// How a record tells what kind of pseudonyms it has.
const PAIR: u8 = 0;
const ONE_TIME: u8 = 1;

impl Field for Pseudonyms {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Pair(pair) => {
                PAIR.write(to);
                pair.write(to);
            }
            Self::OneTime { name, spent } => {
                ONE_TIME.write(to);
                name.write(to);
                spent.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(from)? {
            PAIR => Field::read(from).map(Self::Pair),
            ONE_TIME => Ok(Self::OneTime {
                name: Field::read(from)?,
                spent: Field::read(from)?,
            }),
            _ => Err(Malformed),
        }
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
