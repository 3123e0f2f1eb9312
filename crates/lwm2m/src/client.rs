//! The client as the application sees it: sessions and time in, datagrams and events out.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use softsim_coap::{self as coap, Code, Endpoint, ExchangeId, Response};

use crate::accounts::{AccountKey, Accounts};
use crate::bootstrap::{Bootstrap, BootstrapFailure};
use crate::content::ContentFormat;
use crate::management::Management;
use crate::objects::{Device, SIM};
use crate::registration::RegistrationFailure;
use crate::sim::{SimResult, SimState};
use crate::staging::refuse;

/// A version of LwM2M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// LwM2M 1.1.
    V1_1,
    /// LwM2M 1.2; a server that answers 4.12 is asked again with 1.1.
    V1_2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        })
    }
}

/// Which server a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerRole {
    /// The bootstrap server.
    Bootstrap,
    /// The management server with this Short Server ID.
    Management(u16),
}

/// What the client is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The endpoint client name.
    pub endpoint: String,
    /// The version to register with.
    pub version: Version,
    /// The content format to ask the bootstrap server for (`pct=`), if any.
    pub content_format: Option<ContentFormat>,
    /// The id of the Software SIM object; 26241 to 32768 is the vendor range.
    pub sim_object: u16,
    /// What the Device object says.
    pub device: Device,
    /// How long a bootstrap server may be silent before the bootstrap is given up.
    pub bootstrap_timeout: Duration,
    /// Whether accounts without security are taken: tests only.
    pub allow_no_sec: bool,
    /// CoAP's transmission parameters and limits.
    pub coap: coap::Config,
}

impl Config {
    /// The usual settings for this endpoint client name.
    pub fn new(endpoint: impl Into<String>) -> Config {
        Config {
            endpoint: endpoint.into(),
            version: Version::V1_1,
            content_format: Some(ContentFormat::SenmlCbor),
            sim_object: SIM.id,
            device: Device::default(),
            bootstrap_timeout: coap::EXCHANGE_LIFETIME,
            allow_no_sec: false,
            coap: coap::Config::default(),
        }
    }
}

/// What the client wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram in the session with this server.
    Transmit {
        /// The server.
        server: ServerRole,
        /// The CoAP message.
        datagram: Vec<u8>,
    },
    /// Something happened.
    Event(Event),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server wrote a sealed package: have it judged, then call [`Client::staged`]. One that the
    /// bootstrap server wrote is only staged, since [`Event::Commit`] follows; one of a management
    /// server is installed at once.
    StagePackage {
        /// Who wrote it.
        source: ServerRole,
        /// The package, unopened.
        package: Vec<u8>,
    },
    /// The bootstrap server took back the package that was staged in this bootstrap.
    DiscardPackage,
    /// Bootstrap-Finish: make the accounts durable, with the staged package and the keys, then call
    /// [`Client::committed`].
    Commit {
        /// The new accounts.
        accounts: Accounts,
        /// The pre-shared keys among them.
        keys: Vec<AccountKey>,
    },
    /// The new accounts are in force. Sessions with management servers are to be closed, and opened
    /// anew.
    Bootstrapped,
    /// The old accounts stay; what was staged is to be dropped.
    BootstrapFailed(BootstrapFailure),
    /// The server has our registration.
    Registered {
        /// The server.
        ssid: u16,
        /// Its Location-Path.
        location: Vec<String>,
    },
    /// The server has our registration for another lifetime.
    Updated {
        /// The server.
        ssid: u16,
    },
    /// The server has no registration of ours any more.
    Deregistered {
        /// The server.
        ssid: u16,
    },
    /// There is no registration; the session is to be closed, and a new one opened later.
    RegistrationFailed {
        /// The server.
        ssid: u16,
        /// Why.
        reason: RegistrationFailure,
    },
    /// A management server wrote to its own account: make this durable.
    AccountsChanged(Accounts),
}

