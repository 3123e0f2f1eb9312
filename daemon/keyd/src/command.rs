//! Signed commands of operators, each of which applies only to profiles of its own issuer.

use softsim_keyd_proto::Refusal;
use softsim_profile::{Command, Iccid, IssuerId, SealingKey};
use softsim_sandbox::random::SystemRng;

use crate::sim::slot_of;
use crate::vault::{Change, Slot, Vault};

/// Refuses a command that can't be carried out now.
pub(crate) fn check_command(
    vault: &Vault,
    command: &Command,
    issuer: &IssuerId,
) -> Result<(), Refusal> {
    changes_of_command(vault, command, issuer).map(drop)
}

/// The changes that a command makes to the present vault; none if the vault is already as the
/// command wants it.
///
/// A command may disable the last enabled profile, because that profile's own operator signed
/// it.
pub(crate) fn changes_of_command(
    vault: &Vault,
    command: &Command,
    issuer: &IssuerId,
) -> Result<Vec<Change>, Refusal> {
    let enabled = vault.enabled();
    Ok(match command {
        Command::Enable(iccid) => {
            let slot = issuers_profile(vault, iccid, issuer)?;
            if let Some(enabled) = enabled {
                check_issuer(vault, enabled, issuer)?;
            }
            match enabled == Some(slot) {
                true => vec![],
                false => vec![Change::Enable(slot)],
            }
        }
        Command::Disable(iccid) => {
            let slot = issuers_profile(vault, iccid, issuer)?;
            match enabled == Some(slot) {
                true => vec![Change::Disable(slot)],
                false => vec![],
            }
        }
        Command::Delete(iccid) => {
            let slot = issuers_profile(vault, iccid, issuer)?;
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
fn issuers_profile(vault: &Vault, iccid: &Iccid, issuer: &IssuerId) -> Result<Slot, Refusal> {
    let slot = slot_of(vault, iccid.as_str())?;
    check_issuer(vault, slot, issuer)?;
    Ok(slot)
}

fn check_issuer(vault: &Vault, slot: Slot, issuer: &IssuerId) -> Result<(), Refusal> {
    let owner = vault.profile(slot).map(|stored| &stored.issuer);
    match owner == Some(issuer) {
        true => Ok(()),
        false => Err(Refusal::ForeignProfile),
    }
}
