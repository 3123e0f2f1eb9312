//! EAP over RADIUS to one of several servers. The gateway is supplicant and access point at once.
//!
//! [`softsim_carriers::radius`] makes and checks the datagrams, and says which server to ask;
//! [`Names`] and [`ServerSocket`] find it. A server keeps the state of a conversation, so that one
//! which falls silent is never replaced in its middle: the conversation begins anew at the next.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};
use std::{fmt, io};

use softsim_carriers::radius::{self, Probe, Secret};
use softsim_client::netd::Failure;
use softsim_eap::Direction;
use softsim_sandbox::random;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Fatal;
use super::carrier::{Carrier, Output, State, Terms, note};
use crate::names::Names;
use crate::progress::Fault;
use crate::server_socket::{self, ServerSocket, Unreachable};
use crate::uri::Server;

/// The time that an authentication may take at one server, whatever the server sends.
const MAX_DURATION: Duration = Duration::from_secs(120);

/// The time that a server has to answer Status-Server, look-up of its name included.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest RADIUS packet (RFC 2865 §3).
const MAX_DATAGRAM: usize = 4096;

/// A client of servers that stand in for each other. It resolves a server's name for each
/// authentication.
pub(super) struct Radius {
    servers: Vec<Known>,
    health: radius::Servers,
    names: Names,
    /// The identifier of the EAP-Request/Identity that the carrier makes.
    identifier: u8,
    phase: Phase,
    /// The server that is asked, or was asked last.
    current: usize,
    /// The servers to ask next in this attempt.
    next: VecDeque<usize>,
    /// Why the servers before didn't serve in this attempt.
    reasons: Vec<String>,
    /// The Status-Servers on their way to dead servers.
    probing: JoinSet<(usize, Probed)>,
    outputs: VecDeque<Output>,
}

/// A server of the configuration, and the client that shares a secret with it.
struct Known {
    server: Server,
    client: radius::Client,
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
    /// What the network reported last about the packets.
    report: Option<String>,
}

/// Whether a Status-Server was answered, and if not, why the last datagram that came was ignored.
type Probed = Result<(), Option<radius::Error>>;

/// The decision of a server.
enum Decision {
    Accept(Terms),
    Reject,
}

/// What [`Radius::receive`] waited for.
enum Received {
    Addresses(io::Result<Vec<SocketAddr>>),
    Heard(io::Result<server_socket::Received>),
    Probed(usize, Probed),
}

