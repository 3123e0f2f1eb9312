//! Whoever installs, enables, disables and deletes profiles, and knows what keyd must have stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use softsim_client::keyd::{Connection, Error};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Call, PackageFault, ProfileInfo, ProfileState, Refusal, Role};

use crate::dice::Dice;
use crate::fixture::Operator;
use crate::host::Host;
use crate::load::Shared;
use crate::over_the_socket::enrol;
use crate::{MANAGERS, killed};

/// The installed subscriptions, and whether they are enabled.
type Profiles = BTreeMap<usize, bool>;

/// What keyd has confirmed, and what it was asked to do when it was killed.
pub(crate) struct Store {
    operator: Operator,
    spki: Vec<u8>,
    statement: Vec<u8>,
    iccids: Vec<String>,
    sequence: u64,
    profiles: Profiles,
    committed: Option<[u8; 16]>,
    pending: Option<Change>,
    changes: usize,
    /// What came of changes that keyd left unanswered.
    made: usize,
    not_made: usize,
}

#[derive(Clone)]
enum Change {
    Install {
        subscription: usize,
        txid: [u8; 16],
        package: Vec<u8>,
        sequence: u64,
    },
    Enable(usize),
    Disable(usize),
    Delete(usize),
}

impl Change {
    fn on(&self, profiles: &mut Profiles) {
        match *self {
            Self::Install { subscription, .. } => {
                // A new one comes into use by itself where none is; a replaced one stays as it was.
                let alone = !profiles.values().any(|enabled| *enabled);
                profiles.entry(subscription).or_insert(alone);
            }
            Self::Enable(subscription) => {
                profiles.values_mut().for_each(|enabled| *enabled = false);
                profiles.insert(subscription, true);
            }
            Self::Disable(subscription) => {
                profiles.insert(subscription, false);
            }
            Self::Delete(subscription) => {
                profiles.remove(&subscription);
            }
        }
    }
}

impl Store {
    /// Enrols the device and installs all subscriptions.
    pub(crate) fn provisioned(host: &Host, shared: &Shared) -> Self {
        let operator = Operator::new();
        let (spki, statement) = enrol(&mut host.connect(Role::Admin), &operator);
        let iccids = shared.subscriptions.iter().map(|of| of.iccid.clone());
        let mut store = Self {
            operator,
            spki,
            statement,
            iccids: iccids.collect(),
            sequence: 0,
            profiles: Profiles::new(),
            committed: None,
            pending: None,
            changes: 0,
            made: 0,
            not_made: 0,
        };
        store.install_missing(host, shared);
        store
    }

    /// Installs the subscriptions that were deleted.
    pub(crate) fn install_missing(&mut self, host: &Host, shared: &Shared) {
        let mut netd = host.connect(Role::Network);
        for subscription in 0..self.iccids.len() {
            if !self.profiles.contains_key(&subscription) {
                let change = self.install(shared, subscription, [subscription as u8; 16]);
                self.make(&mut netd, change).unwrap();
            }
        }
    }

    pub(crate) fn installed(&self) -> Vec<usize> {
        self.profiles.keys().copied().collect()
    }

    pub(crate) fn enabled(&self) -> Option<usize> {
        let enabled = |(subscription, enabled): (&usize, &bool)| enabled.then_some(*subscription);
        self.profiles.iter().find_map(enabled)
    }

    /// Enables a profile, where it isn't.
    pub(crate) fn enable(&mut self, host: &Host, shared: &Shared, subscription: usize) {
        if self.enabled() != Some(subscription) {
            let mut admin = host.connect(Role::Admin);
            self.make(&mut admin, Change::Enable(subscription)).unwrap();
        }
        shared.enabled.store(subscription, Ordering::Relaxed);
    }

    /// After a start: keyd has what it confirmed, and an unconfirmed change whole or not at all.
    pub(crate) fn check(&mut self, host: &Host) {
        let found = host.status();
        let profiles = self.profiles_of(&host.connect(Role::Admin).profiles().unwrap());
        assert_eq!(
            found.accounts,
            found.committed.map(digest),
            "of another transaction"
        );
        let Some(change) = self.pending.take() else {
            assert_eq!(profiles, self.profiles, "lost or changed");
            assert_eq!(found.committed, self.committed);
            return;
        };
        let mut changed = self.profiles.clone();
        change.on(&mut changed);
        let made = match &change {
            Change::Install {
                subscription,
                txid,
                package,
                sequence,
            } => {
                let made = found.committed == Some(*txid);
                assert!(made || found.committed == self.committed, "another txid");
                assert_eq!(
                    was_installed(host, package, *sequence),
                    made,
                    "half of {change:?}"
                );
                let here = profiles.contains_key(subscription);
                assert!(here || !made, "{change:?} is committed without its profile");
                made
            }
            _ => {
                assert_eq!(found.committed, self.committed);
                profiles == changed
            }
        };
        let expected = if made { &changed } else { &self.profiles };
        assert_eq!(profiles, *expected, "half of {change:?}");
        if made {
            self.confirm(change);
            self.made += 1;
        } else {
            self.not_made += 1;
        }
    }

