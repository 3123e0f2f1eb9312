//! The LwM2M task, which owns the client, its sessions, and the accounts.
//!
//! [`Lwm2m::run`] carries datagrams between the sessions and the sans-IO client. `transaction`
//! applies a bootstrap to keyd and to the accounts on disk, `reset` removes the accounts, and
//! `servers` decides when netd connects to a server.
//!
//! These four files are one type in four parts, and they call each other: a bootstrap ends with a
//! connection to each server of its accounts, a reset begins with the deregistration from them and
//! ends with a bootstrap, and this file waits for whatever is next.

mod reset;
mod servers;
mod transaction;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use softsim_client::netd::{Bootstrap, Failure, Management};
use softsim_client::proto::StatusAnswer;
use softsim_client::proto::requests::SealingStatement;
use softsim_lwm2m::{Client, Config, Event, Output, ServerRole, SimResult};
use softsim_sandbox::random;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::reset::Reset;
use self::servers::Retry;
use self::transaction::Run;
use crate::accounts::{Committed, Store, StoreError};
use crate::config::BootstrapServer;
use crate::connector::Manager;
use crate::keyd::presence::{Device, OtherDevice, Presence};
use crate::keyd::{self, Keyd, RequestError};
use crate::names::Names;
use crate::progress::{Fault, Progress};
use crate::session::{Session, SessionEvent};
use crate::timer;

/// How often netd updates the Software SIM object from keyd.
const REFRESH: Duration = Duration::from_secs(10);

/// How long netd keeps the bootstrap session, to repeat the answer to Bootstrap-Finish
/// (MAX_TRANSMIT_SPAN).
const LINGER: Duration = Duration::from_secs(45);

/// The number of session events that wait for the task.
const QUEUE: usize = 64;

/// A request to the task.
#[derive(Debug)]
pub(crate) enum Request {
    /// Bootstrap now, and register. Joins a bootstrap that runs.
    Bootstrap(Progress, oneshot::Sender<Result<Bootstrap, Fault>>),
    /// Remove the accounts, and bootstrap.
    Reset(Progress, oneshot::Sender<Result<Bootstrap, Fault>>),
    /// Use this bootstrap server from now on.
    BootstrapServer(Option<BootstrapServer>),
    /// Update the Software SIM object, since keyd's state may have changed.
    Refresh,
}

/// The state of the task, for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The endpoint name, once it is known.
    pub(crate) endpoint: Option<String>,
    /// The transaction whose accounts are in force.
    pub(crate) transaction: Option<String>,
    /// Why the accounts that were there at the start are not in force.
    pub(crate) accounts_fault: Option<String>,
    /// The state of management.
    pub(crate) management: Management,
}

impl Snapshot {
    /// The transaction of the accounts in force, and why others aren't.
    pub(crate) fn accounts(&self) -> (Option<String>, Option<String>) {
        (self.transaction.clone(), self.accounts_fault.clone())
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            endpoint: None,
            transaction: None,
            accounts_fault: None,
            management: Management::NotBootstrapped { reason: None },
        }
    }
}

/// Why netd can't go on. After a restart, it continues from keyd's last transaction.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// keyd has another device now.
    #[error(transparent)]
    Device(#[from] OtherDevice),
    /// keyd has committed, but netd can't put the accounts in force.
    #[error(transparent)]
    Store(StoreError),
}

/// Why one step of the task failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// The task goes on, and tells the client that waits.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// netd can't go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

impl StepError {
    /// What the task tells the client that waits.
    ///
    /// # Errors
    /// netd can't go on.
    fn fault(self) -> Result<Fault, Fatal> {
        match self {
            Self::Fault(fault) => Ok(fault),
            Self::Fatal(fatal) => Err(fatal),
        }
    }
}

impl From<RequestError> for StepError {
    fn from(error: RequestError) -> Self {
        Self::Fault((&error).into())
    }
}

