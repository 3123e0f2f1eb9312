//! A sans-IO EAP-AKA' peer that asks for AKA and MACs through events.

pub mod packet;
