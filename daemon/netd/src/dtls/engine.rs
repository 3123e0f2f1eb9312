//! The engine that uses `dimpl`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, SecurityError};

use super::provider::{Session, provider, within, within_self_test};
use super::{Engine, Error, Output, Signer, Trust};

/// The time that a handshake has, with all its retransmissions.
const HANDSHAKE: Duration = Duration::from_secs(40);

/// How often a handshake starts again because the server's cookie has changed.
const MAX_RESTARTS: u8 = 2;

/// The largest certificate of the server. The library panics if one doesn't fit; no datagram can
/// carry this much.
const BUFFER: usize = 64 << 10;

/// A DTLS 1.2 client session.
pub(crate) struct Dimpl {
    session: Arc<Session>,
    certificate: Vec<u8>,
    dtls: Dtls,
    deadline: Instant,
    hello: HelloPhase,
    timeout: Option<Instant>,
    outputs: VecDeque<Output>,
    buffer: Vec<u8>,
}

/// The state of the cookie exchange.
#[derive(Debug)]
enum HelloPhase {
    /// The server may still send a cookie, or another one.
    Cookie {
        answered: Option<Vec<u8>>,
        restarts: u8,
    },
    /// ServerHello was received.
    Over,
}

impl fmt::Debug for Dimpl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dimpl")
            .field("dtls", &self.dtls)
            .field("hello", &self.hello)
            .finish_non_exhaustive()
    }
}

impl Dimpl {
    /// Begins a handshake. `certificate` is the device certificate, in DER.
    pub(crate) fn connect(
        now: Instant,
        certificate: Vec<u8>,
        trust: Trust,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, Error> {
        let session = Session::new(trust, signer);
        let dtls = client(&session, usual_config()?, &certificate, now);
        let mut engine = Self {
            session,
            certificate,
            dtls,
            deadline: now + HANDSHAKE,
            hello: HelloPhase::Cookie {
                answered: None,
                restarts: 0,
            },
            timeout: None,
            outputs: VecDeque::new(),
            buffer: vec![0; BUFFER],
        };
        engine.handle_timeout(now)?;
        Ok(engine)
    }

    /// Calls the library, and collects what it wants done.
    fn drive(
        &mut self,
        call: impl FnOnce(&mut Dtls) -> Result<(), dimpl::Error>,
    ) -> Result<(), Error> {
        let dtls = &mut self.dtls;
        let result = within(&self.session, || call(dtls));
        result.map_err(|error| self.session.take_fault().unwrap_or_else(|| explain(error)))?;
        loop {
            match self.dtls.poll_output(&mut self.buffer) {
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return Ok(());
                }
                dimpl::Output::Packet(datagram) => {
                    self.outputs.push_back(Output::Transmit(datagram.to_vec()))
                }
                dimpl::Output::Connected => self.outputs.push_back(Output::Connected),
                dimpl::Output::ApplicationData(data) => {
                    self.outputs.push_back(Output::Received(data.to_vec()));
                }
                dimpl::Output::CloseNotify => self.outputs.push_back(Output::Closed),
                dimpl::Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                // The provider has verified the certificate when its key was used, and nobody needs
                // keys for SRTP.
                _ => {}
            }
        }
    }

    /// The library answers only the first HelloVerifyRequest. A server that has restarted, or sees
    /// another address of the client, sends another cookie, and the handshake has to start again.
    fn must_start_over(&mut self, datagram: &[u8]) -> bool {
        let HelloPhase::Cookie { answered, restarts } = &mut self.hello else {
            return false;
        };
        match first_message(datagram) {
            Some(FirstMessage::HelloVerifyRequest { cookie }) => match answered {
                None => {
                    *answered = Some(cookie.to_vec());
                    false
                }
                Some(answered_one) if answered_one == cookie => false,
                Some(_) if *restarts == MAX_RESTARTS => false,
                Some(_) => {
                    *answered = None;
                    *restarts += 1;
                    true
                }
            },
            Some(FirstMessage::ServerHello) => {
                self.hello = HelloPhase::Over;
                false
            }
            None => false,
        }
    }
}

impl Engine for Dimpl {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Error> {
        if self.must_start_over(datagram) {
            let left = self.deadline.saturating_duration_since(now);
            let config = Arc::new(config(left.max(Duration::from_secs(1)))?);
            self.dtls = client(&self.session, config, &self.certificate, now);
            return self.drive(|dtls| dtls.handle_timeout(now));
        }
        self.drive(|dtls| {
            dtls.handle_timeout(now)?;
            dtls.handle_packet(datagram)
        })
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.drive(|dtls| dtls.handle_timeout(now))
    }

    fn send(&mut self, data: &[u8]) -> Result<(), Error> {
        self.drive(|dtls| dtls.send_application_data(data).map(drop))
    }

    fn close(&mut self) {
        // A session that can't send close_notify is over all the same.
        let _ = self.drive(Dtls::close);
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }
}

fn client(session: &Arc<Session>, config: Arc<Config>, certificate: &[u8], now: Instant) -> Dtls {
    let certificate = DtlsCertificate {
        certificate: certificate.to_vec(),
        // The provider knows that there is only one key, and which process holds it.
        private_key: Vec::new(),
    };
    within(session, || {
        let mut dtls = Dtls::new_12(config, certificate, now);
        dtls.set_active(true);
        dtls
    })
}

