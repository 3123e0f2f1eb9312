//! Selects the profile of a request, and the identity that it shows.

use softsim_aka::agreement::PrivateKey;
use softsim_keyd_proto::requests::{ForgetIdentities, Identity};
use softsim_keyd_proto::{
    Group, IdentityAnswer, IdentityKind, IdentityPrivacy, IdentityRequest, Method, Realm, Refusal,
    Role,
};
use softsim_profile::{Profile, ProtectionScheme};
use softsim_sandbox::random::SystemRng;
use softsim_usim::{HomeNetworkKey, IdentityPrefix, Nai};

use crate::eap::is_5g;
use crate::event::Event;
use crate::sim::{Sim, slot_of};
use crate::vault::{Name, Pseudonym, Root, Slot, Uses};

impl Sim<'_> {
    pub(crate) fn identity(
        &mut self,
        role: Role,
        request: Identity<'_>,
    ) -> Result<IdentityAnswer, Refusal> {
        let slot = self.profile_in_use(request.iccid)?;
        // A re-authentication identity is of no use to a role that can't re-authenticate.
        let fast = role == Role::Network;
        match wanted(&request) {
            IdentityRequest::Any if fast => {
                if let Some(nai) = self.fast_identity(slot, &request) {
                    let kind = IdentityKind::Reauthentication;
                    return Ok(IdentityAnswer { nai, kind });
                }
                self.pseudonym_or_permanent(slot, &request)
            }
            IdentityRequest::Any | IdentityRequest::FullAuthentication => {
                self.pseudonym_or_permanent(slot, &request)
            }
            IdentityRequest::Permanent => self.permanent(slot, &request),
            IdentityRequest::Anonymous => {
                let imsi = &self.in_slot(slot)?.imsi;
                let nai = imsi.anonymous_identity(request.realm);
                Ok(answer(&nai, IdentityKind::Anonymous))
            }
            IdentityRequest::Suci => self.suci(slot, &request),
        }
    }

    /// The re-authentication identity, if the stored context fits the method and the network. It is
    /// shown only once, and the vault records that before the answer leaves.
    fn fast_identity(&mut self, slot: Slot, request: &Identity<'_>) -> Option<String> {
        let context = self.vault.identities(slot)?.reauthentication.as_ref()?;
        let on_this_network = match &context.root {
            Root::Aka(_) => true,
            Root::AkaPrime { network_name, .. } => {
                names_match(network_name, request.network_name.as_bytes())
            }
        };
        if context.shown || context.method() != request.method || !on_this_network {
            return None;
        }
        self.vault.change_identities(slot, |identities| {
            let context = identities.reauthentication.as_mut()?;
            context.shown = true;
            Some(context.identity.as_str().to_owned())
        })?
    }

    /// The pseudonym. If it was a one-time pseudonym and is used up, a SUCI, which the network that
    /// assigned it has seen before. Otherwise the permanent identity.
    fn pseudonym_or_permanent(
        &mut self,
        slot: Slot,
        request: &Identity<'_>,
    ) -> Result<IdentityAnswer, Refusal> {
        if let Some(nai) = self.pseudonym(slot, request.realm)? {
            let kind = IdentityKind::Pseudonym;
            return Ok(IdentityAnswer { nai, kind });
        }
        let spent =
            (self.assigned_pseudonym(slot)).is_some_and(|assigned| assigned.uses == Uses::Spent);
        if spent && !self.in_slot(slot)?.home_network_keys.is_empty() {
            return self.suci(slot, request);
        }
        self.permanent(slot, request)
    }

    /// The pseudonym with a realm, unless it is used up. A one-time pseudonym is used up before the
    /// answer leaves.
    fn pseudonym(&mut self, slot: Slot, of: Realm) -> Result<Option<String>, Refusal> {
        let assigned = self.assigned_pseudonym(slot);
        let Some(pseudonym) = assigned.filter(|assigned| assigned.uses != Uses::Spent) else {
            return Ok(None);
        };
        let once = pseudonym.uses == Uses::Once;
        let mut nai = pseudonym.name.as_str().to_owned();
        if !nai.contains('@') {
            let anonymous = self.in_slot(slot)?.imsi.anonymous_identity(of);
            nai = format!("{nai}@{}", anonymous.realm());
        }
        if nai.len() > Name::MAX {
            return Ok(None);
        }
        if once {
            self.vault.change_identities(slot, |identities| {
                identities.pseudonym.as_mut().map(Pseudonym::spend)
            });
        }
        Ok(Some(nai))
    }

    fn permanent(&mut self, slot: Slot, request: &Identity<'_>) -> Result<IdentityAnswer, Refusal> {
        if !self.may_show_permanent(slot) {
            self.counters.identities_withheld += 1;
            Event::IdentityWithheld.log();
            return Err(Refusal::IdentityWithheld);
        }
        let prefix = match request.method {
            Method::Aka => IdentityPrefix::Aka,
            Method::AkaPrime => IdentityPrefix::AkaPrime,
        };
        let profile = self.in_slot(slot)?;
        let nai = profile.imsi.permanent_identity(prefix, request.realm);
        self.note_permanent_identity(slot);
        Ok(answer(&nai, IdentityKind::Permanent))
    }

    /// The SUCI with the home network's first key. If there is no key, a SUCI of the null scheme,
    /// provided that the permanent identity may be shown.
    fn suci(&mut self, slot: Slot, request: &Identity<'_>) -> Result<IdentityAnswer, Refusal> {
        let Profile {
            imsi,
            routing_indicator,
            home_network_keys,
            ..
        } = self.in_slot(slot)?;
        let (indicator, realm) = (routing_indicator.as_str(), request.realm);
        if let Some(key) = home_network_keys.iter().next() {
            let group = match key.scheme() {
                ProtectionScheme::A => Group::X25519,
                ProtectionScheme::B => Group::P256,
            };
            let ephemeral = PrivateKey::generate(group, &mut SystemRng);
            let key = HomeNetworkKey {
                id: key.id(),
                octets: key.as_bytes(),
            };
            let nai = imsi.suci(indicator, key, &ephemeral, realm);
            // If the operator's X25519 key has a small order, it is treated as no key.
            let nai = nai.map_err(|_| Refusal::NoHomeNetworkKey)?;
            return Ok(answer(&nai, IdentityKind::Suci));
        }
        let nai = imsi
            .null_suci(indicator, realm)
            .expect("a profile's routing indicator has one to four digits");
        if !self.may_show_permanent(slot) {
            self.counters.identities_withheld += 1;
            Event::IdentityWithheld.log();
            return Err(Refusal::NoHomeNetworkKey);
        }
        self.note_permanent_identity(slot);
        Ok(answer(&nai, IdentityKind::NullSuci))
    }

    /// Whether the permanent identity may be shown in clear (RFC 4187 §4.1.6).
    fn may_show_permanent(&self, slot: Slot) -> bool {
        match self.enforcement.identity_privacy {
            IdentityPrivacy::Liberal => true,
            IdentityPrivacy::Conservative => self.assigned_pseudonym(slot).is_none(),
            IdentityPrivacy::Strict => false,
        }
    }

    /// The last pseudonym that a server assigned, used up or not.
    fn assigned_pseudonym(&self, slot: Slot) -> Option<&Pseudonym> {
        self.vault.identities(slot)?.pseudonym.as_ref()
    }

    fn note_permanent_identity(&mut self, slot: Slot) {
        self.counters.permanent_identities += 1;
        if let Some(stored) = self.vault.profile(slot) {
            let iccid = stored.profile.iccid.as_str();
            Event::PermanentIdentity { iccid }.log();
        }
    }

    pub(crate) fn forget_identities(
        &mut self,
        request: ForgetIdentities<'_>,
    ) -> Result<(), Refusal> {
        let slot = match request.iccid {
            Some(iccid) => slot_of(self.vault, iccid)?,
            None => self.vault.enabled().ok_or(Refusal::NoProfile)?,
        };
        self.vault.change_identities(slot, |identities| {
            (identities.pseudonym, identities.reauthentication) = (None, None);
        });
        let iccid = self.in_slot(slot)?.iccid.as_str();
        Event::IdentitiesForgotten { iccid }.log();
        Ok(())
    }
}

