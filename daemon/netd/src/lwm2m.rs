//! The LwM2M client at work: one task that owns it, its sessions, and the accounts.
//!
//! [`Lwm2m::run`] carries datagrams between the sessions and the sans-IO client; `transaction` is
//! what a bootstrap does to keyd and to the accounts on disk; `reset` forgets them; `servers` says
//! when netd connects to a server.
//!
//! The four files are one type in four parts, and each uses the others: a bootstrap ends with
//! connecting to the servers of its accounts, a reset begins with leaving them and ends with a
//! bootstrap, and the time that brings the next of all these is waited for here.

mod reset;
mod servers;
mod transaction;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use softsim_client::netd::{Bootstrap, Management};
use softsim_client::proto::StatusAnswer;
use softsim_client::proto::requests::SealingStatement;
use softsim_lwm2m::{Client, Config, Event, Output, ServerRole, SimResult};
use softsim_sandbox::random;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::reset::Reset;
use self::servers::Retry;
use self::transaction::Run;
use crate::accounts::{Store, StoreError};
use crate::config::BootstrapServer;
use crate::keyd::{self, Keyd, Lost, RequestError};
use crate::names::Names;
use crate::notifier::Notifier;
use crate::progress::{Fault, Progress};
use crate::session::{Session, SessionEvent};
use crate::timer;

/// How often keyd is asked for what the Software SIM object shows.
const REFRESH: Duration = Duration::from_secs(10);

/// How long the bootstrap session stays to repeat the answer to Bootstrap-Finish
/// (MAX_TRANSMIT_SPAN).
const LINGER: Duration = Duration::from_secs(45);

/// Events of sessions that wait for the task.
const QUEUE: usize = 64;

/// What the task is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// Bootstrap now, and register; one that runs already is joined.
    Bootstrap(Progress, oneshot::Sender<Result<Bootstrap, Fault>>),
    /// Forget the accounts, and bootstrap anew.
    Reset(Progress, oneshot::Sender<Result<Bootstrap, Fault>>),
    /// keyd's state may have changed.
    Refresh,
}

/// What others may know of the task.
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

/// Why netd can't go on; started again, it finds its way by keyd's last transaction.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// keyd is gone.
    #[error(transparent)]
    Keyd(#[from] Lost),
    /// keyd has committed, and the accounts couldn't be put in force.
    #[error(transparent)]
    Store(StoreError),
}

/// Why one step of the task failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// The task goes on, and the client that waits is told why.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// netd can't go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

impl StepError {
    /// What a client that waits is told.
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
        match error.refusal() {
            Ok(refusal) => Self::Fault(refusal.into()),
            Err(lost) => Self::Fatal(lost.into()),
        }
    }
}

/// The task's state.
pub(crate) struct Lwm2m {
    keyd: Keyd,
    names: Names,
    bootstrap_server: Option<BootstrapServer>,
    configured_endpoint: Option<String>,
    store: Store,
    /// There once the endpoint name is known.
    client: Option<(String, Client)>,
    sessions: BTreeMap<ServerRole, Session>,
    last_session: u64,
    /// What happens in sessions, with their ids; the sender is theirs.
    session_events: mpsc::Receiver<(u64, SessionEvent)>,
    event_sender: mpsc::Sender<(u64, SessionEvent)>,
    run: Option<Run>,
    reset: Option<Reset>,
    linger: Option<Instant>,
    retries: BTreeMap<ServerRole, Retry>,
    registered: BTreeMap<u16, Management>,
    last_fault: Option<String>,
    last_result: SimResult,
    /// The id of keyd's sealing key, and the statement of it.
    statement: Option<([u8; 32], Vec<u8>)>,
    /// By when to end; the servers are being told.
    leaving: Option<Instant>,
    snapshot: watch::Sender<Snapshot>,
}

