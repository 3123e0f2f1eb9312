//! CoAP over the DTLS server, with one endpoint for each client. Both LwM2M servers use it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use softsim_coap::{Config, Endpoint, Event, ExchangeId, Request, Response, Token};
use softsim_sandbox::random;
use tokio::time::sleep_until;

use crate::dtls_server::{DtlsEvent, DtlsServer};

/// An event of the server.
#[derive(Debug)]
pub enum CoapEvent {
    /// A client got no session.
    Refused {
        /// Why not.
        reason: String,
    },
    /// A connected client sent a request or an answer.
    Coap {
        /// Its address.
        peer: SocketAddr,
        /// The common name of its certificate.
        identity: String,
        /// Its request or answer.
        event: Event,
    },
    /// A session is over.
    Closed {
        /// The client's address.
        peer: SocketAddr,
    },
}

/// A CoAP server and client towards every connected device.
pub struct CoapServer {
    dtls: DtlsServer,
    peers: HashMap<SocketAddr, Peer>,
    events: VecDeque<CoapEvent>,
}

struct Peer {
    identity: String,
    endpoint: Endpoint,
}

impl CoapServer {
    /// Speaks CoAP to the clients of `dtls`.
    pub fn new(dtls: DtlsServer) -> Self {
        Self {
            dtls,
            peers: HashMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.dtls.local_addr()
    }

    /// Waits for the next event. It may be cancelled without losing an event.
    pub async fn next(&mut self) -> io::Result<CoapEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let due = (self.peers.values())
                .filter_map(|peer| peer.endpoint.poll_timeout())
                .min();
            let timer = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.dtls.next() => self.handle(event?),
                () = timer => self.expire(),
            }
        }
    }

    /// Sends a client a request; `None` if it isn't connected.
    pub fn request(&mut self, peer: SocketAddr, request: Request) -> Option<Token> {
        self.drive(peer, |endpoint, now| endpoint.request(now, request))
    }

    /// Answers a client. Nothing happens if the client has gone.
    pub fn respond(&mut self, peer: SocketAddr, exchange: ExchangeId, response: Response) {
        self.drive(peer, |endpoint, now| {
            endpoint.respond(now, exchange, response)
        });
    }

    /// Ends the session with a client.
    pub fn close(&mut self, peer: SocketAddr) {
        self.dtls.close(peer);
    }

    fn handle(&mut self, event: DtlsEvent) {
        match event {
            DtlsEvent::Connected { peer, identity } => {
                let mut seed = [0; 8];
                random::fill(&mut seed);
                let endpoint = Endpoint::new(Config::default(), u64::from_ne_bytes(seed));
                self.peers.insert(peer, Peer { identity, endpoint });
            }
            DtlsEvent::Refused { reason, .. } => {
                let reason = reason.to_string();
                self.events.push_back(CoapEvent::Refused { reason });
            }
            DtlsEvent::Data { peer, datagram } => {
                self.drive(peer, |endpoint, now| {
                    // The endpoint answers a malformed datagram as the RFC requires.
                    let _ = endpoint.handle_datagram(now, &datagram);
                });
            }
            DtlsEvent::Closed { peer } => {
                self.peers.remove(&peer);
                self.events.push_back(CoapEvent::Closed { peer });
            }
        }
    }

    fn expire(&mut self) {
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.drive(peer, |endpoint, now| endpoint.handle_timeout(now));
        }
    }

    /// Applies `step` to a client's endpoint, and handles its outputs.
    fn drive<T>(
        &mut self,
        peer: SocketAddr,
        step: impl FnOnce(&mut Endpoint, Instant) -> T,
    ) -> Option<T> {
        let entry = self.peers.get_mut(&peer)?;
        let outcome = step(&mut entry.endpoint, Instant::now());
        while let Some(datagram) = entry.endpoint.poll_transmit() {
            self.dtls.send(peer, &datagram);
        }
        while let Some(event) = entry.endpoint.poll_event() {
            let identity = entry.identity.clone();
            self.events.push_back(CoapEvent::Coap {
                peer,
                identity,
                event,
            });
        }
        Some(outcome)
    }
}
