//! Bootstraps, as transactions over keyd's profiles and netd's accounts, and packages from
//! management servers.

use std::time::Instant;

use softsim_client::netd::{Bootstrap, Failure};
use softsim_client::proto::Staged;
use softsim_client::proto::requests::DeviceCertificate;
use softsim_lwm2m::{Accounts, BootstrapFailure, ServerRole, SimResult};
use softsim_sandbox::random;
use tokio::sync::oneshot;

use super::{Fatal, LINGER, Lwm2m, StepError};
use crate::accounts::{self, StoreError, Txid};
use crate::keyd::{self, RequestError};
use crate::progress::{Fault, Progress};
use crate::session::Target;

/// A bootstrap, from the command to the registration that follows it.
pub(super) struct Run {
    txid: Txid,
    /// Whether keyd has staged a transaction with this id, and what its package will have done.
    staged: Option<Option<Staged>>,
    committed: bool,
    /// Why keyd refused the last package. It is also why the server gives up.
    refused: Option<String>,
    listeners: Vec<Listener>,
}

/// A client that waits for the result of a bootstrap.
type Listener = (Progress, oneshot::Sender<Result<Bootstrap, Fault>>);

impl Lwm2m {
    /// Begins a bootstrap, or joins the one that runs.
    pub(super) async fn bootstrap(
        &mut self,
        progress: Progress,
        reply: oneshot::Sender<Result<Bootstrap, Fault>>,
    ) -> Result<(), Fatal> {
        if let Some(run) = &mut self.run {
            run.listeners.push((progress, reply));
            return Ok(());
        }
        self.begin_bootstrap(Some((progress, reply))).await
    }

    /// Begins a bootstrap, for a client or for none.
    pub(super) async fn begin_bootstrap(
        &mut self,
        listener: Option<Listener>,
    ) -> Result<(), Fatal> {
        self.connecting(ServerRole::Bootstrap);
        self.prepare_client().await?;
        let run = Run {
            txid: new_txid(),
            staged: None,
            committed: false,
            refused: None,
            listeners: listener.into_iter().collect(),
        };
        match self.bootstrap_target().await {
            Ok(target) => {
                self.run = Some(run);
                self.open_session(ServerRole::Bootstrap, target);
            }
            Err(error) => {
                let fault = error.fault()?;
                // Since netd has not connected to a server, an enrolment may remove the reason at
                // any time.
                self.retries.remove(&ServerRole::Bootstrap);
                self.bootstrap_failed(run, fault);
            }
        }
        Ok(())
    }

    async fn bootstrap_target(&mut self) -> Result<Target, StepError> {
        let Some(server) = self.bootstrap_server.clone() else {
            let reason = "bootstrap: expected a bootstrap server in netd's configuration, got none";
            return Err(Fault::new(Failure::Configuration, reason).into());
        };
        if self.client.is_none() {
            let reason = "there is no device key: run softsimctl enrol first";
            return Err(Fault::new(Failure::Refused, reason).into());
        }
        self.target(server.server, server.trust).await
    }

    /// Adds the device certificate of the moment to the server, for a session.
    pub(super) async fn target(
        &self,
        server: crate::uri::Server,
        trust: crate::dtls::Trust,
    ) -> Result<Target, StepError> {
        let certificate = keyd::ask(&self.keyd, &DeviceCertificate {}).await?;
        Ok(Target {
            server,
            names: self.names.clone(),
            trust,
            certificate: certificate.der,
            signer: std::sync::Arc::new(self.keyd.clone()),
        })
    }

    /// Handles a package from a server: a sealed profile or a command. If the bootstrap server sent
    /// it, keyd stages it for the bootstrap; otherwise keyd installs it at once.
    pub(super) async fn package(
        &mut self,
        source: ServerRole,
        package: &[u8],
    ) -> Result<(), Fatal> {
        let result = match source {
            ServerRole::Bootstrap => self.stage_package(package).await,
            ServerRole::Management(_) => self.install_package(package).await,
        };
        let result = result.map_err(|error| self.package_refused(&error));
        self.last_result = result.err().unwrap_or(SimResult::Success);
        if let Some(client) = self.client_mut() {
            client.staged(Instant::now(), result);
        }
        self.refresh().await
    }

    fn package_refused(&mut self, error: &RequestError) -> SimResult {
        let result = keyd::sim_result(error);
        let reason = Fault::from(error).reason;
        tracing::warn!(refused = reason, "a package was refused");
        self.step(|| format!("package refused: {reason}"));
        if let Some(run) = &mut self.run {
            run.refused = Some(reason);
        }
        result
    }

