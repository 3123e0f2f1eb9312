//! The registration interface: Register, Update, Deregister (LwM2M Core §6.2).

use std::time::{Duration, Instant};

use softsim_coap::{Code, Endpoint, FailureReason, Method, Request, Response, Token};

use crate::config::Version;
use crate::content::ContentFormat;
use crate::event::{Event, RegistrationFailure};
use crate::shared::Shared;

/// How long before its end the client updates a registration: a confirmable message may take this
/// long (MAX_TRANSMIT_WAIT).
const UPDATE_MARGIN: Duration = Duration::from_secs(93);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Registering(Token),
    Registered,
    Updating(Token),
    Deregistering(Token),
    Over,
}

/// A registration with one server, during one session.
#[derive(Debug)]
pub(crate) struct Registration {
    ssid: u16,
    state: State,
    version: Version,
    /// The lifetime that the server was told last, in seconds.
    lifetime: u32,
    location: Vec<String>,
    update_at: Option<Instant>,
    /// Whether something changed while a request was outstanding.
    outdated: bool,
}

impl Registration {
    /// A registration that has not begun.
    pub(crate) fn new(ssid: u16, version: Version) -> Registration {
        Registration {
            ssid,
            state: State::Over,
            version,
            lifetime: 0,
            location: Vec::new(),
            update_at: None,
            outdated: false,
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.update_at
    }

    pub(crate) fn register(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        shared: &mut Shared,
        links: Vec<u8>,
    ) {
        let Some(account) = shared.accounts.server(self.ssid) else {
            return self.fail(RegistrationFailure::NoAccount, shared);
        };
        self.lifetime = account.lifetime;
        let request = Request::new(Method::Post, ["rd"])
            .query(format!("ep={}", shared.config.endpoint))
            .query(format!("lt={}", self.lifetime))
            .query(format!("lwm2m={}", self.version))
            .query("b=U")
            .body(ContentFormat::Link.id(), links);
        self.update_at = None;
        self.state = State::Registering(endpoint.request(now, request));
    }

    /// Sends an Update, which extends the registration and reports changes.
    pub(crate) fn update(&mut self, now: Instant, endpoint: &mut Endpoint, shared: &mut Shared) {
        if self.state != State::Registered {
            self.outdated = matches!(self.state, State::Updating(_) | State::Registering(_));
            return;
        }
        let mut request = Request::new(Method::Post, self.location.clone());
        let lifetime = shared
            .accounts
            .server(self.ssid)
            .map_or(self.lifetime, |account| account.lifetime);
        if lifetime != self.lifetime {
            self.lifetime = lifetime;
            request = request.query(format!("lt={lifetime}"));
        }
        self.update_at = None;
        self.state = State::Updating(endpoint.request(now, request));
    }

    pub(crate) fn deregister(&mut self, now: Instant, endpoint: &mut Endpoint) {
        if let State::Updating(token) = self.state {
            endpoint.abandon(token);
        }
        if matches!(self.state, State::Registered | State::Updating(_)) {
            self.update_at = None;
            let request = Request::new(Method::Delete, self.location.clone());
            self.state = State::Deregistering(endpoint.request(now, request));
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        shared: &mut Shared,
    ) {
        if self.update_at.is_some_and(|at| at <= now) {
            self.update(now, endpoint, shared);
        }
    }

    /// Handles the answer to one of its requests. Returns true if the client must register again.
    #[must_use]
    pub(crate) fn handle_response(
        &mut self,
        now: Instant,
        token: Token,
        response: Response,
        shared: &mut Shared,
    ) -> bool {
        match self.state {
            State::Registering(ours) if ours == token => match response.code {
                Code::CREATED if response.location.is_empty() => {
                    self.fail(RegistrationFailure::NoLocation, shared)
                }
                Code::CREATED => {
                    self.location = response.location;
                    self.registered(now);
                    shared.emit(Event::Registered {
                        ssid: self.ssid,
                        location: self.location.clone(),
                    });
                }
                // The server supports an older LwM2M only.
                Code::PRECONDITION_FAILED if self.version == Version::V1_2 => {
                    self.version = Version::V1_1;
                    return true;
                }
                code => self.fail(RegistrationFailure::Refused(code), shared),
            },
            State::Updating(ours) if ours == token => match response.code {
                Code::CHANGED => {
                    self.registered(now);
                    shared.emit(Event::Updated { ssid: self.ssid });
                }
                // The server has forgotten us.
                Code::NOT_FOUND | Code::BAD_REQUEST => return true,
                code => self.fail(RegistrationFailure::Refused(code), shared),
            },
            State::Deregistering(ours) if ours == token => {
                self.state = State::Over;
                shared.emit(Event::Deregistered { ssid: self.ssid });
            }
            _ => {}
        }
        false
    }

    pub(crate) fn handle_failure(
        &mut self,
        token: Token,
        reason: FailureReason,
        shared: &mut Shared,
    ) {
        match self.state {
            State::Registering(ours) | State::Updating(ours) | State::Deregistering(ours)
                if ours == token =>
            {
                self.fail(RegistrationFailure::NoAnswer(reason), shared);
            }
            _ => {}
        }
    }

    fn registered(&mut self, now: Instant) {
        let lifetime = Duration::from_secs(self.lifetime.into());
        let margin = UPDATE_MARGIN.min(lifetime / 2);
        self.state = State::Registered;
        // Report changes that happened meanwhile at once.
        let wait = if std::mem::take(&mut self.outdated) {
            Duration::ZERO
        } else {
            lifetime - margin
        };
        self.update_at = Some(now + wait);
    }

    fn fail(&mut self, reason: RegistrationFailure, shared: &mut Shared) {
        self.state = State::Over;
        self.update_at = None;
        shared.emit(Event::RegistrationFailed {
            ssid: self.ssid,
            reason,
        });
    }
}
