//! Provisioning of profiles: stages and commits packages and commands in transactions; enables,
//! disables and deletes profiles; and keeps the times that operators signed.

use core::time::Duration;

use softsim_keyd_proto::requests::{Abort, Commit, Delete, Disable, Enable, SetTimeBack, Stage};
use softsim_keyd_proto::{
    Counters, Enforcement, PackageFault, Refusal, Role, StageAnswer, Staged as Outcome, Times,
};
use softsim_profile::{
    Command, Contents, Expected, Finding, Iccid, Now, Opened, Profile, Severity, check,
};

use crate::akma::{self, Anchored};
use crate::command::{changes_of_command, check_command};
use crate::device::Keys;
use crate::event::Event;
use crate::refusal::refusal_of;
use crate::sim::{check_algorithm, slot_of};
use crate::transactions::{Staged, Transactions};
use crate::vault::{Change, Vault};

/// When this program was built, in seconds since 1970: a time that has certainly passed.
const BUILD_TIME: &str = env!("SOFTSIM_BUILD_TIME");

/// The part of keyd that provisioning needs: all but the sessions and the rates.
pub(crate) struct Provisioning<'a> {
    pub(crate) vault: &'a mut Vault,
    pub(crate) keys: &'a mut Option<Keys>,
    pub(crate) transactions: &'a mut Transactions,
    pub(crate) anchored: &'a mut Option<Anchored>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) enforcement: &'a Enforcement,
    pub(crate) realtime: fn() -> Duration,
}