/// The identity to give. In a 5G network, every identity that names the subscriber is a SUCI: there
/// are neither permanent identities nor pseudonyms (RFC 9048 §5.3.2, TS 33.501 Annex F).
fn wanted(request: &Identity<'_>) -> IdentityRequest {
    match request.kind {
        IdentityRequest::Anonymous => IdentityRequest::Anonymous,
        _ if is_5g(request.network_name.as_bytes()) => IdentityRequest::Suci,
        kind => kind,
    }
}

fn answer(nai: &Nai, kind: IdentityKind) -> IdentityAnswer {
    IdentityAnswer {
        nai: nai.as_str().to_owned(),
        kind,
    }
}

/// Compares two names of access networks field by field, as far as both have fields (RFC 9048
/// §3.1).
fn names_match(one: &[u8], other: &[u8]) -> bool {
    let [one, other] = [one, other].map(|name| name.split(|octet| *octet == b':'));
    one.zip(other).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_or_more_fields_of_a_network_name_still_match() {
        for (one, other, expected) in [
            ("WLAN", "WLAN", true),
            ("WLAN", "WLAN:office", true),
            ("WLAN:office:4", "WLAN:office", true),
            ("WLAN:office", "WLAN:lobby", false),
            ("WLAN", "WLANs", false),
            ("WLAN", "", false),
            ("WLAN:", "WLAN:office", false),
            ("EVIL:network", "WLAN", false),
        ] {
            let got = names_match(one.as_bytes(), other.as_bytes());
            assert_eq!(got, expected, "{one} and {other}");
            assert_eq!(names_match(other.as_bytes(), one.as_bytes()), got);
        }
    }
}
