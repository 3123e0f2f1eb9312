//! DTLS 1.2 as a client with the device certificate, sans-IO, with the device key in another
//! process.
//!
//! [`Trust`] judges the server's certificate before [`Signer`] is asked for anything; [`Engine`] is
//! what the session drives. [`Dimpl`] is the one engine there is.

mod engine;
mod provider;
mod trust;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

pub(crate) use engine::{Dimpl, prepare};
pub(crate) use trust::{Trust, TrustFault};

/// The holder of the device key.
pub(crate) trait Signer: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// The signature of CertificateVerify over all handshake messages so far (RFC 5246 §7.4.8):
    /// ECDSA with SHA-256, DER. May block for as long as keyd takes.
    fn sign(&self, transcript: &[u8]) -> Result<Vec<u8>, softsim_client::keyd::Error>;
}

/// A DTLS engine: datagrams and the time go in, datagrams and what they carried come out.
///
/// After an error the engine is of no further use; a new session needs a new one.
pub(crate) trait Engine: Send {
    /// Takes a datagram of the server's.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Error>;

    /// Tells the engine that it is the time of [`Engine::poll_timeout`].
    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error>;

    /// Sends application data; before the handshake is complete it waits for that.
    fn send(&mut self, data: &[u8]) -> Result<(), Error>;

    /// Closes the session, if it was ever established.
    fn close(&mut self);

    /// What is to be done next; the answer changes with each call above.
    fn poll(&mut self) -> Option<Output>;

    /// When to call [`Engine::handle_timeout`], once [`Engine::poll`] has nothing more.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// What an engine wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send this datagram to the server.
    Transmit(Vec<u8>),
    /// The handshake is complete: the server is who it should be.
    Connected,
    /// Application data of the server.
    Received(Vec<u8>),
    /// The server closed the session.
    Closed,
}

/// Why a session ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server is not who it should be; keyd was not asked to sign.
    #[error("the server's certificate: {0}")]
    Server(#[source] TrustFault),
    /// keyd didn't sign.
    #[error("the handshake wasn't signed: {0}")]
    Signature(#[source] softsim_client::keyd::Error),
    /// The server didn't answer in time.
    #[error("the server doesn't answer")]
    TimedOut,
    /// The server refused with this alert (RFC 5246 §7.2.2).
    #[error("the server refused with alert {0} ({name})", name = alert_name(*.0))]
    Alert(u8),
    /// The handshake or a record broke the protocol.
    #[error("DTLS: {0}")]
    Protocol(#[source] dimpl::Error),
}

/// What an alert says, for those that a client with a certificate meets (RFC 5246 §7.2.2).
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
