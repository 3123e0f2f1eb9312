//! UDP to a server that has several addresses: netd tries them in order, and uses the first that
//! answers.
//!
//! netd sends the same datagrams to the next address after [`NEXT_ADDRESS_DELAY`] of silence, or at
//! once if the network reports the addresses before it unreachable. Each address that netd has
//! tried may still answer, until the owner has chosen one by its answer (in the spirit of RFC
//! 8305). Then netd forgets the others.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;

use crate::timer;

/// How long the addresses may be silent before netd tries the next one, too.
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(1500);

/// What a server's socket received.
#[derive(Debug)]
pub(crate) enum Received {
    /// A datagram.
    Datagram {
        /// Its length.
        length: usize,
        /// The address that sent it, for [`ServerSocket::choose`].
        address: SocketAddr,
    },
    /// The network reports an address unreachable.
    Unreachable(Unreachable),
}

/// The network reports an address unreachable: in an ICMP message, which anybody can forge, or
/// because the route is gone for a while. So nothing ends by it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {}", self.words())]
pub(crate) struct Unreachable {
    /// The address.
    pub(crate) address: SocketAddr,
    /// What the network says.
    reason: io::ErrorKind,
}

impl Unreachable {
    /// What the network says.
    pub(crate) fn words(&self) -> &'static str {
        match self.reason {
            io::ErrorKind::ConnectionRefused => "the network says that nothing listens there",
            io::ErrorKind::NetworkDown => "the network says that it is down",
            _ => "the network says that it can't be reached",
        }
    }
}

/// A UDP socket for each address that netd has tried, or for the chosen one.
#[derive(Debug)]
pub(crate) struct ServerSocket {
    untried: VecDeque<SocketAddr>,
    tried: Vec<Tried>,
    /// The last datagram, which the next address gets, too.
    last: Vec<u8>,
    /// When netd tries the next address.
    next: Option<Instant>,
    /// What the network reported when netd sent.
    unreachable: VecDeque<Unreachable>,
}

/// An address that netd has tried.
#[derive(Debug)]
struct Tried {
    address: SocketAddr,
    socket: UdpSocket,
    /// Whether its host refused the last datagram, since nothing listens at the port.
    refused: bool,
}

impl ServerSocket {
    /// Creates a socket for the first address that has a route.
    ///
    /// # Errors
    /// No address has a route.
    pub(crate) fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<Self> {
        let mut socket = Self {
            untried: addresses.into_iter().collect(),
            tried: Vec::new(),
            last: Vec::new(),
            next: None,
            unreachable: VecDeque::new(),
        };
        socket.try_next()?;
        Ok(socket)
    }