/// The LwM2M task.
pub(crate) struct Lwm2m {
    keyd: Keyd,
    presence: watch::Receiver<Presence>,
    device: Device,
    names: Names,
    bootstrap_server: Option<BootstrapServer>,
    configured_endpoint: Option<String>,
    store: Store,
    /// Whether netd has yet to compare its accounts with keyd's last transaction, since it lost
    /// keyd meanwhile. Until then, it begins no transaction, which would hide that one.
    in_doubt: bool,
    /// The client and its endpoint name, once netd knows the name.
    client: Option<(String, Client)>,
    sessions: BTreeMap<ServerRole, Session>,
    last_session: u64,
    /// The events of sessions, with their ids. The sender is for the sessions.
    session_events: mpsc::Receiver<(u64, SessionEvent)>,
    event_sender: mpsc::Sender<(u64, SessionEvent)>,
    run: Option<Run>,
    reset: Option<Reset>,
    linger: Option<Instant>,
    retries: BTreeMap<ServerRole, Retry>,
    registered: BTreeMap<u16, Management>,
    last_fault: Option<String>,
    last_result: SimResult,
    /// The id of keyd's sealing key, and its sealing statement.
    statement: Option<([u8; 32], Vec<u8>)>,
    /// When netd ends, even if the servers have not answered.
    leaving: Option<Instant>,
    snapshot: watch::Sender<Snapshot>,
}

impl Lwm2m {
    /// Prepares the task. If keyd has a device id, or the configuration an endpoint name, the task
    /// has its client. Others watch the task through `snapshot`.
    pub(crate) async fn prepare(
        (keyd, presence, device): (Keyd, watch::Receiver<Presence>, Device),
        names: Names,
        store: Store,
        endpoint: Option<String>,
        bootstrap_server: Option<BootstrapServer>,
        snapshot: watch::Sender<Snapshot>,
    ) -> Result<Self, Fatal> {
        let (event_sender, session_events) = mpsc::channel(QUEUE);
        let mut task = Self {
            keyd,
            presence,
            device,
            names,
            bootstrap_server,
            configured_endpoint: endpoint,
            store,
            in_doubt: false,
            client: None,
            sessions: BTreeMap::new(),
            last_session: 0,
            session_events,
            event_sender,
            run: None,
            reset: None,
            linger: None,
            retries: BTreeMap::new(),
            registered: BTreeMap::new(),
            last_fault: None,
            last_result: SimResult::None,
            statement: None,
            leaving: None,
            snapshot,
        };
        task.prepare_client().await?;
        task.publish();
        Ok(task)
    }

