//! A client that installs, enables, disables and deletes profiles, and tracks what keyd must have
//! stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use softsim_client::keyd::{Connection, Error};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Call, PackageFault, ProfileInfo, ProfileState, Refusal, Role};
use softsim_profile::{Command, DeviceId, Iccid};
use softsim_testkit::device::Operator;
use softsim_testkit::dice::Dice;
use softsim_testkit::host::Host;
use softsim_testkit::over_the_socket::enrol;

use crate::load::Shared;
use crate::{MANAGERS, killed};

/// The installed subscriptions, and whether they are enabled.
type Profiles = BTreeMap<usize, bool>;

/// The state that keyd has confirmed, and the change that was unanswered when it was killed.
pub(crate) struct Store {
    operator: Operator,
    device: DeviceId,
    spki: Vec<u8>,
    /// The last sealing statement; `None` after the sealing key was rotated.
    statement: Option<Vec<u8>>,
    iccids: Vec<String>,
    sequence: u64,
    profiles: Profiles,
    committed: Option<[u8; 16]>,
    sealing_key: Option<[u8; 32]>,
    pending: Option<Change>,
    changes: usize,
    /// How many of the unanswered changes keyd had made, and how many not.
    made: usize,
    not_made: usize,
}

/// A change, and the package or command that makes it. Without one, an administrator requests the
/// change.
#[derive(Clone)]
struct Change {
    what: What,
    signed: Option<Signed>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Install(usize),
    Enable(usize),
    Disable(usize),
    Delete(usize),
    Rotate,
}

#[derive(Clone)]
struct Signed {
    txid: [u8; 16],
    package: Vec<u8>,
    sequence: u64,
}

