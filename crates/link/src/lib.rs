//! What the keeper of a wired port asks the kernel: the frames of one EtherType and the state of
//! an interface ([`ethernet`]), and the rules of a controlled port ([`netfilter`]).
//!
//! The keeper opens each socket before it is confined. What this crate calls afterwards is in
//! `policies/seccomp/port-keeper.json`.
//!
//! The public interface is safe.

pub mod ethernet;
pub mod netfilter;

mod netlink;
