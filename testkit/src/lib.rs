//! Code that the tests of several packages share. Each feature enables the modules that depend on
//! it.
//!
//! - `vectors` reads `tests/vectors/`, `dice` makes random tests reproducible, and `command` and
//!   `trace` observe a program. `manual` holds the manual against the programs.
//! - `home_network`, of `sim` and `keyd`, makes challenges and the messages after them, which a
//!   test can alter.
//! - `sim`: the module `sim` answers the peer. The peer talks to the lab's server in an `exchange`,
//!   or to the home network in a `scene`.
//! - `keyd`: a `device` is keyd in memory; a `host` runs the program, which `over_the_socket`
//!   enrols. `requests` asks both, and `walk` is a hostile netd.
//! - `clap`: `manual` also generates pages and completions.
//! - `programs`: `processes` is for the tests that run all programs in the lab's harness.
//!
//! A package on which this crate depends can use this crate in `tests/`. Its unit tests can use
//! only `manual` and `vectors`, because they would have two copies of their own package's types.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test that called it"
)]

pub mod command;
pub mod dice;
pub mod manual;
pub mod trace;
pub mod vectors;

#[cfg(any(feature = "keyd", feature = "sim"))]
pub mod home_network;

#[cfg(feature = "keyd")]
pub mod device;
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
