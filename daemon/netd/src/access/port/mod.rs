//! netd's side of a port keeper. The keeper holds an interface: it relays frames, reports the link,
//! and keeps the controlled port.
//!
//! It is a process that netd has started, which netd can't replace once it is confined; or a
//! service of its own, to which netd connects again whenever it has lost it.

pub mod keeper;
mod line;
mod rules;
mod service;
pub mod wire;

use std::path::PathBuf;
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use softsim_carriers::eapol::{Address, PortStatus};
use softsim_link::ethernet::{Link, Name};
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::Connection;

use self::line::{Line, Received, receive};
use self::service::Service;
use self::wire::{MAX_MESSAGE, Order, Reason, Request};
use super::Fatal;
use crate::connector::Connector;
use crate::helper_process;

/// The state of the port after netd has stopped cleanly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AtStop {
    /// It stays closed, as it does when netd dies.
    #[default]
    Closed,
    /// The keeper removes its rules, and everything passes.
    Open,
}

/// The keeper that an access needs.
#[derive(Clone, Debug)]
pub(super) struct Needed {
    /// The interface.
    pub(super) interface: String,
    /// The state of the controlled port at the end, if the keeper keeps one.
    pub(super) at_stop: Option<AtStop>,
}

/// Where netd has the keeper of an access from, before there is an event loop.
#[derive(Debug)]
pub(super) enum Source {
    /// netd has started it.
    Started(StartedKeeper),
    /// It is a service that listens on this socket.
    Service(Needed, PathBuf),
}

/// A keeper that has started. If it keeps a controlled port, it has closed the port at its start,
/// and closes it when netd ends.
#[derive(Debug)]
pub(super) struct StartedKeeper {
    needed: Needed,
    socket: Connection,
    /// The first message of the keeper.
    link: Event,
}

/// A keeper in the event loop.
#[derive(Debug)]
pub(super) struct Keeper {
    interface: String,
    port: Option<ControlledPort>,
    /// None while a service is lost.
    line: Option<Line>,
    service: Option<Service>,
    /// Why the service is lost, until somebody takes it as an event.
    lost: Option<String>,
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
    /// netd has lost the keeper, for this reason, and connects to it again.
    Lost(String),
}

impl Needed {
    /// Starts the keeper, a process of this program. If it keeps a port, it waits until the port is
    /// closed.
    pub(super) fn start(self) -> io::Result<Source> {
        let arguments = [keeper::SUBCOMMAND, &self.interface];
        let socket = helper_process::start(&arguments, |command| {
            if self.at_stop.is_none() {
                command.arg(keeper::WITHOUT_PORT);
            }
        })?;
        Ok(Source::Started(StartedKeeper {
            needed: self,
            link: first_message(&socket)?,
            socket,
        }))
    }
}

impl Source {
    /// What the access needs.
    pub(super) fn needed(&self) -> &Needed {
        match self {
            Self::Started(keeper) => &keeper.needed,
            Self::Service(needed, _) => needed,
        }
    }

    /// Puts the keeper into the event loop of this thread.
    pub(super) fn register(self, connector: &Connector) -> io::Result<Keeper> {
        let Needed { interface, at_stop } = self.needed().clone();
        let (line, service) = match self {
            Self::Started(StartedKeeper { socket, link, .. }) => {
                let mut line = Line::new(socket)?;
                line.put_back(link);
                (Some(line), None)
            }
            Self::Service(needed, socket) => {
                let service = Service::new(needed, socket, connector.clone());
                (None, Some(service))
            }
        };
        Ok(Keeper {
            interface,
            port: at_stop.map(|at_stop| ControlledPort {
                at_stop,
                status: PortStatus::Unauthorised,
            }),
            lost: service.is_some().then(|| "it hasn't answered yet".into()),
            line,
            service,
        })
    }
}

impl Keeper {
    /// The state of the controlled port, if there is one.
    pub(super) fn status(&self) -> Option<PortStatus> {
        self.port.as_ref().map(|port| port.status)
    }

    /// Whether another keeper may follow, once this one is lost.
    pub(super) fn is_service(&self) -> bool {
        self.service.is_some()
    }

