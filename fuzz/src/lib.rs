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
mod memory;
pub mod package;
pub mod policies;
pub mod requests;
pub mod vault;
