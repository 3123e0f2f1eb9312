//! The port keeper, a real process on a real cable: its rules, as `nft` lists them and as they act
//! on packets; what it relays; and what a netd that was taken over can do with its socket. This
//! needs root.

#![allow(clippy::unwrap_used, clippy::panic)]

mod confinement;
mod frames;
mod hostile;
mod renamed;
mod rules;
mod scene;
mod service;
