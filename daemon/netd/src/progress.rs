//! What netd reports to softsimctl while a command runs, and why a command failed.

use std::fmt;
use std::time::Instant;

use softsim_client::netd::{Access, Direction, Event, Failure, Happening};
use tokio::sync::mpsc;

/// The connection to the softsimctl that gave a command.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    started: Instant,
    events: mpsc::Sender<Event>,
}

impl Progress {
    /// Starts the clock of the command.
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self {
            started: Instant::now(),
            events,
        }
    }

    /// The microseconds since the command.
    pub(crate) fn microseconds(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        since.as_micros().try_into().unwrap_or(u64::MAX)
    }

    /// Reports a step.
    pub(crate) fn step(&self, text: impl Into<String>) {
        self.send(Event::Step {
            microseconds: self.microseconds(),
            text: text.into(),
        });
    }

    /// Reports a message that passed at this time, and the name of its access, if it has one.
    pub(crate) fn message(
        &self,
        at: Instant,
        direction: Direction,
        text: String,
        remark: Option<String>,
        access: Option<&str>,
    ) {
        self.send(Event::Message {
            microseconds: self.at(at),
            direction,
            text,
            remark,
            access: access.map(str::to_owned),
        });
    }

    /// Reports that the state of an access has changed.
    pub(crate) fn access(&self, access: Access) {
        self.send(Event::Access {
            microseconds: self.microseconds(),
            access,
        });
    }

    /// Reports that something has happened, once there is room for it; whether softsimctl is still
    /// there.
    pub(crate) async fn happened(&self, happening: Happening) -> bool {
        self.events.send(Event::Happened(happening)).await.is_ok()
    }

    /// Waits until softsimctl has closed the connection.
    pub(crate) async fn abandoned(&self) {
        self.events.closed().await;
    }

    fn send(&self, event: Event) {
        // A softsimctl that doesn't read, or is gone, misses events; its command goes on.
        let _ = self.events.try_send(event);
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// The kind of failure.
    pub failure: Failure,
    /// What was expected and what was received.
    pub reason: String,
}

impl Fault {
    /// A failure of this kind, with its reason.
    pub fn new(failure: Failure, reason: impl fmt::Display) -> Self {
        Self {
            failure,
            reason: reason.to_string(),
        }
    }
}
