//! The LwM2M client at work: one task that owns it, its sessions, and the accounts.
//!
//! [`Lwm2m::run`] carries datagrams between the sessions and the sans-IO client; `transaction` is
//! what a bootstrap does to keyd and to the accounts on disk; `reset` forgets them; `servers` is
//! when a server is called.

mod reset;
mod servers;
mod transaction;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use softsim_client::netd::{Bootstrap, Management};
use softsim_client::proto::StatusAnswer;
use softsim_client::proto::requests::SealingStatement;
use softsim_lwm2m::{Client, Config, Event, Output, ServerRole, SimResult};
use softsim_sandbox::random;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use self::reset::Reset;
use self::servers::Retry;
use self::transaction::Run;
use crate::accounts::{Store, StoreError};
use crate::config::BootstrapServer;
use crate::keyd::{self, Keyd, Lost};
use crate::names::Names;
use crate::notifier::Notifier;
use crate::progress::{Fault, Progress};
use crate::session::{Session, SessionEvent};

/// How often keyd is asked for what the Software SIM object shows.
const REFRESH: Duration = Duration::from_secs(10);

/// How long the bootstrap session stays to repeat the answer to Bootstrap-Finish
/// (MAX_TRANSMIT_SPAN).
const LINGER: Duration = Duration::from_secs(45);

/// Events of sessions that wait for the task.
const QUEUE: usize = 64;

/// What the task is asked.
#[derive(Debug)]
pub enum Request {
    /// Bootstrap now, and register; one that runs already is joined.
    Bootstrap(Progress, oneshot::Sender<Result<Bootstrap, Fault>>),
    /// Forget the accounts, and bootstrap anew.
    Reset(Progress, oneshot::Sender<Result<Bootstrap, Fault>>),
    /// keyd's state may have changed.
    Refresh,
}

/// What others may know of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The endpoint name, once it is known.
    pub endpoint: Option<String>,
    /// The transaction whose accounts are in force.
    pub transaction: Option<String>,
    /// Why the accounts that were there at the start are not in force.
    pub accounts_fault: Option<String>,
    /// Where management stands.
    pub management: Management,
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
#[derive(Debug)]
pub enum Fatal {
    /// keyd is gone.
    Keyd(Lost),
    /// keyd has committed, and the accounts couldn't be put in force.
    Store(StoreError),
}

impl From<Lost> for Fatal {
    fn from(lost: Lost) -> Self {
        Self::Keyd(lost)
    }
}

impl std::error::Error for Fatal {}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyd(lost) => lost.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

/// The task's state.
pub struct Lwm2m {
    keyd: Keyd,
    names: Names,
    bootstrap_server: Option<BootstrapServer>,
    configured_endpoint: Option<String>,
    store: Store,
    /// There once the endpoint name is known.
    client: Option<(String, Client)>,
    sessions: BTreeMap<ServerRole, Session>,
    last_session: u64,
    /// What happens in sessions, with their ids, and where they tell it.
    happened: mpsc::Receiver<(u64, SessionEvent)>,
    events: mpsc::Sender<(u64, SessionEvent)>,
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
    /// `snapshot`, which tells where it stands from now on.
    pub async fn prepare(
        keyd: Keyd,
        names: Names,
        store: Store,
        endpoint: Option<String>,
        bootstrap_server: Option<BootstrapServer>,
        snapshot: watch::Sender<Snapshot>,
    ) -> Result<Self, Fatal> {
        let (events, happened) = mpsc::channel(QUEUE);
        let mut task = Self {
            keyd,
            names,
            bootstrap_server,
            configured_endpoint: endpoint,
            store,
            client: None,
            sessions: BTreeMap::new(),
            last_session: 0,
            happened,
            events,
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
    pub async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        end: impl Future<Output = ()>,
        notifier: &Notifier,
    ) -> Result<(), Fatal> {
        tokio::pin!(end);
        notifier.ready();
        self.call_servers().await?;
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
            let timer = async {
                match due {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::Bootstrap(progress, reply)) => {
                        self.bootstrap(progress, reply).await?;
                    }
                    Some(Request::Reset(progress, reply)) => self.reset(progress, reply),
                    Some(Request::Refresh) => self.refresh().await?,
                    None => return Ok(()),
                },
                Some((id, event)) = self.happened.recv() => self.session_event(id, event).await?,
                () = timer => self.expire(Instant::now()).await?,
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
            None => match keyd::status(&self.keyd).await? {
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
            Event::Commit { accounts, keys } => {
                let result = self.commit(&accounts, keys.is_empty()).await?;
                if let Some(client) = self.client_mut() {
                    client.committed(Instant::now(), result);
                }
                Ok(())
            }
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
                self.hang_up(ServerRole::Management(ssid));
                self.call_later(ssid, servers::registration_fault(&reason));
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
                self.hang_up(role);
                match role {
                    ServerRole::Bootstrap => self.fail_bootstrap(fault).await?,
                    ServerRole::Management(ssid) => self.call_later(ssid, fault),
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
        if let Ok(status) = keyd::status(&self.keyd).await? {
            self.know_the_statement(&status).await?;
            let mut sim = keyd::sim_state(&status, self.last_result);
            sim.sealing_statement = self.statement.as_ref().map(|(_, octets)| octets.clone());
            if let Some(client) = self.client_mut() {
                client.set_sim(Instant::now(), sim);
            }
        }
        Ok(())
    }

    /// Has keyd sign the statement of its sealing key, once for each key.
    async fn know_the_statement(&mut self, status: &StatusAnswer) -> Result<(), Fatal> {
        let known = self.statement.as_ref().map(|(key, _)| *key);
        let Some(key) = status.sealing_key_id.filter(|key| known != Some(*key)) else {
            return Ok(());
        };
        let answer = keyd::ask(&self.keyd, &SealingStatement {}).await?;
        // Where keyd refuses, it is asked again at the next refresh.
        self.statement = answer.ok().map(|answer| (key, answer.statement));
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
            self.reset.as_ref().map(|reset| reset.by),
        ];
        let own = own.into_iter().flatten();
        retries.chain(client).chain(own).min()
    }

    async fn expire(&mut self, now: Instant) -> Result<(), Fatal> {
        if let Some(client) = self.client_mut() {
            client.handle_timeout(now);
        }
        if self.linger.is_some_and(|at| at <= now) {
            self.hang_up(ServerRole::Bootstrap);
        }
        self.call_again(now).await
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
