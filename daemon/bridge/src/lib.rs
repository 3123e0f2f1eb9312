//! Serves an unmodified wpa_supplicant or eapol_test with the SIM of the key process.
//!
//! Both can use an external SIM through their control socket (`external_sim=1`): they request an
//! authentication there, and derive EAP's keys from CK and IK by themselves. The key process gives
//! CK and IK only to the role `supplicant`, and only if the host has opened that role's socket and
//! the sealed profile consents. The keys pass through the bridge, which wipes them and never writes
//! them anywhere.
//!
//! ```text
//!   wpa_supplicant <--- AF_UNIX datagrams ---> interface ---> sim ---> softsim-keyd
//!        (one socket per network interface)     |     |
//!                                           message finder, a process that connects
//! ```

pub mod args;
pub mod bridge;
pub mod finder;
mod interface;
mod message;
mod sandbox;
mod sim;
