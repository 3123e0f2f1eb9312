//! Client-initiated bootstrap: one session with the bootstrap server, from its request to
//! Bootstrap-Finish.

use std::time::Instant;

use softsim_coap::{self as coap, Code, Endpoint, ExchangeId, Method, Request, Response, Token};

use crate::event::{BootstrapFailure, Event, ServerRole};
use crate::shared::{Decision, Shared};
use crate::staging::{Staging, Step};

/// A session with the bootstrap server.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    pub(crate) endpoint: Endpoint,
    request: Token,
    /// What the server has written so far. None once the bootstrap is over; the session then only
    /// repeats its last answer.
    staging: Option<Staging>,
    package_staged: bool,
    deadline: Instant,
}

impl Bootstrap {
    /// Sends the Bootstrap-Request (LwM2M Core §6.1.7.1).
    pub(crate) fn begin(now: Instant, shared: &mut Shared) -> Bootstrap {
        let config = &shared.config;
        let mut request =
            Request::new(Method::Post, ["bs"]).query(format!("ep={}", config.endpoint));
        if let Some(format) = config.content_format {
            request = request.query(format!("pct={}", format.id()));
        }
        let staging = Staging::new(shared.accounts.clone(), config.sim_object, config.version);
        let deadline = now + config.bootstrap_timeout;
        let mut endpoint = shared.new_endpoint();
        let request = endpoint.request(now, request);
        Bootstrap {
            endpoint,
            request,
            staging: Some(staging),
            package_staged: false,
            deadline,
        }
    }

    /// Whether the bootstrap has neither succeeded nor failed yet.
    pub(crate) fn is_running(&self) -> bool {
        self.staging.is_some()
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let deadline = self.is_running().then_some(self.deadline);
        [deadline, self.endpoint.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        self.endpoint.handle_timeout(now);
        if self.is_running() && self.deadline <= now {
            // Waits for a decision that the application is making, because its result may be
            // durable already.
            match shared.decision {
                Some(Decision::Commit { .. }) => {
                    self.deadline = now + shared.config.bootstrap_timeout
                }
                _ => self.fail(BootstrapFailure::Timeout, shared),
            }
        }
    }

    pub(crate) fn handle_event(&mut self, now: Instant, event: coap::Event, shared: &mut Shared) {
        match event {
            coap::Event::Request { exchange, request } => {
                self.handle_request(now, exchange, request, shared)
            }
            coap::Event::Response { token, response }
                if token == self.request && !response.code.is_success() =>
            {
                self.fail(BootstrapFailure::Refused(response.code), shared);
            }
            coap::Event::Failed { token, reason } if token == self.request => {
                self.fail(BootstrapFailure::NoAnswer(reason), shared);
            }
            // There are no observations in a bootstrap, in either direction.
            _ => {}
        }
    }

    /// Ends a running bootstrap, which then has no effect.
    pub(crate) fn fail(&mut self, reason: BootstrapFailure, shared: &mut Shared) {
        if self.staging.take().is_some() {
            shared.forget_decision(ServerRole::Bootstrap);
            shared.emit(Event::BootstrapFailed(reason));
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        request: Request,
        shared: &mut Shared,
    ) {
        let Some(staging) = &mut self.staging else {
            return self
                .endpoint
                .respond(now, exchange, Response::new(Code::UNAUTHORIZED));
        };
        if shared.decision.is_some() {
            return self
                .endpoint
                .respond(now, exchange, Response::new(Code::SERVICE_UNAVAILABLE));
        }
        self.deadline = now + shared.config.bootstrap_timeout;
        match staging.handle(request, &shared.accounts, shared.config.allow_no_sec) {
            Ok(Step::Answer(response)) | Err(response) => {
                self.endpoint.respond(now, exchange, response)
            }
            Ok(Step::Discard(response)) => {
                if std::mem::take(&mut self.package_staged) {
                    shared.emit(Event::DiscardPackage);
                }
                self.endpoint.respond(now, exchange, response);
            }
            Ok(Step::Package(package)) => {
                let source = ServerRole::Bootstrap;
                shared.decision = Some(Decision::Package { source, exchange });
                shared.emit(Event::StagePackage { source, package });
            }
            Ok(Step::Finish(accounts, keys)) => {
                shared.decision = Some(Decision::Commit {
                    exchange: Some(exchange),
                    accounts: accounts.clone(),
                });
                shared.emit(Event::Commit { accounts, keys });
            }
        }
    }

    /// Answers the server after the application has checked the package.
    pub(crate) fn package_decided(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) {
        self.package_staged |= response.code.is_success();
        self.endpoint.respond(now, exchange, response);
    }

    /// Answers the server after the application has made the accounts durable, or has failed to. In
    /// the latter case, the server may correct what it wrote and finish again.
    pub(crate) fn commit_decided(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) {
        if response.code.is_success() {
            self.staging = None;
        }
        self.deadline = now + coap::EXCHANGE_LIFETIME;
        self.endpoint.respond(now, exchange, response);
    }
}
