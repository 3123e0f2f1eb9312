//! The cost of AKA: Milenage and TUAK, compared with the block encryptions and permutations that
//! they need at least, and the EAP key schedule.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use criterion::{Criterion, criterion_group, criterion_main};
use softsim_aka::agreement::{Group, PrivateKey};
use softsim_aka::eap::{AkaKeys, AkaPrimeKeys, MacKey};
use softsim_aka::kdf::{NetworkName, ck_ik_prime};
use softsim_aka::{
    AlgorithmSet, Amf, Ck, CkPrime, Ik, IkPrime, K, K256, KAut, Milenage, Opc, Rand, Sqn, SqnXorAk,
    Topc, Tuak, TuakKey, TuakParameters,
};

/// One key schedule, and TEMP twice with OUT1 to OUT4: what the USIM computes for one AUTN.
fn milenage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("milenage");
    let (k, opc, rand) = (
        K::new([0x46; 16]),
        Opc::new([0xcd; 16]),
        Rand::new([0x23; 16]),
    );
    group.bench_function("f1 to f5", |b| {
        b.iter(|| {
            let milenage = Milenage::new(black_box(&k), &opc);
            let output = milenage.f2345(black_box(&rand));
            let mac = milenage.f1(
                &rand,
                output.ak.reveal(SqnXorAk::new([0; 6])),
                Amf::new([0x80, 0]),
            );
            black_box((output, mac))
        });
    });
    group.bench_function("floor: one key schedule, six AES-128 blocks", |b| {
        b.iter(|| {
            let kernel = Aes128::new(black_box(k.as_bytes()).into());
            let mut block = (*black_box(rand.as_bytes())).into();
            (0..6).for_each(|_| kernel.encrypt_block(&mut block));
            black_box(block)
        });
    });
    let prepared = Milenage::new(&k, &opc);
    group.bench_function("f1 alone, key schedule made", |b| {
        b.iter(|| prepared.f1(black_box(&rand), Sqn::default(), Amf::new([0x80, 0])));
    });
    group.finish();
}

/// Two permutations: what the USIM computes for one AUTN, with the shorter and the longer K.
fn tuak(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tuak");
    let (topc, rand) = (Topc::new([0xbd; 32]), Rand::new([0x42; 16]));
    let keys = [
        ("128", TuakKey::K(K::new([0xab; 16]))),
        ("256", TuakKey::K256(K256::new([0xab; 32]))),
    ];
    for (bits, k) in &keys {
        group.bench_function(format!("f1 to f5, K of {bits} bits"), |b| {
            b.iter(|| {
                let tuak = Tuak::new(black_box(k), &topc, TuakParameters::default());
                let output = tuak.f2345(black_box(&rand));
                let mac = tuak.f1(
                    &rand,
                    output.ak.reveal(SqnXorAk::new([0; 6])),
                    Amf::new([0x80, 0]),
                );
                black_box((output, mac))
            });
        });
    }
    group.bench_function("floor: two permutations", |b| {
        let keccak = keccak::Keccak::new();
        b.iter(|| {
            let mut lanes = black_box([0x42; 25]);
            keccak.with_f1600(|f1600| (0..2).for_each(|_| f1600(&mut lanes)));
            black_box(lanes)
        });
    });
    group.finish();
}

fn key_schedule(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("eap-aka-prime");
    let wlan = NetworkName::new(b"WLAN").unwrap();
    let (ck, ik) = (Ck::new([1; 16]), Ik::new([2; 16]));
    group.bench_function("CK' and IK'", |b| {
        b.iter(|| ck_ik_prime(black_box(&ck), &ik, wlan, SqnXorAk::new([3; 6])));
    });
    let (ck_prime, ik_prime) = (CkPrime::new([1; 16]), IkPrime::new([2; 16]));
    let identity = b"6001010000000000@wlan.mnc001.mcc001.3gppnetwork.org";
    group.bench_function("K_encr to MSK", |b| {
        b.iter(|| AkaPrimeKeys::derive(black_box(&ck_prime), &ik_prime, identity));
    });
    let (k_aut, challenge) = (MacKey::from(KAut::new([4; 32])), [0x5a; 208]);
    group.bench_function("AT_MAC of 208 octets", |b| {
        b.iter(|| black_box(&k_aut).at_mac(&challenge, &[]))
    });
    group.finish();
    criterion.bench_function("eap-aka/MK to EMSK", |b| {
        b.iter(|| AkaKeys::derive(black_box(&ck), &ik, identity));
    });
}

/// A fresh key, and the secret shared by it: what forward secrecy adds, and what a SUCI takes.
fn key_agreement(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("key agreement");
    for group in [Group::X25519, Group::P256] {
        let theirs = PrivateKey::from_octets(group, &[7; 32])
            .unwrap()
            .public_key();
        bench.bench_function(format!("{group:?}"), |b| {
            b.iter(|| {
                let ours = PrivateKey::from_octets(group, black_box(&[9; 32])).unwrap();
                (ours.public_key(), ours.agree(theirs.as_bytes()).unwrap())
            });
        });
    }
    bench.finish();
}

criterion_group!(benches, milenage, tuak, key_schedule, key_agreement);
criterion_main!(benches);
