//! The endpoint's interface, towards its user and its peer, with one module for each behaviour.
#![allow(clippy::unwrap_used, clippy::panic)]

mod blockwise;
mod common;
mod hostile;
mod lossy_link;
mod message_layer;
mod observe;
