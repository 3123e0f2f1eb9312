//! Serves an unmodified wpa_supplicant or eapol_test with the SIM of the key process.
//!
//! Both take a SIM from outside through their control socket (`external_sim=1`): they ask for an
//! authentication there, and make EAP's keys of CK and IK by themselves. The key process gives
//! these to the role `supplicant` only, where the host opened its socket and the sealed profile
//! consents; they pass through here, are wiped, and are never written down.
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
