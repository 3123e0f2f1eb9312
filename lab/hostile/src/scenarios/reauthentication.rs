//! AKA-Reauthentication: counters, encryption, and requests that the peer must reject (RFC 4187 §5,
//! RFC 9048 §3.3).

use softsim_eap_packet::{Attribute, Kind, Notification, Subtype};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::IdentityRequest::Any;

use super::{challenge, identified, identity, returning};
use crate::{Reaction, Scenario, Stage};

const CLAUSE: &str = "RFC 4187 §5.2";

fn counting(counter: u16) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| stage.reauthentication(counter)
}

/// A scenario that begins in the second conversation, after the peer showed its re-authentication
/// identity.
fn returned(name: impl Into<String>, clause: &'static str) -> Scenario {
    returning(name, clause).ask(identity(&[Any]), Reaction::Identity)
}

/// A request whose AT_ENCR_DATA has these attributes.
fn encrypting(
    inside: &'static [Attribute<'static>],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| {
        let forge = stage.request(Subtype::Reauthentication);
        let forge = stage.encrypt(forge, inside);
        stage.sign(&forge)
    }
}

/// A request whose AT_ENCR_DATA has AT_COUNTER, AT_NONCE_S and these octets, which may be no
/// attributes.
fn encrypting_octets(
    rest: &'static [u8],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| {
        let forge = stage.request(Subtype::Reauthentication);
        let mut inside = vec![19, 1, 0, 1, 21, 5, 0, 0];
        inside.extend([5; 16]);
        inside.extend(rest);
        let forge = stage.encrypt_octets(forge, inside);
        stage.sign(&forge)
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = counters();
    scenarios.extend(altered());
    scenarios.extend(notified());
    scenarios
}

fn counters() -> Vec<Scenario> {
    vec![
        returned("re-authenticates honestly", CLAUSE)
            .ask(counting(1), Reaction::Reauthentication)
            .success(),
        returned("re-authenticates with a counter far ahead", CLAUSE)
            .ask(counting(40_000), Reaction::Reauthentication)
            .success(),
        returning(
            "re-authenticates by the identity outside the method alone",
            CLAUSE,
        )
        .ask(counting(1), Reaction::Reauthentication)
        .success(),
        returned(
            "counts from 0, is told, and challenges (hostap 40af6560b)",
            "RFC 4187 §5.5",
        )
        .ask(counting(0), Reaction::CounterTooSmall)
        .ask(challenge, Reaction::Challenge)
        .success(),
        returning(
            "counts from 0 and challenges, without having asked inside (hostap 40af6560b)",
            "RFC 4187 §5.5",
        )
        .ask(counting(0), Reaction::CounterTooSmall)
        .ask(challenge, Reaction::Challenge)
        .success(),
        returned("repeats a counter", "RFC 4187 §5.5")
            .ask(
                |stage, _| {
                    let next = Attribute::NextReauthId(b"8another@home");
                    let forge = stage.reauthentication_with(1, &[next]);
                    stage.reauthenticated_by(&forge)
                },
                Reaction::Reauthentication,
            )
            .succeed()
            .ask(counting(1), Reaction::CounterTooSmall)
            .ask(challenge, Reaction::Challenge)
            .success(),
        returned(
            "gives no new identity: a full authentication follows",
            "RFC 4187 §5.4",
        )
        .ask(counting(1), Reaction::Reauthentication)
        .succeed()
        .ask(counting(2), Reaction::ClientError),
        returned("re-authenticates twice in one conversation", CLAUSE)
            .ask(counting(1), Reaction::Reauthentication)
            .ask(counting(2), Reaction::ClientError),
        returned("challenges after a re-authentication", CLAUSE)
            .ask(counting(1), Reaction::Reauthentication)
            .ask(challenge, Reaction::ClientError),
    ]
}

