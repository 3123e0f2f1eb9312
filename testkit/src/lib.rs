//! What the tests of several packages share. Each feature brings what its modules need.
//!
//! - `vectors` reads `tests/vectors/`; with `dice`, a test of chance can be repeated; `command` and
//!   `trace` watch a program.
//! - `sim`: the `sim` answers the peer. It talks to the lab's server in an `exchange`, or in a
//!   `scene` to a home network that a test can bend.
//! - `keyd`: a `device` is keyd in memory, a `host` runs the program, which `over_the_socket`
//!   enrols. The `home_network` challenges both, and the `walk` is a hostile netd.
//! - `programs`: `processes` is for the tests that run all programs in the lab's harness.
//!
//! A package that this crate itself uses may use it in `tests/`. Its unit tests may read `vectors`,
//! but no more: they would see their own package's types twice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test that called it"
)]

pub mod command;
pub mod dice;
pub mod trace;
pub mod vectors;

#[cfg(any(feature = "keyd", feature = "sim"))]
pub mod authentication_vector;

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
