//! EAP over RADIUS (RFC 3579 on RFC 2865): the client that stands in for an authenticator, and a
//! server's half for the lab.
//!
//! Every answer must carry a valid Message-Authenticator, and it is checked before anything else in
//! the answer is believed: a bare Response Authenticator can be forged where the server's answer
//! has no such attribute.

mod client;
mod error;
mod keys;
mod numbers;
mod packet;
mod secret;
mod server;

pub use client::{Answer, Client, SessionLimit, Timeout};
pub use error::Error;
pub use keys::Msk;
pub use numbers::{AttributeType, Code};
pub use packet::Packet;
pub use secret::Secret;
pub use server::Request;

#[cfg(test)]
mod tests;