    /// Opens or closes the controlled port, if there is one, and waits for the keeper's answer.
    /// Nothing happens while a service is lost, which closes the port by itself.
    pub(super) async fn set(&mut self, status: PortStatus) -> Result<(), Fatal> {
        if self.port.is_none() {
            return Ok(());
        }
        let carried_out = self.order(match status {
            PortStatus::Authorised => Order::Open,
            PortStatus::Unauthorised => Order::Close,
        });
        if carried_out.await?
            && let Some(port) = &mut self.port
        {
            port.status = status;
            tracing::info!(interface = self.interface, port = %status, "controlled port");
        }
        Ok(())
    }

    /// Leaves the port as the configuration says, because netd ends.
    pub(super) async fn leave(&mut self) -> Result<(), Fatal> {
        let order = match self.port.as_ref().map(|port| port.at_stop) {
            Some(AtStop::Closed) => Order::Close,
            Some(AtStop::Open) | None => Order::Leave,
        };
        self.order(order).await.map(drop)
    }

    /// Sends an EAPOL frame.
    ///
    /// # Errors
    /// The frame is lost.
    pub(super) fn send(&self, destination: Address, pdu: &[u8]) -> io::Result<()> {
        let line = self.line.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        line.send(&Request::Frame { destination, pdu })
    }

    /// The next event.
    pub(super) fn take_event(&mut self) -> Option<Event> {
        let lost = self.lost.take().map(Event::Lost);
        lost.or_else(|| self.line.as_mut()?.take_event())
    }

    /// Waits for the next event, which [`Self::take_event`] returns then. An error means that netd
    /// has lost the keeper for good, and nobody closes the port. May be cancelled.
    pub(super) async fn receive(&mut self) -> Result<(), Fatal> {
        let received = match (&mut self.line, &mut self.service) {
            (Some(line), _) => line.receive().await,
            (None, Some(service)) => match service.line().await {
                Ok(line) => {
                    tracing::info!(interface = self.interface, "the port keeper serves");
                    self.line = Some(line);
                    Ok(())
                }
                Err(error) => Err(error),
            },
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        };
        received.or_else(|error| self.lose(error))
    }

    /// Gives an order, and returns whether the keeper has carried it out.
    async fn order(&mut self, order: Order) -> Result<bool, Fatal> {
        let Some(line) = &mut self.line else {
            return Ok(false);
        };
        match line.order(order).await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(reason)) => self.lose(reason),
            Err(error) => self.lose(error),
        }?;
        Ok(false)
    }

    /// Does without the keeper from now on. A service closes the port when its connection ends.
    fn lose(&mut self, reason: impl fmt::Display) -> Result<(), Fatal> {
        let interface = &self.interface;
        let Some(service) = &mut self.service else {
            return Err(Fatal::Port(format!("its keeper for {interface}: {reason}")));
        };
        service.lost();
        let reason = reason.to_string();
        tracing::warn!(interface, reason, "no port keeper");
        self.line = None;
        self.lost = Some(reason);
        if let Some(port) = &mut self.port {
            port.status = PortStatus::Unauthorised;
        }
        Ok(())
    }
}

/// Waits for the first message of a keeper, the link.
fn first_message(socket: &Connection) -> io::Result<Event> {
    let mut entries = [poll::Entry::readable(socket)];
    poll::wait(&mut entries, Some(line::TIMEOUT))?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_sandbox::seqpacket::pair;

    use super::line::QUEUE;
    use super::wire::Message;
    use super::*;

    const STATION: Address = [2, 0, 0, 0, 0, 1];

    /// netd's end, and the keeper's.
    fn ends() -> (Keeper, Connection) {
        let (ours, theirs) = pair().unwrap();
        let keeper = Keeper {
            interface: "eth1".into(),
            port: Some(ControlledPort {
                at_stop: AtStop::Closed,
                status: PortStatus::Unauthorised,
            }),
            line: Some(Line::new(ours).unwrap()),
            service: None,
            lost: None,
        };
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
        let refused = super::wire::Refused {
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
        let (mut netd, keeper) = ends();
        drop(keeper);
        assert!(matches!(netd.receive().await, Err(Fatal::Port(_))));
    }

    #[tokio::test]
    async fn a_keeper_that_answers_unasked_or_sends_no_message_is_lost() {
        let long = [7; MAX_MESSAGE + 1];
        let done = Message::Done(Order::Close).encode().unwrap();
        for message in [done.as_slice(), &[0], &long] {
            let (mut netd, keeper) = ends();
            keeper.send(message).unwrap();
            assert!(matches!(netd.receive().await, Err(Fatal::Port(_))));
        }
    }
}
