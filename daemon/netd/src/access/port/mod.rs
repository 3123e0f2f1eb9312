//! netd's side of a port keeper. The keeper holds an interface: it relays frames, reports the link,
//! and keeps the controlled port.

pub mod keeper;
mod rules;
pub mod wire;

use std::collections::VecDeque;
use std::time::Duration;
use std::{fmt, io};

use serde::Deserialize;
use softsim_carriers::eapol::{Address, PortStatus};
use softsim_link::ethernet::{Link, Name};
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{self, Connection};
use tokio::time::timeout;

use self::wire::{MAX_MESSAGE, Message, Order, Reason, Request};
use super::Fatal;
use crate::async_socket::AsyncSocket;
use crate::helper_process;

/// The time that the keeper has for an answer. The packet filter takes a fraction of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The number of events that netd keeps while it waits for the keeper's answer. It loses any more,
/// as a wire does.
const QUEUE: usize = 64;

/// The state of the port after netd has stopped cleanly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AtStop {
    /// It stays closed, as it does when netd dies.
    #[default]
    Closed,
    /// The keeper removes its rules, and everything passes.
    Open,
}

/// A keeper that has started, before there is an event loop. If it keeps a controlled port, it has
/// closed the port at its start, and closes it when netd ends.
#[derive(Debug)]
pub(super) struct StartedKeeper {
    interface: String,
    at_stop: Option<AtStop>,
    socket: Connection,
    /// The first message of the keeper.
    link: Event,
}

/// A keeper in the event loop.
#[derive(Debug)]
pub(super) struct Keeper {
    interface: String,
    port: Option<ControlledPort>,
    socket: AsyncSocket<Connection>,
    /// The events that netd received while it waited for an answer.
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct ControlledPort {
    at_stop: AtStop,
    status: PortStatus,
}

/// What the keeper reports about the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An EAPOL frame.
    Frame {
        /// The source address.
        source: Address,
        /// Whether the frame was sent to this interface alone.
        unicast: bool,
        /// What followed the EtherType.
        pdu: Vec<u8>,
    },
    /// The present link and name.
    Link(Link, Name),
    /// The keeper didn't send a frame of netd.
    Refused(Reason),
}

/// A message of the keeper.
enum Received {
    Event(Event),
    Answer(Order, Result<(), Reason>),
}

impl StartedKeeper {
    /// Starts the keeper, a process of this program. If it keeps a port, it waits until the port is
    /// closed.
    pub(super) fn start(interface: &str, at_stop: Option<AtStop>) -> io::Result<Self> {
        let socket = helper_process::start(&[keeper::SUBCOMMAND, interface], |command| {
            if at_stop.is_none() {
                command.arg(keeper::WITHOUT_PORT);
            }
        })?;
        Ok(Self {
            interface: interface.into(),
            at_stop,
            link: first_message(&socket)?,
            socket,
        })
    }

    /// Whether it keeps a controlled port.
    pub(super) fn has_port(&self) -> bool {
        self.at_stop.is_some()
    }

    /// Puts the keeper into the event loop of this thread.
    pub(super) fn register(self) -> io::Result<Keeper> {
        Ok(Keeper {
            interface: self.interface,
            port: self.at_stop.map(|at_stop| ControlledPort {
                at_stop,
                status: PortStatus::Unauthorised,
            }),
            socket: AsyncSocket::new(self.socket)?,
            events: [self.link].into(),
        })
    }
}

impl Keeper {
    /// The state of the controlled port, if there is one.
    pub(super) fn status(&self) -> Option<PortStatus> {
        self.port.as_ref().map(|port| port.status)
    }

    /// Opens or closes the controlled port, if there is one, and waits for the keeper's answer.
    pub(super) async fn set(&mut self, status: PortStatus) -> Result<(), Fatal> {
        if self.port.is_none() {
            return Ok(());
        }
        self.order(match status {
            PortStatus::Authorised => Order::Open,
            PortStatus::Unauthorised => Order::Close,
        })
        .await?;
        if let Some(port) = &mut self.port {
            port.status = status;
        }
        tracing::info!(interface = self.interface, port = %status, "controlled port");
        Ok(())
    }

    /// Leaves the port as the configuration says, because netd ends.
    pub(super) async fn leave(&mut self) -> Result<(), Fatal> {
        match self.port.as_ref().map(|port| port.at_stop) {
            Some(AtStop::Closed) => self.order(Order::Close).await,
            Some(AtStop::Open) | None => self.order(Order::Leave).await,
        }
    }

    /// Sends an EAPOL frame.
    ///
    /// # Errors
    /// The frame is lost.
    pub(super) fn send(&self, destination: Address, pdu: &[u8]) -> io::Result<()> {
        self.request(&Request::Frame { destination, pdu })
    }

    /// The next event that netd received while it waited for an answer. Take these events before
    /// you call [`Self::receive`].
    pub(super) fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Waits for the next event. An error means that netd has lost the keeper, and nobody closes
    /// the port. May be cancelled.
    pub(super) async fn receive(&self) -> Result<Event, Fatal> {
        match self.receive_message().await? {
            Received::Event(event) => Ok(event),
            Received::Answer(..) => Err(self.lost("answered unasked")),
        }
    }