/// Runs the library's check of its parts before the first session. It takes milliseconds.
pub(crate) fn prepare() -> Result<(), Error> {
    usual_config().map(drop)
}

/// The configuration of nearly all sessions.
fn usual_config() -> Result<Arc<Config>, Error> {
    static USUAL: OnceLock<Arc<Config>> = OnceLock::new();
    match USUAL.get() {
        Some(config) => Ok(Arc::clone(config)),
        None => {
            let config = Arc::new(config(HANDSHAKE)?);
            Ok(Arc::clone(USUAL.get_or_init(|| config)))
        }
    }
}

fn config(handshake_timeout: Duration) -> Result<Config, Error> {
    within_self_test(|| {
        Config::builder()
            .with_crypto_provider(provider())
            .handshake_timeout(handshake_timeout)
            .build()
    })
    .map_err(Error::Protocol)
}

fn explain(error: dimpl::Error) -> Error {
    match error {
        dimpl::Error::Timeout(_) => Error::TimedOut,
        dimpl::Error::SecurityError(SecurityError::FatalAlert { description }) => {
            Error::Alert(description)
        }
        other => Error::Protocol(other),
    }
}

/// The handshake message at the start of a datagram of epoch 0, if the engine needs it.
#[derive(Debug, PartialEq, Eq)]
enum FirstMessage<'a> {
    HelloVerifyRequest { cookie: &'a [u8] },
    ServerHello,
}

/// Parses a record header (RFC 6347 §4.1), a handshake header and a HelloVerifyRequest (§4.2.1,
/// §4.2.2).
fn first_message(datagram: &[u8]) -> Option<FirstMessage<'_>> {
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    const HELLO_VERIFY_REQUEST: u8 = 3;
    let (record, message) = datagram.split_at_checked(13)?;
    if record[0] != HANDSHAKE || record[3..5] != [0, 0] {
        return None;
    }
    match *message.first()? {
        SERVER_HELLO => Some(FirstMessage::ServerHello),
        HELLO_VERIFY_REQUEST => {
            // The server's version, the cookie's length and the cookie follow the handshake header.
            let (&length, rest) = message.get(14..)?.split_first()?;
            let cookie = rest.get(..usize::from(length))?;
            Some(FirstMessage::HelloVerifyRequest { cookie })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hello_verify_request(cookie: &[u8]) -> Vec<u8> {
        let body_length = 3 + cookie.len() as u8;
        let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 + body_length];
        datagram.extend([3, 0, 0, body_length, 0, 0, 0, 0, 0, 0, 0, body_length]);
        datagram.extend([0xfe, 0xff, cookie.len() as u8]);
        datagram.extend(cookie);
        datagram
    }

    #[derive(Debug)]
    struct NeverAsked;

    impl Signer for NeverAsked {
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, softsim_client::keyd::Error> {
            unreachable!("no server has been seen")
        }

        fn times(&self) -> Result<softsim_client::proto::Times, softsim_client::keyd::Error> {
            unreachable!("no server has been seen")
        }
    }

    fn transmitted(engine: &mut Dimpl) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        while let Some(output) = engine.poll() {
            if let Output::Transmit(datagram) = output {
                datagrams.push(datagram);
            }
        }
        datagrams
    }

    /// The cookie in a ClientHello without session id.
    fn cookie_of(client_hello: &[u8]) -> &[u8] {
        let rest = &client_hello[13 + 12 + 2 + 32 + 1..];
        &rest[1..1 + usize::from(rest[0])]
    }

    #[test]
    fn a_second_cookie_starts_the_handshake_over_twice_at_most() {
        let now = Instant::now();
        let trust = Trust::new("localhost").unwrap();
        let mut engine = Dimpl::connect(now, vec![0x30, 0], trust, Arc::new(NeverAsked)).unwrap();
        assert_eq!(cookie_of(&transmitted(&mut engine)[0]), b"");

        let mut answer = |cookie: &[u8]| {
            let request = hello_verify_request(cookie);
            engine.handle_datagram(now, &request).unwrap();
            transmitted(&mut engine)
        };
        assert_eq!(cookie_of(&answer(b"first")[0]), b"first");
        for again in answer(b"first") {
            assert_eq!(
                cookie_of(&again),
                b"first",
                "a repeated request changes nothing"
            );
        }
        for cookie in [b"second", b"third."] {
            assert_eq!(cookie_of(&answer(cookie)[0]), b"", "a new handshake");
            assert_eq!(cookie_of(&answer(cookie)[0]), cookie);
        }
        for again in answer(b"fourth") {
            assert_eq!(cookie_of(&again), b"third.", "enough is enough");
        }
    }

    #[test]
    fn truncated_datagrams_are_no_hello_verify_requests() {
        let whole = hello_verify_request(b"cookie");
        let cookie = b"cookie";
        assert_eq!(
            first_message(&whole),
            Some(FirstMessage::HelloVerifyRequest { cookie })
        );
        for length in 0..whole.len() {
            assert_eq!(first_message(&whole[..length]), None, "{length}");
        }
    }
}
