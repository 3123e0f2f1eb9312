//! The packets of EAP (RFC 3748 §4) and the messages of EAP-AKA and EAP-AKA' in them (RFC 4187 §8,
//! RFC 9048, RFC 9678), for both ends.
//!
//! keyd, which holds the keys, and the peer in netd, which holds the conversation, read each packet
//! by this code, so that they can't disagree about what stands in one. There is no state machine
//! and no key here.
//!
//! Reading is strict, borrows from the packet and allocates nothing; no length is trusted. An
//! [`AkaMessage`] is one whose every attribute was read. Writing goes through [`Builder`], which
//! leaves AT_MAC zero and remembers where it stands, because only the owner of K_aut can fill it
//! in.
//!
//! ```text
//! octets --Packet::parse--> Packet --Packet::aka--> AkaMessage --attributes--> Attribute
//! AT_ENCR_DATA, decrypted --Attributes::of_encrypted--> Attribute
//! ```
#![no_std]

extern crate alloc;

mod attribute;
mod attributes;
mod build;
mod encrypted;
mod error;
mod kind;
mod message;
mod packet;

pub use attribute::Attribute;
pub use attributes::Attributes;
pub use build::{Builder, Draft};
pub use encrypted::{build_encrypted, parse_encrypted};
pub use error::{AkaError, PacketError};
pub use kind::Kind;
pub use message::{AkaMessage, Notification, Subtype};
pub use packet::{Code, Packet, Type, failure, success, typed};

#[cfg(test)]
mod tests;
