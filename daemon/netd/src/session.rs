//! A DTLS session with a server: a task with a UDP socket and an engine.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use softsim_client::netd::Failure;
use tokio::{
    net::{UdpSocket, lookup_host},
    sync::mpsc,
    task::block_in_place,
    time::sleep_until,
};

use crate::{
    dtls::{self, Dimpl, Engine, Output, Signer, Trust},
    progress::Fault,
    uri::Server,
};

/// The longest UDP datagram.
const MAX_DATAGRAM: usize = 64 << 10;

/// Datagrams on the way to a session; CoAP repeats what doesn't fit.
const QUEUE: usize = 64;

/// What it takes to begin a session.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the server is.
    pub server: Server,
    /// How to tell that it is the one.
    pub trust: Trust,
    /// The device certificate, DER.
    pub certificate: Vec<u8>,
    /// Whoever holds its key.
    pub signer: Arc<dyn Signer>,
}

/// What happens in a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// The handshake begins.
    Calling(SocketAddr),
    /// The server is who it should be, and has our certificate.
    Connected,
    /// A decrypted datagram.
    Received(Vec<u8>),
    /// It is over, and why where it wasn't the server's wish.
    Ended(Option<SessionError>),
}

/// Why a session ended.
#[derive(Debug)]
pub enum SessionError {
    /// The server's name has no address.
    Resolve(io::Error),
    /// The socket failed.
    Socket(io::Error),
    /// DTLS failed.
    Dtls(dtls::Error),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "the name has no address: {error}"),
            Self::Socket(error) => write!(f, "UDP: {error}"),
            Self::Dtls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SessionError {}

impl SessionError {
    /// What kind of failure it is for softsimctl.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Resolve(..) | Self::Socket(_) => Failure::Unavailable,
            Self::Dtls(error) => match error {
                dtls::Error::TimedOut => Failure::Unavailable,
                dtls::Error::Signature(_) => Failure::Internal,
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

/// A running session; it says goodbye when dropped.
#[derive(Debug)]
pub struct Session {
    /// Tells its events from those of an earlier session with the same server.
    pub id: u64,
    /// Whom it is with.
    pub server: Server,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl Session {
    /// Begins a session, whose events go to `events` under this id.
    pub fn begin(id: u64, target: Target, events: mpsc::Sender<(u64, SessionEvent)>) -> Self {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let server = target.server.clone();
        let run = async move {
            let end = match connect(target, id, &events).await {
                Ok((socket, engine)) => carry(&socket, engine, queue, id, &events).await,
                Err(error) => Err(error),
            };
            // Nobody is told where nobody listens any more.
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
    pub fn send(&self, datagram: Vec<u8>) {
        if self.outgoing.try_send(datagram).is_err() {
            tracing::debug!(session = self.id, "datagram dropped");
        }
    }
}

async fn connect(
    target: Target,
    id: u64,
    events: &mpsc::Sender<(u64, SessionEvent)>,
) -> Result<(UdpSocket, Dimpl), SessionError> {
    let Target {
        server,
        trust,
        certificate,
        signer,
    } = target;
    let address = match lookup_host((&*server.host, server.port)).await {
        Ok(mut addresses) => addresses.next().ok_or(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error),
    }
    .map_err(SessionError::Resolve)?;
    let _ = events.send((id, SessionEvent::Calling(address))).await;
    let socket = connected(address).await.map_err(SessionError::Socket)?;
    let engine = block_in_place(|| Dimpl::connect(Instant::now(), certificate, trust, signer))
        .map_err(SessionError::Dtls)?;
    Ok((socket, engine))
}

/// A UDP socket of the right family that hears only this peer.
pub async fn connected(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(peer).await?;
    Ok(socket)
}

/// Carries datagrams until one of the two sides ends the session.
async fn carry(
    socket: &UdpSocket,
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
                    transmit(socket, &datagram).await?;
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
        let timer = async {
            match engine.poll_timeout() {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        // The engine may ask keyd, which blocks this thread.
        let result = tokio::select! {
            received = socket.recv(&mut datagram) => match received {
                Ok(length) => {
                    block_in_place(|| engine.handle_datagram(Instant::now(), &datagram[..length]))
                }
                Err(error) if is_passing(&error) => Ok(()),
                Err(error) => return Err(SessionError::Socket(error)),
            },
            data = queue.recv() => match data {
                Some(data) => engine.send(&data),
                None => return goodbye(socket, engine).await,
            },
            () = timer => block_in_place(|| engine.handle_timeout(Instant::now())),
        };
        result.map_err(SessionError::Dtls)?;
    }
}

async fn goodbye(socket: &UdpSocket, mut engine: impl Engine) -> Result<(), SessionError> {
    engine.close();
    while let Some(output) = engine.poll() {
        if let Output::Transmit(datagram) = output {
            transmit(socket, &datagram).await?;
        }
    }
    Ok(())
}

async fn transmit(socket: &UdpSocket, datagram: &[u8]) -> Result<(), SessionError> {
    match socket.send(datagram).await {
        Err(error) if !is_passing(&error) => Err(SessionError::Socket(error)),
        _ => Ok(()),
    }
}

/// What an ICMP message or a moment without network leaves on a socket: anybody can forge the one, and
/// retransmissions outlive the other.
pub fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}
