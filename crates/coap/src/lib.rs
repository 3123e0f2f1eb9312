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
//!
//! A client and a server whose first request gets lost:
//!
//! ```
//! use std::time::Instant;
//!
//! use softsim_coap::{Code, Config, Endpoint, Event, Method, Request, Response};
//!
//! let mut now = Instant::now();
//! let mut client = Endpoint::new(Config::default(), 1);
//! let mut server = Endpoint::new(Config::default(), 2);
//!
//! let asked = client.request(now, Request::new(Method::Get, ["temperature"]));
//! let lost = client.poll_transmit().unwrap();
//! assert_eq!(client.poll_transmit(), None);
//!
//! // Nothing answers, so the client repeats its message when its timer runs out.
//! now = client.poll_timeout().unwrap();
//! client.handle_timeout(now);
//! let repeated = client.poll_transmit().unwrap();
//! assert_eq!(repeated, lost);
//!
//! server.handle_datagram(now, &repeated)?;
//! let Some(Event::Request { exchange, request }) = server.poll_event() else {
//!     panic!("expected a request");
//! };
//! assert_eq!(request.path, ["temperature"]);
//! server.respond(now, exchange, Response::content(0, "21 °C"));
//!
//! while let Some(datagram) = server.poll_transmit() {
//!     client.handle_datagram(now, &datagram)?;
//! }
//! let Some(Event::Response { token, response }) = client.poll_event() else {
//!     panic!("expected a response");
//! };
//! assert_eq!((token, response.code), (asked, Code::CONTENT));
//! assert_eq!(response.payload, "21 °C".as_bytes());
//! # Ok::<_, softsim_coap::FormatError>(())
//! ```

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
