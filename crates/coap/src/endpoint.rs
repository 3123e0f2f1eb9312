//! One side of a conversation: what each datagram, timer and call means for the message layer and
//! for both roles.

use std::fmt;
use std::time::{Duration, Instant};

use crate::client::ClientRole;
use crate::config::{Config, EXCHANGE_LIFETIME};
use crate::layer::MessageLayer;
use crate::message::{FormatError, Kind, Message};
use crate::reliability::{Purpose, Timer};
use crate::server::ServerRole;
use crate::types::{Code, Event, ExchangeId, FailureReason, Reliability, Request, Response, Token};

/// The same for non-confirmable messages.
const NON_LIFETIME: Duration = Duration::from_secs(145);

/// One side of a conversation with one peer, client and server at once. See the crate's
/// documentation.
pub struct Endpoint {
    layer: MessageLayer,
    client: ClientRole,
    server: ServerRole,
}

/// MessageLayer can hold keys, so nothing of them is printed.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A fresh endpoint. `seed` chooses message ids, tokens and jitter; it must differ from one
    /// conversation to the next.
    pub fn new(config: Config, seed: u64) -> Endpoint {
        Endpoint {
            layer: MessageLayer::new(config, seed),
            client: ClientRole::default(),
            server: ServerRole::default(),
        }
    }

    /// Sends a request; its fate comes as [`Event::Response`] or [`Event::Failed`] with the token
    /// given back here. After a response with Observe, [`Event::Notification`]s follow with the
    /// same token.
    pub fn request(&mut self, now: Instant, request: Request) -> Token {
        self.client.request(&mut self.layer, now, request)
    }

    /// Ends an observation by asking the peer (RFC 7641 §3.6); its answer comes as
    /// [`Event::Response`].
    pub fn cancel_observation(&mut self, now: Instant, token: Token) {
        self.client.cancel_observation(&mut self.layer, now, token);
    }

    /// Forgets a request or an observation. No event follows; what still arrives is reset.
    pub fn abandon(&mut self, token: Token) {
        self.client.abandon(&mut self.layer, token);
    }

    /// Answers a request. Nothing happens if the exchange is over.
    pub fn respond(&mut self, now: Instant, exchange: ExchangeId, response: Response) {
        self.server
            .respond(&mut self.layer, now, exchange, response);
    }

    /// Answers a request and, if it asked for that with Observe and the answer is a success, adds
    /// its sender to the observers; true if it did. The exchange names the observation from then
    /// on.
    pub fn respond_observed(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: Response,
    ) -> bool {
        self.server
            .respond_observed(&mut self.layer, now, exchange, response)
    }

    /// Sends an observer the new state; an error code ends the observation. While an earlier
    /// confirmable notification is unacknowledged only the newest state is kept, and sent after it.
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

    /// Takes a datagram of the peer. A malformed one changes nothing; it is answered with a Reset
    /// where the RFC says so.
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
            // RFC 7252 §4.2, §4.3: whatever else stands in an Acknowledgement or a Reset is
            // ignored.
            Kind::Acknowledgement | Kind::Reset => {}
        }
        self.layer.flush(now);
        Ok(())
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.layer.expire_one(now) {
            match timer {
                Timer::Retransmit(bytes) => self.layer.send(bytes),
                Timer::GaveUp(purpose) => self.undelivered(purpose, FailureReason::Timeout),
            }
        }
        self.client.handle_timeout(&mut self.layer, now);
        self.server.handle_timeout(&mut self.layer, now);
        self.layer.flush(now);
    }

    /// The next datagram for the peer.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.layer.poll_transmit()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.layer.poll_event()
    }

    /// When [`Endpoint::handle_timeout`] wants to be called; changes with every other call.
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

    /// RFC 7252 §4.2: a confirmable message that can't be read is reset, anything else ignored.
    fn reject_malformed(&mut self, datagram: &[u8], error: FormatError) {
        let confirmable = datagram.first().is_some_and(|first| first >> 4 & 3 == 0);
        if let (FormatError::NotEmpty { mid } | FormatError::Malformed { mid }, true) =
            (error, confirmable)
        {
            self.layer.send(Message::empty(Kind::Reset, mid));
        }
    }

    /// A message that wants to be looked at once: a request, a response or a ping.
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

    /// A confirmable message of ours won't arrive.
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
