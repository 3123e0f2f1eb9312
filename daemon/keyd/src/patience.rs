//! Refusals of pseudonyms: which pseudonym is shown next, and when the policy `patient` shows the
//! permanent identity.
//!
//! A network that refuses every pseudonym for long enough has probably lost them, so that a gateway
//! which withheld its permanent identity for ever would never come back. A refusal is what a method
//! says: it asks for the permanent identity, or it fails after it was shown a pseudonym for full
//! authentication. Silence is no refusal. A network that fails before its method begins makes no
//! wait pass; it sees each pseudonym in turn, then what the policy shows to anybody, and begins
//! again with the first.
//!
//! Each connection of netd is one access, whose network refuses for itself: what was shown to it
//! and refused, and which pseudonym comes next, is state of the connection. A rogue on one access
//! can't choose what the network of another sees.
//!
//! The wait is the profile's, so that two accesses don't make it pass twice as fast. It is measured
//! on the boot clock, which stops with the machine, and stored in quarters. Each refusal makes at
//! most one quarter pass, so that an outage between two refusals doesn't count.

use core::mem;
use core::time::Duration;

use softsim_keyd_proto::requests::IdentityRefused;
use softsim_keyd_proto::{Enforcement, IdentityPrivacy, Refusal};
use softsim_profile::PrivacyDemand;

use crate::event::Event;
use crate::sim::Sim;
use crate::vault::{Installation, Patience, Pseudonyms, Slot};

/// The waits after the first, second and later showings of the permanent identity. The last one
/// repeats.
const RESTS: [Duration; 4] = [
    Duration::from_secs(10 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(6 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// One of the pseudonyms of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The proven one, or a one-time pseudonym.
    #[default]
    First,
    /// The stand-by.
    Second,
}

/// What the network of one connection has refused since a network last proved that it knows the
/// subscriber.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// The [`Wait::resets`] that they came after.
    after: u64,
    /// The pseudonym to show next.
    next: Turn,
    /// The pseudonym that was shown last and hasn't been refused.
    shown: Option<Turn>,
    /// Whether it was shown before the method, in EAP-Response/Identity.
    before_method: bool,
    /// Whether it was shown to a server that asked for an identity for full authentication.
    for_full_authentication: bool,
    /// Whether the next EAP-Response/Identity shows none of the pseudonyms.
    skips: bool,
    /// Which pseudonyms were refused.
    refused: [bool; 2],
    /// Whether the server refused the last one without asking for the permanent identity.
    never_asks: bool,
}

/// The wait before the permanent identity is shown, of all connections together.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// Whose pseudonyms are refused; none if they are to be judged anew.
    of: Option<Installation>,
    /// How often it began anew. The refusals before that are void, whatever connection they are
    /// of.
    resets: u64,
    /// Since when the present quarter runs, by the boot clock.
    since: Option<Duration>,
    /// Whether the last quarter has passed.
    over: bool,
    /// Whether it began before keyd did, and follows a showing.
    resumed: bool,
}

impl Refusals {
    /// Marks what was shown as refused; everything, if nothing was shown. The other pseudonym comes
    /// next.
    fn mark(&mut self) {
        self.for_full_authentication = false;
        match self.shown.take() {
            None => self.refused = [true; 2],
            Some(turn) => {
                self.refused[turn as usize] = true;
                self.next = match turn {
                    Turn::First => Turn::Second,
                    Turn::Second => Turn::First,
                };
            }
        }
    }
}

impl Wait {
    /// Whether a refusal at this time ends a quarter of the wait.
    fn ends_quarter(&mut self, now: Duration, quarter: Duration) -> bool {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_sub(since);
        if passed < quarter {
            return false;
        }
        // What is more than a quarter counts for the next one, but never as another whole one.
        self.since = Some(if passed < 2 * quarter {
            since + quarter
        } else {
            now
        });
        true
    }

    /// The length of a quarter of the present wait. Of a wait that follows a showing and was cut
    /// off by a restart, the rest is as short as the first wait: otherwise, a gateway that is
    /// restarted again and again would never get to its end. Whoever makes it restart has seen the
    /// identity.
    fn quarter(&self, first: Duration, shown: u8) -> Duration {
        let rest = usize::from(shown).checked_sub(1);
        let wait = match rest {
            Some(rest) if !self.resumed => RESTS[rest.min(RESTS.len() - 1)].max(first),
            _ => first,
        };
        wait / u32::from(Patience::QUARTERS)
    }
}

