//! What the tests of more than one package share.
//!
//! A package whose tests use this crate and which this crate itself uses has them in `tests/`:
//! a unit test would see its own package twice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test that called it"
)]

pub mod exchange;
pub mod sim;
