//! The counter: one non-volatile index of the TPM, whose value is the epoch of the key process's
//! vault.
//!
//! A TPM starts a new counter one above the highest value that any counter of it ever had. Not even
//! whoever removes the index and defines it anew can set it back.

use crate::tpm::{self, Command, Index, ResponseCode, ResponseError};
use crate::transport::{TpmError, Transport, call};

/// A counter that has a value.
pub struct Counter<T> {
    tpm: T,
    index: Index,
    value: u64,
}

/// Why the counter isn't where the key process wants it.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// It isn't one step away.
    #[error("expected one step from epoch {value}, got a step to {to}")]
    NotOneStep {
        /// What the counter holds.
        value: u64,
        /// Where it was to go.
        to: u64,
    },
    /// The TPM failed or refused. The counter may have been raised.
    #[error(transparent)]
    Tpm(#[from] TpmError),
}

impl<T: Transport> Counter<T> {
    /// Finds the counter at this index. If there is none, defines it.
    ///
    /// # Errors
    /// The TPM fails or refuses, or the index is something else.
    pub fn open(mut tpm: T, index: Index) -> Result<Self, TpmError> {
        let has_value = match has_value(&mut tpm, index) {
            Err(TpmError::Response {
                error: ResponseError::Refused(ResponseCode::NO_SUCH_INDEX),
                ..
            }) => {
                do_it(&mut tpm, index, Command::Define)?;
                has_value(&mut tpm, index)?
            }
            known => known?,
        };
        if !has_value {
            do_it(&mut tpm, index, Command::Increment)?;
        }
        let value = read(&mut tpm, index)?;
        Ok(Self { tpm, index, value })
    }

    /// Its value, as the TPM says now.
    ///
    /// # Errors
    /// The TPM fails or refuses.
    pub fn value(&mut self) -> Result<u64, TpmError> {
        self.value = read(&mut self.tpm, self.index)?;
        Ok(self.value)
    }

    /// Raises it to `to`, and returns when the TPM says that it is there. It rises by one step at
    /// most.
    ///
    /// # Errors
    /// `to` is neither the present value nor the next, or the TPM fails or refuses.
    pub fn advance(&mut self, to: u64) -> Result<(), AdvanceError> {
        if self.value.checked_add(1) == Some(to) {
            do_it(&mut self.tpm, self.index, Command::Increment)?;
        }
        // Others that may use the TPM may have raised it, too.
        match self.value()? {
            value if value == to => Ok(()),
            value => Err(AdvanceError::NotOneStep { value, to }),
        }
    }
}

fn has_value(tpm: &mut impl Transport, index: Index) -> Result<bool, TpmError> {
    let read = |response: &[u8]| tpm::has_value(index, response);
    call(tpm, Command::ReadPublic, index, read)
}

fn read(tpm: &mut impl Transport, index: Index) -> Result<u64, TpmError> {
    call(tpm, Command::Read, index, tpm::value)
}

fn do_it(tpm: &mut impl Transport, index: Index, command: Command) -> Result<(), TpmError> {
    call(tpm, command, index, |response| tpm::done(command, response))
}

#[cfg(test)]
mod tests;