    /// Makes changes until keyd is killed; the last one stays open.
    pub(crate) fn change_until_killed(&mut self, host: &Host, shared: &Shared, mut dice: Dice) {
        let connect = |role: Role| Connection::connect(&host.path(role.name()));
        let mut managers = Vec::new();
        for role in MANAGERS {
            match connect(role) {
                Ok(connection) => managers.push(connection),
                Err(error) => return assert!(killed(&error), "{error}"),
            }
        }
        loop {
            let change = self.any_change(shared, &mut dice);
            // Only netd's transactions have a name that outlives the process.
            let role = match change {
                Change::Install { .. } => 0,
                _ => 1,
            };
            match self.make(&mut managers[role], change) {
                Ok(()) => {}
                Err(Error::Refused(Refusal::RetryAfter { milliseconds })) => {
                    sleep(Duration::from_millis(milliseconds.into()));
                }
                Err(error) if killed(&error) => return,
                Err(error) => panic!("{error}"),
            }
            if let Some(enabled) = self.enabled() {
                shared.enabled.store(enabled, Ordering::Relaxed);
            }
            sleep(dice.shorter_than(Duration::from_millis(2)));
        }
    }

    fn any_change(&mut self, shared: &Shared, dice: &mut Dice) -> Change {
        let subscription = dice.below(self.iccids.len());
        match (self.profiles.get(&subscription), dice.below(8)) {
            (Some(true), 0) => Change::Disable(subscription),
            (Some(false), 1 | 2) => Change::Delete(subscription),
            (Some(false), 3..=5) => Change::Enable(subscription),
            _ => self.install(shared, subscription, dice.octets()),
        }
    }

    fn install(&mut self, shared: &Shared, subscription: usize, txid: [u8; 16]) -> Change {
        self.sequence += 1;
        let sequence = self.sequence;
        let profile = shared.subscriptions[subscription].profile();
        let sealed = (self.operator).seal_to(&self.spki, &self.statement, profile, sequence);
        Change::Install {
            subscription,
            txid,
            package: sealed,
            sequence,
        }
    }

    fn make(&mut self, keyd: &mut Connection, change: Change) -> Result<(), Error> {
        if let Change::Install { txid, package, .. } = &change {
            let (txid, package) = (*txid, Some(&package[..]));
            keyd.call(&Stage { txid, package })?;
        }
        self.pending = Some(change.clone());
        let iccid = |of: &usize| &*self.iccids[*of];
        let answer = match &change {
            Change::Install { txid, .. } => keyd.call(&Commit {
                txid: *txid,
                accounts: Some(digest(*txid)),
            }),
            Change::Enable(of) => keyd.call(&Enable { iccid: iccid(of) }),
            Change::Disable(of) => keyd.call(&Disable { iccid: iccid(of) }),
            Change::Delete(of) => keyd.call(&Delete { iccid: iccid(of) }),
        };
        match &answer {
            Ok(()) => {
                self.pending = None;
                self.confirm(change);
            }
            Err(Error::Refused(_)) => self.pending = None,
            Err(_) => {}
        }
        answer
    }

    fn confirm(&mut self, change: Change) {
        self.changes += 1;
        change.on(&mut self.profiles);
        if let Change::Install { txid, .. } = change {
            self.committed = Some(txid);
        }
    }

    fn profiles_of(&self, found: &[ProfileInfo]) -> Profiles {
        let number = |iccid: &str| self.iccids.iter().position(|known| known == iccid);
        let profile = |profile: &ProfileInfo| {
            let enabled = profile.state == ProfileState::Enabled;
            (number(&profile.iccid).unwrap(), enabled)
        };
        found.iter().map(profile).collect()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, subscription) = match self {
            Self::Install { subscription, .. } => ("Install", subscription),
            Self::Enable(subscription) => ("Enable", subscription),
            Self::Disable(subscription) => ("Disable", subscription),
            Self::Delete(subscription) => ("Delete", subscription),
        };
        write!(f, "{what} of subscription {subscription}")
    }
}

/// What netd's accounts of a transaction come to.
fn digest(txid: [u8; 16]) -> [u8; 32] {
    [txid[0]; 32]
}

/// Whether keyd has opened and committed this very package: then its sequence is used up.
fn was_installed(host: &Host, package: &[u8], sequence: u64) -> bool {
    let (txid, package) = ([0xff; 16], Some(package));
    let mut admin = host.connect(Role::Admin);
    match admin.call(&Stage { txid, package }) {
        // The next one that is staged takes its place.
        Ok(_) => false,
        Err(Error::Refused(Refusal::Package(PackageFault::Sequence { last, .. }))) => {
            assert_eq!(last, sequence);
            true
        }
        Err(error) => panic!("{}: {error}", Stage::KIND),
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} changes of profiles; of those that a kill left unanswered {} were made whole and {} not at all",
            self.changes, self.made, self.not_made
        )
    }
}