impl Provisioning<'_> {
    pub(crate) fn stage(&mut self, role: Role, request: Stage<'_>) -> Result<StageAnswer, Refusal> {
        let opened = match request.package {
            Some(package) => {
                let opened = self.open(package)?;
                match &opened.contents {
                    Contents::Profile(profile) => self.may_install(profile)?,
                    Contents::Command(command) => {
                        check_command(self.vault, command, &opened.issuer)?
                    }
                }
                Some(opened)
            }
            None => None,
        };
        let staged = opened.as_ref().map(outcome);
        self.transactions
            .stage(role, Staged::of_package(request.txid, opened));
        Ok(StageAnswer { staged })
    }

    pub(crate) fn commit(&mut self, role: Role, request: Commit) -> Result<(), Refusal> {
        let digest = accounts_digest(role, &request)?;
        let staged = match self.transactions.take(role, &request.txid) {
            Ok(staged) => staged,
            // The client repeats the Commit, because the answer was lost.
            Err(_) if self.is_committed(role, &request) => return Ok(()),
            Err(refusal) => return Err(refusal),
        };
        // A transaction that changes nothing isn't written, because flash wears out. keyd remembers
        // it while it runs.
        let same = digest.is_none() || digest == self.vault.accounts_digest();
        if !staged.is_signed() && staged.accounts.is_none() && same {
            self.transactions.remember(role, staged.txid);
            return Ok(());
        }
        let mut changes = Vec::new();
        // netd stores its accounts under this id, and asks for it when it starts, so a transaction
        // of another role must not replace it.
        if role == Role::Network {
            changes.push(Change::Transaction(staged.txid));
        }
        changes.extend(digest.map(Change::AccountsDigest));
        changes.extend(staged.accounts.map(Change::Accounts));
        let outcome = staged.opened.as_ref().map(outcome);
        if let Some(opened) = staged.opened {
            self.still_good(&opened)
                .map_err(|error| self.rejected(error))?;
            changes.extend(self.changes_of(opened)?);
        }
        self.change(changes)?;
        self.transactions.remember(role, staged.txid);
        match outcome {
            Some(Outcome::SealingKeyRotated) => self.sealing_key_rotated(),
            Some(outcome) => log(&outcome),
            None => {}
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self, role: Role, request: Abort) -> Result<(), Refusal> {
        self.transactions.take(role, &request.txid).map(drop)
    }

    pub(crate) fn enable(&mut self, request: Enable<'_>) -> Result<(), Refusal> {
        let slot = slot_of(self.vault, request.iccid)?;
        if self.vault.enabled() == Some(slot) {
            return Ok(());
        }
        self.change(vec![Change::Enable(slot)])?;
        let (iccid, became) = (request.iccid, "enabled");
        Event::Profile { iccid, became }.log();
        Ok(())
    }

    pub(crate) fn disable(&mut self, request: Disable<'_>) -> Result<(), Refusal> {
        let slot = slot_of(self.vault, request.iccid)?;
        if self.vault.enabled() != Some(slot) {
            return Ok(());
        }
        self.change(vec![Change::Disable(slot)])?;
        let (iccid, became) = (request.iccid, "disabled");
        Event::Profile { iccid, became }.log();
        Ok(())
    }

    pub(crate) fn delete(&mut self, request: Delete<'_>) -> Result<(), Refusal> {
        let slot = slot_of(self.vault, request.iccid)?;
        if self.vault.enabled() == Some(slot) {
            return Err(Refusal::ProfileEnabled);
        }
        self.change(vec![Change::Delete(slot)])?;
        let (iccid, became) = (request.iccid, "deleted");
        Event::Profile { iccid, became }.log();
        Ok(())
    }

    pub(crate) fn set_time_back(&mut self, request: SetTimeBack) -> Result<(), Refusal> {
        let (Times { built, kept, .. }, seconds) = (self.times(), request.seconds);
        if seconds == kept {
            return Ok(());
        }
        if !(built..kept).contains(&seconds) {
            return Err(Refusal::Field {
                name: "seconds".to_owned(),
                expected: format!("a time from the build at {built} up to the kept time {kept}"),
                got: seconds.to_string(),
            });
        }
        self.change(vec![Change::Time(seconds)])?;
        self.counters.times_set_back += 1;
        Event::TimeSetBack { kept, seconds }.log();
        Ok(())
    }

    /// Opens a package. Only counters change.
    fn open(&mut self, package: &[u8]) -> Result<Opened, Refusal> {
        let keys = self.keys.as_ref().ok_or(Refusal::NoDeviceKey)?;
        let expected = Expected {
            device: keys.device_id,
            trust_anchors: self.vault.trust_anchors(),
            last_sequence: &|issuer| self.vault.last_sequence(issuer),
            now: self.now(),
        };
        let opened = softsim_profile::open(package, &keys.sealing, &expected);
        opened.map_err(|error| self.rejected(error))
    }

    /// The changes that a package makes to the present vault. Its beginning is kept if it is later
    /// than the kept time, because an operator has signed that it has passed. The host's clock is
    /// never kept: anybody in a network may have set it.
    fn changes_of(&self, opened: Opened) -> Result<Vec<Change>, Refusal> {
        let Opened {
            contents,
            issuer,
            sequence,
            validity,
            ..
        } = opened;
        let mut changes = match contents {
            Contents::Profile(profile) => vec![Change::Install {
                enabled: self.enabled_after_install(profile.iccid.as_str()),
                profile,
                issuer,
                sequence,
            }],
            Contents::Command(command) => {
                let mut changes = vec![Change::Sequence { issuer, sequence }];
                changes.extend(changes_of_command(self.vault, &command, &issuer)?);
                changes
            }
        };
        let began = validity.not_before();
        let later = began.filter(|began| *began > self.vault.kept_time());
        changes.extend(later.map(Change::Time));
        Ok(changes)
    }

    /// Refuses a profile that this keyd doesn't accept, whoever signed it.
    fn may_install(&mut self, profile: &Profile) -> Result<(), Refusal> {
        check_algorithm(self.enforcement, profile)?;
        let laboratory = self.enforcement.test_profiles;
        let forbidden = |finding: &Finding| match finding.severity {
            Severity::Warning => false,
            Severity::Laboratory => !laboratory,
            Severity::Useless => true,
        };
        match check(profile).into_iter().find(forbidden) {
            Some(finding) => Err(self.rejected(finding.error.into())),
            None => Ok(()),
        }
    }

    /// Checks issuer and validity again, because time has passed since the package was staged, and
    /// an administrator may have removed its issuer.
    fn still_good(&self, opened: &Opened) -> Result<(), PackageFault> {
        let got = opened.issuer;
        let anchors = self.vault.trust_anchors();
        if !anchors.iter().any(|anchor| anchor.id() == got) {
            return Err(PackageFault::UnknownIssuer { got: got.0 });
        }
        opened.check_validity(self.now()).map(drop)
    }

    /// Counts and logs a package that is refused.
    fn rejected(&mut self, fault: PackageFault) -> Refusal {
        self.counters.packages_rejected += 1;
        Event::Package(&fault).log();
        Refusal::Package(fault)
    }

    /// Whether the role's last Commit was exactly this one.
    fn is_committed(&self, role: Role, request: &Commit) -> bool {
        self.transactions.last(role) == Some(request.txid)
            && (request.accounts.is_none() || request.accounts == self.vault.accounts_digest())
    }

    /// Whether a profile is enabled when it is installed. A new profile is enabled only if no other
    /// one is. A profile that replaces another takes over its state, so that no package enables
    /// what an administrator has disabled.
    fn enabled_after_install(&self, iccid: &str) -> bool {
        let enabled = self.vault.enabled();
        match self.vault.find(iccid) {
            Some(replaced) => enabled == Some(replaced),
            None => enabled.is_none(),
        }
    }

    fn change(&mut self, changes: Vec<Change>) -> Result<(), Refusal> {
        let changed = self.vault.commit(changes);
        akma::wipe_unused_k_ausf(self.anchored, self.vault);
        changed.map_err(refusal_of)
    }

    /// Starts to use the new sealing key, and drops packages that were opened with the old one but
    /// aren't committed.
    fn sealing_key_rotated(&mut self) {
        *self.keys = self.vault.device_keys().map(Keys::from_stored);
        self.transactions.drop_sealed();
        if let Some(keys) = self.keys {
            let key = &keys.sealing_key_id;
            Event::SealingKeyRotated { key }.log();
        }
    }

    fn times(&self) -> Times {
        times(self.vault, self.realtime)
    }

    fn now(&self) -> Now {
        let times = self.times();
        if times.are_known() {
            Now::Known(times.clock)
        } else {
            Now::Unknown {
                at_least: times.passed(),
            }
        }
    }
}

