//! A command of an operator, which tells one device to change an installed profile or its sealing
//! key.
//!
//! It is in an envelope like that of a package, with the same headers and the same rising sequence.
//! Its payload is a CBOR map with all the keys 1 to 4, in order:
//!
//! | key | contents |
//! |---|---|
//! | 1 | what to do: 1 enable, 2 disable, 3 delete, 4 rotate the sealing key |
//! | 2 | ICCID; null with 4 |
//! | 3 and 4 | validity: not before, not after, or null |
//!
//! It is signed, not encrypted: it holds no secret, and must also work if the operator doesn't know
//! the device's present sealing key.

use core::fmt;

use crate::Iccid;

/// What the device has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Use this profile, instead of the one that is in use.
    Enable(Iccid),
    /// Stop using this profile.
    Disable(Iccid),
    /// Delete this profile, which must not be in use.
    Delete(Iccid),
    /// Generate another sealing key, and no longer open anything that was sealed to the previous
    /// one.
    RotateSealingKey,
}

impl Command {
    /// The profile that the command is about.
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
