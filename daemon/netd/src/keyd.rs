//! What netd asks of the key process, and what its refusals mean to servers.

use std::time::Duration;

use softsim_client::keyd::{AsyncConnection, Error};
use softsim_client::netd::Failure;
use softsim_client::proto::requests::{Abort, Commit, SignHandshake, Stage, Status};
use softsim_client::proto::{Call, PackageFault, ProfileState, Refusal, Staged, StatusAnswer};
use softsim_lwm2m::{Algorithm, SimResult, SimState, SlotState};
use tokio::time::{Instant, sleep_until};

use crate::accounts::{Digest, Txid};
use crate::dtls::Signer;
use crate::progress::Fault;

/// The connection on which everything is asked.
pub type Keyd = AsyncConnection;

impl Signer for Keyd {
    fn sign(&self, transcript: &[u8]) -> Result<Vec<u8>, Error> {
        self.call_blocking(&SignHandshake { transcript })
            .map(|answer| answer.signature)
    }
}

/// keyd can't be spoken to any more: netd ends, and is started again.
#[derive(Debug)]
pub struct Lost(pub Error);

impl std::error::Error for Lost {}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells keyd's refusals, after which everything is as before, from the loss of keyd.
pub fn refusal<T>(result: Result<T, Error>) -> Result<Result<T, Refused>, Lost> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        // keyd ends with it, and what it has stored shows at the next start.
        Err(error @ Error::Refused(Refusal::Storage)) => Err(Lost(error)),
        Err(Error::Refused(refusal)) => Ok(Err(Refused::ByKeyd(refusal))),
        Err(error @ Error::TooLong { .. }) => Ok(Err(Refused::TooLong(error))),
        Err(error) => Err(Lost(error)),
    }
}

/// A request that came to nothing.
#[derive(Debug)]
pub enum Refused {
    /// keyd said why.
    ByKeyd(Refusal),
    /// It was never sent, since keyd takes nothing that long.
    TooLong(Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ByKeyd(refusal) => write!(f, "softsim-keyd refused: {refusal}"),
            Self::TooLong(error) => error.fmt(f),
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let failure = match &refused {
            Refused::ByKeyd(Refusal::RetryAfter { .. }) => Failure::Busy,
            _ => Failure::Refused,
        };
        Self::new(failure, refused)
    }
}

impl From<Lost> for Fault {
    fn from(lost: Lost) -> Self {
        Self::new(Failure::Unavailable, lost)
    }
}

/// How long keyd's wish to be asked later is complied with, at most and in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks; where keyd says that it is too early, again, as long as that is within [`PATIENCE`].
pub async fn ask<C: Call>(keyd: &Keyd, call: &C) -> Result<Result<C::Answer, Refused>, Lost> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = refusal(keyd.call(call).await)?;
        let Err(Refused::ByKeyd(Refusal::RetryAfter { milliseconds })) = answer else {
            return Ok(answer);
        };
        let again = Instant::now() + Duration::from_millis(milliseconds.into());
        if again > end {
            return Ok(answer);
        }
        sleep_until(again).await;
    }
}

/// Has a package judged and staged; gives what it will have done.
pub async fn stage(
    keyd: &Keyd,
    txid: Txid,
    package: Option<&[u8]>,
) -> Result<Result<Option<Staged>, Refused>, Lost> {
    let staged = ask(keyd, &Stage { txid, package }).await?;
    Ok(staged.map(|answer| answer.staged))
}

/// Makes what was staged durable; `accounts` is the digest of ours, where they change with it.
pub async fn commit(
    keyd: &Keyd,
    txid: Txid,
    accounts: Option<Digest>,
) -> Result<Result<(), Refused>, Lost> {
    ask(keyd, &Commit { txid, accounts }).await
}

/// Drops what was staged; it makes no difference if nothing was.
pub async fn abort(keyd: &Keyd, txid: Txid) -> Result<(), Lost> {
    let _ = ask(keyd, &Abort { txid }).await?;
    Ok(())
}

/// keyd's own account of itself.
pub async fn status(keyd: &Keyd) -> Result<Result<StatusAnswer, Refused>, Lost> {
    ask(keyd, &Status {}).await
}

/// Last Result of the Software SIM object for a refusal.
pub fn sim_result(refused: &Refused) -> SimResult {
    let Refused::ByKeyd(refusal) = refused else {
        return SimResult::EnvelopeMalformed;
    };
    match refusal {
        Refusal::Package(fault) => match fault {
            PackageFault::Format { .. } | PackageFault::Shape(_) | PackageFault::Field { .. } => {
                SimResult::EnvelopeMalformed
            }
            PackageFault::UnknownIssuer { .. } => SimResult::IssuerNotTrusted,
            PackageFault::Signature | PackageFault::Decryption => {
                SimResult::EnvelopeAuthenticationFailed
            }
            PackageFault::Device { .. } => SimResult::WrongDevice,
            PackageFault::SealingKey { .. } => SimResult::UnknownSealingKey,
            PackageFault::Sequence { .. } => SimResult::OldSequence,
            PackageFault::Validity { .. } => SimResult::NotInThisState,
        },
        Refusal::TooLong { .. } | Refusal::Malformed { .. } => SimResult::EnvelopeMalformed,
        Refusal::StoreFull { .. } => SimResult::NoSpace,
        Refusal::TestAlgorithm => SimResult::UnsupportedAlgorithm,
        Refusal::ForeignProfile | Refusal::UnknownProfile | Refusal::ProfileEnabled => {
            SimResult::NotInThisState
        }
        _ => SimResult::Internal,
    }
}

/// The Software SIM object's values; `last` is what became of the last package.
pub fn sim_state(status: &StatusAnswer, last: SimResult) -> SimState {
    let enabled = |state| state == ProfileState::Enabled;
    let profile = status.profile.as_ref();
    let counters = status.counters.unwrap_or_default();
    SimState {
        state: match profile.map(|profile| enabled(profile.state)) {
            None => SlotState::Empty,
            Some(false) => SlotState::Disabled,
            Some(true) => SlotState::Enabled,
        },
        iccid: profile.map(|profile| profile.iccid.clone()),
        last_result: last,
        algorithm: profile.and_then(|profile| algorithm(&profile.algorithm)),
        supported: match status.enforcement.test_profiles {
            true => vec![Algorithm::Milenage, Algorithm::Tuak, Algorithm::Xor],
            false => vec![Algorithm::Milenage, Algorithm::Tuak],
        },
        authentications: Some(counters.authentications),
        failures: Some(
            counters.autn_rejected
                + counters.synchronisation_failures
                + counters.packet_mac_rejected,
        ),
        ..SimState::default()
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "milenage" => Some(Algorithm::Milenage),
        "tuak" => Some(Algorithm::Tuak),
        "xor" => Some(Algorithm::Xor),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_whose_storage_failed_may_stand_and_is_not_taken_for_refused() {
        let commit = |fault| refusal::<()>(Err(Error::Refused(fault)));
        assert!(matches!(commit(Refusal::Storage), Err(Lost(_))));
        assert!(matches!(commit(Refusal::NoProfile), Ok(Err(_))));
    }
}
