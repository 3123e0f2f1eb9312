//! The fuzz targets. Each is one function over octets, which returns, or panics if a promise was
//! broken.
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
pub mod records;
pub mod requests;
pub mod tpm;
pub mod vault;
