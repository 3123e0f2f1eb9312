//! What a request costs in memory. Over the socket, with the whole process: the benchmark
//! `process`.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::panic)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Call, MAX_ANSWER, PROTOCOL_VERSION, Role, encode_request};
use softsim_testkit::device::Device;
use softsim_testkit::home_network::{HomeNetwork, IDENTITY};
use softsim_testkit::requests::challenge;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    in_memory(&mut criterion);
    criterion.final_summary();
}

fn encoded(call: &impl Call) -> Vec<u8> {
    encode_request(call, &mut [0; 1024]).unwrap().to_vec()
}

/// Requests with a SQN each that is fresh, one after the other.
fn fresh_requests() -> impl FnMut() -> Vec<u8> {
    let (home, mut sqn) = (HomeNetwork::default(), 0);
    move || {
        sqn += 32;
        encoded(&challenge(&home.challenge(sqn).packet, IDENTITY))
    }
}

fn in_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("in memory");
    for (name, durable) in [
        ("AkaPrimeChallenge", false),
        ("AkaPrimeChallenge, durable", true),
    ] {
        let (mut device, _) = Device::provisioned();
        let mut next = fresh_requests();
        let mut answer = [0; MAX_ANSWER];
        let mut now = Duration::ZERO;
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                &mut next,
                |request| {
                    now += Duration::from_secs(1);
                    let mut netd = device.client(Role::Network);
                    let length = device.keyd.serve(&mut netd, now, request, &mut answer);
                    assert_eq!(answer[..2], [0, 0], "Success");
                    if durable {
                        device.keyd.flush().unwrap();
                    }
                    black_box(length)
                },
                BatchSize::SmallInput,
            );
        });
    }
    let mut device = Device::blank();
    let mut answer = [0; MAX_ANSWER];
    let hello = encoded(&Hello {
        version: PROTOCOL_VERSION,
    });
    let (mut admin, mut now) = (device.client(Role::Admin), Duration::ZERO);
    group.bench_function("Hello", |bencher| {
        bencher.iter(|| {
            now += Duration::from_secs(1);
            device.keyd.serve(&mut admin, now, &hello, &mut answer)
        });
    });
}
