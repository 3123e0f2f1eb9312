//! A DTLS session with a server: a task that owns the socket and the DTLS engine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use std::{io, mem};

use softsim_client::netd::Failure;
use tokio::sync::mpsc;
use tokio::task::block_in_place;

use crate::dtls::{self, Dimpl, Engine, Output, Signer, Trust};
use crate::names::Names;
use crate::progress::Fault;
use crate::server_socket::{Received, ServerSocket, Unreachable};
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
    /// Nobody answers yet: a flight of the handshake was sent again, the how manieth time, to these
    /// addresses.
    Repeated(u32, Vec<SocketAddr>),
    /// The network reports an address unreachable.
    Unreachable(Unreachable),
    /// The network has reported each address unreachable for the first flight of the handshake, and
    /// for its first repetition again. Whoever waits may be told; the handshake goes on, since
    /// anybody can forge such reports.
    Hopeless,
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

/// What has happened in a handshake that isn't complete.
#[derive(Debug, Default)]
struct Handshake {
    /// How often a flight was sent again.
    repeated: u32,
    /// The addresses that the network reported unreachable before the first repetition, and after.
    unreachable: [BTreeSet<SocketAddr>; 2],
    /// Whether that was told of all of them.
    told: bool,
}

impl Handshake {
    /// Notes that an address is unreachable. Returns whether that is now true of all addresses of
    /// the server, twice.
    fn is_hopeless(&mut self, unreachable: SocketAddr, server: &ServerSocket) -> bool {
        let [first, again] = &mut self.unreachable;
        match self.repeated {
            0 => first.insert(unreachable),
            _ => again.insert(unreachable),
        };
        let all = server
            .tried()
            .all(|tried| first.contains(&tried) && again.contains(&tried));
        all && !server.has_untried() && !mem::replace(&mut self.told, true)
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
    let mut handshake = Some(Handshake::default());
    // Whether the timer of the engine has just run.
    let mut timer_ran = false;
    let mut news = Vec::new();
    loop {
        let (mut repeated, mut closed) = (false, false);
        while let Some(output) = engine.poll() {
            news.push(match output {
                Output::Transmit(datagram) => {
                    server.send(&datagram).await.map_err(SessionError::Socket)?;
                    repeated = timer_ran;
                    continue;
                }
                Output::Connected => {
                    handshake = None;
                    SessionEvent::Connected
                }
                Output::Received(data) => SessionEvent::Received(data),
                Output::Closed => {
                    closed = true;
                    break;
                }
            });
        }
        if let Some(handshake) = handshake.as_mut().filter(|_| repeated) {
            handshake.repeated += 1;
            let addresses = server.tried().collect();
            news.push(SessionEvent::Repeated(handshake.repeated, addresses));
        }
        for event in news.drain(..) {
            if events.send((id, event)).await.is_err() {
                return Ok(());
            }
        }
        if closed {
            return Ok(());
        }
        timer_ran = false;
        let due = engine.poll_timeout();
        // The engine may ask keyd, which blocks this thread.
        let result = tokio::select! {
            received = server.receive(&mut datagram) => match received.map_err(SessionError::Socket)? {
                Received::Datagram { length, address } => {
                    server.choose(address);
                    block_in_place(|| engine.handle_datagram(Instant::now(), &datagram[..length]))
                }
                Received::Unreachable(unreachable) => {
                    news.push(SessionEvent::Unreachable(unreachable));
                    let handshake = handshake.as_mut();
                    let address = unreachable.address;
                    if handshake.is_some_and(|handshake| handshake.is_hopeless(address, &server)) {
                        news.push(SessionEvent::Hopeless);
                    }
                    Ok(())
                }
            },
            data = queue.recv() => match data {
                Some(data) => engine.send(&data),
                None => return close(server, engine).await,
            },
            () = timer::until(due) => {
                timer_ran = true;
                block_in_place(|| engine.handle_timeout(Instant::now()))
            }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::net::UdpSocket;

    use super::*;

    fn nobody() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    }

    /// What the network reports of each address after a flight.
    async fn reports(server: &mut ServerSocket) -> Vec<SocketAddr> {
        server.send(b"flight").await.unwrap();
        let mut reports = Vec::new();
        while reports.len() < 2 {
            match server.receive(&mut [0; 16]).await.unwrap() {
                Received::Unreachable(unreachable) => reports.push(unreachable.address),
                Received::Datagram { .. } => panic!("nobody answers"),
            }
        }
        reports
    }

    #[tokio::test]
    async fn a_handshake_is_hopeless_once_each_address_was_reported_before_and_after_a_repetition()
    {
        let mut server = ServerSocket::new([nobody(), nobody()]).unwrap();
        let mut handshake = Handshake::default();
        for address in reports(&mut server).await {
            assert!(!handshake.is_hopeless(address, &server));
        }
        handshake.repeated = 1;
        let again = reports(&mut server).await;
        assert!(!handshake.is_hopeless(again[0], &server));
        assert!(handshake.is_hopeless(again[1], &server));
        assert!(!handshake.is_hopeless(again[1], &server), "it is told once");
    }
}
