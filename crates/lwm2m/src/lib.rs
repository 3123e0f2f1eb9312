//! A sans-IO LwM2M client: bootstrap, registration, objects, content formats.
//!
//! [`Client`] speaks LwM2M 1.1 (and 1.2 if the server does) over one [`softsim_coap::Endpoint`] per
//! session. It knows neither sockets nor DTLS nor keys. Decrypted datagrams and the time go in;
//! datagrams, the next deadline and [`Event`]s come out.
//!
//! A bootstrap is a transaction. The client keeps the changes of the bootstrap server apart from
//! the accounts in force. They take effect only after Bootstrap-Finish, if they are consistent and
//! the application has made them durable ([`Event::Commit`], [`Client::committed`]). In any other
//! case, the old accounts stay in force.
//!
//! The Software SIM object carries a profile package that is sealed to the key process. The client
//! relays it unopened ([`Event::StagePackage`], [`Client::staged`]).
//!
//! A bootstrap server finishes before it wrote an account, so that the old accounts stay:
//!
//! ```
//! use std::time::Instant;
//!
//! use softsim_coap::{self as coap, Code, Endpoint, Method, Request, Response};
//! use softsim_lwm2m::{Accounts, Client, Config, Output, SecurityMode, ServerRole};
//!
//! const BOOTSTRAP: ServerRole = ServerRole::Bootstrap;
//! let now = Instant::now();
//! let factory = Accounts::factory("coaps://bootstrap.example", SecurityMode::Certificate);
//! let mut client = Client::new(Config::new("gateway-7"), factory.clone(), 1);
//! let mut server = Endpoint::new(coap::Config::default(), 2);
//!
//! // DTLS is established: the client sends its Bootstrap-Request.
//! client.session_opened(now, BOOTSTRAP);
//! let Some(Output::Transmit { datagram, .. }) = client.poll_output() else {
//!     panic!("expected a datagram");
//! };
//! server.handle_datagram(now, &datagram)?;
//! let Some(coap::Event::Request { exchange, request }) = server.poll_event() else {
//!     panic!("expected a request");
//! };
//! assert_eq!((request.path, &request.query[0][..]), (vec!["bs".to_owned()], "ep=gateway-7"));
//! server.respond(now, exchange, Response::new(Code::CHANGED));
//!
//! // Bootstrap-Finish, before the server wrote an account.
//! server.request(now, Request::new(Method::Post, ["bs"]));
//! while let Some(datagram) = server.poll_transmit() {
//!     client.handle_datagram(now, BOOTSTRAP, &datagram);
//! }
//! while let Some(Output::Transmit { datagram, .. }) = client.poll_output() {
//!     server.handle_datagram(now, &datagram)?;
//! }
//! let Some(coap::Event::Response { response, .. }) = server.poll_event() else {
//!     panic!("expected a response");
//! };
//! assert_eq!(response.code, Code::NOT_ACCEPTABLE);
//! assert!(client.is_bootstrapping() && *client.accounts() == factory);
//! # Ok::<_, softsim_coap::FormatError>(())
//! ```

mod accounts;
mod answer;
mod bootstrap;
mod client;
mod config;
mod content;
mod event;
mod management;
mod objects;
mod path;
mod registration;
mod shared;
mod sim;
mod staging;
mod value;

pub use accounts::{
    AccountKey, Accounts, Inconsistency, SecurityAccount, SecurityMode, ServerAccount,
};
pub use client::Client;
pub use config::{Config, Version};
pub use content::{ContentError, ContentFormat};
pub use event::{BootstrapFailure, Event, Output, RegistrationFailure, ServerRole};
pub use objects::Device;
pub use path::Path;
pub use sim::{Algorithm, SimResult, SimState, SlotState};
pub use value::{Instance, Instances, Kind, Resource, Value};

/// The content formats as functions, for servers and tools that talk to this client.
pub mod codec {
    pub use crate::content::{decode, encode};
    pub use crate::objects::{
        DEVICE, Object, Operations, ResourceDefinition, SECURITY, SERVER, SIM,
    };
}
