//! The client's interface for the application: sessions and the time go in; datagrams and events
//! come out.

use std::collections::BTreeMap;
use std::time::Instant;

use softsim_coap::{Code, Endpoint, Response};

use crate::accounts::Accounts;
use crate::answer::refuse;
use crate::bootstrap::Bootstrap;
use crate::config::Config;
use crate::event::{BootstrapFailure, Event, Output, ServerRole};
use crate::management::Management;
use crate::shared::{Decision, Shared};
use crate::sim::{SimResult, SimState};

/// An LwM2M client. See the crate's documentation.
#[derive(Debug)]
pub struct Client {
    shared: Shared,
    bootstrap: Option<Bootstrap>,
    servers: BTreeMap<u16, Management>,
}

impl Client {
    /// Makes a client without sessions. `seed` determines message ids, tokens and jitter.
    pub fn new(config: Config, accounts: Accounts, seed: u64) -> Client {
        Client {
            shared: Shared::new(config, accounts, seed),
            bootstrap: None,
            servers: BTreeMap::new(),
        }
    }

    /// The accounts in force.
    pub fn accounts(&self) -> &Accounts {
        &self.shared.accounts
    }

    /// Whether a bootstrap is running. Until it ends, the client ignores datagrams of other
    /// servers.
    pub fn is_bootstrapping(&self) -> bool {
        self.bootstrap.as_ref().is_some_and(Bootstrap::is_running)
    }

    /// Reports that a session with a server is established. The client begins the bootstrap, or
    /// registers. An earlier session with that server ends.
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

    /// Reports that a session is over. A bootstrap that hasn't reached Bootstrap-Finish fails.
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

    /// Handles a datagram of a server. A malformed one changes nothing, nor does one of another
    /// server during a bootstrap.
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
            // The endpoint answers a malformed message, if the RFC requires that.
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

    /// When to call [`Client::handle_timeout`]. The time may change with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.servers.values().map(Management::next_due);
        sessions
            .chain(self.bootstrap.as_ref().map(Bootstrap::next_due))
            .flatten()
            .min()
    }

    /// How many messages were sent again in the session with this server, because it didn't
    /// acknowledge them. 0 without a session.
    pub fn retransmissions(&self, server: ServerRole) -> u64 {
        let endpoint = match server {
            ServerRole::Bootstrap => self.bootstrap.as_ref().map(|session| &session.endpoint),
            ServerRole::Management(ssid) => {
                let session = self.servers.get(&ssid);
                session.map(|session| &session.endpoint)
            }
        };
        endpoint.map_or(0, Endpoint::retransmissions)
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.next_output()
    }

    /// Reports the result for the package in [`Event::StagePackage`]. The client then answers the
    /// server.
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

    /// Reports whether the accounts in [`Event::Commit`] are durable. The client then answers the
    /// server with 2.04 or 4.06. After 4.06, the server may correct what it wrote and finish again.
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

    /// Sets the values of the Software SIM object, and notifies the servers that observe it.
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

    /// Passes the endpoints' events to the sessions, and their datagrams to the outputs.
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
