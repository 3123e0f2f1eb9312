//! EAP over RADIUS to a server. The gateway is supplicant and access point at once.
//!
//! [`softsim_carriers::radius`] makes and checks the datagrams; [`Names`] and [`ServerSocket`] find
//! the server.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};
use std::{fmt, io};

use softsim_carriers::radius::{self, Secret};
use softsim_client::netd::Failure;
use softsim_eap::Direction;
use softsim_sandbox::random;

use super::Fatal;
use super::carrier::{Carrier, Output, State, Terms, note};
use crate::names::Names;
use crate::progress::Fault;
use crate::server_socket::{Received, ServerSocket};
use crate::uri::Server;

/// The time that an authentication may take, whatever the server sends.
const MAX_DURATION: Duration = Duration::from_secs(120);

/// The longest RADIUS packet (RFC 2865 §3).
const MAX_DATAGRAM: usize = 4096;

/// A client of one server. It resolves the server's name for each authentication.
pub(super) struct Radius {
    server: Server,
    names: Names,
    client: radius::Client,
    /// The identifier of the EAP-Request/Identity that the carrier makes.
    identifier: u8,
    phase: Phase,
    outputs: VecDeque<Output>,
}

enum Phase {
    Idle,
    LookingUp(LookUp),
    Authenticating(Attempt),
    Authenticated,
    Held { until: Instant },
}

type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

struct Attempt {
    socket: ServerSocket,
    /// When the attempt ends in any case.
    end: Instant,
    decision: Option<Decision>,
}

/// The decision of a server.
enum Decision {
    Accept(Terms),
    Reject,
}

impl Radius {
    /// Creates a client without an order to connect.
    ///
    /// # Errors
    /// The NAS identifier doesn't fit into its attribute.
    pub(super) fn new(
        server: Server,
        secret: Secret,
        nas_identifier: &str,
        names: Names,
    ) -> Result<Self, radius::Error> {
        Ok(Self {
            server,
            names,
            client: radius::Client::new(secret, nas_identifier)?,
            identifier: 0,
            phase: Phase::Idle,
            outputs: VecDeque::new(),
        })
    }

    /// Begins the conversation as an access point does, with EAP-Request/Identity (RFC 3748 §5.1).
    fn looked_up(&mut self, addresses: io::Result<Vec<SocketAddr>>) {
        let socket = addresses
            .map_err(|error| self.unavailable(format_args!("the name has no address: {error}")))
            .and_then(|addresses| {
                ServerSocket::new(addresses).map_err(|error| self.unavailable(error))
            });
        match socket {
            Ok(socket) => {
                let end = Instant::now() + MAX_DURATION;
                self.phase = Phase::Authenticating(Attempt {
                    socket,
                    end,
                    decision: None,
                });
                self.identifier = self.identifier.wrapping_add(1);
                let request = [1, self.identifier, 0, 5, 1];
                self.outputs.push_back(Output::OwnRequest(request.into()));
            }
            Err(fault) => self.outputs.push_back(Output::Failed(fault)),
        }
    }

    fn handle(&mut self, datagram: &[u8]) {
        let answer = match self.client.handle(datagram) {
            Ok(answer) => answer,
            Err(error) => {
                self.outputs.push_back(Output::Ignored(error.to_string()));
                return;
            }
        };
        match answer {
            radius::Answer::Challenge { eap } => self.outputs.push_back(Output::Eap {
                packet: eap,
                msk: None,
            }),
            radius::Answer::Accept { eap, msk, limit } => {
                let terms = Terms {
                    msk_received: msk.is_some(),
                    limit,
                };
                self.outputs.push_back(Output::Eap { packet: eap, msk });
                let reason = "expected an EAP-Success to believe with Access-Accept, got none";
                self.decided(
                    Decision::Accept(terms),
                    Fault::new(Failure::Protocol, reason),
                );
            }
            radius::Answer::Reject { eap } => {
                let eap = eap.map(|packet| Output::Eap { packet, msk: None });
                self.outputs.extend(eap);
                let reason = format!("{}: Access-Reject", self.server);
                self.decided(Decision::Reject, Fault::new(Failure::Refused, reason));
            }
        }
    }

    /// Notes the server's decision. Unless the peer ends the conversation with the EAP packet of
    /// that decision, the authentication has failed.
    fn decided(&mut self, decision: Decision, otherwise: Fault) {
        if let Phase::Authenticating(attempt) = &mut self.phase {
            attempt.decision = Some(decision);
        }
        self.outputs.push_back(Output::Failed(otherwise));
    }

    async fn transmit(&mut self, datagram: &[u8]) {
        if let Phase::Authenticating(attempt) = &mut self.phase
            && let Err(error) = attempt.socket.send(datagram).await
        {
            self.failed_by(error);
        }
    }

