//! Waiting until something is due, if anything is.

use std::future::pending;
use std::time::Instant;

use tokio::time::sleep_until;

/// Waits until `due`, or forever if nothing is due.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}
