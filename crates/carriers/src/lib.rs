//! Sans-IO carriers of EAP: RADIUS.

pub mod radius;