/// Something that the application decides before a server is answered; at most one at a time.
#[derive(Debug)]
pub(crate) enum Decision {
    Package {
        source: ServerRole,
        exchange: ExchangeId,
    },
    /// The exchange is none once its session is closed: the accounts count all the same.
    Commit {
        exchange: Option<ExchangeId>,
        accounts: Accounts,
    },
}

/// What all sessions have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) accounts: Accounts,
    pub(crate) sim: SimState,
    pub(crate) decision: Option<Decision>,
    outputs: VecDeque<Output>,
    seed: u64,
}

impl Shared {
    pub(crate) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn new_endpoint(&mut self) -> Endpoint {
        self.seed = self.seed.wrapping_add(1);
        Endpoint::new(self.config.coap.clone(), self.seed)
    }

    /// The session is over, so nobody waits for the answer. A commit counts all the same.
    pub(crate) fn forget_decision(&mut self, role: ServerRole) {
        match &mut self.decision {
            Some(Decision::Package { source, .. }) if *source == role => self.decision = None,
            Some(Decision::Commit { exchange, .. }) if role == ServerRole::Bootstrap => {
                *exchange = None
            }
            _ => {}
        }
    }

    fn drain(&mut self, server: ServerRole, endpoint: &mut Endpoint) {
        while let Some(datagram) = endpoint.poll_transmit() {
            self.outputs
                .push_back(Output::Transmit { server, datagram });
        }
    }
}

/// An LwM2M client. See the crate's documentation.
#[derive(Debug)]
pub struct Client {
    shared: Shared,
    bootstrap: Option<Bootstrap>,
    servers: BTreeMap<u16, Management>,
}

impl Client {
    /// A client without sessions. `seed` chooses message ids, tokens and jitter.
    pub fn new(config: Config, accounts: Accounts, seed: u64) -> Client {
        let sim = SimState::default();
        let shared = Shared {
            config,
            accounts,
            sim,
            decision: None,
            outputs: VecDeque::new(),
            seed,
        };
        Client {
            shared,
            bootstrap: None,
            servers: BTreeMap::new(),
        }
    }

    /// The accounts in force.
    pub fn accounts(&self) -> &Accounts {
        &self.shared.accounts
    }

    /// Whether a bootstrap is under way: until it ends, what other servers send is ignored.
    pub fn is_bootstrapping(&self) -> bool {
        self.bootstrap.as_ref().is_some_and(Bootstrap::is_running)
    }

    /// A session with a server is established: begins the bootstrap, or registers. A session that
    /// was there ends.
    pub fn session_opened(&mut self, now: Instant, role: ServerRole) {
        self.session_closed(now, role);
        match role {
            ServerRole::Bootstrap => self.bootstrap = Some(Bootstrap::begin(now, &mut self.shared)),
            ServerRole::Management(ssid) => {
                let session = Management::begin(now, ssid, &mut self.shared);
                self.servers.insert(ssid, session);
            }
        }
        self.pump(now);
    }

    /// A session is over. A bootstrap that has not come to Bootstrap-Finish fails.
    pub fn session_closed(&mut self, _now: Instant, role: ServerRole) {
        self.shared.forget_decision(role);
        match role {
            ServerRole::Management(ssid) => _ = self.servers.remove(&ssid),
            ServerRole::Bootstrap => {
                let committing = matches!(self.shared.decision, Some(Decision::Commit { .. }));
                if let Some(mut session) = self.bootstrap.take().filter(|_| !committing) {
                    session.fail(BootstrapFailure::SessionClosed, &mut self.shared);
                }
            }
        }
    }

