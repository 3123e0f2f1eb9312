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
use crate::patience::Turn;
use crate::sim::{Sim, slot_of};
use crate::vault::{Name, Pair, Patience, Pseudonyms, Root, Slot};

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
                self.pseudonym_or_permanent(slot, role, &request)
            }
            IdentityRequest::Any | IdentityRequest::FullAuthentication => {
                self.pseudonym_or_permanent(slot, role, &request)
            }
            IdentityRequest::Permanent => {
                if role == Role::Network && request.inside {
                    self.permanent_asked(slot);
                }
                self.permanent(slot, role, &request)
            }
            IdentityRequest::Anonymous => {
                let imsi = &self.in_slot(slot)?.imsi;
                let nai = imsi.anonymous_identity(request.realm);
                Ok(answer(&nai, IdentityKind::Anonymous))
            }
            IdentityRequest::Suci => self.suci(slot, &request),
        }
    }

    /// The re-authentication identity, if the stored context fits the method, or any, and the
    /// network. It is shown only once, and the vault records that before the answer leaves.
    fn fast_identity(&mut self, slot: Slot, request: &Identity<'_>) -> Option<String> {
        let context = self.vault.identities(slot)?.reauthentication.as_ref()?;
        let on_this_network = match &context.root {
            Root::Aka(_) => true,
            Root::AkaPrime { network_name, .. } => {
                names_match(network_name, request.network_name.as_bytes())
            }
        };
        let of_method = request.any_method || context.method() == request.method;
        let fits = of_method && on_this_network;
        if context.shown || !fits || self.shows_imsi(slot, &context.identity) {
            return None;
        }
        self.vault.change_identities(slot, |identities| {
            let context = identities.reauthentication.as_mut()?;
            context.shown = true;
            Some(context.identity.as_str().to_owned())
        })?
    }

    /// A pseudonym. After a one-time pseudonym, a SUCI, which the network that assigned it has seen
    /// before. Otherwise the permanent identity; also if the server has refused the last pseudonym
    /// and never asks for more, as far as the policy allows it. A network that refused each
    /// pseudonym before its method sees a SUCI or what the policy shows in their place.
    fn pseudonym_or_permanent(
        &mut self,
        slot: Slot,
        role: Role,
        request: &Identity<'_>,
    ) -> Result<IdentityAnswer, Refusal> {
        let opens = role == Role::Network && request.inside && self.never_asks(slot);
        if opens && self.showing(slot, role, request) != Showing::No {
            return self.permanent(slot, role, request);
        }
        let skips = role == Role::Network && !request.inside && self.skips_pseudonyms(slot);
        if !skips && let Some(nai) = self.pseudonym(slot, role, request)? {
            let kind = IdentityKind::Pseudonym;
            return Ok(IdentityAnswer { nai, kind });
        }
        let spent = matches!(
            self.pseudonyms(slot),
            Some(Pseudonyms::OneTime { spent: true, .. })
        );
        if (spent || skips) && self.can_conceal(slot) {
            return self.suci(slot, request);
        }
        self.permanent(slot, role, request)
    }

    /// The pseudonym whose turn it is, with a realm, unless there is none or it is used up. A
    /// one-time pseudonym is used up before the answer leaves.
    fn pseudonym(
        &mut self,
        slot: Slot,
        role: Role,
        request: &Identity<'_>,
    ) -> Result<Option<String>, Refusal> {
        let anonymous = self.in_slot(slot)?.imsi.anonymous_identity(request.realm);
        let realm = anonymous.realm();
        let Some((name, turn)) = self.name_in_turn(slot, realm) else {
            return Ok(None);
        };
        let nai = format!("{}@{realm}", name.as_str());
        if matches!(self.pseudonyms(slot), Some(Pseudonyms::OneTime { .. })) {
            self.vault
                .change_identities(slot, |identities| identities.pseudonyms.spend());
        }
        if role == Role::Network {
            let full = request.kind == IdentityRequest::FullAuthentication;
            self.pseudonym_shown(slot, turn, request.inside, full);
        }
        Ok(Some(nai))
    }

    /// The pseudonym to show, of those that can be shown with this realm. A stand-by alone, which
    /// came in a first authentication that may have failed, is shown until it is refused: after
    /// that, there is the permanent identity.
    fn name_in_turn(&mut self, slot: Slot, realm: &str) -> Option<(&Name, Turn)> {
        let turn = self.turn(slot);
        let stand_by_refused = self.is_stand_by_refused(slot);
        let mut in_turn = match self.pseudonyms(slot)? {
            Pseudonyms::OneTime { spent: true, .. } => [None, None],
            Pseudonyms::OneTime { name, .. } => [Some((name, Turn::First)), None],
            Pseudonyms::Pair(Pair { proven: None, .. }) if stand_by_refused => [None, None],
            Pseudonyms::Pair(Pair { proven, stand_by }) => [
                proven.as_ref().map(|name| (name, Turn::First)),
                stand_by.as_ref().map(|name| (name, Turn::Second)),
            ],
        };
        if turn == Turn::Second {
            in_turn.reverse();
        }
        let shows = |name: &Name| {
            name.as_str().len() + 1 + realm.len() <= Name::MAX && !self.shows_imsi(slot, name)
        };
        in_turn.into_iter().flatten().find(|(name, _)| shows(name))
    }

    /// The permanent identity. Out of patience, it is a SUCI if the profile has a key of the home
    /// network: that may be shown again and again.
    fn permanent(
        &mut self,
        slot: Slot,
        role: Role,
        request: &Identity<'_>,
    ) -> Result<IdentityAnswer, Refusal> {
        match self.showing(slot, role, request) {
            Showing::Freely => {}
            Showing::OutOfPatience if self.can_conceal(slot) => return self.suci(slot, request),
            Showing::OutOfPatience => self.shown_out_of_patience(slot),
            Showing::No => {
                self.counters.identities_withheld += 1;
                Event::IdentityWithheld.log();
                return Err(Refusal::IdentityWithheld);
            }
        }
        let prefix = match request.method {
            Method::Aka => IdentityPrefix::Aka,
            Method::AkaPrime => IdentityPrefix::AkaPrime,
        };
        let profile = self.in_slot(slot)?;
        let nai = profile.imsi.permanent_identity(prefix, request.realm);
        self.permanent_identity_shown(slot);
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
        self.permanent_identity_shown(slot);
        Ok(answer(&nai, IdentityKind::NullSuci))
    }

    /// Whether the permanent identity may be shown in clear, to anybody who asks (RFC 4187 §4.1.6).
    fn may_show_permanent(&self, slot: Slot) -> bool {
        match self.privacy(slot) {
            IdentityPrivacy::Liberal => true,
            IdentityPrivacy::Patient | IdentityPrivacy::Conservative => {
                !self.are_pseudonyms_known(slot)
            }
            IdentityPrivacy::Strict => false,
        }
    }

    /// Whether the permanent identity may be shown in answer to this request.
    fn showing(&mut self, slot: Slot, role: Role, request: &Identity<'_>) -> Showing {
        let patient = self.privacy(slot) == IdentityPrivacy::Patient;
        let waited = patient && role == Role::Network && request.inside;
        if self.may_show_permanent(slot) {
            Showing::Freely
        } else if waited && self.is_patience_over(slot) {
            Showing::OutOfPatience
        } else {
            Showing::No
        }
    }

    /// Whether the profile has a key of the home network to conceal its identity with.
    pub(crate) fn can_conceal(&self, slot: Slot) -> bool {
        let profile = self.in_slot(slot);
        profile.is_ok_and(|profile| !profile.home_network_keys.is_empty())
    }

    fn pseudonyms(&self, slot: Slot) -> Option<&Pseudonyms> {
        Some(&self.vault.identities(slot)?.pseudonyms)
    }

    /// Takes a pseudonym that a server assigns to this identity, unless it could never be shown: if
    /// it holds an `@`, since RFC 4187 §10.10 forbids a realm in it, if it has no room for the
    /// realm, or if it would show the IMSI against the policy `strict`.
    pub(crate) fn usable_pseudonym(&self, slot: Slot, identity: &[u8], name: Name) -> Option<Name> {
        let at = identity.iter().rposition(|octet| *octet == b'@');
        let imsi = &self.in_slot(slot).ok()?.imsi;
        // A fixed identity may have another realm than those that keyd makes.
        let realm = at.map_or(0, |at| identity.len() - at - 1);
        let realm = realm.max(imsi.anonymous_identity(Realm::Wlan).realm().len());
        let octets = name.as_str().as_bytes();
        let fits = octets.len() + 1 + realm <= Name::MAX && !octets.contains(&b'@');
        let usable = fits && !self.shows_imsi(slot, &name);
        if !usable {
            Event::NameIgnored.log();
        }
        usable.then_some(name)
    }

    /// Takes a re-authentication identity, unless it would show the IMSI against the policy
    /// `strict`.
    pub(crate) fn usable_reauthentication(&self, slot: Slot, name: Name) -> Option<Name> {
        let usable = !self.shows_imsi(slot, &name);
        if !usable {
            Event::NameIgnored.log();
        }
        usable.then_some(name)
    }

    /// Whether a name has the IMSI in it, and the policy is `strict`: it may have been assigned
    /// under another policy.
    fn shows_imsi(&self, slot: Slot, name: &Name) -> bool {
        let Ok(Profile { imsi, .. }) = self.in_slot(slot) else {
            return false;
        };
        // `str::contains` would be three kilobytes of program.
        let (name, imsi) = (name.as_str().as_bytes(), imsi.digits().as_bytes());
        self.privacy(slot) == IdentityPrivacy::Strict
            && name.windows(imsi.len()).any(|part| part == imsi)
    }

    /// A challenge for this identity had a right AT_MAC, and assigns this pseudonym, unless it is
    /// one for one time. The change is durable before the answer leaves.
    pub(crate) fn identity_challenged(&mut self, slot: Slot, identity: &[u8], next: Option<&Name>) {
        self.forget_refusals();
        let Some(identities) = self.vault.identities(slot) else {
            return;
        };
        let mut pseudonyms = identities.pseudonyms.clone();
        pseudonyms.challenged(identity, next);
        let patience = Patience::default();
        // An authentication that changes nothing here writes nothing.
        if pseudonyms != identities.pseudonyms || patience != identities.patience {
            self.vault.change_identities(slot, |identities| {
                (identities.pseudonyms, identities.patience) = (pseudonyms, patience);
            });
        }
    }

    fn permanent_identity_shown(&mut self, slot: Slot) {
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
            (identities.pseudonyms, identities.reauthentication) = (Pseudonyms::default(), None);
            identities.patience = Patience::default();
        });
        self.forget_refusals();
        if self.vault.enabled() == Some(slot) {
            self.counters.subscriber_changes += 1;
        }
        let iccid = self.in_slot(slot)?.iccid.as_str();
        Event::IdentitiesForgotten { iccid }.log();
        Ok(())
    }
}

/// Whether the permanent identity is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    /// The policy lets anybody see it.
    Freely,
    /// Every pseudonym was refused for long enough: it is shown once, and a wait follows.
    OutOfPatience,
    /// It is withheld.
    No,
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
