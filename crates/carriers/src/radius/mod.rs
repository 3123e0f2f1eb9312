//! EAP over RADIUS (RFC 3579 on RFC 2865): a client that takes the authenticator's place, and the
//! server's side for the lab.
//!
//! Every answer must carry a valid Message-Authenticator, which the client verifies before it uses
//! anything else in the answer. Without that attribute, an attacker can forge the Response
//! Authenticator (CVE-2024-3596).

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