    /// Takes a datagram of a server. Malformed ones, and during a bootstrap those of other servers,
    /// change nothing.
    pub fn handle_datagram(&mut self, now: Instant, role: ServerRole, datagram: &[u8]) {
        let endpoint = match role {
            ServerRole::Bootstrap => self.bootstrap.as_mut().map(|session| &mut session.endpoint),
            ServerRole::Management(_) if self.is_bootstrapping() => None,
            ServerRole::Management(ssid) => self
                .servers
                .get_mut(&ssid)
                .map(|session| &mut session.endpoint),
        };
        if let Some(endpoint) = endpoint {
            // The endpoint has answered a malformed message where it had to.
            let _ = endpoint.handle_datagram(now, datagram);
            self.pump(now);
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(session) = &mut self.bootstrap {
            session.handle_timeout(now, &mut self.shared);
        }
        for session in self.servers.values_mut() {
            session.handle_timeout(now, &mut self.shared);
        }
        self.pump(now);
    }

    /// When [`Client::handle_timeout`] wants to be called; changes with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.servers.values().map(Management::next_due);
        sessions
            .chain(self.bootstrap.as_ref().map(Bootstrap::next_due))
            .flatten()
            .min()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// What became of the package in [`Event::StagePackage`]; the server is answered.
    pub fn staged(&mut self, now: Instant, result: Result<(), SimResult>) {
        let Some(Decision::Package { source, exchange }) = self
            .shared
            .decision
            .take_if(|decision| matches!(decision, Decision::Package { .. }))
        else {
            return;
        };
        let response = match result {
            Ok(()) => Response::new(Code::CHANGED),
            Err(reason) => refuse(reason.code(), reason),
        };
        match source {
            ServerRole::Bootstrap => {
                if let Some(session) = &mut self.bootstrap {
                    session.package_decided(now, exchange, response);
                }
            }
            ServerRole::Management(ssid) => {
                if let Some(session) = self.servers.get_mut(&ssid) {
                    session.endpoint.respond(now, exchange, response);
                }
            }
        }
        self.pump(now);
    }

    /// Whether the accounts in [`Event::Commit`] are durable; the server is answered 2.04 or 4.06.
    /// With 4.06 it may correct what it wrote and finish again.
    pub fn committed(&mut self, now: Instant, result: Result<(), SimResult>) {
        let Some(Decision::Commit { exchange, accounts }) = self
            .shared
            .decision
            .take_if(|decision| matches!(decision, Decision::Commit { .. }))
        else {
            return;
        };
        let response = match result {
            Ok(()) => Response::new(Code::CHANGED),
            Err(reason) => refuse(Code::NOT_ACCEPTABLE, reason),
        };
        if let (Some(exchange), Some(session)) = (exchange, &mut self.bootstrap) {
            session.commit_decided(now, exchange, response);
        }
        match result {
            Ok(()) => {
                self.shared.accounts = accounts;
                self.servers.clear();
                self.pump(now);
                self.shared.emit(Event::Bootstrapped);
            }
            Err(_) if exchange.is_none() => {
                self.shared
                    .emit(Event::BootstrapFailed(BootstrapFailure::SessionClosed));
            }
            Err(_) => self.pump(now),
        }
    }

    /// The Software SIM object has new values: who observes it is told.
    pub fn set_sim(&mut self, now: Instant, sim: SimState) {
        self.shared.sim = sim;
        self.pump(now);
    }

    /// Updates the registration with a server now.
    pub fn update(&mut self, now: Instant, ssid: u16) {
        if let Some(session) = self.servers.get_mut(&ssid) {
            session.update(now, &mut self.shared);
            self.pump(now);
        }
    }

    /// Ends the registration with a server.
    pub fn deregister(&mut self, now: Instant, ssid: u16) {
        if let Some(session) = self.servers.get_mut(&ssid) {
            session.deregister(now);
            self.pump(now);
        }
    }

    /// Carries what the endpoints report to the sessions, and what they want to send to the
    /// outputs.
    fn pump(&mut self, now: Instant) {
        if let Some(session) = &mut self.bootstrap {
            while let Some(event) = session.endpoint.poll_event() {
                session.handle_event(now, event, &mut self.shared);
            }
            self.shared
                .drain(ServerRole::Bootstrap, &mut session.endpoint);
        }
        for session in self.servers.values_mut() {
            while let Some(event) = session.endpoint.poll_event() {
                session.handle_event(now, event, &mut self.shared);
            }
        }
        for (&ssid, session) in &mut self.servers {
            session.notify_changes(now, &self.shared);
            self.shared
                .drain(ServerRole::Management(ssid), &mut session.endpoint);
        }
    }
}
