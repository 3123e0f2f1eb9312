//! The key process: holds the SIM, answers a fixed table of requests, talks to no network.
//!
//! # The way of a request
//!
//! ```text
//! serve     a datagram comes in on the socket of a role
//! dispatch  is it known, the role's, in time (rates), of the right shape? which handler?
//! eap, …    the handler: one module for each subject
//! vault     what has to survive is durable before
//! serve     the answers of one pass leave together
//! ```
//!
//! [`start`] is what comes before: it opens everything there is to open and then gives up the right
//! to open anything. [`Keyd`] is the whole of the logic, octets in and octets out, without a
//! socket.

mod akma;
mod application;
pub mod args;
mod command;
mod der;
mod device;
mod dispatch;
mod eap;
mod event;
mod handshake;
mod identity;
mod keyd;
mod provision;
mod psk;
mod rates;
pub mod roles;
pub mod serve;
mod start;
mod status;
mod supplicant;
mod users;
pub mod vault;

pub use keyd::{Client, Keyd, Service, StorageFailed};
pub use start::{HEAP, run};
