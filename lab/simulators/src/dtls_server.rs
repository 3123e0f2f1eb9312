//! A DTLS 1.2 server over UDP that accepts only clients with a certificate of the lab's authority.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::crypto::{Dtls12CipherSuite, rust_crypto};
use dimpl::{CertificateError, Config, Dtls, DtlsCertificate, Error, Output};
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

use crate::pki::{Credentials, PkiError, verify_client};

/// The number of peers at a time. Another peer replaces the one that was silent for the longest
/// time.
const MAX_PEERS: usize = 64;

/// The size of the buffer, in which a whole certificate must fit.
const BUFFER: usize = 64 << 10;

/// An event at the server's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtlsEvent {
    /// The handshake is complete, and the client's certificate is valid.
    Connected {
        /// The client's address.
        peer: SocketAddr,
        /// The common name of its certificate.
        identity: String,
    },
    /// The handshake failed.
    Refused {
        /// The client's address.
        peer: SocketAddr,
        /// Why not.
        reason: Refused,
    },
    /// The client sent a datagram.
    Data {
        /// The client's address.
        peer: SocketAddr,
        /// What it sent.
        datagram: Vec<u8>,
    },
    /// The session is over.
    Closed {
        /// The client's address.
        peer: SocketAddr,
    },
}

/// Why a client got no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It showed no certificate.
    #[error("expected a client certificate, got none")]
    NoCertificate,
    /// Its certificate isn't valid.
    #[error("client certificate: {0}")]
    Certificate(#[source] PkiError),
    /// The handshake failed or took too long.
    #[error("handshake: {0}")]
    Handshake(String),
}

/// A DTLS server with its sessions, one for each address.
pub struct DtlsServer {
    socket: UdpSocket,
    config: Arc<Config>,
    certificate: DtlsCertificate,
    client_authority: Vec<u8>,
    sessions: HashMap<SocketAddr, Session>,
    events: VecDeque<DtlsEvent>,
    datagram: Vec<u8>,
    /// The buffer for the engines' outputs.
    output: Vec<u8>,
}

impl DtlsServer {
    /// Opens a server with `credentials` at `address`, for clients that `client_authority`
    /// certified.
    pub async fn bind(
        address: SocketAddr,
        credentials: &Credentials,
        client_authority: &[u8],
    ) -> io::Result<Self> {
        let config = Config::builder()
            .with_crypto_provider(rust_crypto::default_provider())
            .dtls12_cipher_suites(&[
                Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
                Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
            ])
            .handshake_timeout(Duration::from_secs(20))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            socket: UdpSocket::bind(address).await?,
            config: Arc::new(config),
            certificate: DtlsCertificate {
                certificate: credentials.certificate.clone(),
                private_key: credentials.private_key.clone(),
            },
            client_authority: client_authority.to_vec(),
            sessions: HashMap::new(),
            events: VecDeque::new(),
            datagram: vec![0; BUFFER],
            output: vec![0; BUFFER],
        })
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for the next event. It may be cancelled without losing an event.
    pub async fn next(&mut self) -> io::Result<DtlsEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let due = self.sessions.values().map(|session| session.due).min();
            let timer = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut self.datagram) => {
                    let (length, peer) = received?;
                    self.receive(peer, length);
                }
                () = timer => self.expire(),
            }
        }
    }

    /// Sends a datagram to a connected client. Nothing happens if the session is over.
    pub fn send(&mut self, peer: SocketAddr, datagram: &[u8]) {
        self.drive(peer, |dtls| dtls.send_application_data(datagram).map(drop));
    }

    /// Ends the session with a client; [`DtlsEvent::Closed`] follows.
    pub fn close(&mut self, peer: SocketAddr) {
        self.drive(peer, Dtls::close);
    }

    fn receive(&mut self, peer: SocketAddr, length: usize) {
        let datagram = self.datagram[..length].to_vec();
        // A client that begins a new handshake has lost its old session, but not one that repeats
        // its ClientHello.
        if let Some(random) = client_random(&datagram)
            && (self.sessions.get(&peer)).is_none_or(|session| session.client_random != random)
        {
            self.begin(peer, random);
        }
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.heard = Instant::now();
        }
        self.drive(peer, |dtls| dtls.handle_packet(&datagram));
    }

    fn begin(&mut self, peer: SocketAddr, client_random: [u8; 32]) {
        self.forget(peer);
        if self.sessions.len() == MAX_PEERS {
            let silent = (self.sessions.iter()).min_by_key(|(_, session)| session.heard);
            if let Some(silent) = silent.map(|(peer, _)| *peer) {
                self.forget(silent);
            }
        }
        let now = Instant::now();
        let session = Session {
            dtls: Dtls::new_12(self.config.clone(), self.certificate.clone(), now),
            client_random,
            identity: None,
            connected: false,
            heard: now,
            due: now,
        };
        self.sessions.insert(peer, session);
    }

    fn forget(&mut self, peer: SocketAddr) {
        let forgotten = self.sessions.remove(&peer);
        if forgotten.is_some_and(|session| session.connected) {
            self.events.push_back(DtlsEvent::Closed { peer });
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = (self.sessions.iter())
            .filter(|(_, session)| session.due <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in due {
            self.drive(peer, |_| Ok(()));
        }
    }

    /// Advances the session's clock, applies `step` to the session, and handles its outputs.
    fn drive(&mut self, peer: SocketAddr, step: impl FnOnce(&mut Dtls) -> Result<(), Error>) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        let outcome = session
            .dtls
            .handle_timeout(Instant::now())
            .and_then(|()| step(&mut session.dtls))
            .map_err(refused);
        let mut packets = Vec::new();
        let drained = session.drain(
            peer,
            &self.client_authority,
            &mut self.output,
            &mut packets,
            &mut self.events,
        );
        let outcome = outcome.and(drained);
        if let Err(reason) = &outcome
            && !session.connected
            && packets.is_empty()
        {
            packets.push(alert(reason).to_vec());
        }
        for packet in packets {
            // A datagram that the network refuses counts as lost, and will be repeated.
            let _ = self.socket.try_send_to(&packet, peer);
        }
        let (connected, closed) = (session.connected, session.dtls.is_closed());
        let event = match outcome {
            Err(reason) if !connected => DtlsEvent::Refused { peer, reason },
            Ok(()) if !closed => return,
            _ => DtlsEvent::Closed { peer },
        };
        self.sessions.remove(&peer);
        self.events.push_back(event);
    }
}

