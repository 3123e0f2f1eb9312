//! The endpoint as its users and its peers see it: one module for each behaviour.
#![allow(clippy::unwrap_used, clippy::panic)]

mod blockwise;
mod common;
mod hostile;
mod lossy_link;
mod message_layer;
mod observe;
