//! Synchronisation failure (RFC 4187 §6.3.1, RFC 9048 §3.2).

use softsim_eap::{Outcome, Reason, Unprocessable};
use softsim_eap_packet::{Packet, Subtype};
use softsim_testkit::scene::*;

fn behind(kdfs: &[u16]) -> (Scene, Step) {
    let mut scene = Scene::new();
    scene.sim.usim = up_to(0x1000);
    let step = scene.challenge(&Challenge {
        kdfs: kdfs.to_vec(),
        ..Challenge::default()
    });
    (scene, step)
}

#[test]
fn a_stale_sqn_is_answered_with_auts_and_the_list_of_functions_and_no_mac() {
    let (scene, step) = behind(&[1, 2]);
    assert_eq!(
        step.response(),
        (
            Subtype::SynchronizationFailure,
            "AT_AUTS AT_KDF AT_KDF".to_owned()
        )
    );
    let response = Packet::parse(step.bytes()).unwrap().aka().unwrap();
    assert!(response.kdfs().eq([1, 2]));
    assert_eq!(scene.sim.usim, up_to(0x1000));
}

#[test]
fn auts_brings_the_network_up_to_date_and_the_next_challenge_succeeds() {
    let (mut scene, step) = behind(&[1]);
    let auts = *Packet::parse(step.bytes())
        .unwrap()
        .aka()
        .unwrap()
        .auts()
        .unwrap();
    assert!(scene.network.resynchronise(&auts));
    let step = scene.challenge(&Challenge {
        identifier: 11,
        ..Challenge::default()
    });
    assert_eq!(step.response().1, "AT_RES AT_MAC");
    assert!(scene.success(11).succeeded());
}

#[test]
fn the_list_of_the_negotiation_is_copied_with_the_choice_in_front() {
    let mut scene = Scene::new();
    scene.sim.usim = up_to(0x1000);
    scene.challenge(&Challenge {
        kdfs: vec![2, 1],
        ..Challenge::default()
    });
    let step = scene.challenge(&Challenge {
        identifier: 11,
        kdfs: vec![1, 2, 1],
        ..Challenge::default()
    });
    assert_eq!(step.response().0, Subtype::SynchronizationFailure);
    let response = Packet::parse(step.bytes()).unwrap().aka().unwrap();
    assert!(response.kdfs().eq([1, 2, 1]));
}

#[test]
fn another_list_in_the_next_challenge_counts_as_a_wrong_mac() {
    let (mut scene, _) = behind(&[1, 2]);
    let step = scene.challenge(&Challenge {
        identifier: 11,
        kdfs: vec![1],
        ..Challenge::default()
    });
    assert!(step.is_client_error() && scene.sim.runs == 1);
    assert_eq!(
        scene.failure(11).done,
        [Outcome::Failure(Reason::Unprocessable(
            Unprocessable::KdfListChanged
        ))]
    );
}

#[test]
fn a_server_that_never_catches_up_is_left_after_four_challenges() {
    let (mut scene, _) = behind(&[1]);
    for identifier in 11..14 {
        let step = scene.challenge(&Challenge {
            identifier,
            ..Challenge::default()
        });
        assert_eq!(step.response().0, Subtype::SynchronizationFailure);
    }
    let step = scene.challenge(&Challenge {
        identifier: 14,
        ..Challenge::default()
    });
    assert!(step.is_client_error() && scene.sim.runs == 4);
}

#[test]
fn success_after_a_synchronisation_failure_is_discarded() {
    let (mut scene, _) = behind(&[1]);
    assert!(scene.success(10).is_silence());
    assert!(scene.failure(10).is_silence());
}
