//! AKA-Identity: order, number and kind of the identity requests (RFC 4187 §4.1.5 and §4.1.6).

use softsim_aka::agreement::Group;
use softsim_eap_packet::{Attribute, Subtype};
use softsim_lab_simulators::eap_server::IdentityRequest::{Any, FullAuth, Permanent};

use super::{challenge, identified, identity, returning, too_far_ahead};
use crate::{Reaction, Scenario};

const ORDER: &str = "RFC 4187 §4.1.5";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("asks as RFC 4187 says, three times", ORDER)
            .ask(identity(&[Any]), Reaction::Identity)
            .ask(identity(&[FullAuth]), Reaction::Identity)
            .ask(identity(&[Permanent]), Reaction::Identity)
            .ask(challenge, Reaction::Challenge)
            .success(),
        Scenario::new("asks nothing and challenges at once", ORDER)
            .ask(challenge, Reaction::Challenge)
            .success(),
        Scenario::new(
            "asks for a full-authentication identity after the permanent one",
            ORDER,
        )
        .ask(identity(&[Permanent]), Reaction::Identity)
        .ask(identity(&[FullAuth]), Reaction::ClientError),
        Scenario::new("asks for any identity after the permanent one", ORDER)
            .ask(identity(&[Permanent]), Reaction::Identity)
            .ask(identity(&[Any]), Reaction::ClientError),
        Scenario::new(
            "asks for any identity after the full-authentication one",
            ORDER,
        )
        .ask(identity(&[FullAuth]), Reaction::Identity)
        .ask(identity(&[Any]), Reaction::ClientError),
        Scenario::new("asks for any identity twice", ORDER)
            .ask(identity(&[Any]), Reaction::Identity)
            .ask(identity(&[Any]), Reaction::ClientError),
        Scenario::new("asks for the permanent identity twice", ORDER)
            .ask(identity(&[Permanent]), Reaction::Identity)
            .ask(identity(&[Permanent]), Reaction::ClientError),
        Scenario::new("asks a fourth time", ORDER)
            .ask(identity(&[Any]), Reaction::Identity)
            .ask(identity(&[FullAuth]), Reaction::Identity)
            .ask(identity(&[Permanent]), Reaction::Identity)
            .ask(identity(&[Permanent]), Reaction::ClientError),
        Scenario::new("asks two questions in one message", "RFC 4187 §6.3.1")
            .ask(identity(&[Any, Permanent]), Reaction::ClientError),
        Scenario::new("asks three questions in one message", "RFC 4187 §6.3.1")
            .ask(identity(&[Any, FullAuth, Permanent]), Reaction::ClientError),
        Scenario::new("asks one question twice in one message", "RFC 4187 §6.3.1")
            .ask(identity(&[Any, Any]), Reaction::ClientError),
        Scenario::new("sends AKA-Identity without a question", "RFC 4187 §9.1")
            .ask(identity(&[]), Reaction::ClientError),
        Scenario::new("puts AT_RAND into AKA-Identity", "RFC 4187 §10.1").ask(
            |stage, _| {
                let forge = stage.identity_request(&[Any]);
                forge.with(Attribute::Rand(&[7; 16])).unsigned()
            },
            Reaction::ClientError,
        ),
        Scenario::new("asks who it is after the challenge", ORDER)
            .ask(identity(&[Any]), Reaction::Identity)
            .ask(challenge, Reaction::Challenge)
            .ask(identity(&[Permanent]), Reaction::ClientError)
            .uses_sqn(),
        Scenario::new("asks who it is again after a resynchronisation", ORDER)
            .ask(identity(&[Any]), Reaction::Identity)
            .ask(too_far_ahead, Reaction::SynchronizationFailure)
            .ask(
                |stage, auc| {
                    stage.resynchronise(auc);
                    stage.identity_request(&[FullAuth]).unsigned()
                },
                Reaction::ClientError,
            ),
        Scenario::new(
            "offers forward secrecy in AKA-Identity, where it is ignored",
            "RFC 9678 §6.5.1",
        )
        .ask(
            |stage, _| {
                let forge = stage.identity_request(&[Any]);
                stage.offer(forge, &[1], Group::X25519).unsigned()
            },
            Reaction::Identity,
        )
        .ask(challenge, Reaction::Challenge)
        .success(),
        returning(
            "asks for the permanent identity of somebody who has a pseudonym (GrapheneOS 3935)",
            "RFC 4187 §4.1.6",
        )
        .ask(identity(&[Permanent]), Reaction::ClientError),
        returning(
            "has lost the re-authentication and asks for the pseudonym",
            "RFC 4187 §4.1.5",
        )
        .ask(identity(&[Any]), Reaction::Identity)
        .ask(identity(&[FullAuth]), Reaction::Identity)
        .ask(challenge, Reaction::Challenge)
        .success(),
        returning(
            "has lost the pseudonym too, and is not told the permanent identity",
            "RFC 4187 §4.1.6",
        )
        .ask(identity(&[FullAuth]), Reaction::Identity)
        .ask(identity(&[Permanent]), Reaction::ClientError),
        identified("sends a subtype that no request has", "RFC 4187 §6.3.1").ask(
            |stage, _| stage.request(Subtype::Other(99)).unsigned(),
            Reaction::ClientError,
        ),
        identified("sends a subtype of responses", "RFC 4187 §6.3.1").ask(
            |stage, _| {
                let forge = stage.request(Subtype::ClientError);
                forge.with(Attribute::ClientErrorCode(0)).unsigned()
            },
            Reaction::ClientError,
        ),
    ]
}
