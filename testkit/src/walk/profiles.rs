//! Profiles: packages of the operator, old and new, and of an operator that the device doesn't
//! trust.

use std::collections::BTreeSet;

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Call, ProfileState, Refusal, Role};

use super::home::Names;
use super::{Keyd, Walk};
use crate::device::Operator;
use crate::dice::Dice;

type Txid = [u8; 16];

pub(super) struct Profiles {
    operator: Operator,
    stranger: Operator,
    spki: Vec<u8>,
    statement: Vec<u8>,
    /// The operator's packages, in the order of their sequences.
    packages: Vec<Package>,
    /// The sequence of the last package that was committed.
    last: usize,
    staged: Option<Staged>,
    committed: Option<Txid>,
    durable: Option<Txid>,
    installed: BTreeSet<usize>,
    pub(super) enabled: Option<usize>,
    /// The number of installations of each subscription.
    pub(super) installations: [usize; 3],
}

struct Staged {
    txid: Txid,
    package: Option<usize>,
}

struct Package {
    octets: Vec<u8>,
    subscription: usize,
}

impl Profiles {
    pub(super) fn new(operator: Operator, spki: Vec<u8>, statement: Vec<u8>) -> Self {
        Self {
            operator,
            stranger: Operator::generate(),
            spki,
            statement,
            packages: Vec::new(),
            last: 0,
            staged: None,
            committed: None,
            durable: None,
            installed: BTreeSet::new(),
            enabled: None,
            installations: [0; 3],
        }
    }

    /// Follows a restart of keyd, which loses the staged transaction and keeps the last commit that
    /// changed something.
    pub(super) fn restarted(&mut self) {
        self.staged = None;
        self.committed = self.durable;
    }

    pub(super) fn is_installed(&self, subscription: usize) -> bool {
        self.installed.contains(&subscription)
    }

    pub(super) fn enabled(&mut self, subscription: usize) {
        self.enabled = Some(subscription);
    }

    fn begin(&mut self, txid: Txid, package: Option<usize>) {
        self.staged = Some(Staged { txid, package });
    }

    pub(super) fn any_txid(&self, dice: &mut Dice) -> Txid {
        let staged = self.staged.as_ref().map(|staged| staged.txid);
        let known = [staged, self.committed, None];
        dice.pick(&known).unwrap_or_else(|| dice.octets())
    }
}

impl<K: Keyd> Walk<K> {
    /// Seals the operator's next package, and returns its index, which is its sequence minus one.
    fn seal(&mut self, subscription: usize) -> usize {
        let profile = self.home.subscriptions[subscription].profile();
        let of = &mut self.profiles;
        let sequence = of.packages.len() as u64 + 1;
        let octets = of
            .operator
            .seal_to(&of.spki, &of.statement, profile, sequence);
        of.packages.push(Package {
            octets,
            subscription,
        });
        of.packages.len() - 1
    }

    pub(super) fn install(&mut self, on: usize, subscription: usize, dice: &mut Dice) {
        let (number, txid) = (self.seal(subscription), dice.octets());
        let package = self.profiles.packages[number].octets.clone();
        self.stage_package(on, txid, Some(&package));
        self.commit_as(on, txid);
    }

    pub(super) fn stage(&mut self, on: usize, dice: &mut Dice) {
        let txid = self.profiles.any_txid(dice);
        let subscription = dice.below(self.home.subscriptions.len());
        let package = match dice.below(6) {
            0 => None,
            1 | 2 => Some(dice.pick(&self.profiles.packages).octets.clone()),
            3 => {
                let mut octets = dice.pick(&self.profiles.packages).octets.clone();
                let place = dice.below(octets.len());
                octets[place] ^= 1 << dice.below(8);
                Some(octets)
            }
            4 => {
                let profile = self.home.subscriptions[subscription].profile();
                let Profiles {
                    stranger,
                    spki,
                    statement,
                    ..
                } = &self.profiles;
                Some(stranger.seal_to(spki, statement, profile, u64::MAX))
            }
            _ => {
                let number = self.seal(subscription);
                Some(self.profiles.packages[number].octets.clone())
            }
        };
        self.stage_package(on, txid, package.as_deref());
    }

