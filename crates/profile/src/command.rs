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

use crate::cbor::{Reader, encode};
use crate::{FieldError, Iccid, PackageError, Validity};

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

    fn number(&self) -> u8 {
        match self {
            Self::Enable(_) => 1,
            Self::Disable(_) => 2,
            Self::Delete(_) => 3,
            Self::RotateSealingKey => 4,
        }
    }

    fn new(number: u64, iccid: Option<&str>) -> Result<Self, FieldError> {
        const EXPECTED: &str = "1 (enable), 2 (disable), 3 (delete) or 4 (rotate the sealing key)";
        let named = || match iccid {
            Some(digits) => Iccid::new(digits),
            None => Err(FieldError::new("iccid", "18 to 20 digits", "none")),
        };
        match (number, iccid) {
            (1, _) => named().map(Self::Enable),
            (2, _) => named().map(Self::Disable),
            (3, _) => named().map(Self::Delete),
            (4, None) => Ok(Self::RotateSealingKey),
            (4, Some(_)) => Err(FieldError::new("iccid", "none with this command", "one")),
            (other, _) => Err(FieldError::new("command", EXPECTED, other.to_string())),
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

/// Writes the payload.
pub(crate) fn write(command: &Command, validity: &Validity) -> Vec<u8> {
    encode(64, |e| {
        e.map(4)?.u8(1)?.u8(command.number())?;
        e.u8(2)?.encode(command.iccid().map(Iccid::as_str))?;
        e.u8(3)?.encode(validity.not_before())?;
        e.u8(4)?.encode(validity.not_after())?.ok()
    })
}

/// Reads the payload.
pub(crate) fn read(payload: &[u8]) -> Result<(Command, Validity), PackageError> {
    let mut reader = Reader::new("command", payload);
    reader.map(4, "a map of 4")?;
    reader.exactly(1, "the key of what to do")?;
    let number = reader.uint("what to do")?;
    reader.exactly(2, "the key of the ICCID")?;
    let iccid = match reader.null() {
        true => None,
        false => Some(reader.text("an ICCID or null")?),
    };
    reader.exactly(3, "the key of the first second")?;
    let not_before = reader.optional_uint("a time or null")?;
    reader.exactly(4, "the key of the last second")?;
    let not_after = reader.optional_uint("a time or null")?;
    reader.end()?;
    Ok((
        Command::new(number, iccid)?,
        Validity::new(not_before, not_after)?,
    ))
}
