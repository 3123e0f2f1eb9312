//! What the fuzzers run, and what replays their seeds: each target is one function over octets that
//! returns, or panics where a promise was broken.
//!
//!     cargo +nightly fuzz run --features libfuzzer requests fuzz/seeds/requests
//!
//! `tests/seeds.rs` replays the seeds on a stable toolchain.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a target tells what it found"
)]

pub mod eap_packet;
pub mod eap_peer;
#[path = "../../daemon/keyd/tests/keyd/fixture.rs"]
#[allow(dead_code, reason = "shared with keyd's own tests")]
mod fixture;
#[path = "../../daemon/keyd/tests/keyd/home_network.rs"]
#[allow(dead_code, reason = "shared with keyd's own tests")]
mod home_network;
mod memory;
pub mod package;
pub mod policies;
pub mod requests;
pub mod vault;
