//! The message layer that both roles use: ids, retransmissions, and the queues of datagrams and
//! events.

use std::collections::VecDeque;
use std::time::Instant;

use crate::config::Config;
use crate::message::{Kind, Message, WireToken};
use crate::random::Random;
use crate::reliability::{Inbox, Outbox, Timer};
use crate::types::Event;

/// The message layer of one conversation.
pub(crate) struct MessageLayer {
    pub(crate) config: Config,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    random: Random,
    next_mid: u16,
    next_id: u64,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    /// How many messages were sent again.
    pub(crate) retransmissions: u64,
}

impl MessageLayer {
    pub(crate) fn new(config: Config, seed: u64) -> MessageLayer {
        let mut random = Random::new(seed);
        MessageLayer {
            config,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            next_mid: random.next() as u16,
            random,
            next_id: 0,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
            retransmissions: 0,
        }
    }

    /// Runs one timer of a confirmable message that is due.
    pub(crate) fn expire_one(&mut self, now: Instant) -> Option<Timer> {
        self.outbox.expire_one(now, self.config.max_retransmit)
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
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

    /// Sends a reply to a message, and repeats it whenever the message is repeated.
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

    /// Sends waiting confirmable messages, as far as NSTART allows.
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
