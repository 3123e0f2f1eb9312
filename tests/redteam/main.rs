//! The red team: root, without injecting code, searches keyd and netd for keyd's secrets.
//!
//! Each method must first find the same secrets in a [`control`] process, which keeps them in
//! ordinary memory. `cargo xtask redteam` prints which secrets were found, and how often.

#![allow(clippy::unwrap_used, clippy::panic)]

mod control;
mod cores;
mod intruder;
mod memory;
mod registers;
mod search;
mod secrets;
mod target;
