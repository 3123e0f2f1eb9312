//! The requests to keyd, and what its refusals mean to LwM2M servers.

mod line;
pub(crate) mod presence;
pub(crate) mod subscriber;

use std::time::Duration;

use softsim_client::keyd::Error;
use softsim_client::netd::Failure;
use softsim_client::proto::requests::{Abort, Commit, SignHandshake, Stage, Status};
use softsim_client::proto::{
    Call, PackageFault, ProfileState, Refusal, Staged, StatusAnswer, Times,
};
use softsim_lwm2m::{Algorithm, SimResult, SimState, SlotState};
use tokio::time::{Instant, sleep_until};

pub use self::line::Keyd;
pub(crate) use self::line::Lines;
use crate::accounts::{Digest, Txid};
use crate::dtls::Signer;
use crate::progress::Fault;

impl Signer for Keyd {
    fn sign(&self, transcript: &[u8]) -> Result<Vec<u8>, Error> {
        self.call_blocking(&SignHandshake { transcript })
            .map(|answer| answer.signature)
    }

    fn times(&self) -> Result<Times, Error> {
        self.call_blocking(&Status {}).map(|answer| answer.times)
    }
}

/// netd has lost keyd, which may have carried the request out. netd goes on, and continues from
/// keyd's last transaction once keyd serves again.
#[derive(Debug, thiserror::Error)]
#[error("softsim-keyd restarted: {0}")]
pub struct Lost(pub Error);

/// Why a request to keyd failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// keyd refused it, or would have: nothing has changed.
    #[error("softsim-keyd refused: {0}")]
    Refused(Refusal),
    /// netd has lost keyd.
    #[error(transparent)]
    Lost(Lost),
}

impl RequestError {
    /// keyd was lost, and netd has yet to find out what it had carried out.
    pub(crate) fn restarted() -> Self {
        Self::Lost(Lost(Error::Closed))
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        match error {
            // keyd ends after this; its next start shows what it has stored.
            Error::Refused(Refusal::Storage) => Self::Lost(Lost(error)),
            Error::Refused(refusal) => Self::Refused(refusal),
            // The client didn't send it.
            Error::TooLong { request } => Self::Refused(Refusal::TooLong {
                request,
                limit: request.max_length() as u32,
            }),
            error => Self::Lost(Lost(error)),
        }
    }
}

impl From<&RequestError> for Fault {
    fn from(error: &RequestError) -> Self {
        let failure = match error {
            RequestError::Lost(_) => Failure::Unavailable,
            RequestError::Refused(Refusal::RetryAfter { .. }) => Failure::Busy,
            RequestError::Refused(_) => Failure::Refused,
        };
        Self::new(failure, error)
    }
}

/// How long netd repeats a request that keyd refuses as too early.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a request. If keyd refuses it as too early, it repeats it, up to [`RETRY_TIMEOUT`].
pub(crate) async fn ask<C: Call>(keyd: &Keyd, call: &C) -> Result<C::Answer, RequestError> {
    let end = Instant::now() + RETRY_TIMEOUT;
    loop {
        let answer = keyd.call(call).await.map_err(RequestError::from);
        let Err(RequestError::Refused(Refusal::RetryAfter { milliseconds })) = answer else {
            return answer;
        };
        let again = Instant::now() + Duration::from_millis(milliseconds.into());
        if again > end {
            return answer;
        }
        sleep_until(again).await;
    }
}

/// Has keyd verify and stage a package. Returns what the package will have done.
pub(crate) async fn stage(
    keyd: &Keyd,
    txid: Txid,
    package: Option<&[u8]>,
) -> Result<Option<Staged>, RequestError> {
    let answer = ask(keyd, &Stage { txid, package }).await?;
    Ok(answer.staged)
}

/// Makes the staged changes durable. `accounts` is the digest of netd's accounts, if they change
/// with it.
pub async fn commit(keyd: &Keyd, txid: Txid, accounts: Option<Digest>) -> Result<(), RequestError> {
    ask(keyd, &Commit { txid, accounts }).await
}

/// Drops the staged changes, if there are any. A keyd that is lost has dropped them.
pub(crate) async fn abort(keyd: &Keyd, txid: Txid) {
    let _ = ask(keyd, &Abort { txid }).await;
}

/// The status of keyd.
pub(crate) async fn status(keyd: &Keyd) -> Result<StatusAnswer, RequestError> {
    ask(keyd, &Status {}).await
}

/// The value of Last Result in the Software SIM object for a package that keyd didn't take.
pub(crate) fn sim_result(error: &RequestError) -> SimResult {
    let RequestError::Refused(refusal) = error else {
        return SimResult::Internal;
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
        Refusal::StoreFull { .. } | Refusal::Quota { .. } => SimResult::NoSpace,
        Refusal::TestAlgorithm => SimResult::UnsupportedAlgorithm,
        Refusal::ForeignProfile | Refusal::UnknownProfile | Refusal::ProfileEnabled => {
            SimResult::NotInThisState
        }
        _ => SimResult::Internal,
    }
}

/// The values of the Software SIM object. `last` is the result of the last package.
pub(crate) fn sim_state(status: &StatusAnswer, last: SimResult) -> SimState {
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
        let commit = |refusal| RequestError::from(Error::Refused(refusal));
        assert!(matches!(commit(Refusal::Storage), RequestError::Lost(_)));
        assert!(matches!(
            commit(Refusal::NoProfile),
            RequestError::Refused(_)
        ));
    }
}
