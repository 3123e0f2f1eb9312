//! The state of the message layer: the messages that we received, and those of ours that still need
//! an acknowledgement (RFC 7252 §4).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::types::{ExchangeId, Token};

/// What a confirmable message of ours carries, which determines who learns of its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Request(Token),
    Response,
    Notification(ExchangeId),
}

/// A confirmable message that has not been acknowledged.
pub(crate) struct Confirmable {
    pub(crate) mid: u16,
    pub(crate) purpose: Purpose,
    bytes: Vec<u8>,
    due: Instant,
    interval: Duration,
    retransmissions: u8,
}

/// Our confirmable messages: at most NSTART in flight, the others wait their turn.
#[derive(Default)]
pub(crate) struct Outbox {
    in_flight: Vec<Confirmable>,
    waiting: VecDeque<(u16, Purpose, Vec<u8>)>,
}

/// The result of a timer.
pub(crate) enum Timer {
    Retransmit(Vec<u8>),
    GaveUp(Purpose),
}

impl Outbox {
    pub(crate) fn push(&mut self, mid: u16, purpose: Purpose, bytes: Vec<u8>) {
        self.waiting.push_back((mid, purpose, bytes));
    }

    /// The next message to put in flight, if there is room; its first timeout is `interval`.
    pub(crate) fn start_next(
        &mut self,
        now: Instant,
        nstart: usize,
        interval: impl FnOnce() -> Duration,
    ) -> Option<Vec<u8>> {
        if self.in_flight.len() >= nstart {
            return None;
        }
        let (mid, purpose, bytes) = self.waiting.pop_front()?;
        let interval = interval();
        self.in_flight.push(Confirmable {
            mid,
            purpose,
            bytes: bytes.clone(),
            due: now + interval,
            interval,
            retransmissions: 0,
        });
        Some(bytes)
    }

    /// The purpose of the message with this id, if it is outstanding.
    pub(crate) fn purpose_of(&self, mid: u16) -> Option<Purpose> {
        self.in_flight
            .iter()
            .find(|message| message.mid == mid)
            .map(|message| message.purpose)
    }

    /// Ends the message with this id, which was acknowledged or reset.
    pub(crate) fn finish(&mut self, mid: u16) -> Option<Purpose> {
        let index = self
            .in_flight
            .iter()
            .position(|message| message.mid == mid)?;
        Some(self.in_flight.swap_remove(index).purpose)
    }

    /// Drops every message of this purpose, in flight or not.
    pub(crate) fn cancel(&mut self, purpose: Purpose) {
        self.in_flight.retain(|message| message.purpose != purpose);
        self.waiting.retain(|(_, waiting, _)| *waiting != purpose);
    }

    pub(crate) fn holds(&self, purpose: Purpose) -> bool {
        self.in_flight
            .iter()
            .any(|message| message.purpose == purpose)
            || self
                .waiting
                .iter()
                .any(|(_, waiting, _)| *waiting == purpose)
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.in_flight.iter().map(|message| message.due).min()
    }

    /// Runs one timer that is due: doubles its interval, or gives up after `max_retransmit`
    /// repetitions.
    pub(crate) fn expire_one(&mut self, now: Instant, max_retransmit: u8) -> Option<Timer> {
        let index = self
            .in_flight
            .iter()
            .position(|message| message.due <= now)?;
        let message = &mut self.in_flight[index];
        if message.retransmissions >= max_retransmit {
            return Some(Timer::GaveUp(self.in_flight.swap_remove(index).purpose));
        }
        message.retransmissions += 1;
        message.interval *= 2;
        message.due = now + message.interval;
        Some(Timer::Retransmit(message.bytes.clone()))
    }
}

/// A received message, and our reply.
struct Seen {
    mid: u16,
    until: Instant,
    reply: Option<Vec<u8>>,
}

/// The messages that we received lately. A repeated message gets the same reply, and takes effect
/// once.
#[derive(Default)]
pub(crate) struct Inbox(VecDeque<Seen>);

impl Inbox {
    /// How many messages are remembered, which is more than a peer with NSTART = 1 can send before
    /// they expire. The oldest is forgotten first.
    const CAPACITY: usize = 128;

    /// Records a message. If it is a repetition, returns the replies to it so far.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        mid: u16,
        lifetime: Duration,
    ) -> Result<(), Option<Vec<u8>>> {
        self.0.retain(|seen| seen.until > now);
        if let Some(seen) = self.0.iter().find(|seen| seen.mid == mid) {
            return Err(seen.reply.clone());
        }
        if self.0.len() == Self::CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(Seen {
            mid,
            until: now + lifetime,
            reply: None,
        });
        Ok(())
    }

    /// Remembers the reply to a message.
    pub(crate) fn replied(&mut self, mid: u16, reply: &[u8]) {
        if let Some(seen) = self.0.iter_mut().find(|seen| seen.mid == mid) {
            seen.reply = Some(reply.to_vec());
        }
    }
}