    /// Connects to the servers of the accounts, or bootstraps if there are none, and serves
    /// requests until `end` or until netd can't go on.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        end: impl Future<Output = ()>,
        manager: Manager,
    ) -> Result<(), Fatal> {
        tokio::pin!(end);
        manager.ready();
        self.connect_servers().await?;
        self.bootstrap_if_needed();
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = manager.interval().map(interval);
        loop {
            self.settle().await?;
            if self.has_left() {
                return Ok(());
            }
            self.reset_if_due().await?;
            let due = self.next_due();
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::Bootstrap(progress, reply)) => {
                        self.bootstrap(progress, reply).await?;
                    }
                    Some(Request::Reset(progress, reply)) => self.reset(progress, reply),
                    Some(Request::BootstrapServer(server)) => self.set_bootstrap_server(server),
                    Some(Request::Refresh) => self.refresh().await?,
                    None => return Ok(()),
                },
                Some((id, event)) = self.session_events.recv() => self.session_event(id, event).await?,
                () = timer::until(due) => self.expire(Instant::now()).await?,
                _ = refresh.tick() => {
                    self.reconcile().await?;
                    self.refresh().await?;
                }
                Ok(()) = self.presence.changed() => self.keyd_changed().await?,
                () = tick(&mut alive) => manager.alive(),
                () = &mut end, if self.leaving.is_none() => {
                    manager.stopping();
                    self.leave();
                }
            }
        }
    }

    /// Creates the client, if the endpoint name is known.
    async fn prepare_client(&mut self) -> Result<(), Fatal> {
        if self.client.is_some() {
            return Ok(());
        }
        let endpoint = match &self.configured_endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => match keyd::status(&self.keyd).await {
                Ok(status) => status.device_id.map(hex::encode),
                Err(_) => None,
            },
        };
        if let Some(endpoint) = endpoint {
            let accounts = self.store.accounts().cloned().unwrap_or_default();
            let client = Client::new(Config::new(&*endpoint), accounts, random_number());
            self.client = Some((endpoint, client));
            self.refresh().await?;
        }
        Ok(())
    }

    /// Does what the client asks for, and publishes the state.
    async fn settle(&mut self) -> Result<(), Fatal> {
        while let Some(output) = self.client_mut().and_then(Client::poll_output) {
            match output {
                Output::Transmit { server, datagram } => {
                    if let Some(session) = self.sessions.get(&server) {
                        session.send(datagram);
                    }
                }
                Output::Event(event) => self.client_event(event).await?,
            }
        }
        self.publish();
        Ok(())
    }

    /// Publishes the state of the task.
    fn publish(&self) {
        let snapshot = Snapshot {
            endpoint: self.client.as_ref().map(|(endpoint, _)| endpoint.clone()),
            transaction: self.store.transaction().map(str::to_owned),
            accounts_fault: self.store.fault().map(str::to_owned),
            management: self.management(),
        };
        self.snapshot.send_if_modified(|last| {
            let modified = *last != snapshot;
            *last = snapshot;
            modified
        });
    }

    async fn client_event(&mut self, event: Event) -> Result<(), Fatal> {
        match event {
            Event::StagePackage { source, package } => self.package(source, &package).await,
            Event::DiscardPackage => self.discard_package().await,
            Event::Commit { accounts, keys } => self.commit(&accounts, keys.is_empty()).await,
            Event::Bootstrapped => self.bootstrapped().await,
            Event::BootstrapFailed(reason) => {
                let fault = transaction::bootstrap_fault(&reason);
                self.fail_bootstrap(fault).await
            }
            Event::Registered { ssid, location } => {
                self.note_registration(ssid, &location);
                Ok(())
            }
            Event::Updated { ssid } => {
                tracing::debug!(ssid, "registration updated");
                Ok(())
            }
            Event::Deregistered { ssid } => {
                self.registered.remove(&ssid);
                Ok(())
            }
            Event::RegistrationFailed { ssid, reason } => {
                self.close_session(ServerRole::Management(ssid));
                self.connect_later(ssid, servers::registration_fault(&reason));
                Ok(())
            }
            Event::AccountsChanged(accounts) => {
                if let Err(error) = self.store.change(&accounts) {
                    tracing::error!(%error, "a server's change to its account is not durable");
                }
                Ok(())
            }
        }
    }

    async fn session_event(&mut self, id: u64, event: SessionEvent) -> Result<(), Fatal> {
        let mut sessions = self.sessions.iter();
        let Some(role) = sessions.find_map(|(role, session)| (session.id == id).then_some(*role))
        else {
            return Ok(());
        };
        let now = Instant::now();
        match event {
            SessionEvent::Calling(address) => {
                tracing::info!(%address, "DTLS handshake with {role}");
                self.step(|| format!("DTLS handshake with {address}"));
            }
            SessionEvent::Repeated(times, addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let addresses = addresses.join(", ");
                tracing::debug!(addresses, times, "DTLS flight sent again");
                self.step(|| {
                    format!("no answer from {addresses}: DTLS flight sent again ({times})")
                });
            }
            SessionEvent::Unreachable(unreachable) => {
                tracing::debug!(%unreachable, "{role}");
                self.step(|| unreachable.to_string());
            }
            SessionEvent::Hopeless => self.tell_hopeless(role),
            SessionEvent::Connected => {
                tracing::info!("DTLS established with {role}");
                self.step(|| format!("DTLS established with {role}"));
                if let Some(client) = self.client_mut() {
                    client.session_opened(now, role);
                }
            }
            SessionEvent::Received(datagram) => {
                if let Some(client) = self.client_mut() {
                    client.handle_datagram(now, role, &datagram);
                }
            }
            SessionEvent::Ended(reason) => {
                let fault = servers::end_fault(self.sessions.get(&role), reason.as_ref());
                self.close_session(role);
                match role {
                    ServerRole::Bootstrap => self.fail_bootstrap(fault).await?,
                    ServerRole::Management(ssid) => self.connect_later(ssid, fault),
                }
            }
        }
        Ok(())
    }

    /// Updates the Software SIM object from keyd. The client notifies the servers that observe it.
    async fn refresh(&mut self) -> Result<(), Fatal> {
        if self.client.is_none() {
            return Ok(());
        }
        let Ok(status) = keyd::status(&self.keyd).await else {
            return Ok(());
        };
        self.device.recognise(status.device_id)?;
        self.update_statement(&status).await;
        let mut sim = keyd::sim_state(&status, self.last_result);
        sim.sealing_statement = self.statement.as_ref().map(|(_, octets)| octets.clone());
        if let Some(client) = self.client_mut() {
            client.set_sim(Instant::now(), sim);
        }
        Ok(())
    }

    /// Has keyd sign the statement of its sealing key, once for each key.
    async fn update_statement(&mut self, status: &StatusAnswer) {
        let known = self.statement.as_ref().map(|(key, _)| *key);
        let Some(key) = status.sealing_key_id.filter(|key| known != Some(*key)) else {
            return;
        };
        let answer = keyd::ask(&self.keyd, &SealingStatement {}).await;
        // If keyd doesn't answer, the next update asks it again.
        self.statement = answer.ok().map(|answer| (key, answer.statement));
    }

    /// Fails a bootstrap that keyd's end interrupted. When keyd serves again, netd continues from
    /// keyd's last transaction, as it does at the start.
    async fn keyd_changed(&mut self) -> Result<(), Fatal> {
        let serves = *self.presence.borrow_and_update() == Presence::Serving;
        self.in_doubt = true;
        let restarted = Fault::new(Failure::Unavailable, "softsim-keyd restarted");
        self.fail_bootstrap(restarted).await?;
        if serves {
            self.reconcile().await?;
            self.refresh().await?;
        }
        Ok(())
    }

    /// Compares the accounts with keyd's last transaction, if they are in doubt. If keyd doesn't
    /// tell it now, they stay so until the next update of the Software SIM object.
    async fn reconcile(&mut self) -> Result<(), Fatal> {
        if !self.in_doubt {
            return Ok(());
        }
        let Ok(status) = keyd::status(&self.keyd).await else {
            return Ok(());
        };
        self.device.recognise(status.device_id)?;
        self.in_doubt = false;
        let committed = Committed::from(&status);
        if (self.store.reconcile(committed)).map_err(Fatal::Store)? {
            self.begin_anew().await?;
        }
        Ok(())
    }

    /// Makes a client for the accounts in force, and connects to their servers.
    async fn begin_anew(&mut self) -> Result<(), Fatal> {
        self.client = None;
        self.prepare_client().await?;
        self.connect_servers().await?;
        self.bootstrap_if_needed();
        Ok(())
    }

    fn client_mut(&mut self) -> Option<&mut Client> {
        self.client.as_mut().map(|(_, client)| client)
    }

    fn next_due(&self) -> Option<Instant> {
        let client = self
            .client
            .as_ref()
            .and_then(|(_, client)| client.poll_timeout());
        let retries = self.retries.values().filter_map(|retry| retry.at);
        let own = [
            self.linger,
            self.leaving,
            self.reset.as_ref().map(|reset| reset.deadline),
        ];
        let own = own.into_iter().flatten();
        retries.chain(client).chain(own).min()
    }

    async fn expire(&mut self, now: Instant) -> Result<(), Fatal> {
        let before = self.retransmissions();
        if let Some(client) = self.client_mut() {
            client.handle_timeout(now);
        }
        for (role, times) in self.retransmissions() {
            if before.get(&role).is_some_and(|before| times > *before) {
                tracing::debug!(times, "CoAP message sent again to {role}");
                self.step(|| format!("no answer from {role}: CoAP message sent again ({times})"));
            }
        }
        if self.linger.is_some_and(|at| at <= now) {
            self.close_session(ServerRole::Bootstrap);
        }
        self.connect_due(now).await
    }
}

impl Lwm2m {
    /// How many CoAP messages were sent again in each session.
    fn retransmissions(&self) -> BTreeMap<ServerRole, u64> {
        let client = self.client.as_ref().map(|(_, client)| client);
        let times = |role| client.map_or(0, |client| client.retransmissions(role));
        let roles = self.sessions.keys();
        roles.map(|role| (*role, times(*role))).collect()
    }
}

/// Waits for the next tick, or forever if there is none.
async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}

/// An unpredictable number.
fn random_number() -> u64 {
    let mut octets = [0; 8];
    random::fill(&mut octets);
    u64::from_ne_bytes(octets)
}

#[cfg(test)]
mod tests;
