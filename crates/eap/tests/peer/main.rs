//! The peer's requirements of RFC 9048, RFC 4187, RFC 9678 and RFC 3748, tested with a SIM and a
//! network that share a key.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, missing_docs)]

mod aka;
mod challenge;
mod forward_secrecy;
mod history;
mod identity;
mod lossy;
mod malformed;
mod notification;
mod other_methods;
mod properties;
mod reauthentication;
mod result;
mod synchronisation;
mod vectors;
