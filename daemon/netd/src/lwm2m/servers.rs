//! The connections to the management servers.

use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use softsim_client::netd::{Failure, Management};
use softsim_lwm2m::{RegistrationFailure, SecurityAccount, SecurityMode, ServerRole};

use super::{Fatal, Lwm2m};
use crate::backoff::Backoff;
use crate::config::BootstrapServer;
use crate::dtls::Trust;
use crate::progress::Fault;
use crate::session::{Session, SessionError, Target};
use crate::uri::Server;

/// The first and the longest wait before netd connects to a server again.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// The time that servers have to answer a deregistration.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(2);

/// The retries of a server that failed.
#[derive(Debug)]
pub(super) struct Retry {
    /// When netd connects again; none while it is connecting.
    pub(super) at: Option<Instant>,
    /// The waits after failures.
    backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            at: None,
            backoff: Backoff::new(FIRST_WAIT, MAX_WAIT),
        }
    }
}

impl Lwm2m {
    /// Connects to all servers of the accounts, after it has closed all sessions with management
    /// servers.
    pub(super) async fn connect_servers(&mut self) -> Result<(), Fatal> {
        self.retries.clear();
        self.registered.clear();
        let managers: Vec<_> = self
            .sessions
            .keys()
            .filter(|role| **role != ServerRole::Bootstrap)
            .copied()
            .collect();
        for role in managers {
            self.close_session(role);
        }
        let Some((_, client)) = &self.client else {
            return Ok(());
        };
        let servers = client.accounts().servers();
        for server in servers {
            self.connect_server(server.ssid).await?;
        }
        Ok(())
    }

    /// Connects to the servers that are due.
    pub(super) async fn connect_due(&mut self, now: Instant) -> Result<(), Fatal> {
        let due: Vec<_> = self
            .retries
            .iter()
            .filter(|(_, retry)| retry.at.is_some_and(|at| at <= now))
            .map(|(role, _)| *role)
            .collect();
        for role in due {
            match role {
                ServerRole::Bootstrap => self.begin_bootstrap(None).await?,
                ServerRole::Management(ssid) => self.connect_server(ssid).await?,
            }
        }
        Ok(())
    }

    async fn connect_server(&mut self, ssid: u16) -> Result<(), Fatal> {
        let role = ServerRole::Management(ssid);
        self.connecting(role);
        let client = self.client.as_ref().map(|(_, client)| client);
        let Some(account) = client.and_then(|client| client.accounts().server(ssid)) else {
            self.retries.remove(&role);
            return Ok(());
        };
        let target = match address(&account.security) {
            Ok((server, trust)) => self.target(server, trust).await,
            Err(fault) => Err(fault.into()),
        };
        match target {
            Ok(target) => self.open_session(role, target),
            Err(error) => {
                let fault = error.fault()?;
                self.connect_later(ssid, fault);
            }
        }
        Ok(())
    }

    /// Begins a session, in place of any session with this server.
    pub(super) fn open_session(&mut self, role: ServerRole, target: Target) {
        self.close_session(role);
        self.last_session += 1;
        let session = Session::begin(self.last_session, target, self.event_sender.clone());
        self.sessions.insert(role, session);
    }

    /// Closes a session, if there is one.
    pub(super) fn close_session(&mut self, role: ServerRole) {
        match role {
            ServerRole::Bootstrap => self.linger = None,
            ServerRole::Management(ssid) => _ = self.registered.remove(&ssid),
        }
        if self.sessions.remove(&role).is_some()
            && let Some(client) = self.client_mut()
        {
            client.session_closed(Instant::now(), role);
        }
    }

    /// Notes that a management server failed.
    pub(super) fn connect_later(&mut self, ssid: u16, fault: Fault) {
        let wait = self.wait(ServerRole::Management(ssid));
        let seconds = wait.as_secs();
        tracing::warn!(ssid, reason = %fault, "not registered; the next attempt is in {seconds} s");
        self.last_fault = Some(fault.reason.clone());
        self.end_run(Err(fault));
    }

    /// Schedules the next connection to a server that failed. The wait doubles with each failure.
    pub(super) fn wait(&mut self, role: ServerRole) -> Duration {
        let retry = self.retries.entry(role).or_default();
        let wait = retry.backoff.failed();
        retry.at = Some(Instant::now() + wait);
        wait
    }

    /// Notes that netd is connecting to a server, so that it doesn't connect twice.
    pub(super) fn connecting(&mut self, role: ServerRole) {
        if let Some(retry) = self.retries.get_mut(&role) {
            retry.at = None;
        }
    }

    /// Schedules a bootstrap for now, if netd has no accounts and the configuration allows it.
    pub(super) fn bootstrap_if_needed(&mut self) {
        if self.bootstraps_itself() {
            let retry = Retry {
                at: Some(Instant::now()),
                ..Retry::default()
            };
            self.retries.insert(ServerRole::Bootstrap, retry);
        }
    }

