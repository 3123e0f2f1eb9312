//! The network daemon: LwM2M bootstrap and EAP-AKA' through the key process.

pub mod dtls;