    fn failed_by(&mut self, reason: impl fmt::Display) {
        let fault = self.unavailable(reason);
        self.outputs.push_back(Output::Failed(fault));
    }

    fn unavailable(&self, reason: impl fmt::Display) -> Fault {
        Fault::new(Failure::Unavailable, format!("{}: {reason}", self.server))
    }

    fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::LookingUp(_) | Phase::Authenticating(_))
    }

    /// Enters a phase, and drops everything of the phase before.
    fn enter(&mut self, phase: Phase) {
        self.client.abandon();
        self.outputs.clear();
        self.phase = phase;
    }
}

impl Carrier for Radius {
    fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::LookingUp(_) => State::Connecting,
            Phase::Authenticating(_) => State::Authenticating,
            Phase::Authenticated => State::Authenticated,
            Phase::Held { until } => State::Held { until },
        }
    }

    fn connect(&mut self, _: Instant) {
        if self.is_under_way() {
            return;
        }
        let (names, server) = (self.names.clone(), self.server.clone());
        let look_up = async move { names.addresses(&server.host, server.port).await };
        self.enter(Phase::LookingUp(Box::pin(look_up)));
    }

    fn disconnect(&mut self) {
        let under_way = self.is_under_way();
        self.enter(Phase::Idle);
        self.outputs.extend(under_way.then_some(Output::Abandon));
    }

    async fn send(&mut self, eap: &[u8]) {
        match &self.phase {
            // A server that has decided expects no response.
            Phase::Authenticating(Attempt { decision: None, .. }) => {}
            _ => return,
        }
        let mut authenticator = [0; 16];
        random::fill(&mut authenticator);
        match self.client.request(Instant::now(), authenticator, eap) {
            Ok(datagram) => self.transmit(&datagram).await,
            Err(error) => {
                let fault = Fault::new(Failure::Internal, error);
                self.outputs.push_back(Output::Failed(fault));
            }
        }
    }

    fn succeeded(&mut self, _: Instant) -> Result<Terms, Fault> {
        let Phase::Authenticating(Attempt {
            decision: Some(Decision::Accept(terms)),
            ..
        }) = self.phase
        else {
            let reason = "expected EAP-Success with Access-Accept, got without";
            return Err(Fault::new(Failure::Protocol, reason));
        };
        self.enter(Phase::Authenticated);
        Ok(terms)
    }

    fn failed(&mut self, now: Instant, wait: Duration) {
        self.enter(Phase::Held { until: now + wait });
    }

    async fn advance(&mut self) -> Result<Option<Output>, Fatal> {
        let output = self.outputs.pop_front();
        // A RADIUS server sends nothing without a request.
        let is_stuck =
            matches!(self.phase, Phase::Authenticating(_)) && self.client.poll_timeout().is_none();
        Ok(match output {
            None if is_stuck => Some(Output::Silent(
                self.unavailable("its last packet can't be answered"),
            )),
            output => output,
        })
    }

    async fn receive(&mut self) -> Result<(), Fatal> {
        match &mut self.phase {
            Phase::LookingUp(look_up) => {
                let addresses = look_up.await;
                self.looked_up(addresses);
            }
            Phase::Authenticating(attempt) => {
                let mut datagram = [0; MAX_DATAGRAM];
                match attempt.socket.receive(&mut datagram).await {
                    Ok(Received::Datagram(length)) => self.handle(&datagram[..length]),
                    Ok(Received::Unreachable(unreachable)) => {
                        let note = note(Direction::Received, unreachable.to_string());
                        self.outputs.push_back(note);
                    }
                    Err(error) => self.failed_by(error),
                }
            }
            Phase::Idle | Phase::Authenticated | Phase::Held { .. } => pending().await,
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Authenticating(attempt) => {
                let next = self.client.poll_timeout();
                Some(next.map_or(attempt.end, |next| next.min(attempt.end)))
            }
            Phase::Held { until } => Some(*until),
            Phase::Idle | Phase::LookingUp(_) | Phase::Authenticated => None,
        }
    }

    async fn handle_timeout(&mut self, now: Instant) {
        match &self.phase {
            Phase::Held { until } if now >= *until => self.connect(now),
            Phase::Authenticating(attempt) if now >= attempt.end => {
                self.failed_by("the server draws the authentication out");
            }
            Phase::Authenticating(_) => match self.client.handle_timeout(now) {
                Some(radius::Timeout::Retransmit(datagram)) => self.transmit(&datagram).await,
                Some(radius::Timeout::GaveUp) => self.failed_by(
                    "no answer: no RADIUS server is there, it doesn't know this client, or it has another secret",
                ),
                None => {}
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::net::UdpSocket;

    use softsim_carriers::radius::Request;

    use super::*;

    const RESPONSE: [u8; 6] = [2, 1, 0, 6, 1, b'x'];
    const SUCCESS: [u8; 4] = [3, 1, 0, 4];
    const FAILURE: [u8; 4] = [4, 1, 0, 4];

    fn secret() -> Secret {
        Secret::new(b"testing123".to_vec()).unwrap()
    }

    /// A client that has sent its first response, what the server received, and the server.
    async fn asked() -> (Radius, Request, UdpSocket, SocketAddr) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let timeout = Duration::from_millis(200);
        server.set_read_timeout(Some(timeout)).unwrap();
        let address = server.local_addr().unwrap();
        let host = Server::with_port(&address.to_string()).unwrap();
        let mut radius = Radius::new(host, secret(), "nas", Names::without_helper()).unwrap();
        radius.connect(Instant::now());
        assert_eq!(radius.state(), State::Connecting);
        radius.receive().await.unwrap();
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::OwnRequest(_))), "{output:?}");
        radius.send(&RESPONSE).await;
        let mut datagram = [0; MAX_DATAGRAM];
        let (length, client) = server.recv_from(&mut datagram).unwrap();
        let request = Request::parse(&datagram[..length], &secret()).unwrap();
        assert_eq!(request.eap, RESPONSE);
        (radius, request, server, client)
    }

    async fn outputs(radius: &mut Radius) -> Vec<Output> {
        let mut outputs = Vec::new();
        while let Some(output) = radius.advance().await.unwrap() {
            outputs.push(output);
            // Its owner would have told it that the authentication has failed.
            if matches!(outputs.last(), Some(Output::Failed(_))) {
                break;
            }
        }
        outputs
    }

    #[tokio::test]
    async fn a_success_counts_with_an_access_accept_only() {
        let (mut radius, request, server, client) = asked().await;
        let accept = request.accept(&secret(), &SUCCESS, None, 1).unwrap();
        assert_eq!(
            radius.succeeded(Instant::now()).unwrap_err().failure,
            Failure::Protocol
        );
        server.send_to(&accept, client).unwrap();
        radius.receive().await.unwrap();
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::Eap { .. })), "{output:?}");
        assert!(!radius.succeeded(Instant::now()).unwrap().msk_received);
        assert_eq!(radius.state(), State::Authenticated);
        assert!(outputs(&mut radius).await.is_empty());
    }

    #[tokio::test]
    async fn an_access_reject_fails_whatever_the_peer_makes_of_it_and_nothing_is_sent_after_it() {
        let (mut radius, request, server, client) = asked().await;
        let reject = request.reject(&secret(), Some(&FAILURE)).unwrap();
        server.send_to(&reject, client).unwrap();
        radius.receive().await.unwrap();
        radius.send(&RESPONSE).await;
        assert!(server.recv(&mut [0]).is_err());
        let outputs = outputs(&mut radius).await;
        let [Output::Eap { packet, .. }, Output::Failed(fault)] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(*packet, FAILURE);
        assert!(fault.reason.ends_with("Access-Reject"), "{fault}");
        let now = Instant::now();
        let wait = Duration::from_secs(9);
        radius.failed(now, wait);
        assert_eq!(radius.state(), State::Held { until: now + wait });
        assert_eq!(radius.poll_timeout(), Some(now + wait));
        radius.handle_timeout(now + wait).await;
        assert_eq!(radius.state(), State::Connecting);
    }

    #[tokio::test]
    async fn a_disconnect_abandons_the_conversation() {
        let (mut radius, ..) = asked().await;
        radius.disconnect();
        let outputs = outputs(&mut radius).await;
        assert!(matches!(outputs[..], [Output::Abandon]), "{outputs:?}");
        assert_eq!(radius.state(), State::Idle);
        assert_eq!(radius.poll_timeout(), None);
    }

    #[tokio::test]
    async fn a_peer_without_an_answer_is_stuck_and_a_server_without_one_is_given_up() {
        let (mut radius, request, server, client) = asked().await;
        let challenge = request
            .challenge(&secret(), &[1, 2, 0, 4], b"state")
            .unwrap();
        server.send_to(&challenge, client).unwrap();
        radius.receive().await.unwrap();
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::Eap { .. })), "{output:?}");
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::Silent(_))), "{output:?}");

        let (mut radius, ..) = asked().await;
        let far = Instant::now() + 2 * MAX_DURATION;
        radius.handle_timeout(far).await;
        let outputs = outputs(&mut radius).await;
        let [Output::Failed(fault)] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(fault.failure, Failure::Unavailable);
    }
}