    /// Gives an order, and waits until the keeper has carried it out.
    async fn order(&mut self, order: Order) -> Result<(), Fatal> {
        self.request(&Request::Order(order))
            .map_err(|error| self.lost(error))?;
        let answered = async {
            loop {
                match self.receive_message().await? {
                    Received::Answer(answered, outcome) if answered == order => {
                        return outcome.map_err(|reason| self.lost(reason));
                    }
                    Received::Answer(..) => return Err(self.lost("answered unasked")),
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
        outcome.unwrap_or_else(|_| Err(self.lost("no answer")))
    }

    fn request(&self, request: &Request<'_>) -> io::Result<()> {
        let octets = request.encode().ok_or(io::ErrorKind::InvalidInput)?;
        self.socket.inner().send(octets.as_slice())
    }

    async fn receive_message(&self) -> Result<Received, Fatal> {
        let mut buffer = [0; MAX_MESSAGE];
        let receive = |socket: &Connection| receive(socket, &mut buffer);
        let received = self.socket.receive(receive).await;
        received.map_err(|error| self.lost(error))
    }

    fn lost(&self, reason: impl fmt::Display) -> Fatal {
        Fatal::Port(format!("its keeper for {}: {reason}", self.interface))
    }
}

/// Waits for the first message of a keeper, the link.
fn first_message(socket: &Connection) -> io::Result<Event> {
    let mut entries = [poll::Entry::readable(socket)];
    poll::wait(&mut entries, Some(TIMEOUT))?;
    match receive(socket, &mut [0; MAX_MESSAGE]) {
        Ok(Received::Event(link @ Event::Link(..))) => Ok(link),
        Ok(_) => Err(io::Error::other(
            "expected the state of the link first, got another message",
        )),
        Err(error) => {
            let reason = "the keeper has not begun, and the log says why";
            Err(io::Error::new(error.kind(), reason))
        }
    }
}

/// Receives a message; `WouldBlock` if there is none.
fn receive(socket: &Connection, buffer: &mut [u8; MAX_MESSAGE]) -> io::Result<Received> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_sandbox::seqpacket::pair;

    use super::*;

    const STATION: Address = [2, 0, 0, 0, 0, 1];

    /// netd's end, and the keeper's.
    fn ends() -> (Keeper, Connection) {
        let (ours, theirs) = pair().unwrap();
        let started = StartedKeeper {
            interface: "eth1".into(),
            at_stop: Some(AtStop::Closed),
            socket: ours,
            link: Event::Link(Link::Down, Name::new(b"eth1").unwrap()),
        };
        let mut keeper = started.register().unwrap();
        keeper.take_event().unwrap();
        (keeper, theirs)
    }

    fn send(keeper: &Connection, message: &Message<'_>) {
        keeper.send(message.encode().unwrap().as_slice()).unwrap();
    }

    #[tokio::test]
    async fn what_is_received_while_an_answer_is_waited_for_is_there_afterwards() {
        let (mut netd, keeper) = ends();
        let frame = Message::Frame {
            source: STATION,
            unicast: true,
            pdu: &[2, 0, 0, 0],
        };
        let name = Name::new(b"wan0").unwrap();
        let link = Link::Up;
        for _ in 0..QUEUE + 1 {
            send(&keeper, &frame);
        }
        send(&keeper, &Message::Link { link, name });
        send(&keeper, &Message::Done(Order::Open));
        netd.set(PortStatus::Authorised).await.unwrap();
        assert_eq!(netd.status(), Some(PortStatus::Authorised));
        let events: Vec<_> = std::iter::from_fn(|| netd.take_event()).collect();
        assert_eq!(events.len(), QUEUE + 1);
        assert!(matches!(
            &events[0],
            Event::Frame {
                source: STATION,
                ..
            }
        ));
        assert_eq!(events[QUEUE], Event::Link(link, name));
    }

    #[tokio::test]
    async fn an_order_that_is_refused_ends_the_access_and_changes_nothing() {
        let (mut netd, keeper) = ends();
        let refused = wire::Refused {
            order: Some(Order::Open),
            reason: Reason::PacketFilter,
        };
        send(&keeper, &Message::Refused(refused));
        let fatal = netd.set(PortStatus::Authorised).await.unwrap_err();
        assert!(fatal.to_string().ends_with("the packet filter refused"));
        assert_eq!(netd.status(), Some(PortStatus::Unauthorised));
    }

    #[tokio::test]
    async fn a_keeper_that_ends_is_noticed_without_a_message() {
        let (netd, keeper) = ends();
        drop(keeper);
        assert!(matches!(netd.receive().await, Err(Fatal::Port(_))));
    }

    #[tokio::test]
    async fn a_keeper_that_answers_unasked_or_sends_no_message_is_lost() {
        let long = [7; MAX_MESSAGE + 1];
        let done = Message::Done(Order::Close).encode().unwrap();
        for message in [done.as_slice(), &[0], &long] {
            let (netd, keeper) = ends();
            keeper.send(message).unwrap();
            assert!(matches!(netd.receive().await, Err(Fatal::Port(_))));
        }
    }
}
