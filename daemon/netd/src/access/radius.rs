//! An access that authenticates to a AAA server directly, and again before its session ends.

use std::time::{Duration, Instant};

use softsim_carriers::radius::{self, Secret, SessionLimit};
use softsim_client::keyd::Connection;
use softsim_client::netd::AccessState;
use softsim_eap::Note;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::attempt::{Accepted, Line, Listener};
use super::backoff::Backoff;
use super::conversation::{Conversation, Policy, Stage};
use super::record::Record;
use super::{Fatal, Order};
use crate::names::Names;
use crate::progress::Fault;
use crate::uri::Server;

/// The shortest session that a server can set: each one writes to flash.
const SHORTEST: Duration = Duration::from_secs(10);

/// What the access is made of, opened before netd is confined.
pub struct Parts {
    /// Its own connection.
    pub keyd: Connection,
    /// The server.
    pub server: Server,
    /// The secret shared with it.
    pub secret: Secret,
    /// How this gateway calls itself.
    pub nas_identifier: String,
    /// What the peer may do.
    pub policy: Policy,
    /// When it authenticates again by itself.
    pub reauthenticate_after: Option<Duration>,
    /// Between failures.
    pub backoff: Backoff,
    /// Whether it begins without being told.
    pub automatic: bool,
}

/// What comes after a wait or an attempt.
enum Next {
    Attempt,
    Rest(AccessState),
    Stop(oneshot::Sender<()>),
}

/// How an attempt came to its end.
enum Cut {
    Ended(Result<Accepted, Fault>),
    Disconnect(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// Runs until it is stopped.
pub async fn run(
    mut parts: Parts,
    names: Names,
    record: Record,
    mut orders: mpsc::Receiver<Order>,
) -> Result<(), Fatal> {
    let client = radius::Client::new(parts.secret, &parts.nas_identifier)
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut access = Access {
        line: Line::new(parts.server, names, client),
        conversation: Conversation::new(&mut parts.keyd, &parts.policy),
        record: Teller(record),
        reauthenticate_after: parts.reauthenticate_after,
        backoff: parts.backoff,
        due: None,
        ends: false,
        waiting: Vec::new(),
    };
    let mut next = match parts.automatic {
        true => Next::Attempt,
        false => Next::Rest(idle("waits for a command")),
    };
    loop {
        next = match next {
            Next::Attempt => access.attempt(&mut orders).await?,
            Next::Rest(state) => access.rest(state, &mut orders).await,
            Next::Stop(done) => {
                // Whoever stops it may have left.
                let _ = done.send(());
                return Ok(());
            }
        };
    }
}

struct Access<'k> {
    line: Line,
    conversation: Conversation<'k>,
    record: Teller,
    reauthenticate_after: Option<Duration>,
    backoff: Backoff,
    /// When it authenticates by itself.
    due: Option<Instant>,
    /// Whether the session is over then, and another begins (Termination-Action Default, RFC 3580
    /// §3.17).
    ends: bool,
    /// Who wants to know how an attempt ends.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Access<'_> {
    /// Waits for an order, or until it is due.
    async fn rest(&mut self, state: AccessState, orders: &mut mpsc::Receiver<Order>) -> Next {
        self.record.0.stands(state, None, self.due);
        self.decided();
        let due = self.due;
        let timer = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {
                if std::mem::take(&mut self.ends) {
                    self.record.0.stands(idle("the session is over"), None, None);
                }
                Next::Attempt
            }
            order = orders.recv() => match order {
                Some(Order::Connect(done)) => {
                    self.waiting.push(done);
                    Next::Attempt
                }
                Some(Order::Disconnect(done)) => self.disconnected(done),
                Some(Order::Stop(done)) => Next::Stop(done),
                // Nobody can give orders any more: netd ends.
                None => std::future::pending().await,
            },
        }
    }

    /// Authenticates, unless it is told otherwise meanwhile.
    async fn attempt(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<Next, Fatal> {
        self.record.stage(Stage::Identity);
        let cut = {
            let attempt = self
                .line
                .authenticate(&mut self.conversation, &mut self.record);
            tokio::pin!(attempt);
            loop {
                tokio::select! {
                    ended = &mut attempt => break Cut::Ended(ended?),
                    Some(order) = orders.recv() => match order {
                        Order::Connect(done) => self.waiting.push(done),
                        Order::Disconnect(done) => break Cut::Disconnect(done),
                        Order::Stop(done) => break Cut::Stop(done),
                    },
                }
            }
        };
        if !matches!(cut, Cut::Ended(_)) {
            self.line.abandon(&mut self.conversation)?;
        }
        Ok(match cut {
            Cut::Ended(ended) => Next::Rest(self.ended(ended)),
            Cut::Disconnect(done) => self.disconnected(done),
            Cut::Stop(done) => Next::Stop(done),
        })
    }

    fn ended(&mut self, ended: Result<Accepted, Fault>) -> AccessState {
        let now = Instant::now();
        match ended {
            Ok(accepted) => {
                self.backoff.reset();
                let (after, ends) = lasts(accepted.limit, self.reauthenticate_after);
                self.due = after.map(|after| now + after);
                self.ends = ends;
                self.record.0.succeeded(accepted.authentication);
                AccessState::Authorised
            }
            Err(fault) => {
                self.due = Some(now + self.backoff.failed());
                AccessState::Held {
                    reason: fault.reason,
                }
            }
        }
    }

    fn disconnected(&mut self, done: oneshot::Sender<()>) -> Next {
        self.due = None;
        self.waiting.push(done);
        Next::Rest(idle("disconnected"))
    }

    fn decided(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever waited may have left.
            let _ = waiting.send(());
        }
    }
}

fn idle(reason: &str) -> AccessState {
    AccessState::Idle {
        reason: reason.into(),
    }
}

/// The record, as an attempt's listener.
struct Teller(Record);

impl Listener for Teller {
    fn note(&mut self, at: Instant, note: &Note) {
        self.0.note(at, note);
    }

    fn ignored(&mut self, reason: &dyn std::fmt::Display) {
        self.0.ignored(reason);
    }

    fn stage(&mut self, stage: Stage) {
        let state = match stage {
            Stage::Identity => AccessState::Identity,
            Stage::Challenge => AccessState::Challenge,
        };
        self.0.stands(state, None, None);
    }
}

/// How long a session lasts, as the server and we have it, and whether it ends then whatever the
/// next authentication gives.
fn lasts(limit: Option<SessionLimit>, own: Option<Duration>) -> (Option<Duration>, bool) {
    let servers = limit.map(|limit| limit.after.max(SHORTEST));
    let after = [servers, own].into_iter().flatten().min();
    let ends = limit.is_some_and(|limit| !limit.reauthenticate && after == servers);
    (after, ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_as_long_as_the_server_and_we_have_it_but_never_no_time_at_all() {
        let limit = |seconds, reauthenticate| {
            Some(SessionLimit {
                after: Duration::from_secs(seconds),
                reauthenticate,
            })
        };
        let own = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(lasts(None, None), (None, false));
        assert_eq!(lasts(None, own(60)), (own(60), false));
        assert_eq!(lasts(limit(90, true), own(60)), (own(60), false));
        assert_eq!(lasts(limit(90, false), own(60)), (own(60), false));
        assert_eq!(lasts(limit(30, false), own(60)), (own(30), true));
        assert_eq!(lasts(limit(30, true), None), (own(30), false));
        assert_eq!(lasts(limit(0, true), own(60)), (Some(SHORTEST), false));
    }
}
