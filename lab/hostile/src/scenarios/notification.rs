//! AKA-Notification: S and P bits, AT_MAC, result indications (RFC 4187 §6.1 and §6.2).

use softsim_eap_packet::{Attribute, Kind, Notification, Subtype};
use softsim_lab_simulators::auc::Auc;

use super::{challenged, identified};
use crate::{Reaction, Scenario, Stage};

const CLAUSE: &str = "RFC 4187 §6.1";
/// A code with S = 1 and P = 1, which reports success before authentication.
const SUCCESS_TOO_EARLY: Notification = Notification(0xc000);

fn bare(code: Notification) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| stage.notification(code).without(Kind::MAC).unsigned()
}

fn signed(code: Notification) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| {
        let forge = stage.notification(code);
        stage.sign(&forge)
    }
}

fn signed_with_zeros(
    code: Notification,
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| stage.sign_with_zeros(&stage.notification(code))
}

/// A challenge that offers result indications.
fn indicating(stage: &mut Stage, auc: &mut Auc) -> Vec<u8> {
    let forge = stage.challenge(auc).without(Kind::MAC);
    let forge = forge.with(Attribute::ResultInd);
    stage.sign(&forge.with(Attribute::Mac(&[0; 16])))
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = before();
    scenarios.extend(after());
    scenarios.extend(result_indications());
    scenarios
}

fn before() -> Vec<Scenario> {
    let mut scenarios = vec![
        identified("gives up before the challenge", CLAUSE)
            .ask(bare(Notification::FAILURE), Reaction::Notification),
        identified("gives up with a code that nobody knows", CLAUSE)
            .ask(bare(Notification(16_400)), Reaction::Notification),
        identified("announces success before the challenge", CLAUSE)
            .ask(bare(SUCCESS_TOO_EARLY), Reaction::ClientError),
        identified(
            "signs what is not to be signed before the challenge",
            CLAUSE,
        )
        .ask(
            signed_with_zeros(Notification::FAILURE),
            Reaction::ClientError,
        ),
        identified("notifies twice", CLAUSE)
            .ask(bare(Notification::FAILURE), Reaction::Notification)
            .ask(bare(Notification::FAILURE), Reaction::Silence),
        identified("sends AKA-Notification without a code", "RFC 4187 §9.10").ask(
            |stage, _| stage.request(Subtype::Notification).unsigned(),
            Reaction::ClientError,
        ),
        identified("sends two codes in one message", "RFC 4187 §6.3.1").ask(
            |stage, _| {
                let forge = stage.notification(Notification::FAILURE);
                forge
                    .without(Kind::MAC)
                    .twice(Kind::NOTIFICATION)
                    .unsigned()
            },
            Reaction::ClientError,
        ),
    ];
    for code in [
        Notification::SUCCESS,
        Notification::FAILURE_AFTER_AUTHENTICATION,
        Notification(1026),
    ] {
        scenarios.push(
            identified(
                format!("sends code {} before any key exists", code.0),
                CLAUSE,
            )
            .ask(bare(code), Reaction::ClientError),
        );
        scenarios.push(
            identified(
                format!(
                    "sends code {} under an AT_MAC of zeros before any key exists",
                    code.0
                ),
                CLAUSE,
            )
            .ask(signed_with_zeros(code), Reaction::ClientError),
        );
    }
    scenarios
}

fn after() -> Vec<Scenario> {
    vec![
        challenged("refuses after the challenge", CLAUSE).ask(
            signed(Notification::FAILURE_AFTER_AUTHENTICATION),
            Reaction::NotificationUnderMac,
        ),
        challenged(
            "refuses after the challenge for a reason that nobody knows",
            CLAUSE,
        )
        .ask(signed(Notification(999)), Reaction::NotificationUnderMac),
        challenged("refuses RES", CLAUSE).ask(bare(Notification::FAILURE), Reaction::Notification),
        challenged("refuses after the challenge without AT_MAC", CLAUSE).ask(
            bare(Notification::FAILURE_AFTER_AUTHENTICATION),
            Reaction::ClientError,
        ),
        challenged(
            "refuses after the challenge under an AT_MAC of zeros",
            CLAUSE,
        )
        .ask(
            signed_with_zeros(Notification::FAILURE_AFTER_AUTHENTICATION),
            Reaction::ClientError,
        ),
        challenged("announces success under an AT_MAC of zeros", CLAUSE).ask(
            signed_with_zeros(Notification::SUCCESS),
            Reaction::ClientError,
        ),
        challenged("tells something that is no failure, and goes on", CLAUSE)
            .ask(signed(Notification(0x8123)), Reaction::NotificationUnderMac)
            .success(),
        challenged("tells something that is no failure, twice", CLAUSE)
            .ask(signed(Notification(0x8123)), Reaction::NotificationUnderMac)
            .ask(signed(Notification(0x8124)), Reaction::ClientError),
    ]
}

fn result_indications() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 4187 §6.2";
    vec![
        identified("announces success under AT_MAC, as agreed", CLAUSE)
            .ask(indicating, Reaction::Challenge)
            .ask(
                signed(Notification::SUCCESS),
                Reaction::NotificationUnderMac,
            )
            .success(),
        identified("sends EAP-Success where a protected one was agreed", CLAUSE)
            .ask(indicating, Reaction::Challenge)
            .ask(|stage, _| stage.early_success(0), Reaction::Silence)
            .ask(
                signed(Notification::SUCCESS),
                Reaction::NotificationUnderMac,
            )
            .success(),
        identified("sends EAP-Failure after protected success", CLAUSE)
            .ask(indicating, Reaction::Challenge)
            .ask(
                signed(Notification::SUCCESS),
                Reaction::NotificationUnderMac,
            )
            .ask(|stage, _| stage.early_failure(0), Reaction::Silence)
            .success(),
        identified("refuses although result indications were agreed", CLAUSE)
            .ask(indicating, Reaction::Challenge)
            .ask(
                signed(Notification::FAILURE_AFTER_AUTHENTICATION),
                Reaction::NotificationUnderMac,
            )
            .uses_sqn(),
    ]
}
