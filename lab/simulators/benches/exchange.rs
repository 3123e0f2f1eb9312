//! A whole EAP-AKA' authentication in memory: peer, SIM, server and AuC, six packets, no socket.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use softsim_eap::Outcome;
use softsim_lab_simulators::eap_server::Config;
use softsim_testkit::exchange::converse;
use softsim_testkit::sim::{Sim, home};

fn full_authentication(criterion: &mut Criterion) {
    let (mut sim, mut home) = (Sim::new(0), home());
    criterion.bench_function("EAP-AKA' full authentication, both sides in memory", |b| {
        b.iter(|| {
            let end = converse(Config::default(), &mut home, &mut sim, |_, _| ());
            assert!(matches!(end.peer, Some(Outcome::Success(_))));
            assert!(matches!(end.server, Some(Ok(_))));
            assert_eq!(end.packets, 6);
        });
    });
}

criterion_group!(benches, full_authentication);
criterion_main!(benches);