impl Lwm2m {
    /// A task that has not begun, but knows its name where keyd does; others watch it through
    /// `snapshot`, which has its state from now on.
    pub(crate) async fn prepare(
        keyd: Keyd,
        names: Names,
        store: Store,
        endpoint: Option<String>,
        bootstrap_server: Option<BootstrapServer>,
        snapshot: watch::Sender<Snapshot>,
    ) -> Result<Self, Fatal> {
        let (event_sender, session_events) = mpsc::channel(QUEUE);
        let mut task = Self {
            keyd,
            names,
            bootstrap_server,
            configured_endpoint: endpoint,
            store,
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

    /// Registers with the servers of the accounts, or bootstraps where there are none, and serves
    /// requests until `end`, or something fatal.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        end: impl Future<Output = ()>,
        notifier: &Notifier,
    ) -> Result<(), Fatal> {
        tokio::pin!(end);
        notifier.ready();
        self.connect_servers().await?;
        self.bootstrap_if_needed();
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = notifier.interval().map(interval);
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
                    Some(Request::Refresh) => self.refresh().await?,
                    None => return Ok(()),
                },
                Some((id, event)) = self.session_events.recv() => self.session_event(id, event).await?,
                () = timer::until(due) => self.expire(Instant::now()).await?,
                _ = refresh.tick() => self.refresh().await?,
                () = tick(&mut alive) => notifier.alive(),
                () = &mut end, if self.leaving.is_none() => {
                    notifier.stopping();
                    self.leave();
                }
            }
        }
    }

    /// Makes the client as soon as it has a name.
    async fn prepare_client(&mut self) -> Result<(), Fatal> {
        if self.client.is_some() {
            return Ok(());
        }
        let endpoint = match &self.configured_endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => match keyd::status(&self.keyd).await {
                Ok(status) => status.device_id.map(hex::encode),
                Err(error) => {
                    error.refusal()?;
                    None
                }
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

    /// Does all that the client wants done, and tells the others where that leads.
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

    /// Tells the others where things stand.
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
                tracing::info!(?role, %address, "DTLS handshake");
                self.step(|| format!("DTLS handshake with {address}"));
            }
            SessionEvent::Connected => {
                tracing::info!(?role, "DTLS session established");
                self.step(|| match role {
                    ServerRole::Bootstrap => "DTLS established with the bootstrap server".into(),
                    ServerRole::Management(_) => "DTLS established with the LwM2M server".into(),
                });
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

    /// Shows keyd's state in the Software SIM object; who observes it is told what changed.
    async fn refresh(&mut self) -> Result<(), Fatal> {
        if self.client.is_none() {
            return Ok(());
        }
        let status = match keyd::status(&self.keyd).await {
            Ok(status) => status,
            Err(error) => {
                error.refusal()?;
                return Ok(());
            }
        };
        self.update_statement(&status).await?;
        let mut sim = keyd::sim_state(&status, self.last_result);
        sim.sealing_statement = self.statement.as_ref().map(|(_, octets)| octets.clone());
        if let Some(client) = self.client_mut() {
            client.set_sim(Instant::now(), sim);
        }
        Ok(())
    }

    /// Has keyd sign the statement of its sealing key, once for each key.
    async fn update_statement(&mut self, status: &StatusAnswer) -> Result<(), Fatal> {
        let known = self.statement.as_ref().map(|(key, _)| *key);
        let Some(key) = status.sealing_key_id.filter(|key| known != Some(*key)) else {
            return Ok(());
        };
        self.statement = match keyd::ask(&self.keyd, &SealingStatement {}).await {
            Ok(answer) => Some((key, answer.statement)),
            Err(error) => {
                // keyd is asked again at the next refresh.
                error.refusal()?;
                None
            }
        };
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
        if let Some(client) = self.client_mut() {
            client.handle_timeout(now);
        }
        if self.linger.is_some_and(|at| at <= now) {
            self.close_session(ServerRole::Bootstrap);
        }
        self.connect_due(now).await
    }
}

/// The next tick; never, where there are none.
async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}

/// A number that nobody can foresee.
fn random_number() -> u64 {
    let mut octets = [0; 8];
    random::fill(&mut octets);
    u64::from_ne_bytes(octets)
}
