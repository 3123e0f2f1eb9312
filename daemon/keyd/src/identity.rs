//! Which profile is meant, and under which identity it shows itself.

use softsim_keyd_proto::requests::Identity;
use softsim_keyd_proto::{IdentityAnswer, IdentityKind, Refusal};
use softsim_profile::{Algorithm, Profile};
use softsim_usim::{IdentityPrefix, Realm};

use crate::event::Event;
use crate::keyd::Keyd;
use crate::vault::{Slot, Storage};

impl<S: Storage> Keyd<S> {
    pub(crate) fn identity(&mut self, request: Identity<'_>) -> Result<IdentityAnswer, Refusal> {
        let slot = self.profile_in_use(request.iccid)?;
        let stored = self.vault.profile(slot).ok_or(Refusal::NoProfile)?;
        let nai = stored
            .profile
            .imsi
            .permanent_identity(IdentityPrefix::AkaPrime, Realm::Wlan);
        self.counters.permanent_identities += 1;
        Event::PermanentIdentity {
            iccid: stored.profile.iccid.as_str(),
        }
        .log();
        Ok(IdentityAnswer {
            nai: nai.as_str().to_owned(),
            kind: IdentityKind::Permanent,
        })
    }

    /// The enabled profile; a named one has to be enabled too.
    pub(crate) fn profile_in_use(&self, iccid: Option<&str>) -> Result<Slot, Refusal> {
        let slot = match iccid {
            None => self.enabled().ok_or(Refusal::NoProfile)?,
            Some(iccid) => {
                let slot = self.named(iccid)?;
                if self.enabled() != Some(slot) {
                    return Err(Refusal::Field {
                        name: "iccid".to_owned(),
                        expected: "an enabled profile".to_owned(),
                        came: "a disabled one".to_owned(),
                    });
                }
                slot
            }
        };
        let stored = self.vault.profile(slot).ok_or(Refusal::NoProfile)?;
        self.may_use(&stored.profile)?;
        Ok(slot)
    }

    /// Whether the profile's algorithm set is one that this keyd takes.
    pub(crate) fn may_use(&self, profile: &Profile) -> Result<(), Refusal> {
        if Algorithm::of(&profile.credentials).protects_nothing()
            && !self.service.enforcement.test_algorithm
        {
            return Err(Refusal::TestAlgorithm);
        }
        Ok(())
    }

    /// The profile with this ICCID.
    pub(crate) fn named(&self, iccid: &str) -> Result<Slot, Refusal> {
        self.vault.find(iccid).ok_or(Refusal::UnknownProfile)
    }

    /// The enabled profile; there is one at most.
    pub(crate) fn enabled(&self) -> Option<Slot> {
        self.vault.enabled()
    }
}
