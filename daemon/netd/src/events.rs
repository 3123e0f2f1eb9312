//! What happens in netd, for the clients that watch.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use softsim_client::netd::{Direction, Happening, Management, What};
use tokio::sync::{broadcast, watch};

use crate::access::status::Status;
use crate::keyd::presence::Presence;
use crate::lwm2m::Snapshot;

/// The number of events that wait for a client that watches.
const QUEUE: usize = 256;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    time: SystemTime,
    pub(crate) kind: Kind,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A message of an access passed.
    Message(Arc<Message>),
    /// The status of an access changed.
    Access(Arc<Status>),
    /// keyd was lost, or has returned.
    Keyd(Presence),
    /// The state of management changed.
    Management(Management),
    /// Other accounts are in use: their transaction, and why those of the start aren't.
    Accounts(Option<String>, Option<String>),
    /// The configuration was read again, or why the one in force stays.
    Reload(Option<String>),
}

/// A message that passed.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its access.
    pub(crate) access: Arc<str>,
    /// When.
    pub(crate) at: Instant,
    /// Its direction.
    pub(crate) direction: Direction,
    /// Its name and its attributes.
    pub(crate) text: String,
    /// What became of it, if that is unusual, or the words in it.
    pub(crate) remark: Option<String>,
}

/// The channel for all events.
#[derive(Clone, Debug)]
pub(crate) struct Events(broadcast::Sender<Event>);

impl Events {
    /// Creates the channel.
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(QUEUE).0)
    }

    /// Whether anybody watches.
    pub(crate) fn are_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// All events from now on, of which a receiver that doesn't keep up misses the oldest.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// Tells those who watch.
    pub(crate) fn tell(&self, kind: Kind) {
        let time = SystemTime::now();
        // If nobody watches, nobody gets it.
        let _ = self.0.send(Event { time, kind });
    }
}

impl Event {
    /// For a client.
    pub(crate) fn happening(self) -> Happening {
        let what = match self.kind {
            Kind::Message(message) => What::Message {
                access: message.access.to_string(),
                direction: message.direction,
                text: message.text.clone(),
                remark: message.remark.clone(),
            },
            Kind::Access(status) => What::Access {
                access: status.now(),
            },
            Kind::Keyd(presence) => What::Keyd {
                lost: presence.lost(),
            },
            Kind::Management(management) => What::Management { management },
            Kind::Accounts(transaction, fault) => What::Accounts { transaction, fault },
            Kind::Reload(fault) => What::Reload { fault },
        };
        happening(self.time, what)
    }
}

/// Something that a client learns now.
pub(crate) fn now(what: What) -> Happening {
    happening(SystemTime::now(), what)
}

fn happening(time: SystemTime, what: What) -> Happening {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Happening {
        time: since.as_millis().try_into().unwrap_or(u64::MAX),
        what,
    }
}

/// Tells of each change of what others publish as states, until netd ends.
pub(crate) async fn follow(
    events: Events,
    mut keyd: watch::Receiver<Presence>,
    mut snapshot: watch::Receiver<Snapshot>,
) {
    let mut last = snapshot.borrow_and_update().clone();
    loop {
        tokio::select! {
            Ok(()) = keyd.changed() => {
                let presence = keyd.borrow_and_update().clone();
                events.tell(Kind::Keyd(presence));
            }
            Ok(()) = snapshot.changed() => {
                let now = snapshot.borrow_and_update().clone();
                if now.accounts() != last.accounts() {
                    let (transaction, fault) = now.accounts();
                    events.tell(Kind::Accounts(transaction, fault));
                }
                if now.management != last.management {
                    events.tell(Kind::Management(now.management.clone()));
                }
                last = now;
            }
            else => return,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn each_state_that_changes_is_told_and_no_other() {
        let (keyd, presence) = watch::channel(Presence::Serving);
        let (lwm2m, snapshot) = watch::channel(Snapshot::default());
        let events = Events::new();
        let mut watched = events.subscribe();
        let follows = tokio::spawn(follow(events, presence, snapshot));
        tokio::task::yield_now().await;
        lwm2m.send_modify(|snapshot| snapshot.endpoint = Some("gateway".into()));
        tokio::task::yield_now().await;
        lwm2m.send_modify(|snapshot| snapshot.management = Management::Bootstrapping);
        let told = watched.recv().await.unwrap().happening();
        let management = Management::Bootstrapping;
        assert_eq!(told.what, What::Management { management });
        assert!(told.time > 0);
        lwm2m.send_modify(|snapshot| snapshot.accounts_fault = Some("not JSON".into()));
        let told = watched.recv().await.unwrap().happening().what;
        let fault = Some("not JSON".to_owned());
        let (transaction, expected) = (None, fault);
        assert_eq!(
            told,
            What::Accounts {
                transaction,
                fault: expected
            }
        );
        keyd.send_replace(Presence::Lost("it has ended".into()));
        let told = watched.recv().await.unwrap().happening().what;
        let lost = Some("it has ended".to_owned());
        assert_eq!(told, What::Keyd { lost });
        drop((keyd, lwm2m));
        follows.await.unwrap();
    }
}
