//! The key process, which holds the SIM, answers a fixed table of requests, and talks to no
//! network.
//!
//! # The path of a request
//!
//! ```text
//! serve     a datagram comes in on the socket of a role
//! dispatch  is it known, the role's, in time (rates), of the right shape? which handler?
//! eap, …    the handler: one module for each subject, which takes what it needs of keyd
//! vault     what has to survive is durable before
//! serve     the answers of one pass leave together
//! ```
//!
//! `start` runs first: it opens everything that keyd needs, and then gives up the right to open
//! anything. [`Keyd`] is the whole logic without sockets: octets go in and come out.

mod akma;
mod anchor_socket;
mod application;
pub mod args;
mod certificate;
mod check;
mod command;
mod device;
mod dispatch;
mod eap;
mod event;
mod handshake;
mod identity;
mod keyd;
mod mac_failures;
mod patience;
mod provision;
mod psk;
mod rates;
mod refusal;
pub mod roles;
pub mod serve;
mod sim;
mod start;
mod status;
mod supplicant;
mod transactions;
pub mod users;
pub mod vault;

pub use keyd::{Client, Keyd, Service, StorageFailed};
pub use start::{HEAP, run};
