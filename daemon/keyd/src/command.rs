//! Signed commands of operators, each of which applies only to profiles of its own issuer.

use softsim_keyd_proto::{Refusal, Role};
use softsim_profile::{Command, Iccid, IssuerId, SealingKey};
use softsim_sandbox::random::SystemRng;

use crate::device::Keys;
use crate::event::Event;
use crate::keyd::Keyd;
use crate::sim::named;
use crate::vault::{Change, Slot};

impl Keyd {
    /// Refuses a command that can't be carried out now.
    pub(crate) fn check_command(
        &self,
        command: &Command,
        issuer: &IssuerId,
    ) -> Result<(), Refusal> {
        self.changes_of_command(command, issuer).map(drop)
    }

    /// The changes that a command makes to the present vault; none if the vault is already as the
    /// command wants it.
    ///
    /// A command may disable the last enabled profile, because that profile's own operator signed
    /// it.
    pub(crate) fn changes_of_command(
        &self,
        command: &Command,
        issuer: &IssuerId,
    ) -> Result<Vec<Change>, Refusal> {
        let enabled = self.vault.enabled();
        Ok(match command {
            Command::Enable(iccid) => {
                let slot = self.own(iccid, issuer)?;
                if let Some(enabled) = enabled {
                    self.check_issuer(enabled, issuer)?;
                }
                match enabled == Some(slot) {
                    true => vec![],
                    false => vec![Change::Enable(slot)],
                }
            }
            Command::Disable(iccid) => {
                let slot = self.own(iccid, issuer)?;
                match enabled == Some(slot) {
                    true => vec![Change::Disable(slot)],
                    false => vec![],
                }
            }
            Command::Delete(iccid) => {
                let slot = self.own(iccid, issuer)?;
                if enabled == Some(slot) {
                    return Err(Refusal::ProfileEnabled);
                }
                vec![Change::Delete(slot)]
            }
            Command::RotateSealingKey => {
                vec![Change::SealingKey(SealingKey::generate(&mut SystemRng))]
            }
        })
    }

    /// The profile with this ICCID, if this issuer installed it.
    fn own(&self, iccid: &Iccid, issuer: &IssuerId) -> Result<Slot, Refusal> {
        let slot = named(&self.vault, iccid.as_str())?;
        self.check_issuer(slot, issuer)?;
        Ok(slot)
    }

    fn check_issuer(&self, slot: Slot, issuer: &IssuerId) -> Result<(), Refusal> {
        let owner = self.vault.profile(slot).map(|stored| &stored.issuer);
        match owner == Some(issuer) {
            true => Ok(()),
            false => Err(Refusal::ForeignProfile),
        }
    }

    /// Starts to use the new sealing key, and drops packages that were opened with the old one but
    /// aren't committed.
    pub(crate) fn sealing_key_rotated(&mut self) {
        self.keys = self.vault.device_keys().map(Keys::from_stored);
        for role in Role::ALL {
            self.staged[role].take_if(|staged| staged.is_sealed());
        }
        if let Some(keys) = &self.keys {
            let key = &keys.sealing_key_id;
            Event::SealingKeyRotated { key }.log();
        }
    }
}
