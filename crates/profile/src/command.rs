//! A command: what an operator tells one device to do with a profile that is there, or with its
//! sealing key.
//!
//! It stands in an envelope like a package's, with the same headers and the same rising sequence.
//! Its payload is a CBOR map with the keys 1 to 4, all of which stand there, in order:
//!
//! | key | contents |
//! |---|---|
//! | 1 | what to do: 1 enable, 2 disable, 3 delete, 4 rotate the sealing key |
//! | 2 | ICCID; null with 4 |
//! | 3 and 4 | validity: not before, not after, or null |
//!
//! It is signed, not encrypted: it holds no secret, and it has to reach a device whose sealing key
//! the operator has lost track of.

use core::fmt;

use crate::Iccid;

/// What a device is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Use this profile, and no longer the one that was used.
    Enable(Iccid),
    /// Use it no longer.
    Disable(Iccid),
    /// Delete it, which must not be in use.
    Delete(Iccid),
    /// Make another sealing key, and open nothing any more that was sealed to the one before.
    RotateSealingKey,
}

impl Command {
    /// The profile that it is about.
    pub fn iccid(&self) -> Option<&Iccid> {
        match self {
            Self::Enable(iccid) | Self::Disable(iccid) | Self::Delete(iccid) => Some(iccid),
            Self::RotateSealingKey => None,
        }
    }
}

/// `disable 8988…`
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enable(iccid) => write!(f, "enable {iccid}"),
            Self::Disable(iccid) => write!(f, "disable {iccid}"),
            Self::Delete(iccid) => write!(f, "delete {iccid}"),
            Self::RotateSealingKey => f.write_str("rotate the sealing key"),
        }
    }
}
