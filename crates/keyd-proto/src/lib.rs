//! The request table of `softsim-keyd` and its wire format.
//!
//! This crate defines everything that a client can say to the key process. [`requests`] lists each
//! request, with its documentation, the roles that may make it, its size limit, and whether it may
//! be repeated. The role files under `policies/roles/` can only restrict this table.
//!
//! # Wire format
//!
//! One `SOCK_SEQPACKET` datagram is one message, and keyd answers each request with one message, in
//! order; it answers [`requests::Wait`] when there is something to tell. A request is one octet
//! with its [`RequestKind`], followed by its fields in postcard. An answer is either the octet 0,
//! followed by the request's answer in postcard, or the octet 1, followed by a [`Refusal`] in
//! postcard. A message with octets after the last field is malformed.

mod answers;
mod refusal;
pub mod requests;
mod role;
mod secret;
pub mod time;
mod wire;

pub use answers::*;
pub use refusal::{
    AutnFault, HandshakeFault, PackageFault, PacketFault, Refusal, Room, TransactionFault,
};
pub use requests::{Call, RequestKind};
pub use role::Role;
pub use secret::{SecretBytes, SecretSlice};
pub use softsim_eap_types::{Group, IdentityKind, IdentityRequest, Method, Realm};
pub use wire::{
    WireError, decode_answer, decode_request, encode_answer, encode_request, is_refusal, kind_of,
};

/// The version of the protocol. keyd refuses a [`requests::Hello`] with another one.
pub const PROTOCOL_VERSION: u16 = 3;

/// The longest request of all, in octets: the transcript of a DTLS handshake.
pub const MAX_REQUEST: usize = 16 << 10;

/// The longest answer, in octets.
pub const MAX_ANSWER: usize = 16 << 10;

/// How many session handles one connection may hold.
pub const MAX_HANDLES: usize = 4;
