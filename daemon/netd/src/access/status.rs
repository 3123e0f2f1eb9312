//! What an access reports: its state, its messages, and its counters.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use softsim_client::netd::{
    Access, AccessCounters, AccessState, Authentication, Carrier, Direction, Port,
};
use softsim_eap::Note;
use tokio::sync::watch;

use crate::events::{Events, Kind, Message};

/// The status of an access, from which clients get times in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    access: Access,
    since: Instant,
    next: Option<Instant>,
    /// Whether the access itself has reported it.
    is_reported: bool,
}

impl Status {
    /// Whether the access itself has reported it.
    pub(crate) fn is_reported(&self) -> bool {
        self.is_reported
    }

    /// The name of the access.
    pub(crate) fn name(&self) -> &str {
        &self.access.name
    }

    /// The status for a client, as of now.
    pub(crate) fn now(&self) -> Access {
        let now = Instant::now();
        Access {
            seconds: (now - self.since).as_secs(),
            next_seconds: self.next.map(|next| (next - now).as_secs()),
            ..self.access.clone()
        }
    }
}

/// The end of an access at which it reports its status and its events.
#[derive(Debug)]
pub(super) struct Reporter {
    name: Arc<str>,
    status: watch::Sender<Status>,
    events: Events,
}

impl Reporter {
    /// The reporter of an access that has not begun.
    pub(super) fn new(
        name: &str,
        automatic: bool,
        (carrier, at, port): (Carrier, String, Option<Port>),
        events: Events,
    ) -> (Self, watch::Receiver<Status>) {
        let (status, receiver) = watch::channel(Status {
            access: Access {
                name: name.into(),
                carrier,
                at,
                server: None,
                renamed: None,
                automatic,
                state: AccessState::Idle {
                    reason: "not begun".into(),
                },
                seconds: 0,
                next_seconds: None,
                port,
                authentication: None,
                counters: AccessCounters::default(),
            },
            since: Instant::now(),
            next: None,
            is_reported: false,
        });
        let reporter = Self {
            name: name.into(),
            status,
            events,
        };
        (reporter, receiver)
    }

    /// Reports a message that passed at this time.
    pub(super) fn message(&self, at: Instant, note: &Note) {
        if let (true, Some(remark)) = (note.is_warning, &note.remark) {
            tracing::warn!(access = &*self.name, "{remark}");
        }
        if self.events.are_watched() {
            let (direction, text) = describe(note);
            self.tell_message(at, direction, text, note.remark.clone());
        }
    }

    /// Counts something that doesn't belong to the access.
    pub(super) fn ignored(&self, reason: impl std::fmt::Display) {
        tracing::debug!(access = &*self.name, %reason, "ignored");
        self.status
            .send_modify(|status| status.access.counters.ignored += 1);
        if self.events.are_watched() {
            let (now, received) = (Instant::now(), Direction::Received);
            self.tell_message(now, received, "ignored".into(), Some(reason.to_string()));
        }
    }

    /// Reports that the interface has another name now.
    pub(super) fn renamed(&self, name: &str) {
        self.status.send_modify(|status| {
            let access = &mut status.access;
            tracing::warn!(
                access = &*self.name,
                before = access.at,
                now = name,
                "the interface was renamed"
            );
            let before = mem::replace(&mut access.at, name.into());
            access.renamed.get_or_insert(before);
        });
        self.publish();
    }

    /// Whether the state stays until something happens.
    pub(super) fn is_settled(&self) -> bool {
        !in_progress(&self.status.borrow().access.state)
    }

    /// Reports an authentication that succeeded.
    pub(super) fn succeeded(&self, authentication: Authentication) {
        tracing::info!(
            access = &*self.name,
            method = authentication.method,
            identity = authentication.identity,
            reauthenticated = authentication.reauthenticated,
            forward_secrecy = authentication.forward_secrecy,
            "authenticated"
        );
        self.status.send_modify(|status| {
            let counters = &mut status.access.counters;
            counters.successes += 1;
            counters.reauthentications += u64::from(authentication.reauthenticated);
            status.access.authentication = Some(authentication);
        });
    }

    /// Reports an attempt that failed, if another follows at once or the session goes on.
    pub(super) fn gave_up(&self, reason: &str) {
        tracing::warn!(access = &*self.name, "{reason}");
        self.count_failure();
    }

    /// As [`Self::gave_up`], if the log has a warning of it already.
    pub(super) fn gave_up_again(&self, reason: &str) {
        tracing::debug!(access = &*self.name, "{reason}");
        self.count_failure();
    }

    fn count_failure(&self) {
        self.status
            .send_modify(|status| status.access.counters.failures += 1);
    }

    /// Sets the server that is in use, of several.
    pub(super) fn set_server(&self, server: Option<String>) {
        self.status
            .send_modify(|status| status.access.server = server);
    }

    /// Sets the state, the state of the controlled port, and the time of the next attempt. If
    /// something is new, the clients that watch get an event.
    pub(super) fn set_state(&self, state: AccessState, port: Option<Port>, next: Option<Instant>) {
        let mut changed = false;
        self.status.send_modify(|status| {
            let access = &mut status.access;
            changed = access.state != state || access.port != port;
            if in_progress(&state) && !in_progress(&access.state) {
                access.counters.attempts += 1;
            }
            match &state {
                AccessState::Held { .. } => {
                    access.counters.failures += u64::from(access.state != state);
                    access.authentication = None;
                }
                AccessState::Idle { .. } => access.authentication = None,
                _ => {}
            }
            if access.state != state {
                status.since = Instant::now();
            }
            (access.state, access.port, status.next) = (state, port, next);
        });
        if changed {
            self.publish();
        }
        // This comes after the event to the clients that watch.
        self.status
            .send_if_modified(|status| !mem::replace(&mut status.is_reported, true));
    }

    fn publish(&self) {
        let status = self.status.borrow();
        match &status.access.state {
            state @ AccessState::Held { .. } => {
                tracing::warn!(access = &*self.name, "{state}");
            }
            state => tracing::debug!(access = &*self.name, "{state}"),
        }
        if self.events.are_watched() {
            self.events.tell(Kind::Access(Arc::new(status.clone())));
        }
    }

    fn tell_message(
        &self,
        at: Instant,
        direction: Direction,
        text: String,
        remark: Option<String>,
    ) {
        let message = Message {
            access: Arc::clone(&self.name),
            at,
            direction,
            text,
            remark,
        };
        self.events.tell(Kind::Message(Arc::new(message)));
    }
}

fn in_progress(state: &AccessState) -> bool {
    matches!(state, AccessState::Identity | AccessState::Challenge)
}

/// Describes a message in one line, for people, without its remark.
pub(super) fn describe(note: &Note) -> (Direction, String) {
    let direction = match note.direction {
        softsim_eap::Direction::Received => Direction::Received,
        softsim_eap::Direction::Sent => Direction::Sent,
    };
    let mut text = note.message.clone();
    for attribute in &note.attributes {
        text.push(' ');
        text.push_str(attribute);
    }
    (direction, text)
}
