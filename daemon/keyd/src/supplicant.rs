//! The role of supplicants that derive EAP's keys themselves: they get RES, CK and IK if host and
//! profile consent.

use softsim_aka::{Autn, Rand};
use softsim_keyd_proto::requests::UmtsAuthenticate;
use softsim_keyd_proto::{Refusal, SecretBytes, UmtsAnswer};
use softsim_usim::SeparationBit;

use crate::eap::use_up;
use crate::event::Event;
use crate::sim::Sim;

impl Sim<'_> {
    /// The host consents by opening the role's socket. The profile's consent is in the sealed
    /// profile.
    pub(crate) fn umts_authenticate(
        &mut self,
        request: UmtsAuthenticate<'_>,
    ) -> Result<UmtsAnswer, Refusal> {
        let slot = self.profile_in_use(request.iccid)?;
        let stored = self.vault.profile(slot).ok_or(Refusal::NoProfile)?;
        if !stored.profile.supplicant_consent {
            return Err(Refusal::NoConsent);
        }
        let (rand, autn) = (Rand::new(request.rand), Autn::new(request.autn));
        // Only the supplicant knows for which method the vector is.
        let separation_bit = SeparationBit::NotRequired;
        let verified = match self.check_autn(slot, (&rand, &autn), separation_bit)? {
            Ok(verified) => verified,
            Err(auts) => return Ok(UmtsAnswer::SynchronisationFailure { auts }),
        };
        use_up(self.vault, slot, &verified);
        self.counters.raw_keys += 1;
        Event::RawKeys.log();
        Ok(UmtsAnswer::Success {
            res: SecretBytes::new(verified.res.as_bytes().to_vec()),
            ck: SecretBytes::new(verified.ck.as_bytes().to_vec()),
            ik: SecretBytes::new(verified.ik.as_bytes().to_vec()),
        })
    }
}
