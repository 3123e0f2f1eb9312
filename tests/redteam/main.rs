//! The red team: root, without injecting code, looks for the secrets of keyd in keyd and in netd.
//!
//! Each way of looking is first shown to find: on a [`control`] process that holds the same secrets
//! in ordinary memory. `cargo xtask redteam` prints what was found how often.

#![allow(clippy::unwrap_used, clippy::panic)]

mod control;
mod cores;
mod intruder;
mod memory;
mod registers;
mod search;
mod secrets;
mod target;
