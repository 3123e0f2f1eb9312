//! A DTLS session with a server: a task that owns the socket and the DTLS engine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use softsim_client::netd::Failure;
use tokio::sync::mpsc;
use tokio::task::block_in_place;

use crate::dtls::{self, Dimpl, Engine, Output, Signer, Trust};
use crate::names::Names;
use crate::progress::Fault;
use crate::server_socket::ServerSocket;
use crate::timer;
use crate::uri::Server;

/// The longest UDP datagram.
const MAX_DATAGRAM: usize = 64 << 10;

/// The number of datagrams that wait for a session. CoAP repeats those that don't fit.
const QUEUE: usize = 64;

/// What netd needs to begin a session.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The server's host and port.
    pub(crate) server: Server,
    /// The resolver of its name.
    pub(crate) names: Names,
    /// How netd recognises it.
    pub(crate) trust: Trust,
    /// The device certificate, DER.
    pub(crate) certificate: Vec<u8>,
    /// The holder of its key.
    pub(crate) signer: Arc<dyn Signer>,
}

/// An event of a session.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// The handshake begins.
    Calling(SocketAddr),
    /// The server is authentic, and has accepted netd's certificate.
    Connected,
    /// A decrypted datagram.
    Received(Vec<u8>),
    /// The session has ended, and why, unless the server closed it.
    Ended(Option<SessionError>),
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The server's name has no address.
    #[error("the name has no address: {0}")]
    Resolve(#[source] io::Error),
    /// The socket failed.
    #[error("UDP: {0}")]
    Socket(#[source] io::Error),
    /// DTLS failed.
    #[error(transparent)]
    Dtls(dtls::Error),
}

impl SessionError {
    /// The kind of failure that softsimctl shows.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Resolve(..) | Self::Socket(_) => Failure::Unavailable,
            Self::Dtls(error) => match error {
                dtls::Error::TimedOut => Failure::Unavailable,
                dtls::Error::Time(_) | dtls::Error::Signature(_) => Failure::Internal,
                dtls::Error::Server(_) | dtls::Error::Alert(_) => Failure::Refused,
                dtls::Error::Protocol(_) => Failure::Protocol,
            },
        }
    }
}

impl From<&SessionError> for Fault {
    fn from(error: &SessionError) -> Self {
        Self::new(error.failure(), error)
    }
}

/// A running session. Dropping it closes the session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Distinguishes its events from those of an earlier session with the same server.
    pub(crate) id: u64,
    /// The server.
    pub(crate) server: Server,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl Session {
    /// Begins a session. Its events go to `events`, with this id.
    pub(crate) fn begin(
        id: u64,
        target: Target,
        events: mpsc::Sender<(u64, SessionEvent)>,
    ) -> Self {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let server = target.server.clone();
        let run = async move {
            let end = match connect(target, id, &events).await {
                Ok((server, engine)) => relay(server, engine, queue, id, &events).await,
                Err(error) => Err(error),
            };
            // The task may have ended.
            let _ = events.send((id, SessionEvent::Ended(end.err()))).await;
        };
        tokio::spawn(run);
        Self {
            id,
            server,
            outgoing,
        }
    }

    /// Sends a datagram, unless too many are waiting.
    pub(crate) fn send(&self, datagram: Vec<u8>) {
        if self.outgoing.try_send(datagram).is_err() {
            tracing::debug!(session = self.id, "datagram dropped");
        }
    }
}

async fn connect(
    target: Target,
    id: u64,
    events: &mpsc::Sender<(u64, SessionEvent)>,
) -> Result<(ServerSocket, Dimpl), SessionError> {
    let Target {
        server,
        names,
        trust,
        certificate,
        signer,
    } = target;
    let addresses = names.addresses(&server.host, server.port).await;
    let addresses = addresses.map_err(SessionError::Resolve)?;
    let server = ServerSocket::new(addresses).map_err(SessionError::Socket)?;
    if let Some(address) = server.peer() {
        let _ = events.send((id, SessionEvent::Calling(address))).await;
    }
    let engine = block_in_place(|| Dimpl::connect(Instant::now(), certificate, trust, signer))
        .map_err(SessionError::Dtls)?;
    Ok((server, engine))
}

/// Relays datagrams until one side ends the session.
async fn relay(
    mut server: ServerSocket,
    mut engine: impl Engine,
    mut queue: mpsc::Receiver<Vec<u8>>,
    id: u64,
    events: &mpsc::Sender<(u64, SessionEvent)>,
) -> Result<(), SessionError> {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        while let Some(output) = engine.poll() {
            let event = match output {
                Output::Transmit(datagram) => {
                    server.send(&datagram).await.map_err(SessionError::Socket)?;
                    continue;
                }
                Output::Connected => SessionEvent::Connected,
                Output::Received(data) => SessionEvent::Received(data),
                Output::Closed => return Ok(()),
            };
            if events.send((id, event)).await.is_err() {
                return Ok(());
            }
        }
        let due = engine.poll_timeout();
        // The engine may ask keyd, which blocks this thread.
        let result = tokio::select! {
            received = server.receive(&mut datagram) => {
                let length = received.map_err(SessionError::Socket)?;
                block_in_place(|| engine.handle_datagram(Instant::now(), &datagram[..length]))
            }
            data = queue.recv() => match data {
                Some(data) => engine.send(&data),
                None => return close(server, engine).await,
            },
            () = timer::until(due) => block_in_place(|| engine.handle_timeout(Instant::now())),
        };
        result.map_err(SessionError::Dtls)?;
    }
}

async fn close(mut server: ServerSocket, mut engine: impl Engine) -> Result<(), SessionError> {
    engine.close();
    while let Some(output) = engine.poll() {
        if let Output::Transmit(datagram) = output {
            server.send(&datagram).await.map_err(SessionError::Socket)?;
        }
    }
    Ok(())
}
