//! The keeper of a port, a real process on a real cable: its rules, as the program `nft` reads them
//! and as packets meet them; what it relays; and what a netd that was taken over can do with its
//! socket. Needs root.

#![allow(clippy::unwrap_used, clippy::panic)]

mod confinement;
mod frames;
mod hostile;
mod renamed;
mod rules;
mod scene;
