//! What the tests of more than one package share.
//!
//! A package whose tests use this crate and which this crate itself uses has them in `tests/`:
//! a unit test would see its own package twice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test that called it"
)]

pub mod command;
pub mod dice;
pub mod trace;
#[cfg(any(feature = "keyd", feature = "sim"))]
pub mod vector;
pub mod vectors;

#[cfg(feature = "keyd")]
pub mod device;
#[cfg(feature = "keyd")]
pub mod home_network;
#[cfg(feature = "keyd")]
pub mod host;
#[cfg(feature = "keyd")]
pub mod over_the_socket;
#[cfg(feature = "keyd")]
pub mod requests;
#[cfg(feature = "keyd")]
pub mod transcript;
#[cfg(feature = "keyd")]
pub mod walk;

#[cfg(feature = "sim")]
pub mod exchange;
#[cfg(feature = "sim")]
pub mod scene;
#[cfg(feature = "sim")]
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "programs")]
pub mod processes;