    fn stage_package(&mut self, on: usize, txid: Txid, package: Option<&[u8]>) {
        let number = package.map(|package| {
            let mut known = self.profiles.packages.iter();
            known.position(|of| of.octets == package)
        });
        match self.ask(on, &Stage { txid, package }) {
            Ok(answer) => {
                let number = number.map(|number| number.expect("not one of the operator's"));
                let iccid = number.map(|number| {
                    assert!(number >= self.profiles.last, "a sequence of yesterday");
                    let subscription = self.profiles.packages[number].subscription;
                    self.home.subscriptions[subscription].iccid.clone()
                });
                let expected = iccid.map(|iccid| softsim_keyd_proto::Staged::Installed { iccid });
                assert_eq!(answer.staged, expected);
                self.profiles.begin(txid, number);
            }
            Err(refusal) => {
                let expected = number
                    .flatten()
                    .is_some_and(|number| number >= self.profiles.last);
                assert!(!expected && package.is_some(), "{refusal}");
            }
        }
    }

    pub(super) fn commit(&mut self, on: usize, dice: &mut Dice) {
        let txid = self.profiles.any_txid(dice);
        self.commit_as(on, txid);
    }

    pub(super) fn commit_as(&mut self, on: usize, txid: Txid) {
        let answer = self.ask(on, &Commit::new(txid));
        if self.comes_too_early(&answer) {
            return;
        }
        let of = &mut self.profiles;
        let Some(staged) = of.staged.take_if(|staged| staged.txid == txid) else {
            // The transaction is already committed, or was never staged.
            assert_eq!(answer.is_ok(), of.committed == Some(txid));
            return;
        };
        answer.unwrap();
        of.committed = Some(txid);
        if let Some(number) = staged.package {
            let subscription = of.packages[number].subscription;
            of.durable = Some(txid);
            of.last = number + 1;
            of.installed.insert(subscription);
            of.enabled.get_or_insert(subscription);
            of.installations[subscription] += 1;
            self.home.names[subscription] = Names::default();
            self.given.installations += 1;
        }
    }

    pub(super) fn abort(&mut self, on: usize, dice: &mut Dice) {
        let txid = self.profiles.any_txid(dice);
        let answer = self.ask(on, &Abort { txid });
        if self.comes_too_early(&answer) {
            return;
        }
        let staged = self.profiles.staged.take_if(|staged| staged.txid == txid);
        assert_eq!(answer.is_ok(), staged.is_some());
    }

    /// Whether keyd refused because the hourly limit on Commit and Abort is reached. If so, this
    /// restarts keyd, which resets the limit.
    fn comes_too_early(&mut self, answer: &Result<(), Refusal>) -> bool {
        let too_early = matches!(answer, Err(Refusal::RetryAfter { .. }));
        if too_early {
            self.restart();
        }
        too_early
    }

    /// Asserts that netd can't enable a profile, and lets an administrator do it.
    pub(super) fn enable(&mut self, on: usize, dice: &mut Dice) {
        let iccid = &*self.home.any_iccid(dice);
        self.is_not_permitted(on, &Enable { iccid });
        if let Some(named) = self.installed_as(iccid) {
            self.keyd.administer(&Enable { iccid });
            self.profiles.enabled = Some(named);
        }
    }

    /// Asserts that netd can't delete a profile, and lets an administrator delete one that isn't
    /// enabled.
    pub(super) fn delete(&mut self, on: usize, dice: &mut Dice) {
        let iccid = &*self.home.any_iccid(dice);
        self.is_not_permitted(on, &Delete { iccid });
        let named = self.installed_as(iccid);
        if let Some(named) = named.filter(|named| self.profiles.enabled != Some(*named)) {
            self.keyd.administer(&Delete { iccid });
            self.profiles.installed.remove(&named);
            self.home.names[named] = Names::default();
        }
    }

    /// Asserts that netd can't disable a profile. The administrator doesn't disable it either,
    /// because keyd would then refuse the requests of the walk.
    pub(super) fn disable(&mut self, on: usize, dice: &mut Dice) {
        let iccid = &*self.home.any_iccid(dice);
        self.is_not_permitted(on, &Disable { iccid });
    }

    fn is_not_permitted<C: Call<Answer = ()>>(&mut self, on: usize, call: &C) {
        let (request, role) = (C::KIND, Role::Network);
        let refusal = Refusal::NotPermitted { request, role };
        assert_eq!(self.ask(on, call), Err(refusal));
    }

    fn installed_as(&self, iccid: &str) -> Option<usize> {
        let named = |number: &usize| self.home.subscriptions[*number].iccid == iccid;
        self.profiles.installed.iter().copied().find(named)
    }

    pub(super) fn profiles_are_as_confirmed(&mut self) {
        let list = self.keyd.administer(&ListProfiles { from: 0 });
        let mut installed = BTreeSet::new();
        for profile in list.profiles {
            let number = self.installed_as(&profile.iccid).unwrap();
            let enabled = self.profiles.enabled == Some(number);
            assert_eq!(profile.state == ProfileState::Enabled, enabled);
            installed.insert(number);
        }
        assert_eq!(installed, self.profiles.installed);
    }
}
