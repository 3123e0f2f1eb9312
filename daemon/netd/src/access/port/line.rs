//! A connection to a keeper, in the event loop of this thread.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use softsim_sandbox::seqpacket::{self, Connection};
use tokio::time::timeout;

use super::Event;
use super::wire::{self, MAX_MESSAGE, Message, Order, Reason, Request};
use crate::async_socket::AsyncSocket;

/// The time that the keeper has for an answer. The packet filter takes a fraction of it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The number of events that netd keeps while it waits for the keeper's answer. It loses any more,
/// as a wire does.
pub(super) const QUEUE: usize = 64;

#[derive(Debug)]
pub(super) struct Line {
    socket: AsyncSocket<Connection>,
    /// The events that nobody has taken yet.
    events: VecDeque<Event>,
}

/// A message of the keeper.
pub(super) enum Received {
    Event(Event),
    Answer(Order, Result<(), Reason>),
}

impl Line {
    pub(super) fn new(socket: Connection) -> io::Result<Self> {
        Ok(Self {
            socket: AsyncSocket::new(socket)?,
            events: VecDeque::new(),
        })
    }

    /// Waits for an event, which [`Self::take_event`] returns then. May be cancelled.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        match self.receive_message().await? {
            Received::Event(event) => self.events.push_back(event),
            Received::Answer(..) => return Err(unasked()),
        }
        Ok(())
    }

    pub(super) fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Makes this event the next one.
    pub(super) fn put_back(&mut self, event: Event) {
        self.events.push_front(event);
    }

    /// Gives an order, and waits until the keeper has carried it out or refused it.
    pub(super) async fn order(&mut self, order: Order) -> io::Result<Result<(), Reason>> {
        self.send(&Request::Order(order))?;
        let answered = async {
            loop {
                match self.receive_message().await? {
                    Received::Answer(answered, outcome) if answered == order => {
                        return Ok(outcome);
                    }
                    Received::Answer(..) => return Err(unasked()),
                    Received::Event(event) => {
                        // A link event is never lost. Such events are rare.
                        if self.events.len() < QUEUE || matches!(event, Event::Link(..)) {
                            self.events.push_back(event);
                        }
                    }
                }
            }
        };
        let outcome = timeout(TIMEOUT, answered).await;
        outcome.unwrap_or_else(|_| Err(io::Error::other("no answer")))
    }

    pub(super) fn send(&self, request: &Request<'_>) -> io::Result<()> {
        let octets = request.encode().ok_or(io::ErrorKind::InvalidInput)?;
        self.socket.inner().send(octets.as_slice())
    }

    async fn receive_message(&self) -> io::Result<Received> {
        let mut buffer = [0; MAX_MESSAGE];
        let receive = |socket: &Connection| receive(socket, &mut buffer);
        self.socket.receive(receive).await
    }
}

fn unasked() -> io::Error {
    io::Error::other("answered unasked")
}

/// Receives a message; `WouldBlock` if there is none.
pub(super) fn receive(socket: &Connection, buffer: &mut [u8; MAX_MESSAGE]) -> io::Result<Received> {
    let error = |kind, reason: &str| Err(io::Error::new(kind, reason));
    let length = match socket.receive(buffer)? {
        seqpacket::Received::Datagram(length) => length,
        seqpacket::Received::Nothing => return Err(io::ErrorKind::WouldBlock.into()),
        seqpacket::Received::Closed => return error(io::ErrorKind::UnexpectedEof, "has ended"),
        seqpacket::Received::Truncated => {
            return error(
                io::ErrorKind::InvalidData,
                "sent a message that is too long",
            );
        }
    };
    Ok(match Message::decode(&buffer[..length]) {
        Ok(Message::Frame {
            source,
            unicast,
            pdu,
        }) => Received::Event(Event::Frame {
            source,
            unicast,
            pdu: pdu.to_vec(),
        }),
        Ok(Message::Link { link, name }) => Received::Event(Event::Link(link, name)),
        Ok(Message::Done(order)) => Received::Answer(order, Ok(())),
        Ok(Message::Refused(refused)) => match refused.order {
            Some(order) => Received::Answer(order, Err(refused.reason)),
            None => Received::Event(Event::Refused(refused.reason)),
        },
        Err(wire::Malformed) => {
            return error(
                io::ErrorKind::InvalidData,
                "sent what is none of its messages",
            );
        }
    })
}
