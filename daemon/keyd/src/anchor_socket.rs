//! The vault's anchor in a TPM, which `softsim-anchord` keeps. keyd connects its socket before it
//! confines itself, and then needs no call for it that it doesn't make anyway.

use core::time::Duration;
use std::io;
use std::path::Path;

use softsim_anchor_proto::{Answer, LENGTH, Request};
use softsim_sandbox::seqpacket::{Connection, Received};
use softsim_sandbox::{clock, poll};

use crate::vault::Anchor;

/// How long keyd waits for an answer. It is below half of the watchdog's period, during which a
/// pass must come round.
const PATIENCE: Duration = Duration::from_secs(4);

/// The anchor behind a connected socket.
pub(crate) struct AnchorSocket {
    connection: Connection,
    value: u64,
}

/// Why the anchor isn't where the vault needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("softsim-anchord: expected an answer within {} seconds, got none", PATIENCE.as_secs())]
    Silent,
    #[error("softsim-anchord: expected an answer, got the end of the connection")]
    Closed,
    #[error("softsim-anchord: expected an answer, got another message")]
    Malformed,
    #[error("softsim-anchord: expected the counter at {expected}, got {got}")]
    Elsewhere { expected: u64, got: u64 },
    #[error("softsim-anchord: expected the counter's value, got the TPM's refusal {0:#x}")]
    Refused(u32),
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}

impl AnchorSocket {
    /// Connects to `softsim-anchord`, and learns the counter's value.
    ///
    /// # Errors
    /// Nobody answers there, or the TPM refuses.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let connection = Connection::connect(path)?;
        let value = ask(&connection, Request::Value, PATIENCE)?;
        Ok(Self { connection, value })
    }

    /// The counter's value, at which a vault that is made under this anchor begins: the counter
    /// can't be set to the vault's epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.value
    }
}

impl Anchor for AnchorSocket {
    fn value(&self) -> io::Result<u64> {
        Ok(self.value)
    }

    fn advance(&mut self, to: u64) -> io::Result<()> {
        let got = ask(&self.connection, Request::Advance(to), PATIENCE)?;
        if got != to {
            return Err(Fault::Elsewhere { expected: to, got }.into());
        }
        self.value = to;
        Ok(())
    }

    /// The counter only counts by one.
    fn catch_up(&mut self, to: u64) -> io::Result<()> {
        (self.value..to).try_for_each(|value| self.advance(value + 1))
    }
}

/// Sends a request, and waits for its answer: the value that the counter holds.
fn ask(connection: &Connection, request: Request, patience: Duration) -> io::Result<u64> {
    connection.send(&request.encode())?;
    let end = clock::boottime() + patience;
    loop {
        let mut datagram = [0; LENGTH];
        let answer = match connection.receive(&mut datagram)? {
            Received::Datagram(length) => Answer::decode(&datagram[..length]),
            Received::Truncated => None,
            Received::Closed => return Err(Fault::Closed.into()),
            Received::Nothing => {
                let left = end.saturating_sub(clock::boottime());
                if left.is_zero() {
                    return Err(Fault::Silent.into());
                }
                poll::wait(&mut [poll::Entry::readable(connection)], Some(left))?;
                continue;
            }
        };
        return match answer.ok_or(Fault::Malformed)? {
            Answer::At(value) | Answer::NotOneStep(value) => Ok(value),
            Answer::Refused(code) => Err(Fault::Refused(code).into()),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::thread;

    use softsim_sandbox::seqpacket::Listener;

    use super::*;

    /// Runs a test against somebody who gives these answers, one for each request, and then leaves.
    /// Returns what was asked.
    fn against(answers: &[&[u8]], test: impl FnOnce(io::Result<AnchorSocket>)) -> Vec<Request> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        let listener = Listener::bind(&path, 0o600).unwrap();
        thread::scope(|scope| {
            let answerer = scope.spawn(|| {
                poll::wait(&mut [poll::Entry::readable(&listener)], None).unwrap();
                let connection = listener.accept().unwrap().unwrap();
                let mut asked = Vec::new();
                for answer in answers {
                    poll::wait(&mut [poll::Entry::readable(&connection)], None).unwrap();
                    let mut request = [0; LENGTH];
                    connection.receive(&mut request).unwrap();
                    asked.extend(Request::decode(&request));
                    connection.send(answer).unwrap();
                }
                asked
            });
            test(AnchorSocket::connect(&path));
            answerer.join().unwrap()
        })
    }

    #[test]
    fn it_follows_the_vault_one_step_at_a_time() {
        let answers = [Answer::At(7).encode(), Answer::At(8).encode()];
        let asked = against(&answers.each_ref().map(|answer| &answer[..]), |anchor| {
            let mut anchor = anchor.unwrap();
            assert_eq!((anchor.epoch(), anchor.value().unwrap()), (7, 7));
            anchor.advance(8).unwrap();
            assert_eq!(anchor.value().unwrap(), 8);
        });
        assert_eq!(asked, [Request::Value, Request::Advance(8)]);
    }

    #[test]
    fn it_catches_up_with_an_accepted_vault_step_by_step() {
        let answers = [7, 8, 9, 10].map(|value| Answer::At(value).encode());
        let asked = against(&answers.each_ref().map(|answer| &answer[..]), |anchor| {
            let mut anchor = anchor.unwrap();
            anchor.catch_up(10).unwrap();
            assert_eq!(anchor.value().unwrap(), 10);
        });
        let steps = [8, 9, 10].map(Request::Advance);
        assert_eq!(asked, [&[Request::Value][..], &steps].concat());
    }

    #[test]
    fn whatever_else_is_answered_is_an_error_that_says_what() {
        let value = Answer::At(7).encode();
        for (answer, words) in [
            (
                &Answer::NotOneStep(9).encode()[..],
                "expected the counter at 8, got 9",
            ),
            (&Answer::At(7).encode(), "expected the counter at 8, got 7"),
            (
                &Answer::Refused(0x920).encode(),
                "got the TPM's refusal 0x920",
            ),
            (&[0; LENGTH + 1], "got another message"),
            (&[0; 1], "got another message"),
            (&[9; LENGTH], "got another message"),
        ] {
            against(&[&value, answer], |anchor| {
                let error = anchor.unwrap().advance(8).unwrap_err().to_string();
                assert!(error.contains(words), "{error}");
            });
        }
    }

    #[test]
    fn one_that_hangs_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        let _listener = Listener::bind(&path, 0o600).unwrap();
        let connection = Connection::connect(&path).unwrap();
        let error = ask(&connection, Request::Value, Duration::ZERO).unwrap_err();
        let expected = "softsim-anchord: expected an answer within 4 seconds, got none";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn one_that_leaves_is_an_error() {
        against(&[], |anchor| assert!(anchor.is_err()));
        against(&[&Answer::At(7).encode()], |anchor| {
            assert!(anchor.unwrap().advance(8).is_err());
        });
        let nobody = AnchorSocket::connect(Path::new("/nonexistent/anchor"));
        assert_eq!(nobody.err().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