    /// Uses this bootstrap server for the next bootstrap. If it is the same as before, netd doesn't
    /// try again sooner.
    pub(super) fn set_bootstrap_server(&mut self, server: Option<BootstrapServer>) {
        if self.bootstrap_server == server {
            return;
        }
        self.bootstrap_server = server;
        self.retries.remove(&ServerRole::Bootstrap);
        if self.run.is_none() {
            self.bootstrap_if_needed();
        }
    }

    pub(super) fn bootstraps_itself(&self) -> bool {
        let server = self.bootstrap_server.as_ref();
        server.is_some_and(|server| server.automatic) && self.store.accounts().is_none()
    }

    /// Deregisters from the servers before netd ends.
    pub(super) fn leave(&mut self) {
        self.leaving = Some(self.deregister());
    }

    /// Deregisters from all servers. Returns when they should have answered.
    pub(super) fn deregister(&mut self) -> Instant {
        let now = Instant::now();
        for ssid in self.registered.keys() {
            if let Some((_, client)) = &mut self.client {
                client.deregister(now, *ssid);
            }
        }
        now + DEREGISTER_TIMEOUT
    }

    /// Whether netd has nothing left to do before it ends.
    pub(super) fn has_left(&self) -> bool {
        self.leaving
            .is_some_and(|by| self.registered.is_empty() || by <= Instant::now())
    }

    /// Notes that a server has registered netd.
    pub(super) fn note_registration(&mut self, ssid: u16, location: &[String]) {
        let client = self.client.as_ref().map(|(_, client)| client);
        let account = client.and_then(|client| client.accounts().server(ssid));
        let server = account
            .map(|account| account.security.uri)
            .unwrap_or_default();
        let location = format!("/{}", location.join("/"));
        tracing::info!(ssid, server, location, "registered");
        self.step(|| format!("registered with {server} as {location}"));
        self.retries.remove(&ServerRole::Management(ssid));
        self.last_fault = None;
        let registered = Management::Registered { server, location };
        self.registered.insert(ssid, registered);
        self.end_run(Ok(()));
    }

    /// The state of management.
    pub(super) fn management(&self) -> Management {
        if self.is_bootstrapping() {
            return Management::Bootstrapping;
        }
        if let Some(registered) = self.registered.values().next() {
            return registered.clone();
        }
        match self.store.accounts() {
            None => Management::NotBootstrapped {
                reason: self.last_fault.clone(),
            },
            Some(_) => Management::Unregistered {
                reason: self.last_fault.clone(),
            },
        }
    }
}

/// The host and port of a server, and how netd recognises it.
///
/// Certificate usages 0 and 2 (RFC 6698 §2.1.1) name an authority, 1 and 3 the server itself. With
/// 0 and 1, the certificate would also have to chain to a public authority; a gateway has no store
/// of those, so netd relies on the bootstrap server alone.
fn address(account: &SecurityAccount) -> Result<(Server, Trust), Fault> {
    let wrong = |reason: String| {
        let reason = format!("account /0/{}: {reason}", account.instance);
        Fault::new(Failure::Protocol, reason)
    };
    if account.mode != SecurityMode::Certificate {
        let got = format!(
            "expected {}, got {}",
            SecurityMode::Certificate,
            account.mode
        );
        return Err(wrong(got));
    }
    let server: Server = account.uri.parse().map_err(wrong)?;
    let name = account.server_name.as_ref().unwrap_or(&server.host);
    let mut trust = Trust::new(name).map_err(|_| {
        wrong(format!(
            "expected a server name, got {}",
            name.escape_debug()
        ))
    })?;
    match account.certificate_usage {
        0 | 2 => trust
            .anchor(&CertificateDer::from(&*account.server_certificate))
            .map_err(|fault| wrong(format!("the server's certificate: {fault}")))?,
        _ => trust.pin(&account.server_certificate),
    }
    Ok((server, trust))
}

/// A registration that failed, for softsimctl.
pub(super) fn registration_fault(reason: &RegistrationFailure) -> Fault {
    let failure = match reason {
        RegistrationFailure::Refused(_) => Failure::Refused,
        RegistrationFailure::NoAnswer(_) => Failure::Unavailable,
        RegistrationFailure::NoLocation | RegistrationFailure::NoAccount => Failure::Protocol,
    };
    Fault::new(failure, reason)
}

/// The end of a session, for softsimctl.
pub(super) fn end_fault(session: Option<&Session>, reason: Option<&SessionError>) -> Fault {
    let fault = match reason {
        Some(error) => error.into(),
        None => Fault::new(Failure::Unavailable, "the server closed the session"),
    };
    match session {
        Some(session) => Fault::new(fault.failure, format!("{}: {fault}", session.server)),
        None => fault,
    }
}
