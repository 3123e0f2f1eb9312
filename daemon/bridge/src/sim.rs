//! The SIM behind the bridge: the key process, which runs one authentication after the other.

use std::time::Duration;

use softsim_client::keyd::{Connection, Error};
use softsim_client::proto::requests::UmtsAuthenticate;
use softsim_client::proto::{Refusal, UmtsAnswer};
use softsim_sandbox::poll;

/// How often the bridge sends a request that the key process answers with RetryAfter. EAP servers
/// wait for some seconds.
const ATTEMPTS: u32 = 4;

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// A SIM that runs authentications.
pub(crate) trait Sim {
    /// Runs AKA.
    ///
    /// # Errors
    /// See [`Failure`].
    fn authenticate(&mut self, rand: [u8; 16], autn: [u8; 16]) -> Result<UmtsAnswer, Failure>;
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The SIM refused: the authentication ends, the bridge goes on.
    Refused(Refusal),
    /// The connection to the key process is lost or out of step: the bridge can't go on.
    Lost(Error),
}

impl Sim for Connection {
    fn authenticate(&mut self, rand: [u8; 16], autn: [u8; 16]) -> Result<UmtsAnswer, Failure> {
        let iccid = None;
        let request = UmtsAuthenticate { iccid, rand, autn };
        let mut attempt = 1;
        loop {
            match self.call(&request) {
                Ok(answer) => return Ok(answer),
                Err(Error::Refused(Refusal::RetryAfter { milliseconds })) if attempt < ATTEMPTS => {
                    let wait = Duration::from_millis(milliseconds.into()).min(MAX_WAIT);
                    poll::wait(&mut [], Some(wait))
                        .map_err(|error| Failure::Lost(Error::Socket(error)))?;
                    attempt += 1;
                }
                Err(Error::Refused(refusal)) => return Err(Failure::Refused(refusal)),
                Err(error) => return Err(Failure::Lost(error)),
            }
        }
    }
}
