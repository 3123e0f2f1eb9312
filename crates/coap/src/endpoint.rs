//! One side of a conversation: passes each datagram, timer and call to the message layer and to the
//! two roles.

use std::fmt;
use std::time::{Duration, Instant};

use crate::client::ClientRole;
use crate::config::{Config, EXCHANGE_LIFETIME};
use crate::layer::MessageLayer;
use crate::message::{FormatError, Kind, Message};
use crate::reliability::{Purpose, Timer};
use crate::server::ServerRole;
use crate::types::{Code, Event, ExchangeId, FailureReason, Reliability, Request, Response, Token};

/// NON_LIFETIME: how long the id of a non-confirmable message must not be reused (RFC 7252 §4.8.2).
const NON_LIFETIME: Duration = Duration::from_secs(145);

/// One side of a conversation with one peer, client and server at once. See the crate's
/// documentation.
pub struct Endpoint {
    layer: MessageLayer,
    client: ClientRole,
    server: ServerRole,
}

/// Messages can hold keys, so none of them is printed.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Makes an endpoint. `seed` determines message ids, tokens and jitter, and must differ from
    /// one conversation to the next.
    pub fn new(config: Config, seed: u64) -> Endpoint {
        Endpoint {
            layer: MessageLayer::new(config, seed),
            client: ClientRole::default(),
            server: ServerRole::default(),
        }
    }

    /// Sends a request. [`Event::Response`] or [`Event::Failed`] reports its outcome, with the
    /// token that is returned here. After a response with Observe, [`Event::Notification`]s follow
    /// with the same token.
    pub fn request(&mut self, now: Instant, request: Request) -> Token {
        self.client.request(&mut self.layer, now, request)
    }

    /// Asks the peer to end an observation (RFC 7641 §3.6). [`Event::Response`] reports the answer.
    pub fn cancel_observation(&mut self, now: Instant, token: Token) {
        self.client.cancel_observation(&mut self.layer, now, token);
    }

    /// Drops a request or an observation. No event follows, and the endpoint resets messages that
    /// still arrive for it.
    pub fn abandon(&mut self, token: Token) {
        self.client.abandon(&mut self.layer, token);
    }

    /// Answers a request. Nothing happens if the exchange is over.
    pub fn respond(&mut self, now: Instant, exchange: ExchangeId, response: Response) {
        self.server
            .respond(&mut self.layer, now, exchange, response);
    }

    /// Answers a request. If the request asked for an observation and the answer is a success, adds
    /// the peer to the observers and returns true. From then on, `exchange` names the observation.
    pub fn respond_observed(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) -> bool {
        self.server
            .respond_observed(&mut self.layer, now, exchange, response)
    }

    /// Sends an observer the new state. An error code ends the observation. While an earlier
    /// confirmable notification is unacknowledged, the endpoint keeps only the newest state, and
    /// sends it afterwards.
    pub fn notify(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
        reliability: Reliability,
    ) {
        self.server
            .notify(&mut self.layer, now, exchange, response, reliability);
    }

    /// Handles a datagram of the peer. A malformed one changes nothing; the endpoint answers it
    /// with a Reset if the RFC requires that.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), FormatError> {
        let message = Message::decode(datagram)
            .inspect_err(|error| self.reject_malformed(datagram, *error))?;
        match message.kind {
            Kind::Confirmable | Kind::NonConfirmable => self.handle_fresh(now, message),
            Kind::Acknowledgement if message.code == Code::EMPTY => {
                self.handle_acknowledgement(now, message.mid)
            }
            Kind::Acknowledgement if message.code.is_response() => {
                self.client
                    .handle_piggybacked(&mut self.layer, now, message)
            }
            Kind::Reset if message.code == Code::EMPTY => self.handle_reset(message.mid),
            // RFC 7252 §4.2, §4.3: an Acknowledgement or a Reset with any other content is ignored.
            Kind::Acknowledgement | Kind::Reset => {}
        }
        self.layer.flush(now);
        Ok(())
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.layer.expire_one(now) {
            match timer {
                Timer::Retransmit(bytes) => {
                    self.layer.retransmissions += 1;
                    self.layer.send(bytes);
                }
                Timer::GaveUp(purpose) => self.undelivered(purpose, FailureReason::Timeout),
            }
        }
        self.client.handle_timeout(&mut self.layer, now);
        self.server.handle_timeout(&mut self.layer, now);
        self.layer.flush(now);
    }

    /// How many messages the endpoint has sent again because the peer didn't acknowledge them.
    pub fn retransmissions(&self) -> u64 {
        self.layer.retransmissions
    }

    /// The next datagram for the peer.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.layer.poll_transmit()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.layer.poll_event()
    }

    /// When to call [`Endpoint::handle_timeout`]. The time may change with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.layer.outbox.next_due(),
            self.client.next_due(),
            self.server.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Resets a malformed confirmable message, and ignores any other (RFC 7252 §4.2).
    fn reject_malformed(&mut self, datagram: &[u8], error: FormatError) {
        let confirmable = datagram.first().is_some_and(|first| first >> 4 & 3 == 0);
        if let (FormatError::NotEmpty { mid } | FormatError::Malformed { mid }, true) =
            (error, confirmable)
        {
            self.layer.send(Message::empty(Kind::Reset, mid));
        }
    }

    /// Handles a message that isn't a repetition: a request, a response or a ping.
    fn handle_fresh(&mut self, now: Instant, message: Message) {
        let confirmable = message.kind == Kind::Confirmable;
        let lifetime = if confirmable {
            EXCHANGE_LIFETIME
        } else {
            NON_LIFETIME
        };
        if let Err(reply) = self.layer.inbox.enter(now, message.mid, lifetime) {
            match reply {
                _ if !confirmable => {}
                Some(bytes) => self.layer.send(bytes),
                None => self
                    .server
                    .acknowledge_request(&mut self.layer, message.mid),
            }
            return;
        }
        match message.code.class() {
            0 if message.code != Code::EMPTY => {
                self.server.handle_request(&mut self.layer, now, message)
            }
            _ if message.code.is_response() => {
                self.client.handle_response(&mut self.layer, now, message)
            }
            _ => self.layer.reject(message.kind, message.mid),
        }
    }

    fn handle_acknowledgement(&mut self, now: Instant, mid: u16) {
        match self.layer.outbox.finish(mid) {
            Some(Purpose::Request(token)) => {
                self.client.await_response(&mut self.layer, now, token)
            }
            Some(Purpose::Notification(exchange)) => {
                self.server.notified(&mut self.layer, now, exchange)
            }
            Some(Purpose::Response) | None => {}
        }
    }

    fn handle_reset(&mut self, mid: u16) {
        match self.layer.outbox.finish(mid) {
            Some(purpose) => self.undelivered(purpose, FailureReason::Reset),
            None => self.server.reset_non_confirmable(&mut self.layer, mid),
        }
    }

    /// Reports that a confirmable message of ours was not delivered.
    fn undelivered(&mut self, purpose: Purpose, reason: FailureReason) {
        match purpose {
            Purpose::Request(token) => self.client.fail(&mut self.layer, token, reason),
            Purpose::Notification(exchange) => {
                self.server.forget_observer(&mut self.layer, exchange)
            }
            Purpose::Response => {}
        }
    }
}