struct Session {
    dtls: Dtls,
    client_random: [u8; 32],
    identity: Option<String>,
    connected: bool,
    heard: Instant,
    due: Instant,
}

impl Session {
    /// Handles all outputs of the engine. An invalid certificate ends the session before anything
    /// is sent.
    fn drain(
        &mut self,
        peer: SocketAddr,
        authority: &[u8],
        buffer: &mut [u8],
        packets: &mut Vec<Vec<u8>>,
        events: &mut VecDeque<DtlsEvent>,
    ) -> Result<(), Refused> {
        loop {
            match self.dtls.poll_output(buffer) {
                Output::Packet(packet) => packets.push(packet.to_vec()),
                Output::PeerCert(certificate) => {
                    let identity =
                        verify_client(authority, certificate).map_err(Refused::Certificate)?;
                    self.identity = Some(identity);
                }
                Output::Connected => {
                    let identity = self.identity.clone().ok_or(Refused::NoCertificate)?;
                    self.connected = true;
                    events.push_back(DtlsEvent::Connected { peer, identity });
                }
                Output::ApplicationData(datagram) => events.push_back(DtlsEvent::Data {
                    peer,
                    datagram: datagram.to_vec(),
                }),
                Output::CloseNotify => {
                    // The engine answers with a close_notify. Errors of a closing session don't
                    // matter.
                    let _ = self.dtls.close();
                }
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

fn refused(error: Error) -> Refused {
    match error {
        Error::CertificateError(CertificateError::NoClientCertificateReceived) => {
            Refused::NoCertificate
        }
        other => Refused::Handshake(other.to_string()),
    }
}

/// A fatal alert in clear (RFC 5246 §7.2). The engine doesn't send one for certificates that we
/// reject.
fn alert(reason: &Refused) -> [u8; 15] {
    const ALERT: u8 = 21;
    const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
    const FATAL: u8 = 2;
    let description = match reason {
        Refused::Certificate(PkiError::Path(_)) => 48, // unknown_ca
        Refused::Certificate(_) => 42,                 // bad_certificate
        Refused::NoCertificate | Refused::Handshake(_) => 40, // handshake_failure
    };
    let mut record = [0; 15];
    record[0] = ALERT;
    record[1..3].copy_from_slice(&DTLS_1_2);
    // Epoch 0, and a number above any that a handshake reaches, so that no replay window drops it.
    record[7] = 1;
    record[12] = 2;
    record[13..].copy_from_slice(&[FATAL, description]);
    record
}

/// The random of a ClientHello (RFC 6347 §4.2.2), which stays the same when a cookie is added.
fn client_random(datagram: &[u8]) -> Option<[u8; 32]> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let record = datagram.get(..13)?;
    let handshake = datagram.get(13..25)?;
    let first_fragment = handshake[6..9] == [0; 3];
    let plain = record[3..5] == [0; 2];
    (record[0] == HANDSHAKE && plain && handshake[0] == CLIENT_HELLO && first_fragment)
        .then(|| datagram.get(27..59)?.try_into().ok())?
}