    /// Begins a transaction, with a package or without one.
    pub(super) async fn stage(
        &self,
        txid: Txid,
        package: Option<&[u8]>,
    ) -> Result<Option<Staged>, RequestError> {
        self.expect_no_doubt()?;
        keyd::stage(&self.keyd, txid, package).await
    }

    /// # Errors
    /// keyd may have committed accounts that netd hasn't put in force yet.
    fn expect_no_doubt(&self) -> Result<(), RequestError> {
        match self.in_doubt {
            true => Err(RequestError::restarted()),
            false => Ok(()),
        }
    }

    async fn stage_package(&mut self, package: &[u8]) -> Result<(), RequestError> {
        let txid = self.run.as_ref().map_or_else(new_txid, |run| run.txid);
        let staged = self.stage(txid, Some(package)).await?;
        if let Some(staged) = &staged {
            self.step(|| format!("package opened and staged by softsim-keyd: {staged}"));
        }
        if let Some(run) = &mut self.run {
            run.staged = Some(staged);
            run.refused = None;
        }
        Ok(())
    }

    /// Commits a transaction of keyd without accounts.
    async fn install_package(&mut self, package: &[u8]) -> Result<(), RequestError> {
        let txid = new_txid();
        let staged = self.stage(txid, Some(package)).await?;
        keyd::commit(&self.keyd, txid, None).await?;
        if let Some(staged) = staged {
            tracing::info!(%staged, "a package of a management server was committed");
        }
        Ok(())
    }

    /// Drops the staged package, since the bootstrap server has deleted it.
    pub(super) async fn discard_package(&mut self) -> Result<(), Fatal> {
        let Some(txid) = self.run.as_ref().map(|run| run.txid) else {
            return Ok(());
        };
        if self.stage(txid, None).await.is_ok()
            && let Some(run) = &mut self.run
        {
            run.staged = Some(None);
        }
        Ok(())
    }