fn altered() -> Vec<Scenario> {
    vec![
        identified("re-authenticates somebody who was never there", CLAUSE).ask(
            |stage, _| {
                let forge = stage
                    .request(Subtype::Reauthentication)
                    .with(Attribute::Iv(&[1; 16]))
                    .with(Attribute::EncrData(&[2; 32]))
                    .with(Attribute::Mac(&[0; 16]));
                stage.sign_with_zeros(&forge)
            },
            Reaction::ClientError,
        ),
        returned("re-authenticates under a wrong AT_MAC", CLAUSE).ask(
            |stage, _| {
                let forge = stage.reauthentication_with(1, &[]);
                stage.sign_with_zeros(&forge)
            },
            Reaction::ClientError,
        ),
        returned("re-authenticates without AT_MAC", CLAUSE).ask(
            |stage, _| {
                let forge = stage.reauthentication_with(1, &[]);
                forge.without(Kind::MAC).unsigned()
            },
            Reaction::ClientError,
        ),
        returned("re-authenticates without AT_IV", CLAUSE).ask(
            |stage, _| {
                let forge = stage.reauthentication_with(1, &[]).without(Kind::IV);
                stage.sign(&forge)
            },
            Reaction::ClientError,
        ),
        returned("re-authenticates without AT_ENCR_DATA", CLAUSE).ask(
            |stage, _| {
                let forge = stage.reauthentication_with(1, &[]);
                stage.sign(&forge.without(Kind::ENCR_DATA))
            },
            Reaction::ClientError,
        ),
        returned("encrypts no counter", CLAUSE).ask(
            encrypting(&[Attribute::NonceS(&[5; 16])]),
            Reaction::ClientError,
        ),
        returned("encrypts no nonce", CLAUSE)
            .ask(encrypting(&[Attribute::Counter(1)]), Reaction::ClientError),
        returned("encrypts two counters", "RFC 4187 §6.3.1").ask(
            |stage, _| {
                let forge = stage.reauthentication_with(1, &[Attribute::Counter(2)]);
                stage.sign(&forge)
            },
            Reaction::ClientError,
        ),
        returned("encrypts padding that is not zero", "RFC 4187 §10.12").ask(
            encrypting_octets(&[6, 2, 0, 0, 0, 0, 0, 1]),
            Reaction::ClientError,
        ),
        returned("encrypts sixteen octets of padding", "RFC 4187 §10.12").ask(
            encrypting_octets(&[
                6, 2, 0, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]),
            Reaction::ClientError,
        ),
        returned("encrypts an attribute of length zero", "RFC 4187 §8.1").ask(
            encrypting_octets(&[132, 0, 0, 0, 0, 0, 0, 0]),
            Reaction::ClientError,
        ),
        returned(
            "re-authenticates with an AT_CHECKCODE of other identity messages",
            "RFC 4187 §10.13",
        )
        .ask(
            |stage, _| {
                let forge = stage.reauthentication_with(1, &[]);
                stage.sign(&forge.replace(Attribute::Checkcode(&[3; 32])))
            },
            Reaction::ClientError,
        ),
    ]
}

fn notified() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 4187 §6.1";
    let notify = |counter: Option<u16>| {
        move |stage: &mut Stage, _: &mut Auc| {
            let forge = stage.notification(Notification::FAILURE_AFTER_AUTHENTICATION);
            let forge = match counter {
                Some(counter) => stage.encrypt(forge, &[Attribute::Counter(counter)]),
                None => forge,
            };
            stage.sign(&forge)
        }
    };
    vec![
        returned("refuses after a re-authentication", CLAUSE)
            .ask(counting(1), Reaction::Reauthentication)
            .ask(notify(Some(1)), Reaction::NotificationWithCounter),
        returned(
            "refuses after a re-authentication without the counter",
            CLAUSE,
        )
        .ask(counting(1), Reaction::Reauthentication)
        .ask(notify(None), Reaction::ClientError),
        returned(
            "refuses after a re-authentication with another counter",
            CLAUSE,
        )
        .ask(counting(1), Reaction::Reauthentication)
        .ask(notify(Some(2)), Reaction::ClientError),
    ]
}