impl Radius {
    /// Creates a client without an order to connect. It prefers the servers in this order.
    ///
    /// # Errors
    /// The NAS identifier doesn't fit into its attribute.
    pub(super) fn new(
        servers: impl IntoIterator<Item = (Server, Secret)>,
        nas_identifier: &str,
        names: Names,
    ) -> Result<Self, radius::Error> {
        let known = |(server, secret)| {
            let client = radius::Client::new(secret, nas_identifier)?;
            Ok(Known { server, client })
        };
        let servers = servers
            .into_iter()
            .map(known)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            health: radius::Servers::new(servers.len()),
            servers,
            names,
            identifier: 0,
            phase: Phase::Idle,
            current: 0,
            next: VecDeque::new(),
            reasons: Vec::new(),
            probing: JoinSet::new(),
            outputs: VecDeque::new(),
        })
    }

    fn server(&self) -> &Server {
        &self.servers[self.current].server
    }

    fn client(&mut self) -> &mut radius::Client {
        &mut self.servers[self.current].client
    }

    /// Asks the next server of this attempt.
    fn ask_next(&mut self) {
        let Some(server) = self.next.pop_front() else {
            return;
        };
        self.current = server;
        let alternative = !self.next.is_empty();
        self.client().set_alternative(alternative);
        let (names, server) = (self.names.clone(), self.server().clone());
        let look_up = async move { names.addresses(&server.host, server.port).await };
        self.phase = Phase::LookingUp(Box::pin(look_up));
    }

    /// Begins the conversation as an access point does, with EAP-Request/Identity (RFC 3748 §5.1).
    fn looked_up(&mut self, addresses: io::Result<Vec<SocketAddr>>) {
        let socket = addresses
            .map_err(|error| format!("the name has no address: {error}"))
            .and_then(|addresses| ServerSocket::new(addresses).map_err(|error| error.to_string()));
        match socket {
            Ok(socket) => {
                let end = Instant::now() + MAX_DURATION;
                self.phase = Phase::Authenticating(Attempt {
                    socket,
                    end,
                    decision: None,
                    report: None,
                });
                self.identifier = self.identifier.wrapping_add(1);
                let request = [1, self.identifier, 0, 5, 1];
                self.outputs.push_back(Output::OwnRequest(request.into()));
            }
            Err(reason) if self.next.is_empty() => self.failed_by(reason),
            // The name may take long to fail, and the next attempt would wait for it again.
            Err(reason) => self.unusable(Instant::now(), reason),
        }
    }

    /// Handles what came from an address of the server. Only what the server has signed makes that
    /// address the one to use.
    fn handle(&mut self, datagram: &[u8], address: SocketAddr) {
        let answer = self.client().handle(datagram);
        if let (Ok(_) | Err(radius::Error::Again(_)), Phase::Authenticating(attempt)) =
            (&answer, &mut self.phase)
        {
            attempt.socket.choose(address);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let ignored = format!("{}: {error}", self.server());
                self.outputs.push_back(Output::Ignored(ignored));
                return;
            }
        };
        self.health.answered(self.current);
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
                let reason = format!("{}: Access-Reject", self.server());
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

    /// The network reports that a packet hasn't arrived. A server that restarts refuses packets
    /// for a moment, and another address may still answer, so that the next server is asked only
    /// if all addresses of this one refuse a packet that was sent again.
    fn unreachable(&mut self, report: &Unreachable) {
        let reason = match self.server().is_address() {
            true => report.words().to_owned(),
            false => report.to_string(),
        };
        let text = format!("{}: {reason}", self.server());
        self.outputs.push_back(note(Direction::Received, text));
        let again = self.client().retransmissions() > 0;
        let Phase::Authenticating(attempt) = &mut self.phase else {
            return;
        };
        attempt.report = Some(reason.clone());
        if attempt.socket.is_refused() && again && !self.next.is_empty() {
            self.silent(reason);
        }
    }

    /// No valid answer came in time. Answers that were ignored say more than reports of the
    /// network, and these more than silence.
    fn gave_up(&mut self, now: Instant, silence: &radius::Silence) {
        let Phase::Authenticating(attempt) = &mut self.phase else {
            return;
        };
        match (silence.ignored, attempt.report.take()) {
            (Some(_), _) => self.unusable(now, silence),
            (None, Some(report)) => self.silent(report),
            (None, None) => self.silent(silence),
        }
    }

    /// The server gave no answer to a request.
    fn silent(&mut self, reason: impl fmt::Display) {
        if !self.health.is_dead(self.current) && self.servers.len() > 1 {
            tracing::warn!(server = %self.server(), %reason, "the RADIUS server is taken for dead");
        }
        let mut jitter = [0];
        random::fill(&mut jitter);
        self.health.silent(self.current, Instant::now(), jitter[0]);
        self.failed_by(reason);
    }

    /// The server answers, but it leads to no decision.
    fn unusable(&mut self, now: Instant, reason: impl fmt::Display) {
        if !self.health.is_dead(self.current) && self.servers.len() > 1 {
            tracing::warn!(server = %self.server(), %reason, "the RADIUS server can't be used");
        }
        self.health.unusable(self.current, now);
        self.failed_by(reason);
    }

    /// This server doesn't serve: the conversation begins anew at the next, if there is one.
    fn failed_by(&mut self, reason: impl fmt::Display) {
        self.reasons.push(format!("{}: {reason}", self.server()));
        self.client().abandon();
        if self.next.is_empty() {
            let reason = self.reasons.join("; ");
            let fault = Fault::new(Failure::Unavailable, reason);
            self.outputs.push_back(Output::Failed(fault));
            return;
        }
        let before = format!("{}: {reason}", self.server());
        self.ask_next();
        let text = format!("{before}: {} is asked next", self.server());
        let told = note(Direction::Received, text);
        self.outputs.extend([told, Output::Abandon]);
    }

    fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::LookingUp(_) | Phase::Authenticating(_))
    }

    /// Enters a phase, and drops everything of the phase before.
    fn enter(&mut self, phase: Phase) {
        self.client().abandon();
        self.next.clear();
        self.reasons.clear();
        self.outputs.clear();
        self.phase = phase;
    }

    /// When to send the next Status-Server. An access that is to stay idle sends none.
    fn next_probe(&self) -> Option<Instant> {
        let idle = matches!(self.phase, Phase::Idle);
        self.health.poll_timeout().filter(|_| !idle)
    }

    /// Sends the dead server whose time has come a Status-Server.
    fn probe(&mut self, now: Instant) {
        let mut authenticator = [0; 16];
        random::fill(&mut authenticator);
        let Some(index) = self.health.probe(now, authenticator[0]) else {
            return;
        };
        let Known { server, client } = &mut self.servers[index];
        let probe = client.probe(authenticator);
        let (names, server) = (self.names.clone(), server.clone());
        let probing = async move { (index, probed(names, server, probe).await) };
        self.probing.spawn(probing);
    }

    fn probed(&mut self, server: usize, probed: Probed) {
        let name = &self.servers[server].server;
        match probed {
            Err(None) => {}
            Err(Some(error)) => {
                let ignored = format!("{name}: Status-Server: {error}");
                self.outputs.push_back(Output::Ignored(ignored));
            }
            Ok(()) if self.health.probe_answered(server) => {
                tracing::info!(server = %name, "the RADIUS server is alive again");
                let text = format!("{name} is alive again");
                self.outputs.push_back(note(Direction::Received, text));
            }
            Ok(()) => {}
        }
    }

    async fn wait(
        phase: &mut Phase,
        probing: &mut JoinSet<(usize, Probed)>,
        datagram: &mut [u8],
    ) -> Received {
        let conversation = async {
            match phase {
                Phase::LookingUp(look_up) => Received::Addresses(look_up.await),
                Phase::Authenticating(attempt) => {
                    Received::Heard(attempt.socket.receive(datagram).await)
                }
                Phase::Idle | Phase::Authenticated | Phase::Held { .. } => pending().await,
            }
        };
        let probed = async {
            match probing.join_next().await {
                Some(Ok((server, probed))) => Received::Probed(server, probed),
                // None is on its way, or one has panicked.
                Some(Err(_)) | None => pending().await,
            }
        };
        tokio::select! {
            received = conversation => received,
            received = probed => received,
        }
    }
}

