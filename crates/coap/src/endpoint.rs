//! One side of a conversation: the public face, and the message layer that both roles stand on.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::block::BlockSize;
use crate::client::ClientRole;
use crate::message::{FormatError, Kind, Message, WireToken};
use crate::random::Random;
use crate::reliability::{Inbox, Outbox, Purpose, Timer};
use crate::server::ServerRole;
use crate::types::{Code, Event, FailureReason};

/// How long a message id must not be used again, and so how long a half-finished exchange is kept
/// (RFC 7252 §4.8.2).
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// The same for non-confirmable messages.
const NON_LIFETIME: Duration = Duration::from_secs(145);

/// Transmission parameters (RFC 7252 §4.8) and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// ACK_TIMEOUT: the least time to wait for an acknowledgement; up to half as much is added at
    /// random.
    pub ack_timeout: Duration,
    /// MAX_RETRANSMIT: repetitions before a confirmable message is given up.
    pub max_retransmit: u8,
    /// NSTART: confirmable messages in flight at the same time.
    pub nstart: usize,
    /// How long the application may think before its answer is no longer piggybacked on the
    /// acknowledgement.
    pub separate_after: Duration,
    /// How long an acknowledged, or non-confirmable, request waits for its response.
    pub response_timeout: Duration,
    /// The largest block that is sent or asked for.
    pub block_size: BlockSize,
    /// The longest body, in octets, that is put together from blocks.
    pub max_body: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            ack_timeout: Duration::from_secs(2),
            max_retransmit: 4,
            nstart: 1,
            separate_after: Duration::from_millis(500),
            response_timeout: Duration::from_secs(93),
            block_size: BlockSize::MAX,
            max_body: 16 << 10,
        }
    }
}

/// One side of a conversation with one peer, client and server at once. See the crate's
/// documentation.
pub struct Endpoint {
    pub(crate) config: Config,
    pub(crate) client: ClientRole,
    pub(crate) server: ServerRole,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    random: Random,
    next_mid: u16,
    next_id: u64,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// Messages can hold keys, so nothing of them is printed.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A fresh endpoint. `seed` chooses message ids, tokens and jitter; it must differ from one
    /// conversation to the next.
    pub fn new(config: Config, seed: u64) -> Endpoint {
        let mut random = Random::new(seed);
        Endpoint {
            config,
            client: ClientRole::default(),
            server: ServerRole::default(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            next_mid: random.next() as u16,
            random,
            next_id: 0,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
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
                self.handle_piggybacked(now, message)
            }
            Kind::Reset if message.code == Code::EMPTY => self.handle_reset(message.mid),
            // RFC 7252 §4.2, §4.3: whatever else stands in an Acknowledgement or a Reset is
            // ignored.
            Kind::Acknowledgement | Kind::Reset => {}
        }
        self.flush(now);
        Ok(())
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.outbox.expire_one(now, self.config.max_retransmit) {
            match timer {
                Timer::Retransmit(bytes) => self.send(bytes),
                Timer::GaveUp(purpose) => self.undelivered(purpose, FailureReason::Timeout),
            }
        }
        self.client_timeout(now);
        self.server_timeout(now);
        self.flush(now);
    }

    /// The next datagram for the peer.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] wants to be called; changes with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.outbox.next_due(),
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
            self.send(Message::empty(Kind::Reset, mid));
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
        if let Err(reply) = self.inbox.enter(now, message.mid, lifetime) {
            match reply {
                _ if !confirmable => {}
                Some(bytes) => self.send(bytes),
                None => self.acknowledge_request(message.mid),
            }
            return;
        }
        match message.code.class() {
            0 if message.code != Code::EMPTY => self.handle_request(now, message),
            _ if message.code.is_response() => self.handle_response(now, message),
            _ => self.reject(message.kind, message.mid),
        }
    }

    fn handle_acknowledgement(&mut self, now: Instant, mid: u16) {
        match self.outbox.finish(mid) {
            Some(Purpose::Request(token)) => self.await_response(now, token),
            Some(Purpose::Notification(exchange)) => self.notified(now, exchange),
            Some(Purpose::Response) | None => {}
        }
    }

    fn handle_reset(&mut self, mid: u16) {
        match self.outbox.finish(mid) {
            Some(purpose) => self.undelivered(purpose, FailureReason::Reset),
            None => self.reset_non_confirmable(mid),
        }
    }

    /// A confirmable message of ours won't arrive.
    fn undelivered(&mut self, purpose: Purpose, reason: FailureReason) {
        match purpose {
            Purpose::Request(token) => self.fail(token, reason),
            Purpose::Notification(exchange) => self.forget_observer(exchange),
            Purpose::Response => {}
        }
    }

    /// Resets a confirmable message; a non-confirmable one is ignored.
    pub(crate) fn reject(&mut self, kind: Kind, mid: u16) {
        if kind == Kind::Confirmable {
            self.reply(mid, Message::empty(Kind::Reset, mid));
        }
    }

    /// Acknowledges a confirmable message.
    pub(crate) fn acknowledge(&mut self, kind: Kind, mid: u16) {
        if kind == Kind::Confirmable {
            self.reply(mid, Message::empty(Kind::Acknowledgement, mid));
        }
    }

    /// Sends a reply to a message, and again whenever the message is repeated.
    pub(crate) fn reply(&mut self, mid: u16, bytes: Vec<u8>) {
        self.inbox.replied(mid, &bytes);
        self.send(bytes);
    }

    pub(crate) fn send(&mut self, bytes: Vec<u8>) {
        self.transmit.push_back(bytes);
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Puts waiting confirmable messages in flight while NSTART allows it.
    pub(crate) fn flush(&mut self, now: Instant) {
        let (random, ack_timeout) = (&mut self.random, self.config.ack_timeout);
        // ACK_RANDOM_FACTOR is 1.5.
        let mut interval = || ack_timeout.mul_f64(1.0 + random.fraction() / 2.0);
        while let Some(bytes) = self
            .outbox
            .start_next(now, self.config.nstart, &mut interval)
        {
            self.transmit.push_back(bytes);
        }
    }

    pub(crate) fn next_mid(&mut self) -> u16 {
        self.next_mid = self.next_mid.wrapping_add(1);
        self.next_mid
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn new_wire_token(&mut self) -> WireToken {
        self.random.next().to_be_bytes().to_vec()
    }
}
