//! keyd's answers about itself: each role gets what it needs, and no secret.

use softsim_keyd_proto::requests::{Hello, ListProfiles};
use softsim_keyd_proto::{
    Counters, HelloAnswer, IdentityStatus, MAX_HANDLES, MAX_REQUEST, PROTOCOL_VERSION, ProfileInfo,
    ProfileState, ProfilesAnswer, Refusal, Role, StatusAnswer,
};
use softsim_profile::Algorithm;
use softsim_sandbox::log;

use crate::keyd::Keyd;
use crate::patience::policy;
use crate::provision::times;
use crate::vault::{Slot, StoredProfile};

/// The number of profiles in one answer to ListProfiles, which is low enough that no other client
/// waits for it.
const PROFILES_AT_ONCE: usize = 64;

pub(crate) fn hello(role: Role, request: Hello) -> Result<HelloAnswer, Refusal> {
    if request.version != PROTOCOL_VERSION {
        return Err(Refusal::Version {
            expected: PROTOCOL_VERSION,
            got: request.version,
        });
    }
    Ok(HelloAnswer {
        version: PROTOCOL_VERSION,
        role,
        max_request: MAX_REQUEST as u32,
        max_handles: MAX_HANDLES as u8,
    })
}

pub(crate) fn status(keyd: &Keyd, role: Role) -> Result<StatusAnswer, Refusal> {
    // An application only gets what it needs to decide whether to trust keyd.
    let whole = role != Role::App;
    let vault = &keyd.vault;
    let counters = Counters {
        log_lines_dropped: log::dropped(),
        ..keyd.counters
    };
    Ok(StatusAnswer {
        changes: keyd.changes,
        enforcement: keyd.service.enforcement,
        device_id: keyd.keys.as_ref().map(|keys| keys.device_id.0),
        sealing_key_id: keyd.keys.as_ref().map(|keys| keys.sealing_key_id.0),
        certified: vault.certificate().is_some(),
        trust_anchors: vault.trust_anchors().len() as u8,
        profiles: vault.installed(),
        profile: summary(keyd).filter(|_| whole),
        capacity: vault.capacity(),
        anchor: vault.epoch().filter(|_| whole),
        committed: keyd.transactions.last(Role::Network).filter(|_| whole),
        accounts: vault.accounts_digest().filter(|_| whole),
        counters: whole.then_some(counters),
        identities: identities(keyd).filter(|_| whole),
        times: times(vault, keyd.service.realtime),
    })
}

/// How the enabled profile shows itself to networks.
fn identities(keyd: &Keyd) -> Option<IdentityStatus> {
    let slot = keyd.vault.enabled()?;
    let profile = &keyd.vault.profile(slot)?.profile;
    let identities = keyd.vault.identities(slot)?;
    Some(IdentityStatus {
        privacy: policy(&keyd.service.enforcement, profile.identity_privacy),
        pseudonyms: identities.pseudonyms.count() as u8,
        quarters: identities.patience.quarters,
        shown: identities.patience.shown,
    })
}

/// The profile that a status shows: the enabled one, or else the first.
fn summary(keyd: &Keyd) -> Option<ProfileInfo> {
    let vault = &keyd.vault;
    let (slot, stored) = match vault.enabled() {
        Some(slot) => (slot, vault.profile(slot)?),
        None => vault.profiles().next()?,
    };
    Some(info(keyd, slot, stored))
}

pub(crate) fn list_profiles(keyd: &Keyd, request: ListProfiles) -> Result<ProfilesAnswer, Refusal> {
    let mut stored = keyd.vault.profiles_from(request.from);
    Ok(ProfilesAnswer {
        profiles: stored
            .by_ref()
            .take(PROFILES_AT_ONCE)
            .map(|(slot, stored)| info(keyd, slot, stored))
            .collect(),
        next: stored.next().map(|(slot, _)| slot.number()),
    })
}

fn info(keyd: &Keyd, slot: Slot, stored: &StoredProfile) -> ProfileInfo {
    let installation = keyd.vault.installation(slot);
    ProfileInfo {
        iccid: stored.profile.iccid.as_str().to_owned(),
        state: if keyd.vault.enabled() == Some(slot) {
            ProfileState::Enabled
        } else {
            ProfileState::Disabled
        },
        algorithm: Algorithm::of(&stored.profile.credentials).name().to_owned(),
        autn_mac_rejected: installation
            .map_or(0, |installation| keyd.mac_failures.times(installation)),
    }
}