    /// The address that netd tried first, or the chosen one. None if all have failed.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.tried.first().map(|tried| tried.address)
    }

    /// The addresses that netd has tried, or the chosen one.
    pub(crate) fn tried(&self) -> impl Iterator<Item = SocketAddr> {
        self.tried.iter().map(|tried| tried.address)
    }

    /// Whether there is an address left that netd hasn't tried.
    pub(crate) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Whether every address has refused the last datagram, and none is left to try.
    pub(crate) fn is_refused(&self) -> bool {
        !self.has_untried() && self.tried.iter().all(|tried| tried.refused)
    }

    /// Uses no address but this one from now on, because its answer is the server's.
    pub(crate) fn choose(&mut self, address: SocketAddr) {
        self.tried.retain(|tried| tried.address == address);
        self.untried.clear();
        self.next = None;
    }

    /// Sends a datagram to each address that netd has tried, or to the chosen one.
    ///
    /// # Errors
    /// No socket can send it, for a reason that is permanent.
    pub(crate) async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if !self.untried.is_empty() {
            self.last = datagram.to_vec();
            self.next
                .get_or_insert_with(|| Instant::now() + NEXT_ADDRESS_DELAY);
        }
        let (mut sent, mut failed) = (false, None);
        for tried in &mut self.tried {
            tried.refused = false;
            match tried.socket.send(datagram).await {
                Ok(_) => sent = true,
                // The report is about a datagram before.
                Err(error) if is_passing(&error) => {
                    sent = true;
                    self.unreachable.push_back(Unreachable {
                        address: tried.address,
                        reason: error.kind(),
                    });
                    self.next = self.next.map(|_| Instant::now());
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if !sent => Err(error),
            _ => Ok(()),
        }
    }

    /// Receives a datagram from an address that netd has tried, or from the chosen one, or what the
    /// network reports of them. May be cancelled.
    ///
    /// # Errors
    /// The last socket failed, for a reason that is permanent.
    pub(crate) async fn receive(&mut self, datagram: &mut [u8]) -> io::Result<Received> {
        if let Some(unreachable) = self.unreachable.pop_front() {
            return Ok(Received::Unreachable(unreachable));
        }
        loop {
            let due = self.next;
            let (index, ready) = tokio::select! {
                ready = self.ready() => ready,
                () = timer::until(due) => {
                    // If no other address has a route, the addresses that netd has tried may still
                    // answer.
                    let _ = self.try_next();
                    continue;
                }
            };
            let tried = &mut self.tried[index];
            match ready.and_then(|ready| take(&tried.socket, ready, datagram)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(length) => {
                    let address = tried.address;
                    return Ok(Received::Datagram { length, address });
                }
                Err(error) if is_passing(&error) => {
                    self.next = self.next.map(|_| Instant::now());
                    tried.refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    return Ok(Received::Unreachable(Unreachable {
                        address: tried.address,
                        reason: error.kind(),
                    }));
                }
                Err(error) if self.tried.len() == 1 && self.untried.is_empty() => {
                    return Err(error);
                }
                Err(_) => {
                    self.tried.remove(index);
                    if self.tried.is_empty() {
                        self.try_next()?;
                    }
                }
            }
        }
    }

    /// Waits until a socket has a datagram or an error. An error alone makes no socket readable.
    async fn ready(&self) -> (usize, io::Result<Ready>) {
        let sockets = self.tried.iter();
        let mut waits: Vec<_> = sockets
            .map(|tried| Box::pin(tried.socket.ready(Interest::READABLE | Interest::ERROR)))
            .collect();
        poll_fn(|context| {
            for (index, wait) in waits.iter_mut().enumerate() {
                if let Poll::Ready(ready) = wait.as_mut().poll(context) {
                    return Poll::Ready((index, ready));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Tries the next address that has a route.
    fn try_next(&mut self) -> io::Result<()> {
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        while let Some(address) = self.untried.pop_front() {
            match connected(address, &self.last) {
                Ok(socket) => {
                    self.tried.push(Tried {
                        address,
                        socket,
                        refused: false,
                    });
                    outcome = Ok(());
                    break;
                }
                Err(error) => outcome = Err(error),
            }
        }
        self.next = match self.untried.is_empty() {
            true => None,
            false => self.next.map(|_| Instant::now() + NEXT_ADDRESS_DELAY),
        };
        outcome
    }
}

/// Takes the error of a socket, or else a datagram. `WouldBlock` if there is neither any more.
fn take(socket: &UdpSocket, ready: Ready, datagram: &mut [u8]) -> io::Result<usize> {
    if ready.is_error() {
        let nothing = || io::ErrorKind::WouldBlock.into();
        let error = socket.try_io(Interest::ERROR, || {
            Err::<Infallible, _>(socket.take_error()?.unwrap_or_else(nothing))
        });
        match error {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    socket.try_recv(datagram)
}

/// Creates a UDP socket that receives from this peer only, and sends it the datagram that the
/// others have not answered.
fn connected(peer: SocketAddr, last: &[u8]) -> io::Result<UdpSocket> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = StdUdpSocket::bind(any)?;
    socket.connect(peer)?;
    socket.set_nonblocking(true)?;
    if !last.is_empty() {
        tracing::info!(address = %peer, "no answer yet: the next address is tried, too");
        // Like every datagram, it is sent again if it is lost.
        let _ = socket.send(last);
    }
    UdpSocket::from_std(socket)
}

/// Whether an ICMP message or a short loss of the network caused an error. Anybody can forge the
/// one, and retransmissions outlast the other.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[tokio::test]
    async fn a_report_of_the_network_is_told_and_ends_nothing() {
        let server = StdUdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        drop(server);
        let mut socket = ServerSocket::new([address]).unwrap();
        let mut datagram = [0; 16];
        for _ in 0..3 {
            socket.send(b"anybody?").await.unwrap();
            let Received::Unreachable(unreachable) = socket.receive(&mut datagram).await.unwrap()
            else {
                panic!("nobody sends anything");
            };
            assert_eq!(unreachable.address, address);
        }
        let server = UdpSocket::bind(address).await.unwrap();
        socket.send(b"anybody?").await.unwrap();
        let (_, client) = server.recv_from(&mut datagram).await.unwrap();
        server.send_to(b"yes", client).await.unwrap();
        let received = socket.receive(&mut datagram).await.unwrap();
        let Received::Datagram { length: 3, .. } = received else {
            panic!("{received:?}");
        };
    }
}
