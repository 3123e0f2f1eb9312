//! What access networks call a subscriber: the names that servers gave, and what a fast
//! re-authentication starts from.

use std::fmt;

use softsim_aka::eap::MacKey;
use softsim_aka::{KAut, KAut128, KEncr, KRe, Mk};
use softsim_keyd_proto::Method;

use super::{Contents, Malformed, Reader, Table, Writer};

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

/// What a fast re-authentication starts from (RFC 4187 §5).
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

/// The names of a profile.
#[derive(Debug, PartialEq, Eq)]
pub struct Identities {
    /// The slot of the profile.
    pub(in super::super) slot: u32,
    /// The first generation of its sequence numbers: tells it from others in the same slot.
    pub(in super::super) installation: u64,
    /// The pseudonym, once there is one.
    pub pseudonym: Option<Pseudonym>,
    /// What the last authentication left for a fast one.
    pub reauthentication: Option<Reauthentication>,
}

impl Identities {
    /// Those of a profile that no server has named.
    pub(in super::super) fn none(slot: u32, installation: u64) -> Self {
        Self {
            slot,
            installation,
            pseudonym: None,
            reauthentication: None,
        }
    }
}

impl Contents for Identities {
    const TABLE: Table = Table::Identities;

    fn write(&self, to: &mut Writer) {
        to.count(self.slot);
        to.number(self.installation);
        to.flag(self.pseudonym.is_some());
        if let Some(pseudonym) = &self.pseudonym {
            to.name(&pseudonym.name);
            to.octet(match pseudonym.uses {
                Uses::Unlimited => UNLIMITED,
                Uses::Once => ONCE,
                Uses::Spent => SPENT,
            });
        }
        to.flag(self.reauthentication.is_some());
        if let Some(reauthentication) = &self.reauthentication {
            to.reauthentication(reauthentication);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            slot: from.count()?,
            installation: from.number()?,
            pseudonym: if from.flag()? {
                Some(Pseudonym {
                    name: from.name()?,
                    uses: match from.octet()? {
                        UNLIMITED => Uses::Unlimited,
                        ONCE => Uses::Once,
                        SPENT => Uses::Spent,
                        _ => return Err(Malformed),
                    },
                })
            } else {
                None
            },
            reauthentication: if from.flag()? {
                Some(from.reauthentication()?)
            } else {
                None
            },
        })
    }
}

// How a record tells a pseudonym's uses.
const UNLIMITED: u8 = 0;
const ONCE: u8 = 1;
const SPENT: u8 = 2;

// How a record tells the method.
const AKA: u8 = 23;
const AKA_PRIME: u8 = 50;

impl Writer {
    fn name(&mut self, name: &Name) {
        self.digits(name.as_str());
    }

    fn reauthentication(&mut self, of: &Reauthentication) {
        self.name(&of.identity);
        self.flag(of.shown);
        self.octets(&of.counter.to_be_bytes());
        self.octets(of.k_encr.as_bytes());
        match &of.root {
            Root::Aka(mk) => {
                self.octet(AKA);
                self.octets(mk.as_bytes());
            }
            Root::AkaPrime { k_re, network_name } => {
                self.octet(AKA_PRIME);
                self.octets(k_re.as_bytes());
                self.octet(network_name.len() as u8);
                self.octets(network_name);
            }
        }
        match &of.k_aut {
            MacKey::Aka(k_aut) => self.octets(k_aut.as_bytes()),
            MacKey::AkaPrime(k_aut) => self.octets(k_aut.as_bytes()),
        }
    }
}

impl Reader<'_> {
    fn name(&mut self) -> Result<Name, Malformed> {
        let length = self.octet()?;
        Name::new(self.take(length.into())?).ok_or(Malformed)
    }

    fn reauthentication(&mut self) -> Result<Reauthentication, Malformed> {
        let identity = self.name()?;
        let shown = self.flag()?;
        let counter = u16::from_be_bytes(self.array()?);
        let k_encr = KEncr::new(self.array()?);
        let (root, k_aut) = match self.octet()? {
            AKA => (
                Root::Aka(Mk::new(self.array()?)),
                KAut128::new(self.array()?).into(),
            ),
            AKA_PRIME => {
                let k_re = KRe::new(self.array()?);
                let length = self.few(Root::MAX_NETWORK_NAME)?;
                let network_name = self.take(length)?.into();
                (
                    Root::AkaPrime { k_re, network_name },
                    KAut::new(self.array()?).into(),
                )
            }
            _ => return Err(Malformed),
        };
        Ok(Reauthentication {
            identity,
            shown,
            counter,
            k_encr,
            k_aut,
            root,
        })
    }
}
