//! Notices when keyd's subscriber becomes another one: another profile was enabled, none is, or its
//! identities were forgotten. Whoever orders that talks to keyd, which tells nobody, so that each
//! access asks.

use std::time::Duration;

use softsim_client::proto::ProfileState;
use softsim_client::proto::requests::Status;

use crate::keyd::Keyd;

/// How often an access asks. Until then, an attempt under way, and an authenticator that only asks
/// whether we are there, get the identity from before.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// The subscriber as keyd last told it, if it did.
#[derive(Debug, Default)]
pub(super) struct Subscriber(Option<Told>);

#[derive(Clone, Debug)]
struct Told {
    /// The ICCID of the enabled profile.
    profile: Option<String>,
    /// How often it has changed since keyd started.
    changes: u64,
    /// The connection to keyd. After a restart, keyd counts from 0.
    connection: u64,
}

impl Subscriber {
    /// Whether keyd has another one than at the last call. As long as keyd says nothing, it has
    /// not.
    pub(super) async fn has_changed(&mut self, keyd: &Keyd) -> bool {
        let connection = keyd.generation();
        let Ok(status) = keyd.call(&Status {}).await else {
            return false;
        };
        if keyd.generation() != connection {
            // keyd returned in between, and nobody knows which of the two answered.
            return false;
        }
        let mut profile = status.profile;
        let enabled = profile.take_if(|profile| profile.state == ProfileState::Enabled);
        let counters = status.counters.unwrap_or_default();
        let now = Told {
            profile: enabled.map(|profile| profile.iccid),
            changes: counters.subscriber_changes,
            connection,
        };
        let before = self.0.replace(now.clone());
        before.is_some_and(|before| now.differs_from(&before))
    }
}

impl Told {
    fn differs_from(&self, before: &Self) -> bool {
        let same_keyd = self.connection == before.connection;
        self.profile != before.profile || same_keyd && self.changes != before.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(profile: Option<&str>, changes: u64, connection: u64) -> Told {
        Told {
            profile: profile.map(str::to_owned),
            changes,
            connection,
        }
    }

    #[test]
    fn a_restart_of_keyd_is_no_change_and_another_profile_after_it_is_one() {
        let before = told(Some("one"), 3, 0);
        assert!(!told(Some("one"), 3, 0).differs_from(&before));
        assert!(told(Some("one"), 4, 0).differs_from(&before));
        assert!(!told(Some("one"), 0, 1).differs_from(&before));
        assert!(told(Some("two"), 3, 1).differs_from(&before));
        assert!(told(None, 3, 1).differs_from(&before));
    }
}
