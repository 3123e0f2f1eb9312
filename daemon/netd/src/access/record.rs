//! What an access tells: where it stands, what passes, what was counted.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use softsim_client::netd::{
    Access, AccessCounters, AccessState, Authentication, Carrier, Direction, Port,
};
use softsim_eap::Note;
use tokio::sync::{broadcast, watch};

/// Happenings that wait for whoever watches.
const QUEUE: usize = 256;

/// Where an access stands, with the times that a client is told in seconds.
#[derive(Clone, Debug)]
pub struct Told {
    access: Access,
    since: Instant,
    next: Option<Instant>,
    /// Whether the access itself has told it.
    begun: bool,
}

impl Told {
    /// Whether the access has said where it stands.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// As of now.
    pub fn now(&self) -> Access {
        let now = Instant::now();
        Access {
            seconds: (now - self.since).as_secs(),
            next_seconds: self.next.map(|next| (next - now).as_secs()),
            ..self.access.clone()
        }
    }
}

/// Something that watchers are told.
#[derive(Clone, Debug)]
pub struct Happening {
    /// The access.
    pub access: Arc<str>,
    /// What happened there.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A message passed.
    Message(Instant, Direction, Arc<str>),
    /// The state changed.
    State(Arc<Told>),
}

/// Where all accesses tell what happens.
pub type Happenings = broadcast::Sender<Happening>;

/// A place for it.
pub fn happenings() -> Happenings {
    broadcast::channel(QUEUE).0
}

/// The access's own end.
#[derive(Debug)]
pub struct Record {
    name: Arc<str>,
    told: watch::Sender<Told>,
    happenings: Happenings,
}

impl Record {
    /// An access that has not begun.
    pub fn new(
        name: &str,
        carrier: Carrier,
        at: String,
        port: Option<Port>,
        happenings: Happenings,
    ) -> (Self, watch::Receiver<Told>) {
        let (told, receiver) = watch::channel(Told {
            access: Access {
                name: name.into(),
                carrier,
                at,
                renamed: None,
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
            begun: false,
        });
        let record = Self {
            name: name.into(),
            told,
            happenings,
        };
        (record, receiver)
    }

    /// A message passed at that time.
    pub fn note(&self, at: Instant, note: &Note) {
        if self.happenings.receiver_count() > 0 {
            let (direction, text) = words(note);
            self.happens(What::Message(at, direction, text.into()));
        }
    }

    /// Something came that is no part of it.
    pub fn ignored(&self, reason: impl std::fmt::Display) {
        tracing::debug!(access = &*self.name, %reason, "ignored");
        self.told
            .send_modify(|told| told.access.counters.ignored += 1);
    }

    /// The interface has another name now.
    pub fn renamed(&self, name: &str) {
        self.told.send_modify(|told| {
            let access = &mut told.access;
            tracing::warn!(
                access = &*self.name,
                before = access.at,
                now = name,
                "the interface was renamed"
            );
            let before = mem::replace(&mut access.at, name.into());
            access.renamed.get_or_insert(before);
        });
        self.tell();
    }

    /// Whether the state is one that stays until something happens.
    pub fn settled(&self) -> bool {
        !in_progress(&self.told.borrow().access.state)
    }

    /// An authentication succeeded.
    pub fn succeeded(&self, authentication: Authentication) {
        tracing::info!(
            access = &*self.name,
            method = authentication.method,
            identity = authentication.identity,
            reauthenticated = authentication.reauthenticated,
            forward_secrecy = authentication.forward_secrecy,
            "authenticated"
        );
        self.told.send_modify(|told| {
            let counters = &mut told.access.counters;
            counters.successes += 1;
            counters.reauthentications += u64::from(authentication.reauthenticated);
            told.access.authentication = Some(authentication);
        });
    }

    /// An attempt was given up, and another follows at once.
    pub fn gave_up(&self, reason: &str) {
        tracing::warn!(access = &*self.name, "{reason}");
        self.told
            .send_modify(|told| told.access.counters.failures += 1);
    }

    /// It came to a state, with the controlled port so and the next attempt then; whoever watches
    /// is told where that is new.
    pub fn stands(&self, state: AccessState, port: Option<Port>, next: Option<Instant>) {
        let mut changed = false;
        self.told.send_modify(|told| {
            let access = &mut told.access;
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
                told.since = Instant::now();
            }
            (access.state, access.port, told.next) = (state, port, next);
        });
        if changed {
            self.tell();
        }
        // After whoever watches was told.
        self.told
            .send_if_modified(|told| !mem::replace(&mut told.begun, true));
    }

    fn tell(&self) {
        let told = self.told.borrow();
        match &told.access.state {
            state @ AccessState::Held { .. } => {
                tracing::warn!(access = &*self.name, "{state}");
            }
            state => tracing::debug!(access = &*self.name, "{state}"),
        }
        if self.happenings.receiver_count() > 0 {
            self.happens(What::State(Arc::new(told.clone())));
        }
    }

    fn happens(&self, what: What) {
        let access = Arc::clone(&self.name);
        // Whoever leaves meanwhile misses it.
        let _ = self.happenings.send(Happening { access, what });
    }
}

fn in_progress(state: &AccessState) -> bool {
    matches!(state, AccessState::Identity | AccessState::Challenge)
}

/// A message in a line, for people.
pub fn words(note: &Note) -> (Direction, String) {
    let direction = match note.direction {
        softsim_eap::Direction::Received => Direction::Received,
        softsim_eap::Direction::Sent => Direction::Sent,
    };
    let mut text = note.message.clone();
    for attribute in &note.attributes {
        text.push(' ');
        text.push_str(attribute);
    }
    if let Some(remark) = &note.remark {
        text.push_str(&format!(" ({remark})"));
    }
    (direction, text)
}
