//! The scenarios, one module for each part of the conversation that they alter. This module lists
//! them, and has the steps that they share.

mod challenge;
mod forward_secrecy;
mod identity;
mod negotiation;
mod notification;
mod order;
mod reauthentication;

use softsim_eap::Method;
use softsim_eap_packet::Attribute;
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::IdentityRequest;

use super::{Reaction, Scenario, Setting, Stage};

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let of_both_methods = || {
        [
            identity::scenarios(),
            notification::scenarios(),
            reauthentication::scenarios(),
        ]
        .into_iter()
        .flatten()
    };
    [
        challenge::scenarios(),
        negotiation::scenarios(),
        forward_secrecy::scenarios(),
        order::scenarios(),
    ]
    .into_iter()
    .flatten()
    .chain(of_both_methods())
    .chain(of_both_methods().map(in_eap_aka))
    .collect()
}

/// Runs the scenario in EAP-AKA in place of EAP-AKA'.
fn in_eap_aka(scenario: Scenario) -> Scenario {
    let name = format!("EAP-AKA: {}", scenario.name);
    let scenario = scenario.with(Setting::Only(Method::Aka));
    Scenario { name, ..scenario }
}

/// An AKA-Identity request with all of these attributes.
fn identity(
    requests: &'static [IdentityRequest],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| stage.identity_request(requests).unsigned()
}

/// A valid challenge.
fn challenge(stage: &mut Stage, auc: &mut Auc) -> Vec<u8> {
    let forge = stage.challenge(auc);
    stage.sign(&forge)
}

/// A valid challenge whose SQN is further ahead than Δ allows.
fn too_far_ahead(stage: &mut Stage, auc: &mut Auc) -> Vec<u8> {
    stage.jump_ahead(auc);
    challenge(stage, auc)
}

/// A valid challenge after the AuC took its SQN from AUTS.
fn resynchronised(stage: &mut Stage, auc: &mut Auc) -> Vec<u8> {
    stage.resynchronise(auc);
    challenge(stage, auc)
}

/// A scenario that begins after the peer answered an AKA-Identity request.
fn identified(name: impl Into<String>, clause: &'static str) -> Scenario {
    Scenario::new(name, clause).ask(identity(&[IdentityRequest::Any]), Reaction::Identity)
}

/// A scenario that begins after the peer answered a valid challenge.
fn challenged(name: impl Into<String>, clause: &'static str) -> Scenario {
    identified(name, clause)
        .ask(challenge, Reaction::Challenge)
        .uses_sqn()
}

/// A valid challenge that gives a pseudonym and a re-authentication identity.
fn giving_challenge(stage: &mut Stage, auc: &mut Auc) -> Vec<u8> {
    let forge = stage.challenge(auc);
    let inside = [
        Attribute::NextPseudonym(PSEUDONYM),
        Attribute::NextReauthId(REAUTHENTICATION),
    ];
    let forge = stage.encrypt(forge, &inside);
    stage.sign(&forge)
}

const PSEUDONYM: &[u8] = b"7f00dcafe";
const REAUTHENTICATION: &[u8] = b"8f00dcafe@wlan.mnc001.mcc001.3gppnetwork.org";

/// A scenario whose second conversation begins here, after a full authentication that gave
/// identities.
fn returning(name: impl Into<String>, clause: &'static str) -> Scenario {
    identified(name, clause)
        .ask(giving_challenge, Reaction::Challenge)
        .uses_sqn()
        .succeed()
}
