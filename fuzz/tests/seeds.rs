//! Replays every seed of the fuzzers, and what they have found.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    let seeds: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|seed| seed.unwrap().path())
        .collect();
    assert!(!seeds.is_empty(), "{target} has seeds");
    for seed in seeds {
        println!("{}", seed.display());
        run(&fs::read(seed).unwrap());
    }
}

#[test]
fn requests() {
    replay("requests", softsim_fuzz::requests::run);
}

#[test]
fn packages() {
    replay("package", softsim_fuzz::package::run);
}

#[test]
fn vault_files() {
    replay("vault", softsim_fuzz::vault::run);
}

#[test]
fn files_of_records() {
    replay("records", softsim_fuzz::records::run);
}

#[test]
fn policy_files() {
    replay("policies", softsim_fuzz::policies::run);
}

#[test]
fn eap_packets() {
    replay("eap_packet", softsim_fuzz::eap_packet::run);
}

#[test]
fn eap_conversations() {
    replay("eap_peer", softsim_fuzz::eap_peer::run);
}

#[test]
fn responses_of_a_tpm() {
    replay("tpm", softsim_fuzz::tpm::run);
}
