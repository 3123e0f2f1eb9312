//! Notices when keyd's subscriber becomes another one: another profile was enabled, none is, or its
//! identities were forgotten. Whoever orders that talks to keyd, which tells netd.

use softsim_client::proto::{ProfileState, StatusAnswer};
use tokio::sync::watch;

/// The subscriber as keyd last told it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    told: Told,
    /// Wakes the accesses.
    changed: watch::Sender<()>,
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// The ICCID of the enabled profile.
    profile: Option<String>,
    /// How often it has changed since keyd started.
    changes: u64,
}

impl Subscriber {
    /// The subscriber of netd's start.
    pub(crate) fn new(status: &StatusAnswer) -> Self {
        Self {
            told: Told::from(status),
            changed: watch::Sender::new(()),
        }
    }

    /// What changes whenever the subscriber becomes another one.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes a status of keyd.
    pub(super) fn take(&mut self, status: &StatusAnswer) {
        let told = Told::from(status);
        if std::mem::replace(&mut self.told, told) != self.told {
            self.changed.send_replace(());
        }
    }

    /// keyd has ended. The next one counts from 0, and its subscriber is the same, unless it has
    /// changed since.
    pub(super) fn keyd_ended(&mut self) {
        self.told.changes = 0;
    }
}

impl From<&StatusAnswer> for Told {
    fn from(status: &StatusAnswer) -> Self {
        let profile = status.profile.as_ref();
        let enabled = profile.filter(|profile| profile.state == ProfileState::Enabled);
        Self {
            profile: enabled.map(|profile| profile.iccid.clone()),
            changes: status.counters.unwrap_or_default().subscriber_changes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_client::proto::{Counters, ProfileInfo};

    use super::*;
    use crate::scripted_keyd;

    fn status(profile: Option<&str>, subscriber_changes: u64) -> StatusAnswer {
        let enabled = |iccid: &str| ProfileInfo {
            iccid: iccid.into(),
            state: ProfileState::Enabled,
            algorithm: "milenage".into(),
            autn_mac_rejected: 0,
        };
        StatusAnswer {
            profile: profile.map(enabled),
            counters: Some(Counters {
                subscriber_changes,
                ..Counters::default()
            }),
            ..scripted_keyd::status()
        }
    }

    #[test]
    fn a_restart_of_keyd_is_no_change_and_another_profile_or_a_change_after_it_is_one() {
        let mut subscriber = Subscriber::new(&status(Some("one"), 3));
        let mut changes = subscriber.changes();
        let mut take = |subscriber: &mut Subscriber, profile, count| {
            subscriber.take(&status(profile, count));
            let changed = changes.has_changed().unwrap();
            changes.mark_unchanged();
            changed
        };
        assert!(!take(&mut subscriber, Some("one"), 3));
        assert!(take(&mut subscriber, Some("one"), 4));
        subscriber.keyd_ended();
        assert!(!take(&mut subscriber, Some("one"), 0));
        assert!(take(&mut subscriber, Some("two"), 1));
        subscriber.keyd_ended();
        assert!(take(&mut subscriber, Some("two"), 1));
        subscriber.keyd_ended();
        assert!(take(&mut subscriber, None, 0));
    }
}
