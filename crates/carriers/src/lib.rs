//! Sans-IO carriers of EAP: EAPOL on a wired LAN, and RADIUS.

pub mod eapol;
pub mod radius;
