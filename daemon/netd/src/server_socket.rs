//! UDP to a server that has several addresses: netd tries them in order, and uses the first that
//! answers.
//!
//! netd sends the same datagrams to the next address after [`NEXT_ADDRESS_DELAY`] of silence, or at
//! once if the network reports the addresses before it unreachable. Each address that netd has
//! tried may still answer, until one has (in the spirit of RFC 8305). Then netd forgets the others.

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
    /// A datagram of this length.
    Datagram(usize),
    /// The network reports an address unreachable.
    Unreachable(Unreachable),
}

/// The network reports an address unreachable: in an ICMP message, which anybody can forge, or
/// because the route is gone for a while. So nothing ends by it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: the network says {}", words(*.reason))]
pub(crate) struct Unreachable {
    /// The address.
    pub(crate) address: SocketAddr,
    /// What the network says.
    reason: io::ErrorKind,
}

impl Unreachable {
    /// Whether the host itself says that nothing listens at its port.
    pub(crate) fn is_refused(&self) -> bool {
        self.reason == io::ErrorKind::ConnectionRefused
    }
}

fn words(reason: io::ErrorKind) -> &'static str {
    match reason {
        io::ErrorKind::ConnectionRefused => "that nothing listens there",
        io::ErrorKind::NetworkDown => "that it is down",
        _ => "that it can't be reached",
    }
}

/// A UDP socket for each address that netd has tried, or for the one that has answered.
#[derive(Debug)]
pub(crate) struct ServerSocket {
    untried: VecDeque<SocketAddr>,
    tried: Vec<(SocketAddr, UdpSocket)>,
    /// The last datagram, which the next address gets, too.
    last: Vec<u8>,
    /// When netd tries the next address.
    next: Option<Instant>,
    /// What the network reported when netd sent.
    unreachable: VecDeque<Unreachable>,
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

    /// The address that netd tried first, or the one that has answered. None if all have failed.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.tried.first().map(|(address, _)| *address)
    }

    /// The addresses that netd has tried, or the one that has answered.
    pub(crate) fn tried(&self) -> impl Iterator<Item = SocketAddr> {
        self.tried.iter().map(|(address, _)| *address)
    }

    /// Whether there is an address left that netd hasn't tried.
    pub(crate) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Sends a datagram to each address that netd has tried, or to the one that has answered.
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
        for (address, socket) in &self.tried {
            match socket.send(datagram).await {
                Ok(_) => sent = true,
                Err(error) if is_passing(&error) => {
                    sent = true;
                    self.unreachable.push_back(Unreachable {
                        address: *address,
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

    /// Receives a datagram from the address that has answered, or from the first that does, or what
    /// the network reports of them. May be cancelled.
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
            match ready.and_then(|ready| take(&self.tried[index].1, ready, datagram)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(length) => {
                    let answered = self.tried.swap_remove(index);
                    self.tried = vec![answered];
                    self.untried.clear();
                    self.next = None;
                    return Ok(Received::Datagram(length));
                }
                Err(error) if is_passing(&error) => {
                    self.next = self.next.map(|_| Instant::now());
                    return Ok(Received::Unreachable(Unreachable {
                        address: self.tried[index].0,
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
            .map(|(_, socket)| Box::pin(socket.ready(Interest::READABLE | Interest::ERROR)))
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
                    self.tried.push((address, socket));
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
        assert!(matches!(received, Received::Datagram(3)), "{received:?}");
    }
}
