//! Carries commands to a TPM, and repeats those that the TPM wants to see again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use softsim_sandbox::poll;

use crate::tpm::{Command, HEADER, Index, MAX_RESPONSE, ResponseError, size_of};

/// How long a command that the TPM wants to see again waits before each repetition. The key process
/// waits four seconds for an answer, which takes two commands.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// Why there is no result of a command.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The device failed.
    #[error("the TPM's device, {command}: {error}")]
    Device {
        /// The command.
        command: Command,
        /// Why.
        error: io::Error,
    },
    /// The TPM refused, or what it answered is no response to the command.
    #[error("{command}: {error}")]
    Response {
        /// The command.
        command: Command,
        /// What is wrong.
        error: ResponseError,
    },
}

/// A way to a TPM.
pub trait Transport {
    /// Sends a command and returns its response.
    ///
    /// # Errors
    /// The device failed.
    fn transmit<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8; MAX_RESPONSE],
    ) -> io::Result<&'r [u8]>;

    /// Waits before a command is repeated.
    fn pause(&mut self, pause: Duration);
}

/// Sends a command until the TPM does more than to ask for patience, and reads its response.
///
/// # Errors
/// See [`TpmError`].
pub fn call<T>(
    tpm: &mut impl Transport,
    command: Command,
    index: Index,
    read: impl Fn(&[u8]) -> Result<T, ResponseError>,
) -> Result<T, TpmError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let mut buffer = [0; MAX_RESPONSE];
        let response = tpm
            .transmit(command.encode(index).octets(), &mut buffer)
            .map_err(|error| TpmError::Device { command, error })?;
        match (read(response), pauses.next()) {
            (Ok(result), _) => return Ok(result),
            (Err(ResponseError::Refused(code)), Some(pause)) if code.asks_for_patience() => {
                tpm.pause(pause);
            }
            (Err(error), _) => return Err(TpmError::Response { command, error }),
        }
    }
}

/// An open device. The kernel's TPM devices take a command in one write, and give its response in
/// one read.
///
/// It is never closed, since the process ends with it: in debug builds, std would ask fcntl(2)
/// before, which the filter doesn't allow.
#[derive(Debug)]
pub struct Device(ManuallyDrop<File>);

impl Device {
    /// Opens the device at this path.
    ///
    /// # Errors
    /// It can't be opened for reading and writing, or is no character device.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if !file.metadata()?.file_type().is_char_device() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected a character device, got another file",
            ));
        }
        Ok(Self(ManuallyDrop::new(file)))
    }
}

impl From<OwnedFd> for Device {
    /// A device that the service manager has opened.
    fn from(descriptor: OwnedFd) -> Self {
        Self(ManuallyDrop::new(descriptor.into()))
    }
}

impl Transport for Device {
    fn transmit<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8; MAX_RESPONSE],
    ) -> io::Result<&'r [u8]> {
        if self.0.write(command)? != command.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let mut length = 0;
        loop {
            let end = match response.first_chunk() {
                Some(header) if length >= HEADER => size_of(header).min(MAX_RESPONSE),
                _ => MAX_RESPONSE,
            };
            if length >= end {
                return Ok(&response[..length]);
            }
            match self.0.read(&mut response[length..]) {
                // What there is of the response isn't parsed.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn pause(&mut self, pause: Duration) {
        // A wait that fails or that a signal ends is only shorter.
        let _ = poll::wait(&mut [], Some(pause));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    const COMMAND: [u8; 9] = *b"a command";

    /// Sends the command to somebody who answers in these pieces, and then leaves.
    fn answered(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut device = Device::from(OwnedFd::from(ours));
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut command = [0; COMMAND.len()];
                theirs.read_exact(&mut command).unwrap();
                assert_eq!(command, COMMAND);
                for piece in pieces {
                    theirs.write_all(piece).unwrap();
                }
            });
            let mut response = [0; MAX_RESPONSE];
            device.transmit(&COMMAND, &mut response).map(<[u8]>::to_vec)
        })
    }

    #[test]
    fn a_response_is_as_long_as_its_header_says() {
        let whole = b"\x80\x01\0\0\0\x0c\0\0\0\0ab";
        for at in 0..whole.len() {
            let (first, rest) = whole.split_at(at);
            assert_eq!(answered(&[first, rest]).unwrap(), whole);
        }
    }

    #[test]
    fn a_device_that_stops_in_a_response_is_an_error() {
        for pieces in [
            &[][..],
            &[&[0x80, 0x01][..]],
            &[&b"\x80\x01\0\0\0\x0c\0\0\0\0a"[..]],
        ] {
            let error = answered(pieces).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_response_that_says_to_be_longer_than_any_is_read_no_further() {
        let mut long = vec![0xff; 2 * MAX_RESPONSE];
        assert_eq!(answered(&[&long]).unwrap().len(), MAX_RESPONSE);
        // One that says to have no octets is left to the parser.
        long[2..6].fill(0);
        assert!(answered(&[&long[..HEADER]]).unwrap().len() == HEADER);
    }
}
