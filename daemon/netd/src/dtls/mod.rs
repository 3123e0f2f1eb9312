//! A sans-IO DTLS 1.2 client with the device certificate. The device key is in another process.
//!
//! [`Trust`] verifies the server's certificate before the client asks [`Signer`] for a signature.
//! The session drives an [`Engine`]; [`Dimpl`] is the only one.

mod engine;
mod provider;
mod trust;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

pub(crate) use engine::{Dimpl, prepare};
use softsim_client::proto::Times;
pub(crate) use trust::{Trust, TrustFault};

/// The holder of the device key.
pub(crate) trait Signer: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Signs CertificateVerify over all handshake messages so far (RFC 5246 §7.4.8): ECDSA with
    /// SHA-256, in DER. It may block for as long as keyd takes.
    fn sign(&self, transcript: &[u8]) -> Result<Vec<u8>, softsim_client::keyd::Error>;

    /// What it knows of the present, at this moment. It may block, too.
    fn times(&self) -> Result<Times, softsim_client::keyd::Error>;
}

/// A DTLS engine. Datagrams and the time go in; datagrams and application data come out.
///
/// After an error, the engine is useless. A new session needs a new engine.
pub(crate) trait Engine: Send {
    /// Takes a datagram of the server.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Error>;

    /// Handles the timers that are due.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error>;

    /// Sends application data, or queues it until the handshake is complete.
    fn send(&mut self, data: &[u8]) -> Result<(), Error>;

    /// Closes the session, if it was ever established.
    fn close(&mut self);

    /// The next thing to do. Each call above may change it.
    fn poll(&mut self) -> Option<Output>;

    /// When to call [`Engine::handle_timeout`], once [`Engine::poll`] returns nothing more.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// What the owner of an engine has to do or to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send this datagram to the server.
    Transmit(Vec<u8>),
    /// The handshake is complete, and the server is authentic.
    Connected,
    /// The server sent application data.
    Received(Vec<u8>),
    /// The server closed the session.
    Closed,
}

/// Why a session ended, or failed to start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server isn't authentic. keyd has not signed.
    #[error("the server's certificate: {0}")]
    Server(#[source] TrustFault),
    /// keyd didn't tell the time.
    #[error("the server's certificate couldn't be judged: {0}")]
    Time(#[source] softsim_client::keyd::Error),
    /// keyd didn't sign.
    #[error("the handshake wasn't signed: {0}")]
    Signature(#[source] softsim_client::keyd::Error),
    /// The server didn't answer in time.
    #[error("the server doesn't answer")]
    TimedOut,
    /// The server refused with this alert (RFC 5246 §7.2.2).
    #[error("the server refused with alert {0} ({name})", name = alert_name(*.0))]
    Alert(u8),
    /// The server broke the protocol.
    #[error("DTLS: {0}")]
    Protocol(#[source] dimpl::Error),
}

/// The meaning of an alert, if a client with a certificate may receive it (RFC 5246 §7.2.2).
fn alert_name(description: u8) -> &'static str {
    match description {
        40 => "handshake_failure: no common cipher suite, or it expected another certificate",
        42 => "bad_certificate: it doesn't take the device certificate",
        43 => "unsupported_certificate: it doesn't take this kind of device certificate",
        44 => "certificate_revoked: the device certificate",
        45 => "certificate_expired: the device certificate",
        46 => "certificate_unknown: it doesn't take the device certificate",
        48 => "unknown_ca: it doesn't trust whoever issued the device certificate",
        49 => "access_denied: it knows the device and lets it do nothing",
        51 => "decrypt_error: the signature or Finished didn't verify",
        70 => "protocol_version: it doesn't speak DTLS 1.2",
        80 => "internal_error: its own fault",
        _ => "see RFC 5246 §7.2.2",
    }
}

#[cfg(test)]
mod tests;
