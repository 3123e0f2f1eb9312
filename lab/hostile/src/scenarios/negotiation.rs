//! AT_KDF: choice and verification of the list (RFC 9048 §3.2).

use softsim_lab_simulators::auc::Auc;

use super::{challenge, identified};
use crate::{Reaction, Scenario, Stage};

const CLAUSE: &str = "RFC 9048 §3.2";

fn offering(
    kdfs: &'static [u16],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        let forge = stage.challenge_with_kdfs(auc, kdfs);
        stage.sign(&forge)
    }
}

/// A challenge with the previous authentication vector and another list.
fn again(kdfs: &'static [u16]) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| {
        let forge = stage.challenge_again_with_kdfs(kdfs);
        stage.sign(&forge)
    }
}

/// The AuC's SQN is further ahead than Δ allows; [`back_in_step`] resynchronises it in the next
/// request.
fn out_of_step(
    kdfs: &'static [u16],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        stage.jump_ahead(auc);
        let forge = stage.challenge_with_kdfs(auc, kdfs);
        stage.sign(&forge)
    }
}

fn back_in_step(
    kdfs: &'static [u16],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        stage.resynchronise(auc);
        let forge = stage.challenge_with_kdfs(auc, kdfs);
        stage.sign(&forge)
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![
        identified("offers an unknown function first, and yields", CLAUSE)
            .ask(offering(&[9, 1]), Reaction::Kdf(1))
            .ask(again(&[1, 9, 1]), Reaction::Challenge)
            .success(),
        identified("offers unknown functions only", CLAUSE)
            .ask(offering(&[9, 8]), Reaction::AuthenticationReject),
        identified("offers no function", CLAUSE).ask(offering(&[]), Reaction::AuthenticationReject),
        identified("offers one function twice", CLAUSE)
            .ask(offering(&[1, 2, 1]), Reaction::AuthenticationReject),
        identified("offers one unknown function twice", CLAUSE)
            .ask(offering(&[1, 2, 2]), Reaction::AuthenticationReject),
        identified("offers more than one function, ours first", CLAUSE)
            .ask(offering(&[1, 2, 3]), Reaction::Challenge)
            .success(),
        identified("changes the list after a resynchronisation", CLAUSE)
            .ask(out_of_step(&[1, 2]), Reaction::SynchronizationFailure)
            .ask(back_in_step(&[1]), Reaction::ClientError),
        identified("keeps the list after a resynchronisation", CLAUSE)
            .ask(out_of_step(&[1, 2]), Reaction::SynchronizationFailure)
            .ask(back_in_step(&[1, 2]), Reaction::Challenge)
            .success(),
        identified("negotiates, resynchronises, and keeps the list", CLAUSE)
            .ask(offering(&[2, 1]), Reaction::Kdf(1))
            .ask(out_of_step(&[1, 2, 1]), Reaction::SynchronizationFailure)
            .ask(back_in_step(&[1, 2, 1]), Reaction::Challenge)
            .success(),
        identified("asks for a second challenge without need", CLAUSE)
            .ask(challenge, Reaction::Challenge)
            .ask(challenge, Reaction::ClientError)
            .uses_sqn(),
    ];
    let retries: [&'static [u16]; 7] = [
        &[1],
        &[1, 9],
        &[9, 1],
        &[1, 9, 1, 2],
        &[1, 1, 9],
        &[1, 2, 1],
        &[],
    ];
    scenarios.extend(retries.into_iter().map(|list| {
        let reaction = match list {
            [] => Reaction::AuthenticationReject,
            _ => Reaction::ClientError,
        };
        identified(
            format!("answers a choice out of 9, 1 with the list {list:?}"),
            CLAUSE,
        )
        .ask(offering(&[9, 1]), Reaction::Kdf(1))
        .ask(again(list), reaction)
    }));
    scenarios
}
