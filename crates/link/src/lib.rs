//! The kernel interfaces of netd's port keeper: frames of one EtherType and the state of an
//! interface ([`ethernet`]), and the rules of a controlled port ([`netfilter`]).
//!
//! The port keeper opens each socket before it is confined. `policies/seccomp/port-keeper.json`
//! lists the system calls that this crate makes afterwards.
//!
//! The public interface is safe.

pub mod ethernet;
pub mod netfilter;

mod netlink;
