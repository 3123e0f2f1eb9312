//! The packets of EAP (RFC 3748 §4) and the messages of EAP-AKA and EAP-AKA' in them (RFC 4187 §8,
//! RFC 9048, RFC 9678), for both ends.
//!
//! keyd, which holds the keys, and the peer in netd, which runs the conversation, both parse
//! packets with this code, so that they can't disagree about the contents of one. The crate has no
//! state machine and no key.
//!
//! Parsing is strict, borrows from the packet, allocates nothing and trusts no length. An
//! [`AkaMessage`] exists only if every attribute was parsed. A [`Builder`] builds packets. It
//! leaves AT_MAC zero and remembers its offset, because only the owner of K_aut can fill it in.
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