/// Sends a server a Status-Server, and listens for its answer until the time is over. Anybody can
/// send something else meanwhile.
async fn probed(names: Names, server: Server, probe: Probe) -> Probed {
    let mut ignored = None;
    let listening = async {
        let addresses = names.addresses(&server.host, server.port).await?;
        let mut socket = ServerSocket::new(addresses)?;
        socket.send(&probe.datagram).await?;
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            if let server_socket::Received::Datagram { length, .. } =
                socket.receive(&mut datagram).await?
            {
                match probe.verify(&datagram[..length]) {
                    Ok(()) => return io::Result::Ok(()),
                    Err(error) => ignored = Some(error),
                }
            }
        }
    };
    match timeout(PROBE_TIMEOUT, listening).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(ignored),
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

    fn server(&self) -> Option<String> {
        let in_use = self.is_under_way() || matches!(self.phase, Phase::Authenticated);
        (in_use && self.servers.len() > 1).then(|| Radius::server(self).to_string())
    }

    fn connect(&mut self, now: Instant) {
        if self.is_under_way() {
            return;
        }
        self.enter(Phase::Idle);
        self.next = self.health.order(now).into();
        self.ask_next();
    }

    fn disconnect(&mut self) {
        let under_way = self.is_under_way();
        self.enter(Phase::Idle);
        self.probing = JoinSet::new();
        self.health.pause();
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
        match self.client().request(Instant::now(), authenticator, eap) {
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
        let is_stuck = matches!(self.phase, Phase::Authenticating(_))
            && self.client().poll_timeout().is_none();
        Ok(match output {
            None if is_stuck => {
                let reason = format!("{}: its last packet can't be answered", self.server());
                Some(Output::Silent(Fault::new(Failure::Unavailable, reason)))
            }
            output => output,
        })
    }

    async fn receive(&mut self) -> Result<(), Fatal> {
        let mut datagram = [0; MAX_DATAGRAM];
        match Self::wait(&mut self.phase, &mut self.probing, &mut datagram).await {
            Received::Addresses(addresses) => self.looked_up(addresses),
            Received::Heard(Ok(heard)) => match heard {
                server_socket::Received::Datagram { length, address } => {
                    self.handle(&datagram[..length], address);
                }
                server_socket::Received::Unreachable(report) => self.unreachable(&report),
            },
            Received::Heard(Err(error)) => self.failed_by(error),
            Received::Probed(server, probed) => self.probed(server, probed),
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Authenticating(attempt) => {
                let next = self.servers[self.current].client.poll_timeout();
                Some(next.map_or(attempt.end, |next| next.min(attempt.end)))
            }
            Phase::Held { until } => Some(*until),
            Phase::Idle | Phase::LookingUp(_) | Phase::Authenticated => None,
        };
        [own, self.next_probe()].into_iter().flatten().min()
    }

    async fn handle_timeout(&mut self, now: Instant) {
        while self.next_probe().is_some_and(|due| now >= due) {
            self.probe(now);
        }
        match &self.phase {
            Phase::Held { until } if now >= *until => self.connect(now),
            Phase::Authenticating(attempt) if now >= attempt.end => {
                self.unusable(now, "the server draws the authentication out");
            }
            Phase::Authenticating(_) => match self.client().handle_timeout(now) {
                Some(radius::Timeout::Retransmit { datagram, count }) => {
                    let text = format!("retransmission {count} to {}", self.server());
                    self.outputs.push_back(note(Direction::Sent, text));
                    self.transmit(&datagram).await;
                }
                Some(radius::Timeout::GaveUp(silence)) => self.gave_up(now, &silence),
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

    use softsim_carriers::radius::{Request, StatusRequest};

    use super::*;

    const RESPONSE: [u8; 6] = [2, 1, 0, 6, 1, b'x'];
    const SUCCESS: [u8; 4] = [3, 1, 0, 4];
    const FAILURE: [u8; 4] = [4, 1, 0, 4];

    fn secret() -> Secret {
        Secret::new(b"testing123".to_vec()).unwrap()
    }

    fn server() -> UdpSocket {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let timeout = Duration::from_millis(200);
        server.set_read_timeout(Some(timeout)).unwrap();
        server
    }

    fn client_of(servers: &[&UdpSocket]) -> Radius {
        let known = servers.iter().map(|server| {
            let address = server.local_addr().unwrap().to_string();
            (Server::with_port(&address).unwrap(), secret())
        });
        Radius::new(known, "nas", Names::without_helper()).unwrap()
    }

    /// The next datagram of the client.
    fn datagram(server: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut datagram = [0; MAX_DATAGRAM];
        let (length, client) = server.recv_from(&mut datagram).unwrap();
        (datagram[..length].to_vec(), client)
    }

    /// Has the client send its first response; what the server received.
    async fn responds(radius: &mut Radius, server: &UdpSocket) -> (Request, SocketAddr) {
        radius.receive().await.unwrap();
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::OwnRequest(_))), "{output:?}");
        radius.send(&RESPONSE).await;
        let (datagram, client) = datagram(server);
        let request = Request::parse(&datagram, &secret()).unwrap();
        assert_eq!(request.eap, RESPONSE);
        (request, client)
    }

    /// A client that has sent its first response, what the server received, and the server.
    async fn asked() -> (Radius, Request, UdpSocket, SocketAddr) {
        let server = server();
        let mut radius = client_of(&[&server]);
        radius.connect(Instant::now());
        assert_eq!(radius.state(), State::Connecting);
        let (request, client) = responds(&mut radius, &server).await;
        (radius, request, server, client)
    }

    /// The time of the next timer, which the client handles as if it were then.
    async fn next_timer(radius: &mut Radius) -> Instant {
        let now = radius.poll_timeout().unwrap();
        radius.handle_timeout(now).await;
        now
    }

    fn told(outputs: &[Output]) -> Vec<&str> {
        let told = outputs.iter().filter_map(|output| match output {
            Output::Note(note) => Some(&*note.message),
            _ => None,
        });
        told.collect()
    }

    #[tokio::test]
    async fn a_conversation_with_a_server_that_falls_silent_begins_anew_at_the_next() {
        let (first, second) = (server(), server());
        let mut radius = client_of(&[&first, &second]);
        radius.connect(Instant::now());
        let (request, client) = responds(&mut radius, &first).await;
        let challenge = request.challenge(&secret(), &[1, 2, 0, 4], b"of the first");
        first.send_to(&challenge.unwrap(), client).unwrap();
        radius.receive().await.unwrap();
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::Eap { .. })), "{output:?}");
        radius.send(&RESPONSE).await;
        let (sent, _) = datagram(&first);
        assert_eq!(
            Request::parse(&sent, &secret()).unwrap().state.as_deref(),
            Some(&b"of the first"[..])
        );
        for count in 1..=2 {
            next_timer(&mut radius).await;
            let name = radius.server().to_string();
            let outputs = outputs(&mut radius).await;
            assert_eq!(
                told(&outputs),
                [format!("retransmission {count} to {name}")]
            );
            assert_eq!(datagram(&first).0, sent);
        }
        next_timer(&mut radius).await;
        assert_eq!(radius.state(), State::Connecting);
        let outputs = outputs(&mut radius).await;
        let [Output::Note(note), Output::Abandon] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        let text = &*note.message;
        assert!(text.contains("no answer to 3 packets"), "{text}");
        assert!(text.ends_with(" is asked next"), "{text}");
        let (request, client) = responds(&mut radius, &second).await;
        assert_eq!(request.state, None);
        let accept = request.accept(&secret(), &SUCCESS, None, 1).unwrap();
        second.send_to(&accept, client).unwrap();
        radius.receive().await.unwrap();
        radius.succeeded(Instant::now()).unwrap();

        // The next authentication begins at the second, and if that is silent, too, the access
        // tells what it heard of both.
        radius.connect(Instant::now());
        responds(&mut radius, &second).await;
        let mut failed = Vec::new();
        while failed.is_empty() {
            if radius.state() == State::Connecting {
                responds(&mut radius, &first).await;
            }
            next_timer(&mut radius).await;
            failed = self::outputs(&mut radius).await;
            failed.retain(|output| matches!(output, Output::Failed(_)));
        }
        let [Output::Failed(fault)] = &failed[..] else {
            panic!("{failed:?}")
        };
        assert_eq!(fault.failure, Failure::Unavailable);
        assert_eq!(fault.reason.matches("no answer").count(), 2, "{fault}");
    }

    /// The kernel reports it as it would report the message of a router.
    #[tokio::test]
    async fn a_refused_packet_is_told_and_a_second_one_leads_to_the_next_server() {
        let (first, second) = (server(), server());
        let mut radius = client_of(&[&first, &second]);
        drop(first);
        radius.connect(Instant::now());
        radius.receive().await.unwrap();
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::OwnRequest(_))), "{output:?}");
        radius.send(&RESPONSE).await;
        radius.receive().await.unwrap();
        let heard = outputs(&mut radius).await;
        let [text] = &told(&heard)[..] else {
            panic!("{heard:?}")
        };
        assert!(text.ends_with("that nothing listens there"), "{text}");
        assert_eq!(radius.state(), State::Authenticating);
        next_timer(&mut radius).await;
        radius.receive().await.unwrap();
        let heard = outputs(&mut radius).await;
        assert!(matches!(heard.last(), Some(Output::Abandon)), "{heard:?}");
        responds(&mut radius, &second).await;
    }

    #[tokio::test]
    async fn a_single_server_that_refuses_is_given_up_with_that_reason() {
        let server = server();
        let mut radius = client_of(&[&server]);
        drop(server);
        radius.connect(Instant::now());
        radius.receive().await.unwrap();
        radius.advance().await.unwrap();
        radius.send(&RESPONSE).await;
        radius.receive().await.unwrap();
        let fault = loop {
            let heard = outputs(&mut radius).await;
            if let Some(Output::Failed(fault)) = heard.into_iter().next_back() {
                break fault;
            }
            next_timer(&mut radius).await;
        };
        assert!(fault.reason.contains("nothing listens there"), "{fault}");
    }

    /// RFC 5997: a server that answers three in a row is asked first again. One that doesn't answer
    /// isn't, until so much time has passed that a request may show whether it is there.
    #[tokio::test]
    async fn a_dead_server_is_probed_and_asked_first_again_when_it_has_answered() {
        for answers in [true, false] {
            let (first, second) = (server(), server());
            let mut radius = client_of(&[&first, &second]);
            radius.connect(Instant::now());
            responds(&mut radius, &first).await;
            while radius.state() != State::Connecting {
                next_timer(&mut radius).await;
            }
            for _ in 0..2 {
                datagram(&first);
            }
            outputs(&mut radius).await;
            let (request, client) = responds(&mut radius, &second).await;
            let accept = request.accept(&secret(), &SUCCESS, None, 1).unwrap();
            second.send_to(&accept, client).unwrap();
            radius.receive().await.unwrap();
            radius.succeeded(Instant::now()).unwrap();
            let mut now = Instant::now();
            for count in 1..=3 {
                assert_eq!(radius.health.order(now), [1, 0]);
                if answers {
                    now = answers_status(&mut radius, &first).await;
                } else {
                    now = next_timer(&mut radius).await;
                    // Nothing answers in time.
                    radius.probed(0, Err(None));
                }
                assert_eq!(
                    told(&outputs(&mut radius).await).len(),
                    usize::from(answers && count == 3)
                );
            }
            let expected = if answers { [0, 1] } else { [1, 0] };
            assert_eq!(radius.health.order(now), expected);
        }
    }

    /// An address at which nothing listens.
    fn nobody() -> SocketAddr {
        server().local_addr().unwrap()
    }

    /// Has the client ask the first server at these addresses.
    async fn asks_at(radius: &mut Radius, addresses: &[SocketAddr]) {
        radius.connect(Instant::now());
        radius.looked_up(Ok(addresses.to_vec()));
        let output = radius.advance().await.unwrap();
        assert!(matches!(output, Some(Output::OwnRequest(_))), "{output:?}");
        radius.send(&RESPONSE).await;
    }

    /// Accepts the next request that comes to a server.
    fn accepts(server: &UdpSocket) -> std::thread::JoinHandle<()> {
        let server = server.try_clone().unwrap();
        server.set_read_timeout(None).unwrap();
        std::thread::spawn(move || {
            let (datagram, client) = datagram(&server);
            let request = Request::parse(&datagram, &secret()).unwrap();
            let accept = request.accept(&secret(), &SUCCESS, None, 1).unwrap();
            server.send_to(&accept, client).unwrap();
        })
    }

    async fn is_accepted(radius: &mut Radius) {
        loop {
            radius.receive().await.unwrap();
            for output in outputs(radius).await {
                match output {
                    Output::Eap { .. } => return,
                    Output::Note(_) | Output::Ignored(_) => {}
                    output => panic!("{output:?}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_ends_nothing_while_another_one_may_answer() {
        let (slow, second) = (server(), server());
        let mut radius = client_of(&[&slow, &second]);
        asks_at(&mut radius, &[nobody(), slow.local_addr().unwrap()]).await;
        radius.receive().await.unwrap();
        next_timer(&mut radius).await;
        radius.receive().await.unwrap();
        outputs(&mut radius).await;
        assert_eq!(radius.state(), State::Authenticating);
        let accepting = accepts(&slow);
        is_accepted(&mut radius).await;
        accepting.join().unwrap();

        radius.connect(Instant::now());
        let mut radius = client_of(&[&slow, &second]);
        asks_at(&mut radius, &[nobody(), nobody()]).await;
        for _ in 0..2 {
            radius.receive().await.unwrap();
        }
        next_timer(&mut radius).await;
        radius.receive().await.unwrap();
        assert_eq!(radius.state(), State::Authenticating);
        radius.receive().await.unwrap();
        assert_eq!(radius.state(), State::Connecting);
    }

    #[tokio::test]
    async fn a_forged_answer_from_one_address_leaves_the_others_in_use() {
        let (silent, server) = (server(), server());
        let mut radius = client_of(&[&server]);
        let addresses = [&silent, &server].map(|socket| socket.local_addr().unwrap());
        asks_at(&mut radius, &addresses).await;
        let (_, client) = datagram(&silent);
        silent.send_to(b"garbage", client).unwrap();
        radius.receive().await.unwrap();
        let accepting = accepts(&server);
        let accepted = timeout(Duration::from_secs(10), is_accepted(&mut radius)).await;
        assert!(accepted.is_ok(), "the other address wasn't tried");
        accepting.join().unwrap();
        let Phase::Authenticating(attempt) = &radius.phase else {
            panic!("it hasn't ended");
        };
        assert!(attempt.socket.tried().eq([addresses[1]]));
    }

    #[tokio::test]
    async fn the_report_of_a_refusal_names_an_address_once() {
        let server = server();
        let mut radius = client_of(&[&server]);
        let address = nobody();
        radius.servers[0].server = Server::with_port(&address.to_string()).unwrap();
        asks_at(&mut radius, &[address]).await;
        radius.receive().await.unwrap();
        let heard = outputs(&mut radius).await;
        let expected = format!("{address}: the network says that nothing listens there");
        assert_eq!(told(&heard), [expected]);

        radius.servers[0].server = Server::with_port("aaa.example:1812").unwrap();
        radius.disconnect();
        outputs(&mut radius).await;
        asks_at(&mut radius, &[address]).await;
        radius.receive().await.unwrap();
        let heard = outputs(&mut radius).await;
        let expected =
            format!("aaa.example:1812: {address}: the network says that nothing listens there");
        assert_eq!(told(&heard), [expected]);
    }

    /// Has a dead server answer the Status-Server that is due, after some garbage.
    async fn answers_status(radius: &mut Radius, server: &UdpSocket) -> Instant {
        let now = next_timer(radius).await;
        let server = server.try_clone().unwrap();
        server.set_read_timeout(None).unwrap();
        let answering = std::thread::spawn(move || {
            let (status, client) = datagram(&server);
            let status = StatusRequest::parse(&status, &secret()).unwrap();
            server.send_to(b"garbage", client).unwrap();
            let answer = status.answer(&secret()).unwrap();
            server.send_to(&answer, client).unwrap();
        });
        radius.receive().await.unwrap();
        answering.join().unwrap();
        now
    }

    #[tokio::test]
    async fn garbage_does_not_keep_the_answer_to_a_status_server_from_counting() {
        let (first, second) = (server(), server());
        let mut radius = client_of(&[&first, &second]);
        radius.enter(Phase::Authenticated);
        radius.health.silent(0, Instant::now(), 0);
        let mut now = Instant::now();
        for _ in 0..3 {
            assert_eq!(radius.health.order(now), [1, 0]);
            now = answers_status(&mut radius, &first).await;
        }
        assert_eq!(radius.health.order(now), [0, 1]);
    }

    #[tokio::test]
    async fn a_server_that_is_slow_delays_no_status_server_to_another() {
        let servers = [server(), server()];
        let mut radius = client_of(&[&servers[0], &servers[1]]);
        radius.enter(Phase::Authenticated);
        let now = Instant::now();
        radius.health.silent(0, now, 0);
        radius.health.silent(1, now, 0);
        let later = now + Duration::from_secs(40);
        radius.handle_timeout(later).await;
        // Nothing answers: the tasks run until then.
        let heard = timeout(Duration::from_millis(200), radius.receive()).await;
        assert!(heard.is_err());
        for server in &servers {
            let (status, _) = datagram(server);
            StatusRequest::parse(&status, &secret()).unwrap();
        }
    }

    #[tokio::test]
    async fn after_a_server_that_draws_the_authentication_out_the_next_one_is_asked() {
        let (first, second) = (server(), server());
        let mut radius = client_of(&[&first, &second]);
        let now = Instant::now();
        radius.connect(now);
        let (request, client) = responds(&mut radius, &first).await;
        let challenge = request.challenge(&secret(), &[1, 2, 0, 4], b"state");
        first.send_to(&challenge.unwrap(), client).unwrap();
        radius.receive().await.unwrap();
        let end = now + 2 * MAX_DURATION;
        radius.handle_timeout(end).await;
        let heard = outputs(&mut radius).await;
        assert!(matches!(heard.last(), Some(Output::Abandon)), "{heard:?}");
        for _ in 0..2 {
            responds(&mut radius, &second).await;
            // So does the next attempt.
            radius.failed(end, Duration::ZERO);
            radius.connect(end);
        }
    }

    /// Its answer to a Status-Server would say nothing about its answers to requests.
    #[tokio::test]
    async fn a_server_whose_answers_cannot_be_used_is_asked_again_after_a_while_and_not_probed() {
        let (first, second) = (server(), server());
        let mut radius = client_of(&[&first, &second]);
        radius.connect(Instant::now());
        let (_, client) = responds(&mut radius, &first).await;
        first.send_to(b"garbage", client).unwrap();
        radius.receive().await.unwrap();
        while radius.state() != State::Connecting {
            next_timer(&mut radius).await;
        }
        let now = Instant::now();
        assert_eq!(radius.health.order(now), [1, 0]);
        assert_eq!(radius.next_probe(), None);
        let later = now + Duration::from_secs(330);
        assert_eq!(radius.health.order(later), [0, 1]);
    }

    /// Each attempt would wait for the name again.
    #[tokio::test]
    async fn a_server_whose_name_is_not_found_is_asked_after_the_others_for_a_while() {
        let second = server();
        let address = second.local_addr().unwrap().to_string();
        let known = ["radius.home:1812", &*address]
            .map(|server| (Server::with_port(server).unwrap(), secret()));
        let mut radius = Radius::new(known, "nas", Names::without_helper()).unwrap();
        radius.connect(Instant::now());
        radius.receive().await.unwrap();
        while radius.advance().await.unwrap().is_some() {}
        assert_eq!(radius.health.order(Instant::now()), [1, 0]);
        responds(&mut radius, &second).await;
    }

    #[tokio::test]
    async fn answers_from_before_an_access_was_idle_bring_no_server_back() {
        let (first, second) = (server(), server());
        let mut radius = client_of(&[&first, &second]);
        radius.enter(Phase::Authenticated);
        radius.health.silent(0, Instant::now(), 0);
        for _ in 0..2 {
            answers_status(&mut radius, &first).await;
        }
        radius.disconnect();
        assert_eq!(radius.poll_timeout(), None);
        radius.enter(Phase::Authenticated);
        let now = answers_status(&mut radius, &first).await;
        assert_eq!(radius.health.order(now), [1, 0]);
        for _ in 0..2 {
            answers_status(&mut radius, &first).await;
        }
        assert_eq!(radius.health.order(now), [0, 1]);
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