    /// Makes the staged profile and the accounts durable, and tells the client. keyd's Commit
    /// decides: see [`crate::accounts`].
    pub(super) async fn commit(
        &mut self,
        accounts: &Accounts,
        without_keys: bool,
    ) -> Result<(), Fatal> {
        let result = match self.commit_bootstrap(accounts, without_keys).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let reason = error.to_string();
                let result = error.sim_result()?;
                tracing::warn!(reason, "the bootstrap was not committed");
                Err(result)
            }
        };
        if let Some(client) = self.client_mut() {
            client.committed(Instant::now(), result);
        }
        Ok(())
    }

    async fn commit_bootstrap(
        &mut self,
        accounts: &Accounts,
        without_keys: bool,
    ) -> Result<(), CommitError> {
        let run = self.run.as_ref().ok_or(CommitError::NoBootstrap)?;
        if !without_keys {
            return Err(CommitError::PresharedKeys);
        }
        let txid = run.txid;
        if run.staged.is_none() {
            self.stage(txid, None).await?;
        }
        self.commit_accounts(txid, accounts).await?;
        if let Some(run) = &mut self.run {
            run.staged.get_or_insert(None);
            run.committed = true;
        }
        tracing::info!(transaction = hex::encode(txid), "bootstrap committed");
        self.step(|| "accounts and profile committed".into());
        Ok(())
    }

    /// Puts accounts in force together with the transaction that keyd has staged, or leaves both as
    /// they were.
    pub(super) async fn commit_accounts(
        &mut self,
        txid: Txid,
        accounts: &Accounts,
    ) -> Result<(), CommitError> {
        self.expect_no_doubt()?;
        self.store.stage(txid, accounts)?;
        let digest = accounts::digest(accounts);
        match keyd::commit(&self.keyd, txid, Some(digest)).await {
            Ok(()) => self.store.commit().map_err(Fatal::Store)?,
            // keyd's next status shows whether it has committed them.
            Err(error @ RequestError::Lost(_)) => {
                self.in_doubt = true;
                return Err(error.into());
            }
            Err(error) => {
                self.store.abort().map_err(Fatal::Store)?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Connects to the servers of the new accounts. The bootstrap session stays open for a while.
    pub(super) async fn bootstrapped(&mut self) -> Result<(), Fatal> {
        self.linger = Some(Instant::now() + LINGER);
        self.refresh().await?;
        self.connect_servers().await
    }

    /// Drops what a bootstrap without a commit has staged.
    pub(super) async fn fail_bootstrap(&mut self, fault: Fault) -> Result<(), Fatal> {
        // After the commit, the bootstrap session may end in any way.
        let Some(run) = self.run.take_if(|run| !run.committed) else {
            return Ok(());
        };
        let fault = match &run.refused {
            Some(refused) => Fault::new(Failure::Refused, format!("{fault}, since {refused}")),
            None => fault,
        };
        if !self.in_doubt {
            keyd::abort(&self.keyd, run.txid).await;
            self.store.abort().map_err(Fatal::Store)?;
        }
        self.close_session(ServerRole::Bootstrap);
        self.bootstrap_failed(run, fault);
        Ok(())
    }

    /// Reports why a bootstrap failed, and schedules another if netd has no accounts.
    fn bootstrap_failed(&mut self, run: Run, fault: Fault) {
        let again = self
            .bootstraps_itself()
            .then(|| self.wait(ServerRole::Bootstrap));
        if self.last_fault.as_ref() != Some(&fault.reason) {
            match again.map(|wait| wait.as_secs()) {
                Some(seconds) => tracing::warn!(
                    reason = %fault,
                    "the bootstrap failed; the next attempt is in {seconds} s"
                ),
                None => tracing::warn!(reason = %fault, "the bootstrap failed"),
            }
            self.last_fault = Some(fault.reason.clone());
        }
        self.reply(run, &Err(fault));
    }

    /// Ends a committed bootstrap with the result of its registration.
    pub(super) fn end_run(&mut self, registration: Result<(), Fault>) {
        let Some(run) = self.run.take_if(|run| run.committed) else {
            return;
        };
        let management = self.management();
        let result = registration.map(|()| Bootstrap {
            transaction: hex::encode(run.txid),
            package: run
                .staged
                .clone()
                .flatten()
                .map(|staged| staged.to_string()),
            management,
        });
        self.reply(run, &result);
    }

    /// Sends the result to the clients that wait for the bootstrap. A client that asks for the
    /// state after that sees it, too.
    fn reply(&self, run: Run, result: &Result<Bootstrap, Fault>) {
        self.publish();
        for (_, reply) in run.listeners {
            // The client may have gone.
            let _ = reply.send(result.clone());
        }
    }

    /// Tells the clients that wait for this server that nobody is there, as far as the network
    /// says. netd itself goes on: it believes no ICMP message, which anybody can forge.
    pub(super) fn tell_hopeless(&mut self, role: ServerRole) {
        let Some(session) = self.sessions.get(&role) else {
            return;
        };
        let reason = format!(
            "{}: the network says of each address that nothing is there, also of the first repetition; softsim-netd goes on",
            session.server
        );
        let fault = Fault::new(Failure::Unavailable, reason);
        let waits = |run: &&mut Run| run.committed == (role != ServerRole::Bootstrap);
        if let Some(run) = self.run.as_mut().filter(waits) {
            for (_, reply) in run.listeners.drain(..) {
                // The client may have gone.
                let _ = reply.send(Err(fault.clone()));
            }
        }
    }

    /// Reports a step to the clients that wait for the bootstrap.
    pub(super) fn step(&self, text: impl FnOnce() -> String) {
        if let Some(run) = &self.run {
            let text = text();
            for (progress, _) in &run.listeners {
                progress.step(&*text);
            }
        }
    }

    /// Whether a bootstrap runs that is not committed.
    pub(super) fn is_bootstrapping(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.committed)
    }
}

/// Why netd didn't put accounts in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    /// No bootstrap runs.
    #[error("no bootstrap is running")]
    NoBootstrap,
    /// The bootstrap server wrote pre-shared keys.
    #[error("the bootstrap server wrote pre-shared keys, which softsim-keyd doesn't take yet")]
    PresharedKeys,
    /// netd can't write them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// keyd refused, or is lost.
    #[error(transparent)]
    Keyd(#[from] RequestError),
    /// netd can't go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

impl CommitError {
    /// The value of Last Result in the Software SIM object.
    ///
    /// # Errors
    /// netd can't go on.
    fn sim_result(self) -> Result<SimResult, Fatal> {
        Ok(match self {
            Self::NoBootstrap => SimResult::NotInThisState,
            Self::PresharedKeys => SimResult::Internal,
            Self::Store(_) => SimResult::StorageError,
            Self::Keyd(error) => keyd::sim_result(&error),
            Self::Fatal(fatal) => return Err(fatal),
        })
    }
}

impl From<CommitError> for StepError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fatal(fatal) => Self::Fatal(fatal),
            CommitError::Keyd(error) => error.into(),
            other => Self::Fault(Fault::new(Failure::Internal, other)),
        }
    }
}

pub(super) fn new_txid() -> Txid {
    let mut txid = [0; 16];
    random::fill(&mut txid);
    txid
}

/// A bootstrap that failed, for softsimctl.
pub(super) fn bootstrap_fault(reason: &BootstrapFailure) -> Fault {
    let failure = match reason {
        BootstrapFailure::Refused(_) => Failure::Refused,
        BootstrapFailure::NoAnswer(_)
        | BootstrapFailure::Timeout
        | BootstrapFailure::SessionClosed => Failure::Unavailable,
    };
    Fault::new(failure, reason)
}
