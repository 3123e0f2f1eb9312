//! A sans-IO CoAP message layer with block-wise transfer and observe.
//!
//! [`Endpoint`] is one side of a conversation with one peer, client and server at once: datagrams
//! and the time go in, datagrams, the next deadline and [`Event`]s come out. It implements the
//! message layer of RFC 7252 (confirmable messages, deduplication, separate responses), block-wise
//! transfer in both directions (RFC 7959) and both sides of observe (RFC 7641). It has no clock and
//! no socket, and keeps bounded state whatever a peer sends.
//!
//! Driving it:
//! 1. feed it with [`Endpoint::handle_datagram`], [`Endpoint::handle_timeout`],
//!    [`Endpoint::request`], …;
//! 2. after each of these, drain [`Endpoint::poll_transmit`] and [`Endpoint::poll_event`];
//! 3. then sleep until [`Endpoint::poll_timeout`] or the next datagram.

mod block;
mod client;
mod config;
mod endpoint;
mod layer;
mod message;
mod random;
mod reliability;
mod server;
mod types;

pub use block::BlockSize;
pub use config::{Config, EXCHANGE_LIFETIME};
pub use endpoint::Endpoint;
pub use message::FormatError;
pub use types::{
    Code, Event, ExchangeId, FailureReason, Method, Observe, Reliability, Request, Response, Token,
};
