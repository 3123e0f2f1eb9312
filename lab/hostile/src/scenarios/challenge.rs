//! AKA-Challenge: AUTN, SQN, AT_MAC, AT_CHECKCODE, AT_BIDDING, the network name (RFC 4187 §6, RFC
//! 9048 §3 and §4).

use softsim_aka::Amf;
use softsim_eap::Method;
use softsim_eap_packet::{Attribute, Kind, Subtype};
use softsim_lab_simulators::auc::Auc;

use super::{challenge, challenged, identified, resynchronised, too_far_ahead};
use crate::forge::Forge;
use crate::{Reaction, Scenario, Setting, Stage};

/// A valid challenge that `alter` changes before the server signs it.
fn altered(
    alter: impl Fn(Forge) -> Forge + Send + Sync + 'static,
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        let forge = stage.challenge(auc);
        stage.sign(&alter(forge))
    }
}

fn with_amf(amf: [u8; 2]) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        stage.set_amf(auc, Amf::new(amf));
        let packet = challenge(stage, auc);
        stage.set_amf(auc, Amf::new([0x80, 0]));
        packet
    }
}

fn with_network_name(
    name: &'static str,
) -> impl Fn(&mut Stage, &mut Auc) -> Vec<u8> + Send + Sync + 'static {
    move |stage, auc| {
        stage.network_name = name;
        challenge(stage, auc)
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = autn();
    scenarios.extend(mac_and_checkcode());
    scenarios.extend(network_name());
    scenarios.extend(eap_aka());
    scenarios.extend(repeated());
    scenarios
}

fn autn() -> Vec<Scenario> {
    vec![
        challenged("authenticates honestly", "RFC 9048 §3").success(),
        identified("sends an AUTN that K did not make", "RFC 4187 §6.3.1").ask(
            altered(|forge| forge.replace(Attribute::Autn(&[0x5a; 16]))),
            Reaction::AuthenticationReject,
        ),
        identified(
            "sends a wrong AUTN under a wrong AT_MAC: AUTN is judged first",
            "RFC 4187 §6.3.1",
        )
        .ask(
            |stage, auc| {
                let forge = stage.challenge(auc);
                let forge = forge.replace(Attribute::Autn(&[0x5a; 16]));
                forge.replace(Attribute::Mac(&[1; 16])).unsigned()
            },
            Reaction::AuthenticationReject,
        ),
        identified("leaves the separation bit of AMF at 0", "RFC 9048 §3.3")
            .ask(with_amf([0, 0]), Reaction::AuthenticationReject),
        identified(
            "uses a vector too far ahead, and resynchronises",
            "TS 33.102 C.2",
        )
        .ask(too_far_ahead, Reaction::SynchronizationFailure)
        .ask(resynchronised, Reaction::Challenge)
        .success(),
        identified(
            "is out of step under a wrong AT_MAC: AUTS goes out all the same",
            "RFC 4187 §6.3.1",
        )
        .ask(
            |stage, auc| {
                stage.jump_ahead(auc);
                let forge = stage.challenge(auc);
                forge.replace(Attribute::Mac(&[1; 16])).unsigned()
            },
            Reaction::SynchronizationFailure,
        )
        .ask(resynchronised, Reaction::Challenge)
        .success(),
        challenged(
            "replays a challenge in the next conversation",
            "TS 33.102 §6.3.3",
        )
        .succeed()
        .ask(
            |stage, _| {
                let forge = stage.challenge_again();
                stage.sign(&forge)
            },
            Reaction::SynchronizationFailure,
        )
        .ask(challenge, Reaction::Challenge)
        .success(),
        identified("leaves AT_RAND out", "RFC 4187 §9.3").ask(
            altered(|forge| forge.without(Kind::RAND)),
            Reaction::ClientError,
        ),
        identified("leaves AT_AUTN out", "RFC 4187 §9.3").ask(
            altered(|forge| forge.without(Kind::AUTN)),
            Reaction::ClientError,
        ),
    ]
}