/// What keyd knows of the present.
pub(crate) fn times(vault: &Vault, realtime: fn() -> Duration) -> Times {
    Times {
        clock: realtime().as_secs(),
        built: BUILD_TIME.parse().expect("the build writes a number"),
        kept: vault.kept_time(),
    }
}

/// The digest of netd's accounts in a Commit. Only the role network may change it.
fn accounts_digest(role: Role, request: &Commit) -> Result<Option<[u8; 32]>, Refusal> {
    match (role, request.accounts) {
        (Role::Network, digest) => Ok(digest),
        (_, None) => Ok(None),
        (role, Some(_)) => Err(Refusal::Field {
            name: "accounts".to_owned(),
            expected: format!("no digest from the role {role}"),
            got: "a digest".to_owned(),
        }),
    }
}

/// The effect of a package.
fn outcome(opened: &Opened) -> Outcome {
    let iccid = |iccid: &Iccid| iccid.as_str().to_owned();
    match &opened.contents {
        Contents::Profile(profile) => Outcome::Installed {
            iccid: iccid(&profile.iccid),
        },
        Contents::Command(command) => match command {
            Command::Enable(of) => Outcome::Enabled { iccid: iccid(of) },
            Command::Disable(of) => Outcome::Disabled { iccid: iccid(of) },
            Command::Delete(of) => Outcome::Deleted { iccid: iccid(of) },
            Command::RotateSealingKey => Outcome::SealingKeyRotated,
        },
    }
}

fn log(outcome: &Outcome) {
    if let (became, Some(iccid)) = outcome.parts() {
        Event::Profile { iccid, became }.log();
    }
}
