//! `softsimctl accounts reset`: netd removes the accounts, and bootstraps.

use std::time::Instant;

use softsim_client::netd::{Bootstrap, Failure};
use softsim_lwm2m::Accounts;
use tokio::sync::oneshot;

use super::transaction::new_txid;
use super::{Fatal, Lwm2m, StepError};
use crate::progress::{Fault, Progress};

/// A reset that waits for the servers' answers to the deregistration.
pub(super) struct Reset {
    /// When the reset goes on without the answers.
    pub(super) deadline: Instant,
    progress: Progress,
    reply: oneshot::Sender<Result<Bootstrap, Fault>>,
}

/// What a client that waits for a bootstrap is told.
fn being_reset() -> Fault {
    Fault::new(Failure::Busy, "the accounts are being reset")
}

impl Lwm2m {
    /// Deregisters from the servers. [`Self::reset_if_due`] continues the reset.
    pub(super) fn reset(
        &mut self,
        progress: Progress,
        reply: oneshot::Sender<Result<Bootstrap, Fault>>,
    ) {
        if self.reset.is_some() {
            // The client may be gone.
            let _ = reply.send(Err(being_reset()));
            return;
        }
        self.reset = Some(Reset {
            deadline: self.deregister(),
            progress,
            reply,
        });
    }

    /// Removes the accounts once the servers have answered or had their time, and bootstraps.
    pub(super) async fn reset_if_due(&mut self) -> Result<(), Fatal> {
        let alone = self.registered.is_empty();
        let due = |reset: &mut Reset| alone || reset.deadline <= Instant::now();
        let Some(reset) = self.reset.take_if(due) else {
            return Ok(());
        };
        self.fail_bootstrap(being_reset()).await?;
        self.end_run(Err(being_reset()));
        let failed = match self.forget_accounts().await {
            Ok(()) => None,
            Err(error) => Some(error.fault()?),
        };
        self.connect_servers().await?;
        match failed {
            None => {
                reset.progress.step("accounts forgotten");
                self.bootstrap(reset.progress, reset.reply).await
            }
            Some(fault) => {
                let _ = reset.reply.send(Err(fault));
                Ok(())
            }
        }
    }

    /// Commits a transaction without a package and without accounts.
    async fn forget_accounts(&mut self) -> Result<(), StepError> {
        let txid = new_txid();
        self.stage(txid, None).await?;
        self.commit_accounts(txid, &Accounts::default()).await?;
        tracing::warn!(
            transaction = hex::encode(txid),
            "the accounts are forgotten"
        );
        self.client = None;
        self.prepare_client().await?;
        Ok(())
    }
}