fn mac_and_checkcode() -> Vec<Scenario> {
    vec![
        identified("leaves AT_MAC out", "RFC 4187 §6.3.1").ask(
            altered(|forge| forge.without(Kind::MAC)),
            Reaction::ClientError,
        ),
        identified(
            "sends a wrong AT_MAC, and uses no sequence number",
            "RFC 4187 §6.3.1",
        )
        .ask(
            |stage, auc| {
                let forge = stage.challenge(auc);
                forge.replace(Attribute::Mac(&[1; 16])).unsigned()
            },
            Reaction::ClientError,
        ),
        identified("signs with a key of zeros", "RFC 4187 §10.15").ask(
            |stage, auc| {
                let forge = stage.challenge(auc);
                stage.sign_with_zeros(&forge)
            },
            Reaction::ClientError,
        ),
        identified("changes one octet after signing", "RFC 4187 §10.15").ask(
            |stage, auc| {
                let mut packet = challenge(stage, auc);
                packet[7] ^= 1;
                packet
            },
            Reaction::ClientError,
        ),
        identified("leaves AT_CHECKCODE out, as it may", "RFC 4187 §10.13")
            .ask(
                altered(|forge| forge.without(Kind::CHECKCODE)),
                Reaction::Challenge,
            )
            .success(),
        identified(
            "sends an AT_CHECKCODE of other identity messages",
            "RFC 4187 §10.13",
        )
        .ask(
            altered(|forge| forge.replace(Attribute::Checkcode(&[3; 32]))),
            Reaction::ClientError,
        ),
        identified(
            "says there were no identity messages, and there were",
            "RFC 4187 §10.13",
        )
        .ask(
            altered(|forge| forge.replace(Attribute::Checkcode(&[]))),
            Reaction::ClientError,
        ),
        identified(
            "sends the AT_CHECKCODE of EAP-AKA in EAP-AKA'",
            "RFC 9048 §3",
        )
        .ask(
            altered(|forge| forge.replace(Attribute::Checkcode(&[3; 20]))),
            Reaction::ClientError,
        ),
        Scenario::new(
            "says there were identity messages, and there were none",
            "RFC 4187 §10.13",
        )
        .ask(
            altered(|forge| forge.replace(Attribute::Checkcode(&[3; 32]))),
            Reaction::ClientError,
        ),
        identified("adds what may be skipped and nobody knows", "RFC 4187 §8.1")
            .ask(
                altered(|forge| forge.raw_first([200, 2, 1, 2, 3, 4, 5, 6])),
                Reaction::Challenge,
            )
            .success(),
        identified(
            "adds what must be understood and nobody knows",
            "RFC 4187 §8.1",
        )
        .ask(
            altered(|forge| forge.raw_first([99, 1, 0, 0])),
            Reaction::ClientError,
        ),
        identified("sets reserved octets, which are ignored", "RFC 4187 §8.1")
            .ask(
                |stage, auc| {
                    let forge = stage.challenge(auc);
                    let rand = forge.octets_of(Kind::RAND).map(<[u8]>::to_vec);
                    let mut rand = rand.expect("a challenge has one");
                    (rand[2], rand[3]) = (0xab, 0xcd);
                    let forge = forge.without(Kind::RAND).raw_first(rand);
                    stage.sign(&forge)
                },
                Reaction::Challenge,
            )
            .success(),
    ]
}

fn network_name() -> Vec<Scenario> {
    const CLAUSE: &str = "RFC 9048 §3.1";
    vec![
        identified("leaves AT_KDF_INPUT out", CLAUSE).ask(
            altered(|forge| forge.without(Kind::KDF_INPUT)),
            Reaction::AuthenticationReject,
        ),
        identified("names no network", CLAUSE).ask(
            altered(|forge| forge.replace(Attribute::KdfInput(b""))),
            Reaction::AuthenticationReject,
        ),
        identified("is on another network: EVIL:network", CLAUSE).ask(
            with_network_name("EVIL:network"),
            Reaction::AuthenticationReject,
        ),
        identified("is on a network with a longer name: WLANX", CLAUSE)
            .ask(with_network_name("WLANX"), Reaction::AuthenticationReject),
        identified(
            "says more of the network than is known here: WLAN:home",
            CLAUSE,
        )
        .ask(with_network_name("WLAN:home"), Reaction::Challenge)
        .success(),
        identified("says less of the network than is known here", CLAUSE)
            .with(Setting::NetworkName("WLAN:home"))
            .ask(with_network_name("WLAN"), Reaction::Challenge)
            .success(),
        identified(
            "is a 5G core: the keys come of the IMSI, whatever was shown",
            "RFC 9048 §5.3.1",
        )
        .with(Setting::NetworkName("5G:mnc001.mcc001.3gppnetwork.org"))
        .ask(
            with_network_name("5G:mnc001.mcc001.3gppnetwork.org"),
            Reaction::Challenge,
        )
        .success(),
        identified(
            "offloads to WLAN: the keys come of the IMSI too",
            "TS 33.501 Annex S",
        )
        .with(Setting::NetworkName("5G:NSWO"))
        .ask(with_network_name("5G:NSWO"), Reaction::Challenge)
        .success(),
    ]
}

