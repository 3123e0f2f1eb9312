//! AT_PUB_ECDHE and AT_KDF_FS: which of them occur together, lists of groups, and invalid public
//! keys (RFC 9678 §6).

use softsim_aka::agreement::Group;
use softsim_eap_packet::{Attribute, Kind};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::IdentityRequest::Any;

use super::{challenge, identity, resynchronised};
use crate::{Reaction, Scenario, Setting, Stage};

/// A valid challenge with this list and a public key of this group.
fn offering(
    kdfs_fs: &'static [u16],
    group: Group,
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        let forge = stage.challenge(auc);
        let forge = stage.offer(forge, kdfs_fs, group);
        stage.sign(&forge)
    }
}

/// A challenge with the previous authentication vector and another list.
fn again(
    kdfs_fs: &'static [u16],
    group: Group,
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, _| {
        let forge = stage.challenge_again();
        let forge = stage.offer(forge, kdfs_fs, group);
        stage.sign(&forge)
    }
}

/// A challenge whose AT_PUB_ECDHE holds these octets.
fn key(
    kdf_fs: u16,
    octets: &'static [u8],
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        let forge = stage.challenge(auc);
        let forge = forge.with(Attribute::KdfFs(kdf_fs));
        let forge = forge.with(Attribute::PubEcdhe(octets));
        stage.sign(&forge)
    }
}

fn concealed(name: impl Into<String>, clause: &'static str) -> Scenario {
    Scenario::new(name, clause)
        .with(Setting::Suci)
        .ask(identity(&[Any]), Reaction::Identity)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = offers();
    scenarios.extend(lists());
    scenarios.extend(keys());
    scenarios
}

fn offers() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 9678 §6.5.3";
    let both = [
        ("X25519", &[1][..], Group::X25519),
        ("P-256", &[2], Group::P256),
    ];
    let mut scenarios: Vec<_> = both
        .into_iter()
        .map(|(name, list, group)| {
            concealed(format!("offers {name} honestly"), CLAUSE)
                .ask(offering(list, group), Reaction::ForwardSecretChallenge)
                .success()
        })
        .collect();
    scenarios.extend([
        concealed("sends AT_PUB_ECDHE without AT_KDF_FS", CLAUSE)
            .ask(offering(&[], Group::X25519), Reaction::Challenge)
            .success(),
        concealed("sends AT_KDF_FS without AT_PUB_ECDHE", CLAUSE)
            .ask(
                |stage, auc| {
                    let forge = stage.challenge(auc);
                    stage.sign(&forge.with(Attribute::KdfFs(1)))
                },
                Reaction::Challenge,
            )
            .success(),
        concealed(
            "offers nothing where forward secrecy is required",
            "RFC 9678 §6.5.4",
        )
        .with(Setting::RequireForwardSecrecy)
        .ask(challenge, Reaction::AuthenticationReject),
        concealed(
            "offers half of it where forward secrecy is required",
            "RFC 9678 §6.5.4",
        )
        .with(Setting::RequireForwardSecrecy)
        .ask(offering(&[], Group::X25519), Reaction::AuthenticationReject),
        concealed("offers it where it is off", "RFC 9678 §6.2")
            .with(Setting::NoForwardSecrecy)
            .ask(offering(&[1], Group::X25519), Reaction::Challenge)
            .success(),
        Scenario::new(
            "offers it to somebody who showed the IMSI",
            "RFC 9678 §6.5.2",
        )
        .ask(identity(&[Any]), Reaction::Identity)
        .ask(offering(&[1], Group::X25519), Reaction::Challenge)
        .success(),
    ]);
    scenarios
}

fn lists() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 9678 §6.2";
    let mut scenarios = vec![
        concealed("offers an unknown group first, and yields", CLAUSE)
            .ask(offering(&[9, 2], Group::X25519), Reaction::KdfFs(2))
            .ask(
                again(&[2, 9, 2], Group::P256),
                Reaction::ForwardSecretChallenge,
            )
            .success(),
        concealed("offers unknown groups only", CLAUSE)
            .ask(offering(&[8, 9], Group::X25519), Reaction::Challenge)
            .success(),
        concealed(
            "offers unknown groups only where forward secrecy is required",
            CLAUSE,
        )
        .with(Setting::RequireForwardSecrecy)
        .ask(
            offering(&[8, 9], Group::X25519),
            Reaction::AuthenticationReject,
        ),
        concealed("offers one group twice", CLAUSE).ask(
            offering(&[1, 2, 1], Group::X25519),
            Reaction::AuthenticationReject,
        ),
        concealed(
            "withdraws the offer after a resynchronisation",
            "RFC 9678 §6.5.7",
        )
        .ask(
            |stage, auc| {
                stage.jump_ahead(auc);
                offering(&[1], Group::X25519)(stage, auc)
            },
            Reaction::SynchronizationFailure,
        )
        .ask(resynchronised, Reaction::ClientError),
    ];
    let retries: [&'static [u16]; 4] = [&[2], &[2, 9], &[9, 2], &[2, 9, 2, 1]];
    scenarios.extend(retries.into_iter().map(|list| {
        concealed(
            format!("answers a choice out of 9, 2 with the list {list:?}"),
            CLAUSE,
        )
        .ask(offering(&[9, 2], Group::X25519), Reaction::KdfFs(2))
        .ask(again(list, Group::P256), Reaction::ClientError)
    }));
    scenarios
}

fn keys() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 9678 §6.3";
    /// A point of order 8, which makes the shared secret zero (RFC 7748 §7 and its references).
    const SMALL_ORDER: [u8; 32] = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    /// A compressed point of 33 octets whose x is above the field's modulus.
    const OUTSIDE: [u8; 33] = {
        let mut octets = [0xff; 33];
        octets[0] = 2;
        octets
    };
    let mut scenarios: Vec<_> = [
        ("a key of zeros for X25519", 1, &[0; 32][..]),
        ("a key of small order for X25519", 1, &SMALL_ORDER),
        ("a key too short for X25519", 1, &[7; 16]),
        ("a key too long for X25519", 1, &[7; 36]),
        ("a point outside of P-256", 2, &OUTSIDE),
        ("zeros for a point of P-256", 2, &[0; 33]),
        ("an uncompressed point of P-256", 2, &[4; 65]),
        ("a key of X25519 for P-256", 2, &[7; 32]),
    ]
    .into_iter()
    .map(|(name, kdf_fs, octets)| {
        concealed(format!("sends {name}"), CLAUSE).ask(key(kdf_fs, octets), Reaction::ClientError)
    })
    .collect();
    scenarios.push(
        concealed(
            "sends a key of zeros, and begins again with a good one",
            CLAUSE,
        )
        .ask(key(1, &[0; 32]), Reaction::ClientError)
        .ask(
            |stage, auc| {
                stage.begin_again();
                identity(&[Any])(stage, auc)
            },
            Reaction::Identity,
        )
        .ask(
            offering(&[1], Group::X25519),
            Reaction::ForwardSecretChallenge,
        )
        .success(),
    );
    scenarios.push(
        concealed("sends AT_PUB_ECDHE twice", "RFC 4187 §6.3.1").ask(
            |stage, auc| {
                let forge = stage.challenge(auc);
                let forge = stage.offer(forge, &[1], Group::X25519);
                stage.sign(&forge.twice(Kind::PUB_ECDHE))
            },
            Reaction::ClientError,
        ),
    );
    scenarios
}
