//! An access by IEEE 802.1X on an interface, which its keeper holds: EAPOL, the link, and the
//! controlled port.

use std::io;
use std::time::{Duration, Instant};

use softsim_carriers::eapol::{self, Output, PortStatus, State, Supplicant, Timers};
use softsim_client::keyd::Connection;
use softsim_client::netd::{AccessState, Authentication, Port};
use softsim_eap::Note;
use softsim_link::ethernet::{Link, Name};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::backoff::Backoff;
use super::conversation::{Action, Conversation, Policy, Stage};
use super::port::{Heard, Keeper};
use super::record::Record;
use super::{Fatal, Order};
use crate::progress::Fault;

/// What the access is made of, opened before netd is confined.
pub struct Parts {
    /// Its own connection.
    pub keyd: Connection,
    /// Who holds the interface.
    pub keeper: Keeper,
    /// What the peer may do.
    pub policy: Policy,
    /// How long the supplicant waits for whom.
    pub timers: Timers,
    /// When it authenticates again by itself.
    pub reauthenticate_after: Option<Duration>,
    /// Between failures.
    pub backoff: Backoff,
    /// Whether it begins without being told.
    pub automatic: bool,
}

/// Runs until it is stopped.
pub async fn run(
    mut parts: Parts,
    record: Record,
    mut orders: mpsc::Receiver<Order>,
) -> Result<(), Fatal> {
    parts.keeper.register()?;
    let mut access = Access {
        supplicant: Supplicant::new(parts.timers),
        conversation: Conversation::new(&mut parts.keyd, &parts.policy),
        keeper: parts.keeper,
        name: None,
        record,
        reauthenticate_after: parts.reauthenticate_after,
        backoff: parts.backoff,
        renewal: None,
        rest: "no link yet".into(),
        notes: Vec::new(),
        waiting: Vec::new(),
    };
    // The present state of the link is there already, and comes before any order.
    access.hear_what_waits()?;
    if parts.automatic {
        access.supplicant.connect(Instant::now());
    }
    loop {
        access.work().await?;
        let timer = async {
            match access.next() {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Confined, netd can't start another keeper: it ends, and that of its next start closes
            // the port first.
            heard = access.keeper.hear() => access.hear(heard?)?,
            Some(order) = orders.recv() => match order {
                Order::Connect(done) => access.connect(done),
                Order::Disconnect(done) => access.disconnect(done),
                Order::Stop(done) => {
                    access.stop().await?;
                    // Whoever stops it may have left.
                    let _ = done.send(());
                    return Ok(());
                }
            },
            () = timer => access.timeout(),
        }
    }
}

struct Access<'a> {
    supplicant: Supplicant,
    conversation: Conversation<'a>,
    keeper: Keeper,
    /// What the interface is called.
    name: Option<Name>,
    record: Record,
    reauthenticate_after: Option<Duration>,
    backoff: Backoff,
    /// When it authenticates by itself, behind an open port.
    renewal: Option<Instant>,
    /// Why it rests or is idle, if it does.
    rest: String,
    /// What passed: people are told once the authenticator has its answer.
    notes: Vec<(Instant, Note)>,
    /// Who wants to know how an attempt ends.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Access<'_> {
    /// Does what the supplicant and the peer want done, until they want nothing more, and tells
    /// where it stands.
    async fn work(&mut self) -> Result<(), Fatal> {
        while let Some(output) = self.supplicant.poll() {
            match output {
                Output::Transmit { destination, pdu } => self.send(destination, &pdu),
                Output::Eap(packet) => self.conversation.hear(&packet),
                Output::Abandon => self.abandoned(),
                Output::Port(status) => self.keeper.set(status).await?,
            }
            self.talk()?;
            self.hear_what_waits()?;
        }
        self.tell();
        self.conversation.settle()?;
        Ok(())
    }

    /// The conversation has no carrier any more. Without an order or the loss of the link, that is
    /// a failure.
    fn abandoned(&mut self) {
        if self.supplicant.state() == State::Connecting {
            let refusal = self.conversation.refusal().map(|fault| fault.reason);
            self.rest = refusal.unwrap_or("the authenticator fell silent".into());
            self.record.gave_up(&self.rest);
            self.decided();
        }
        self.conversation.abandon();
    }

    fn talk(&mut self) -> Result<(), Fatal> {
        while let Some(action) = self.conversation.poll()? {
            match action {
                Action::Note(note) => self.notes.push((Instant::now(), note)),
                Action::Send(packet) => self.supplicant.respond(&packet),
                Action::Ended(Ok(authentication)) => self.succeeded(authentication),
                Action::Ended(Err(fault)) => self.failed(fault),
            }
        }
        Ok(())
    }

    fn succeeded(&mut self, authentication: Authentication) {
        let now = Instant::now();
        self.backoff.reset();
        self.renewal = self.reauthenticate_after.map(|after| now + after);
        self.record.succeeded(authentication);
        self.supplicant.succeeded(now);
    }

    fn failed(&mut self, fault: Fault) {
        match self.supplicant.state() {
            State::Authenticating => {
                self.rest = fault.reason;
                // What anybody can begin and let fail is no reason to wait longer.
                let held = match self.supplicant.asked() {
                    true => self.backoff.failed(),
                    false => self.backoff.shortest(),
                };
                self.supplicant.failed(Instant::now(), held);
            }
            // What the supplicant itself gave up goes on as it has decided.
            _ => self.record.ignored(fault.reason),
        }
    }

    fn hear_what_waits(&mut self) -> Result<(), Fatal> {
        while let Some(heard) = self.keeper.heard() {
            self.hear(heard)?;
        }
        Ok(())
    }

    fn hear(&mut self, heard: Heard) -> Result<(), Fatal> {
        match heard {
            Heard::Frame {
                source,
                unicast,
                pdu,
            } => {
                let now = Instant::now();
                if let Err(error) = self.supplicant.handle_frame(now, source, unicast, &pdu) {
                    self.record.ignored(error);
                }
            }
            Heard::Link(link, name) => {
                self.called(name);
                self.link(link)?;
            }
            // A frame that can't be sent is a frame that was lost.
            Heard::Refused(reason) => self.record.ignored(reason),
        }
        Ok(())
    }

    fn send(&self, destination: eapol::Address, pdu: &[u8]) {
        if let Err(error) = self.keeper.send(destination, pdu) {
            self.record.ignored(error);
        }
    }

    /// The rules of its controlled port have followed it already.
    fn called(&mut self, name: Name) {
        if self.name.replace(name).is_some_and(|before| before != name) {
            self.record.renamed(&name.to_string());
        }
    }

    fn link(&mut self, link: Link) -> Result<(), Fatal> {
        match link {
            Link::Up => {}
            Link::Down => self.rest = "the interface has no link".into(),
            // The keeper knows it by its index, and takes no other of the same name.
            Link::Gone => {
                return Err(
                    io::Error::new(io::ErrorKind::NotFound, "the interface is gone").into(),
                );
            }
        }
        self.supplicant.link(Instant::now(), link == Link::Up);
        Ok(())
    }

    fn connect(&mut self, done: oneshot::Sender<()>) {
        self.waiting.push(done);
        self.supplicant.connect(Instant::now());
    }

    fn disconnect(&mut self, done: oneshot::Sender<()>) {
        self.waiting.push(done);
        self.supplicant.disconnect();
        self.rest = "disconnected".into();
    }

    /// When there is something to do.
    fn next(&self) -> Option<Instant> {
        [self.supplicant.poll_timeout(), self.renewal]
            .into_iter()
            .flatten()
            .min()
    }

    fn timeout(&mut self) {
        let now = Instant::now();
        if self.renewal.is_some_and(|at| now >= at) {
            self.renewal = None;
            self.supplicant.connect(now);
        }
        let connecting = self.supplicant.state() == State::Connecting;
        self.supplicant.handle_timeout(now);
        if connecting && self.supplicant.state() == State::Held {
            self.rest = "no authenticator answers".into();
        }
    }

    /// Where it stands, and whether that is what somebody waits for.
    fn tell(&mut self) {
        for (at, note) in self.notes.drain(..) {
            self.record.note(at, &note);
        }
        let state = self.supplicant.state();
        if state != State::Authenticated
            && self.supplicant.port().status() == PortStatus::Unauthorised
        {
            self.renewal = None;
        }
        let reason = || self.rest.clone();
        let (state, next) = match (state, self.conversation.stage()) {
            (State::Idle, _) => (AccessState::Idle { reason: reason() }, None),
            (State::Held, _) => (
                AccessState::Held { reason: reason() },
                self.supplicant.poll_timeout(),
            ),
            (State::Authenticated, _) => (AccessState::Authorised, self.renewal),
            (State::Authenticating, Stage::Challenge) => (AccessState::Challenge, None),
            (State::Connecting | State::Authenticating, _) => (AccessState::Identity, None),
        };
        let port = self.keeper.status().map(|status| match status {
            PortStatus::Authorised => Port::Authorised,
            PortStatus::Unauthorised => Port::Unauthorised,
        });
        self.record.stands(state, port, next);
        if self.record.settled() {
            self.decided();
        }
    }

    fn decided(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever waited may have left.
            let _ = waiting.send(());
        }
    }

    /// Logs off, and leaves the port as the configuration has it.
    async fn stop(&mut self) -> Result<(), Fatal> {
        self.supplicant.disconnect();
        self.rest = "softsim-netd ends".into();
        self.work().await?;
        self.keeper.leave().await
    }
}
