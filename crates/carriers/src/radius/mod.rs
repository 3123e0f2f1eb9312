//! EAP over RADIUS (RFC 3579 on RFC 2865): a client that takes the authenticator's place, and the
//! server's side for the lab.
//!
//! Every answer must carry a valid Message-Authenticator, which the client verifies before it uses
//! anything else in the answer. Without that attribute, an attacker can forge the Response
//! Authenticator (CVE-2024-3596).
//!
//! One round with a server that challenges, and accepts:
//!
//! ```
//! use std::time::Instant;
//!
//! use softsim_carriers::radius::{Answer, Client, Msk, Request, Secret};
//!
//! let secret = || Secret::new(b"xyzzy5461".to_vec());
//! let mut client = Client::new(secret()?, "gateway-7")?;
//! let identity = b"\x02\x01\x00\x0a\x01alice";
//!
//! // A real client takes 16 new random octets as authenticator of each request.
//! let datagram = client.request(Instant::now(), [1; 16], identity)?;
//! let request = Request::parse(&datagram, &secret()?)?;
//! assert_eq!((&request.user_name[..], &request.eap[..]), (&b"alice"[..], &identity[..]));
//! let challenge = request.challenge(&secret()?, &[1, 2, 0, 6, 50, 1], b"state")?;
//! let Answer::Challenge { eap } = client.handle(&challenge)? else {
//!     panic!("expected a challenge");
//! };
//! assert_eq!(eap, [1, 2, 0, 6, 50, 1]);
//!
//! // The client gives the State back, and takes the MSK out of the accept.
//! let datagram = client.request(Instant::now(), [2; 16], &[2, 2, 0, 6, 50, 1])?;
//! let request = Request::parse(&datagram, &secret()?)?;
//! assert_eq!(request.state.as_deref(), Some(&b"state"[..]));
//! let accept = request.accept(&secret()?, &[3, 2, 0, 4], Some(&Msk::new([7; 64])), 1)?;
//! let Answer::Accept { msk: Some(msk), .. } = client.handle(&accept)? else {
//!     panic!("expected an accept with an MSK");
//! };
//! assert_eq!(msk.expose(), &[7; 64]);
//!
//! // An answer that was made with another secret changes nothing.
//! client.request(Instant::now(), [3; 16], identity)?;
//! let forged = request.accept(&Secret::new(b"guessed".to_vec())?, &[3, 2, 0, 4], None, 2)?;
//! assert!(client.handle(&forged).is_err());
//! # Ok::<_, softsim_carriers::radius::Error>(())
//! ```

mod client;
mod error;
mod keys;
mod numbers;
mod packet;
mod secret;
mod server;
mod servers;

pub use client::{Answer, Client, Probe, SessionLimit, Silence, Timeout};
pub use error::Error;
pub use keys::Msk;
pub use numbers::{AttributeType, Code};
pub use packet::Packet;
pub use secret::Secret;
pub use server::{Request, StatusRequest};
pub use servers::Servers;

#[cfg(test)]
mod tests;
