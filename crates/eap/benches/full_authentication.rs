//! A whole EAP-AKA' full authentication in memory: peer, SIM and server, identity round to
//! protected success.
#![allow(missing_docs, unreachable_pub, dead_code, unused_imports)]

use criterion::{Criterion, criterion_group, criterion_main};
use softsim_eap::Success;
use softsim_eap_packet::Attribute;
use softsim_testkit::scene::{Challenge, Network, Scene, aka_identity};

fn full_authentication() -> Option<Success> {
    let mut scene = Scene::new();

    let request = aka_identity(1, &[Attribute::AnyIdReq]);
    let step = scene.feed(&request);
    scene.network.round(&request, step.bytes());
    let checkcode = Some(scene.network.checkcode());
    scene.challenge(&Challenge {
        identifier: 2,
        checkcode,
        result_ind: true,
        ..Challenge::default()
    });
    let notification = scene.network.notification(3, 32768);
    scene.feed(&notification);
    scene.success(3).success()
}

fn benches(criterion: &mut Criterion) {
    assert!(full_authentication().is_some());
    criterion.bench_function(
        "EAP-AKA' full authentication: peer, SIM and server",
        |bencher| bencher.iter(full_authentication),
    );
    // The peer's own part: everything up to the SIM, for one challenge.
    let challenge = Network::new().challenge(&Challenge::default());
    criterion.bench_function("EAP-AKA' challenge: peer up to the SIM", |bencher| {
        bencher.iter(|| {
            let mut scene = Scene::new();
            scene.peer.handle_packet(&challenge);
            std::iter::from_fn(|| scene.peer.poll()).count()
        });
    });
}

criterion_group!(group, benches);
criterion_main!(group);