/// The rules in which EAP-AKA differs from EAP-AKA'.
fn eap_aka() -> Vec<Scenario> {
    const OLD: [u8; 2] = [0, 0];
    let aka = |name: &str, clause| {
        Scenario::new(format!("EAP-AKA: {name}"), clause).with(Setting::Only(Method::Aka))
    };
    vec![
        aka("authenticates honestly", "RFC 4187 §3")
            .ask(with_amf(OLD), Reaction::Challenge)
            .success(),
        aka("sends the AT_CHECKCODE of EAP-AKA'", "RFC 4187 §10.13").ask(
            |stage, auc| {
                stage.set_amf(auc, Amf::new(OLD));
                let forge = stage.challenge(auc);
                stage.set_amf(auc, Amf::new([0x80, 0]));
                stage.sign(&forge.replace(Attribute::Checkcode(&[3; 32])))
            },
            Reaction::ClientError,
        ),
        aka("uses a vector of EAP-AKA'", "TS 33.102 Annex H")
            .with(Setting::RefuseSeparationBit)
            .ask(challenge, Reaction::AuthenticationReject),
        aka("sends a wrong AT_MAC", "RFC 4187 §6.3.1").ask(
            |stage, auc| {
                stage.set_amf(auc, Amf::new(OLD));
                let forge = stage.challenge(auc);
                stage.set_amf(auc, Amf::new([0x80, 0]));
                forge.replace(Attribute::Mac(&[1; 16])).unsigned()
            },
            Reaction::ClientError,
        ),
        aka(
            "prefers EAP-AKA', which this peer doesn't have",
            "RFC 9048 §4",
        )
        .ask(
            |stage, auc| {
                stage.set_amf(auc, Amf::new(OLD));
                let forge = stage.challenge(auc).without(Kind::MAC);
                stage.set_amf(auc, Amf::new([0x80, 0]));
                let forge = forge.with(Attribute::Bidding(true));
                stage.sign(&forge.with(Attribute::Mac(&[0; 16])))
            },
            Reaction::Challenge,
        )
        .success(),
        Scenario::new("bids down to EAP-AKA with D = 1", "RFC 9048 §4").ask(
            |stage, auc| {
                stage.method = Method::Aka;
                stage.set_amf(auc, Amf::new(OLD));
                let forge = stage.challenge(auc).without(Kind::MAC);
                stage.set_amf(auc, Amf::new([0x80, 0]));
                let forge = forge.with(Attribute::Bidding(true));
                stage.sign(&forge.with(Attribute::Mac(&[0; 16])))
            },
            Reaction::AuthenticationReject,
        ),
    ]
}

fn repeated() -> Vec<Scenario> {
    let kinds = [
        Kind::RAND,
        Kind::AUTN,
        Kind::KDF_INPUT,
        Kind::CHECKCODE,
        Kind::MAC,
    ];
    let mut scenarios: Vec<_> = kinds
        .into_iter()
        .map(|kind| {
            identified(format!("sends {kind} twice"), "RFC 4187 §6.3.1").ask(
                altered(move |forge| forge.twice(kind)),
                Reaction::ClientError,
            )
        })
        .collect();
    scenarios.push(
        identified("puts AT_RES into a request", "RFC 4187 §10.1").ask(
            altered(|forge| {
                let res = Attribute::Res {
                    bits: 64,
                    value: &[9; 8],
                };
                forge.with(res)
            }),
            Reaction::ClientError,
        ),
    );
    scenarios.push(
        identified("puts AT_COUNTER in the open", "RFC 4187 §10.1").ask(
            altered(|forge| forge.with(Attribute::Counter(1))),
            Reaction::ClientError,
        ),
    );
    scenarios.push(
        identified("puts AT_PADDING in the open", "RFC 4187 §10.12").ask(
            altered(|forge| forge.with(Attribute::Padding { octets: 4 })),
            Reaction::ClientError,
        ),
    );
    scenarios.push(
        identified("sends AT_ENCR_DATA without AT_IV", "RFC 4187 §10.12").ask(
            altered(|forge| {
                let forge = forge.without(Kind::MAC).with(Attribute::EncrData(&[7; 16]));
                forge.with(Attribute::Mac(&[0; 16]))
            }),
            Reaction::ClientError,
        ),
    );
    scenarios.push(
        identified("sends AKA-Challenge without attributes", "RFC 4187 §9.3").ask(
            |stage, _| stage.request(Subtype::Challenge).unsigned(),
            // An EAP-AKA' peer checks AT_KDF first, and here it is missing (RFC 9048 §3.2).
            Reaction::AuthenticationReject,
        ),
    );
    scenarios
}
