//! Relays datagrams between a RADIUS client and its server, and records when each passed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The tap, whose address clients use. It ends when the value is dropped.
pub struct Tap {
    address: SocketAddr,
    passed: Arc<Mutex<Vec<Passed>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A datagram that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// From the client to the server, or back.
    pub direction: Direction,
    /// When it was read from the client, or handed over to it.
    pub at: Instant,
    /// Octets of the datagram.
    pub octets: usize,
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    ToServer,
    /// To the client.
    ToClient,
}

impl Tap {
    /// Starts a tap in front of `server`. It polls its sockets busily and doesn't sleep, so that it
    /// doesn't measure its own wake-up time.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        back.connect(server)?;
        front.set_nonblocking(true)?;
        back.set_nonblocking(true)?;
        let address = front.local_addr()?;
        let (passed, end) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let run = Run {
            front,
            back,
            client: None,
            passed: Arc::clone(&passed),
            end: end.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("tap".into())
            .spawn(move || run.until_told())?;
        Ok(Self {
            address,
            passed,
            end,
            thread: Some(thread),
        })
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The datagrams that passed since the last call.
    pub fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut self.passed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The client's own time: from each datagram that reached it to its next one, summed up.
pub fn clients_time(passed: &[Passed]) -> Duration {
    let pairs = passed.windows(2);
    let own = pairs.filter(|pair| {
        [pair[0].direction, pair[1].direction] == [Direction::ToClient, Direction::ToServer]
    });
    own.map(|pair| pair[1].at - pair[0].at).sum()
}

struct Run {
    front: UdpSocket,
    back: UdpSocket,
    client: Option<SocketAddr>,
    passed: Arc<Mutex<Vec<Passed>>>,
    end: Arc<AtomicBool>,
}

impl Run {
    fn until_told(mut self) {
        let mut buffer = [0; 4096];
        while !self.end.load(Ordering::Relaxed) {
            if let Ok((octets, client)) = self.front.recv_from(&mut buffer) {
                let at = Instant::now();
                self.client = Some(client);
                let _ = self.back.send(&buffer[..octets]);
                self.note(Direction::ToServer, at, octets);
            }
            if let (Ok(octets), Some(client)) = (self.back.recv(&mut buffer), self.client) {
                // Take the time before sending, because the client may react before the call
                // returns.
                let at = Instant::now();
                let _ = self.front.send_to(&buffer[..octets], client);
                self.note(Direction::ToClient, at, octets);
            }
            std::hint::spin_loop();
        }
    }

    fn note(&self, direction: Direction, at: Instant, octets: usize) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.push(Passed {
            direction,
            at,
            octets,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn datagrams_pass_both_ways_and_the_clients_time_lies_between_them() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tap = Tap::start(server.local_addr().unwrap()).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.connect(tap.address()).unwrap();
        let mut buffer = [0; 16];
        for _ in 0..2 {
            client.send(b"request").unwrap();
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"request");
            server.send_to(b"answer", from).unwrap();
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"answer");
        }
        let passed = loop {
            let passed = tap.passed.lock().unwrap().clone();
            if passed.len() == 4 {
                break passed;
            }
        };
        let sizes: Vec<_> = passed.iter().map(|datagram| datagram.octets).collect();
        assert_eq!(sizes, [7, 6, 7, 6]);
        assert_eq!(clients_time(&passed), passed[2].at - passed[1].at);
        assert_eq!(tap.take().len(), 4);
        assert!(tap.take().is_empty());
    }
}
