//! EAP over IEEE 802.1X on an interface that a keeper holds: EAPOL, the link, and the controlled
//! port.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use softsim_carriers::eapol::{self, Frame, Kind, PortStatus, Supplicant, Timers};
use softsim_client::netd::{Failure, Port};
use softsim_eap::Direction;
use softsim_link::ethernet::{Link, Name};

use super::Fatal;
use super::carrier::{Carrier, Output, State, Terms, note};
use super::port::{self, Keeper};
use crate::progress::Fault;

/// A supplicant on an interface.
#[derive(Debug)]
pub(super) struct Wired {
    supplicant: Supplicant,
    keeper: Keeper,
    /// The name of the interface.
    name: Option<Name>,
    outputs: VecDeque<Output>,
}

impl Wired {
    /// Creates a supplicant without an order to connect.
    pub(super) fn new(keeper: Keeper, timers: Timers) -> Self {
        Self {
            supplicant: Supplicant::new(timers),
            keeper,
            name: None,
            outputs: VecDeque::new(),
        }
    }

    fn handle(&mut self, event: port::Event) -> Result<(), Fatal> {
        match event {
            port::Event::Frame {
                source,
                unicast,
                pdu,
            } => {
                let now = Instant::now();
                let before = self.supplicant.state();
                if let Err(error) = self.supplicant.handle_frame(now, source, unicast, &pdu) {
                    self.ignored(error);
                }
                if (before, self.supplicant.state())
                    == (eapol::State::Authenticated, eapol::State::Held)
                {
                    let reason = "the authenticator refuses to authenticate again";
                    self.outputs.push_back(Output::Resting(reason.into()));
                }
            }
            port::Event::Link(link, name) => {
                self.set_name(name);
                self.set_link(link)?;
            }
            // A frame that the keeper can't send is a frame that is lost.
            port::Event::Refused(reason) => self.ignored(reason),
            // Without its keeper, an interface is one without a link.
            port::Event::Lost(reason) => {
                let reason = format!("no port keeper: {reason}");
                self.outputs.push_back(Output::Resting(reason.into()));
                self.supplicant.link(Instant::now(), false);
            }
        }
        Ok(())
    }

    /// The keeper has changed the rules of the controlled port already.
    fn set_name(&mut self, name: Name) {
        if self.name.replace(name).is_some_and(|before| before != name) {
            self.outputs.push_back(Output::Renamed(name.to_string()));
        }
    }

    fn set_link(&mut self, link: Link) -> Result<(), Fatal> {
        match link {
            Link::Up => {}
            Link::Down => {
                let reason = "the interface has no link";
                self.outputs.push_back(Output::Resting(reason.into()));
            }
            // The keeper ends, and another one waits until the interface returns.
            Link::Gone if self.keeper.is_service() => {}
            // The keeper knows the interface by its index, and accepts no other of the same name.
            Link::Gone => {
                return Err(
                    io::Error::new(io::ErrorKind::NotFound, "the interface is gone").into(),
                );
            }
        }
        self.supplicant.link(Instant::now(), link == Link::Up);
        Ok(())
    }

    fn transmit(&mut self, destination: eapol::Address, pdu: &[u8]) {
        match self.keeper.send(destination, pdu) {
            Ok(()) => self.outputs.extend(self.start_note(pdu)),
            Err(error) => self.ignored(error),
        }
    }

    /// EAPOL-Starts are all that happens as long as no authenticator answers.
    fn start_note(&self, pdu: &[u8]) -> Option<Output> {
        let is_start = Frame::parse(pdu).is_ok_and(|frame| frame.kind == Kind::Start);
        let message = match self.supplicant.starts() {
            Some((sent, all)) => format!("EAPOL-Start {sent}/{all}"),
            None => "EAPOL-Start".to_owned(),
        };
        is_start.then(|| note(Direction::Sent, message))
    }

    fn ignored(&mut self, reason: impl ToString) {
        self.outputs.push_back(Output::Ignored(reason.to_string()));
    }
}

impl Carrier for Wired {
    fn state(&self) -> State {
        match (self.supplicant.state(), self.supplicant.poll_timeout()) {
            (eapol::State::Held, Some(until)) => State::Held { until },
            (eapol::State::Idle | eapol::State::Held, _) => State::Idle,
            (eapol::State::Connecting, _) => State::Connecting,
            (eapol::State::Authenticating, _) => State::Authenticating,
            (eapol::State::Authenticated, _) => State::Authenticated,
        }
    }

    fn port(&self) -> Option<Port> {
        self.keeper.status().map(|status| match status {
            PortStatus::Authorised => Port::Authorised,
            PortStatus::Unauthorised => Port::Unauthorised,
        })
    }

    fn is_authorised(&self) -> bool {
        self.supplicant.port().status() == PortStatus::Authorised
    }

    fn asked(&self) -> bool {
        self.supplicant.asked()
    }

    fn connect(&mut self, now: Instant) {
        self.supplicant.connect(now);
    }

    fn disconnect(&mut self) {
        self.supplicant.disconnect();
    }

    async fn send(&mut self, eap: &[u8]) {
        self.supplicant.respond(eap);
    }

    fn proved(&mut self) {
        self.supplicant.proved();
    }

    fn succeeded(&mut self, now: Instant) -> Result<Terms, Fault> {
        self.supplicant.succeeded(now);
        Ok(Terms::default())
    }

    fn failed(&mut self, now: Instant, wait: Duration) {
        self.supplicant.failed(now, wait);
    }

    fn ask_again(&mut self, now: Instant) {
        self.supplicant.ask_again(now);
    }

    async fn advance(&mut self) -> Result<Option<Output>, Fatal> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Ok(Some(output));
            }
            if let Some(event) = self.keeper.take_event() {
                self.handle(event)?;
                continue;
            }
            match self.supplicant.poll() {
                None => return Ok(None),
                Some(eapol::Output::Transmit { destination, pdu }) => {
                    self.transmit(destination, &pdu);
                }
                Some(eapol::Output::Eap(packet)) => {
                    return Ok(Some(Output::Eap { packet, msk: None }));
                }
                Some(eapol::Output::Abandon) => return Ok(Some(Output::Abandon)),
                Some(eapol::Output::Port(status)) => self.keeper.set(status).await?,
            }
        }
    }

    /// Since netd is confined, it can't start another keeper. If it loses one that it has started,
    /// it ends, and the keeper of the next netd closes the port first.
    async fn receive(&mut self) -> Result<(), Fatal> {
        self.keeper.receive().await
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.supplicant.poll_timeout()
    }

    async fn handle_timeout(&mut self, now: Instant) {
        let before = self.supplicant.state();
        self.supplicant.handle_timeout(now);
        let after = self.supplicant.state();
        match (before, after) {
            (eapol::State::Connecting, eapol::State::Held) => {
                let reason = "no authenticator answers";
                self.outputs.push_back(Output::Resting(reason.into()));
            }
            (
                eapol::State::Authenticating,
                eapol::State::Connecting | eapol::State::Authenticated | eapol::State::Held,
            ) => {
                let fault = Fault::new(Failure::Unavailable, "the authenticator fell silent");
                self.outputs.push_back(Output::Silent(fault));
            }
            _ => {}
        }
    }

    async fn leave(&mut self) -> Result<(), Fatal> {
        self.keeper.leave().await
    }
}