impl What {
    fn on(self, profiles: &mut Profiles) {
        match self {
            Self::Install(subscription) => {
                // keyd enables a new profile if none is enabled; a replaced profile keeps its
                // state.
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
            Self::Rotate => {}
        }
    }
}

impl Store {
    /// Enrols the device and installs all subscriptions.
    pub(crate) fn provisioned(host: &Host, shared: &Shared) -> Self {
        let operator = Operator::generate();
        let (spki, statement) = enrol(&mut host.connect(Role::Admin), &operator);
        let status = host.status();
        let iccids = shared.subscriptions.iter().map(|of| of.iccid.clone());
        let mut store = Self {
            operator,
            device: DeviceId(status.device_id.unwrap()),
            spki,
            statement: Some(statement),
            iccids: iccids.collect(),
            sequence: 0,
            profiles: Profiles::new(),
            committed: None,
            sealing_key: status.sealing_key_id,
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
                self.know_the_statement(&mut host.connect(Role::Admin))
                    .unwrap();
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

    /// Enables a profile unless it is enabled.
    pub(crate) fn enable(&mut self, host: &Host, shared: &Shared, subscription: usize) {
        if self.enabled() != Some(subscription) {
            let mut admin = host.connect(Role::Admin);
            let change = Change {
                what: What::Enable(subscription),
                signed: None,
            };
            self.make(&mut admin, change).unwrap();
        }
        shared.enabled.store(subscription, Ordering::Relaxed);
    }

    /// Checks after a start that keyd has every confirmed change, and an unanswered one completely
    /// or not at all.
    pub(crate) fn check(&mut self, host: &Host) {
        let found = host.status();
        let profiles = self.profiles_of(&host.connect(Role::Admin).profiles().unwrap());
        assert_eq!(
            found.accounts,
            found.committed.map(digest),
            "of another transaction"
        );
        // After a confirmed rotation, the test takes the key's identifier from keyd.
        let sealing_key = self.sealing_key.or(found.sealing_key_id);
        let Some(change) = self.pending.take() else {
            assert_eq!(profiles, self.profiles, "lost or changed");
            assert_eq!(found.committed, self.committed);
            assert_eq!(found.sealing_key_id, sealing_key);
            return;
        };
        let mut changed = self.profiles.clone();
        change.what.on(&mut changed);
        let made = match &change.signed {
            Some(signed) => {
                let made = found.committed == Some(signed.txid);
                assert!(made || found.committed == self.committed, "another txid");
                assert_eq!(was_taken(host, signed), made, "half of {change:?}");
                made
            }
            None => {
                assert_eq!(found.committed, self.committed);
                profiles == changed
            }
        };
        let expected = if made { &changed } else { &self.profiles };
        assert_eq!(profiles, *expected, "half of {change:?}");
        let rotated = found.sealing_key_id != sealing_key;
        assert_eq!(
            rotated,
            made && matches!(change.what, What::Rotate),
            "{change:?}"
        );
        if made {
            self.confirm(change);
            self.made += 1;
        } else {
            self.not_made += 1;
        }
    }

    /// Makes changes until keyd is killed; the last one remains unanswered.
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
            match self.know_the_statement(&mut managers[1]) {
                Ok(()) => {}
                Err(error) if killed(&error) => return,
                Err(error) => panic!("{error}"),
            }
            let change = self.any_change(shared, &mut dice);
            // keyd stores the identifiers only of netd's transactions.
            let role = usize::from(change.signed.is_none());
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

    /// Asks for the sealing statement if the key has changed.
    fn know_the_statement(&mut self, admin: &mut Connection) -> Result<(), Error> {
        if self.statement.is_none() {
            let statement = admin.call(&SealingStatement {})?.statement;
            self.sealing_key = admin.call(&Status {})?.sealing_key_id;
            self.statement = Some(statement);
        }
        Ok(())
    }

    fn any_change(&mut self, shared: &Shared, dice: &mut Dice) -> Change {
        let subscription = dice.below(self.iccids.len());
        let what = match (self.profiles.get(&subscription), dice.below(8)) {
            (_, 7) => What::Rotate,
            (Some(true), 0) => What::Disable(subscription),
            (Some(false), 1 | 2) => What::Delete(subscription),
            (Some(false), 3..=5) => What::Enable(subscription),
            _ => return self.install(shared, subscription, dice.octets()),
        };
        let asked = !matches!(what, What::Rotate) && dice.once_in(2);
        match asked {
            true => Change { what, signed: None },
            false => self.order(what, dice.octets()),
        }
    }

    fn install(&mut self, shared: &Shared, subscription: usize, txid: [u8; 16]) -> Change {
        self.sequence += 1;
        let sequence = self.sequence;
        let profile = shared.subscriptions[subscription].profile();
        let statement = self.statement.as_deref().unwrap();
        let package = (self.operator).seal_to(&self.spki, statement, profile, sequence);
        Change {
            what: What::Install(subscription),
            signed: Some(Signed {
                txid,
                package,
                sequence,
            }),
        }
    }

    fn order(&mut self, what: What, txid: [u8; 16]) -> Change {
        self.sequence += 1;
        let sequence = self.sequence;
        let iccid = |of: usize| Iccid::new(&self.iccids[of]).unwrap();
        let command = match what {
            What::Enable(of) => Command::Enable(iccid(of)),
            What::Disable(of) => Command::Disable(iccid(of)),
            What::Delete(of) => Command::Delete(iccid(of)),
            What::Rotate => Command::RotateSealingKey,
            What::Install(_) => panic!("a package installs"),
        };
        let package = self.operator.order_to(self.device, command, sequence);
        let signed = Some(Signed {
            txid,
            package,
            sequence,
        });
        Change { what, signed }
    }

    fn make(&mut self, keyd: &mut Connection, change: Change) -> Result<(), Error> {
        if let Some(Signed { txid, package, .. }) = &change.signed {
            let (txid, package) = (*txid, Some(&package[..]));
            keyd.call(&Stage { txid, package })?;
        }
        self.pending = Some(change.clone());
        let iccid = |of: usize| &*self.iccids[of];
        let answer = match (&change.signed, change.what) {
            (Some(Signed { txid, .. }), _) => keyd.call(&Commit {
                txid: *txid,
                accounts: Some(digest(*txid)),
            }),
            (None, What::Enable(of)) => keyd.call(&Enable { iccid: iccid(of) }),
            (None, What::Disable(of)) => keyd.call(&Disable { iccid: iccid(of) }),
            (None, What::Delete(of)) => keyd.call(&Delete { iccid: iccid(of) }),
            (None, What::Install(_) | What::Rotate) => panic!("{change:?} is signed"),
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
        change.what.on(&mut self.profiles);
        if matches!(change.what, What::Rotate) {
            (self.statement, self.sealing_key) = (None, None);
        }
        if let Some(signed) = change.signed {
            self.committed = Some(signed.txid);
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
        let how = self.signed.as_ref().map_or("asked for", |_| "signed");
        write!(f, "{:?}, {how}", self.what)
    }
}

/// The digest of netd's accounts for a transaction.
fn digest(txid: [u8; 16]) -> [u8; 32] {
    [txid[0]; 32]
}

/// Whether keyd has committed this package, so that its sequence is used up.
fn was_taken(host: &Host, signed: &Signed) -> bool {
    let (txid, package) = ([0xff; 16], Some(&signed.package[..]));
    let mut admin = host.connect(Role::Admin);
    match admin.call(&Stage { txid, package }) {
        // The next Stage replaces this transaction.
        Ok(_) => false,
        Err(Error::Refused(Refusal::Package(PackageFault::Sequence { last, .. }))) => {
            assert_eq!(last, signed.sequence);
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
