//! The request table of `softsim-keyd` and its wire format.
//!
//! This crate is the whole conversation that the key process allows: each request stands once in
//! [`requests`], with its documentation, the roles that may hold it, its size limit and whether it
//! may be repeated. The role files under `policies/roles/` can only take away from it.
//!
//! # Wire format
//!
//! One `SOCK_SEQPACKET` datagram is one message, and each request is answered by one message, in
//! order. A request is one octet with its [`RequestKind`] and the postcard form of its fields. An
//! answer is one octet, 0 with the postcard form of the request's answer or 1 with that of a
//! [`Refusal`]. Octets behind the last field are malformed.

mod answers;
mod refusal;
pub mod requests;
mod role;
mod secret;
mod wire;

pub use answers::*;
pub use refusal::{
    AutnFault, HandshakeFault, PackageFault, PacketFault, Refusal, TransactionFault,
};
pub use requests::{Call, RequestKind};
pub use role::Role;
pub use secret::{SecretBytes, SecretSlice};
pub use softsim_eap_types::{Group, IdentityKind, IdentityRequest, Method, Realm};
pub use wire::{
    WireError, decode_answer, decode_request, encode_answer, encode_request, is_refusal, kind_of,
};

/// Version of the conversation; [`requests::Hello`] is refused when it differs.
pub const PROTOCOL_VERSION: u16 = 1;

/// The longest request of all, in octets: the transcript of a DTLS handshake.
pub const MAX_REQUEST: usize = 16 << 10;

/// The longest answer, in octets.
pub const MAX_ANSWER: usize = 16 << 10;

/// How many session handles one connection may hold.
pub const MAX_HANDLES: usize = 4;
