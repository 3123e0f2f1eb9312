//! Writes the payload of a command.

use crate::cbor::encode;
use crate::{Command, Iccid, Validity};

/// Writes the payload.
pub(crate) fn write(command: &Command, validity: &Validity) -> Vec<u8> {
    encode(64, |e| {
        e.map(4)?.u8(1)?.u8(number(command))?;
        e.u8(2)?.encode(command.iccid().map(Iccid::as_str))?;
        e.u8(3)?.encode(validity.not_before())?;
        e.u8(4)?.encode(validity.not_after())?.ok()
    })
}

fn number(command: &Command) -> u8 {
    match command {
        Command::Enable(_) => 1,
        Command::Disable(_) => 2,
        Command::Delete(_) => 3,
        Command::RotateSealingKey => 4,
    }
}
