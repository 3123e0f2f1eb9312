//! The SIM, for requests that identify the subscriber or authenticate: the profiles, and keyd's
//! settings for them.

use core::time::Duration;

use softsim_keyd_proto::{Counters, Enforcement, Refusal};
use softsim_profile::{Algorithm, Profile};

use crate::mac_failures::MacFailures;
use crate::patience::{Refusals, Wait};
use crate::vault::{Slot, Vault};

/// The part of keyd that such a request needs.
pub(crate) struct Sim<'a> {
    pub(crate) vault: &'a mut Vault,
    pub(crate) counters: &'a mut Counters,
    pub(crate) mac_failures: &'a mut MacFailures,
    pub(crate) enforcement: &'a Enforcement,
    /// What the network of this connection has refused.
    pub(crate) refusals: &'a mut Refusals,
    /// The wait before the enabled profile's permanent identity is shown.
    pub(crate) wait: &'a mut Wait,
    /// The time of the boot clock.
    pub(crate) now: Duration,
}

impl Sim<'_> {
    pub(crate) fn in_slot(&self, slot: Slot) -> Result<&Profile, Refusal> {
        let stored = self.vault.profile(slot).ok_or(Refusal::NoProfile)?;
        Ok(&stored.profile)
    }

    /// The enabled profile. If a request names a profile, that one must be enabled.
    pub(crate) fn profile_in_use(&self, iccid: Option<&str>) -> Result<Slot, Refusal> {
        let slot = match iccid {
            None => self.vault.enabled().ok_or(Refusal::NoProfile)?,
            Some(iccid) => {
                let slot = slot_of(self.vault, iccid)?;
                if self.vault.enabled() != Some(slot) {
                    return Err(Refusal::Field {
                        name: "iccid".to_owned(),
                        expected: "an enabled profile".to_owned(),
                        got: "a disabled one".to_owned(),
                    });
                }
                slot
            }
        };
        check_algorithm(self.enforcement, self.in_slot(slot)?)?;
        Ok(slot)
    }
}

/// Refuses a profile whose algorithm set this keyd doesn't accept.
pub(crate) fn check_algorithm(enforcement: &Enforcement, profile: &Profile) -> Result<(), Refusal> {
    if Algorithm::of(&profile.credentials).protects_nothing() && !enforcement.test_profiles {
        return Err(Refusal::TestAlgorithm);
    }
    Ok(())
}

/// The profile with this ICCID.
pub(crate) fn slot_of(vault: &Vault, iccid: &str) -> Result<Slot, Refusal> {
    vault.find(iccid).ok_or(Refusal::UnknownProfile)
}
