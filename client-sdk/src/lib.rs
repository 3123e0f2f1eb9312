//! Client SDK of softsim: typed requests to the key process and the network daemon.
//!
//! [`keyd::Connection`] sends requests of [`proto`] to `softsim-keyd`, through the socket of one
//! role. [`netd::Control`] sends commands that need a network to `softsim-netd`. [`paths::Sockets`]
//! says where their sockets are.
//!
//! ```no_run
//! use softsim_client::{keyd::Connection, paths::Sockets, proto::requests::Sign};
//!
//! let mut keyd = Connection::connect(&Sockets::from_env().app)?;
//! let signed = keyd.call(&Sign { context: "telemetry", message: b"21.5 C" })?;
//! # let _ = signed.signature;
//! # Ok::<(), softsim_client::keyd::Error>(())
//! ```

#[cfg(feature = "certificate")]
pub mod certificate;
pub mod keyd;
pub mod netd;
pub mod paths;

pub use softsim_keyd_proto as proto;
pub use softsim_keyd_proto::time;