/// The policy in force: the narrower one of keyd's and the profile's.
pub(crate) fn policy(enforcement: &Enforcement, demand: Option<PrivacyDemand>) -> IdentityPrivacy {
    let demanded = demand.map(|demand| match demand {
        PrivacyDemand::Conservative => IdentityPrivacy::Conservative,
        PrivacyDemand::Strict => IdentityPrivacy::Strict,
    });
    let host = enforcement.identity_privacy;
    demanded.map_or(host, |demanded| host.max(demanded))
}

impl Sim<'_> {
    /// The policy for a profile.
    pub(crate) fn privacy(&self, slot: Slot) -> IdentityPrivacy {
        let profile = self.in_slot(slot);
        profile.map_or(IdentityPrivacy::Strict, |of| {
            policy(self.enforcement, of.identity_privacy)
        })
    }

    /// The connection's refusals of a profile's pseudonyms. Those of another profile, or of another
    /// installation of it, are forgotten.
    fn refusals(&mut self, slot: Slot) -> &mut Refusals {
        if let Some(of) = self.vault.installation(slot)
            && self.wait.of != Some(of)
        {
            *self.wait = Wait {
                of: Some(of),
                resets: self.wait.resets + 1,
                resumed: self.patience(slot).shown > 0,
                ..Wait::default()
            };
        }
        let after = self.wait.resets;
        if self.refusals.after != after {
            *self.refusals = Refusals {
                after,
                ..Refusals::default()
            };
        }
        self.refusals
    }

    fn patience(&self, slot: Slot) -> Patience {
        let identities = self.vault.identities(slot);
        identities.map_or_else(Patience::default, |identities| identities.patience)
    }

    pub(crate) fn are_pseudonyms_known(&self, slot: Slot) -> bool {
        let identities = self.vault.identities(slot);
        identities.is_some_and(|identities| identities.pseudonyms.are_known())
    }

    /// Which of the pair is to be shown now.
    pub(crate) fn turn(&mut self, slot: Slot) -> Turn {
        self.refusals(slot).next
    }

    /// Whether the stand-by was refused.
    pub(crate) fn is_stand_by_refused(&mut self, slot: Slot) -> bool {
        self.refusals(slot).refused[Turn::Second as usize]
    }

    /// Remembers that a pseudonym was shown to a network, and whether inside the method or even for
    /// full authentication.
    pub(crate) fn pseudonym_shown(&mut self, slot: Slot, turn: Turn, inside: bool, for_full: bool) {
        let refusals = self.refusals(slot);
        refusals.shown = Some(turn);
        refusals.before_method = !inside;
        refusals.for_full_authentication |= inside && for_full;
    }

    /// Whether this EAP-Response/Identity is to show no pseudonym, because each was refused before
    /// the method. The one after it shows one again.
    pub(crate) fn skips_pseudonyms(&mut self, slot: Slot) -> bool {
        mem::take(&mut self.refusals(slot).skips)
    }

    /// Counts a server that asks for the permanent identity inside the method.
    pub(crate) fn permanent_asked(&mut self, slot: Slot) {
        self.refusals(slot).never_asks = false;
        self.count_refusal(slot);
    }

    pub(crate) fn identity_refused(&mut self, request: IdentityRefused<'_>) -> Result<(), Refusal> {
        let slot = self.profile_in_use(request.iccid)?;
        let has_second = self.has_second(slot);
        let refusals = self.refusals(slot);
        let Some(turn) = refusals.shown else {
            return Err(Refusal::NothingRefused);
        };
        if request.counts && !refusals.for_full_authentication {
            return Err(Refusal::NothingRefused);
        }
        if request.counts {
            refusals.never_asks = true;
            self.count_refusal(slot);
        } else {
            let was_last = turn == Turn::Second || !has_second;
            refusals.skips = refusals.before_method && was_last;
            refusals.mark();
            self.log_refusal(slot);
        }
        Ok(())
    }

    fn count_refusal(&mut self, slot: Slot) {
        let has_shown = self.refusals(slot).shown.is_some();
        self.refusals(slot).mark();
        if !has_shown && !self.are_pseudonyms_known(slot) {
            return;
        }
        self.log_refusal(slot);
        if self.waits(slot) {
            self.wait(slot);
        }
    }

    fn log_refusal(&mut self, slot: Slot) {
        self.counters.pseudonyms_refused += 1;
        if let Ok(profile) = self.in_slot(slot) {
            let iccid = profile.iccid.as_str();
            Event::PseudonymRefused { iccid }.log();
        }
    }

    /// Whether the end of a wait would show the permanent identity.
    fn waits(&self, slot: Slot) -> bool {
        self.privacy(slot) == IdentityPrivacy::Patient && self.are_pseudonyms_known(slot)
    }

    fn wait(&mut self, slot: Slot) {
        let first = Duration::from_secs(self.enforcement.identity_patience.into());
        let Patience { shown, quarters } = self.patience(slot);
        let quarter = self.wait.quarter(first, shown);
        if self.wait.over || !self.wait.ends_quarter(self.now, quarter) {
            return;
        }
        // The last quarter is stored with the showing that it leads to.
        if quarters + 1 == Patience::QUARTERS {
            self.wait.over = true;
            return;
        }
        self.vault.change_identities(slot, |identities| {
            identities.patience.quarters = quarters + 1;
        });
    }

    fn has_second(&self, slot: Slot) -> bool {
        let pair = self.vault.identities(slot).map(|of| &of.pseudonyms);
        matches!(pair, Some(Pseudonyms::Pair(pair)) if pair.stand_by.is_some())
    }

    /// Whether the wait is over, and the connection's network has refused every pseudonym.
    pub(crate) fn is_patience_over(&mut self, slot: Slot) -> bool {
        let has_second = self.has_second(slot);
        let [first, second] = self.refusals(slot).refused;
        self.wait.over && first && (second || !has_second)
    }

    /// Begins the wait before the next showing, durable before the answer leaves.
    pub(crate) fn shown_out_of_patience(&mut self, slot: Slot) {
        (self.wait.over, self.wait.resumed) = (false, false);
        self.wait.since = Some(self.now);
        let shown = self.vault.change_identities(slot, |identities| {
            let shown = identities.patience.shown.saturating_add(1);
            identities.patience = Patience { shown, quarters: 0 };
            shown
        });
        self.counters.patience_over += 1;
        if let (Some(times), Ok(profile)) = (shown, self.in_slot(slot)) {
            let iccid = profile.iccid.as_str();
            Event::PatienceOver { iccid, times }.log();
        }
    }

    /// Whether the server refuses pseudonyms, and doesn't ask for the permanent identity.
    pub(crate) fn never_asks(&mut self, slot: Slot) -> bool {
        self.refusals(slot).never_asks
    }

    /// Forgets the refusals of every connection: the network knows the subscriber, or the
    /// pseudonyms are others.
    pub(crate) fn forget_refusals(&mut self) {
        self.wait.of = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Duration = Duration::from_secs(150);

    fn quarters(times: impl IntoIterator<Item = u64>) -> usize {
        let mut wait = Wait::default();
        let times = times.into_iter().map(Duration::from_secs);
        times.filter(|now| wait.ends_quarter(*now, QUARTER)).count()
    }

    #[test]
    fn ten_minutes_of_refusals_are_four_quarters_however_often_they_come() {
        for every in [1, 5, 60, 100, 150] {
            let until = |end: u64| (0..=end).step_by(every as usize).map(|t| 1_000 + t);
            assert_eq!(quarters(until(600)), 4, "every {every} seconds");
            assert!(quarters(until(600 - every)) < 4, "every {every} seconds");
        }
    }

    #[test]
    fn an_outage_between_two_refusals_counts_as_one_quarter() {
        assert_eq!(quarters([0, 100_000]), 1);
        assert_eq!(quarters([0, 100_000, 100_001, 100_002]), 1);
        assert_eq!(quarters([0, 100_000, 100_150]), 2);
    }

    #[test]
    fn waits_grow_after_each_showing_and_a_restart_shortens_them_to_the_first() {
        let first = Duration::from_secs(600);
        let mut wait = Wait::default();
        let minutes = |wait: &Wait, shown| 4 * wait.quarter(first, shown).as_secs() / 60;
        let waits = [0, 1, 2, 3, 4, 5, 255].map(|shown| minutes(&wait, shown));
        assert_eq!(waits, [10, 10, 60, 360, 1440, 1440, 1440]);
        wait.resumed = true;
        assert_eq!([0, 1, 2, 4].map(|shown| minutes(&wait, shown)), [10; 4]);
    }
}
