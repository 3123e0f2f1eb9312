//! Reads the payload of a command.

use softsim_keyd_proto::PackageFault;

use crate::cbor::Reader;
use crate::{Command, FieldError, Iccid, Validity};

/// Reads the payload.
pub(crate) fn read(payload: &[u8]) -> Result<(Command, Validity), PackageFault> {
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
        command(number, iccid)?,
        Validity::new(not_before, not_after)?,
    ))
}

fn command(number: u64, iccid: Option<&str>) -> Result<Command, FieldError> {
    const EXPECTED: &str = "1 (enable), 2 (disable), 3 (delete) or 4 (rotate the sealing key)";
    let named = || match iccid {
        Some(digits) => Iccid::new(digits),
        None => Err(FieldError::new("iccid", "18 to 20 digits", "none")),
    };
    match (number, iccid) {
        (1, _) => named().map(Command::Enable),
        (2, _) => named().map(Command::Disable),
        (3, _) => named().map(Command::Delete),
        (4, None) => Ok(Command::RotateSealingKey),
        (4, Some(_)) => Err(FieldError::new("iccid", "none with this command", "one")),
        (other, _) => Err(FieldError::new("command", EXPECTED, other.to_string())),
    }
}
