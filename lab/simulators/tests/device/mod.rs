//! A device for the servers: DTLS with a certificate, and CoAP messages by the test.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::crypto::rust_crypto;
use dimpl::{Config, Dtls, DtlsCertificate, Output};
use softsim_coap::{Code, Endpoint, Event, Request, Response};
use softsim_lab_simulators::pki::Credentials;

/// Long enough for a loaded machine; no test waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Device {
    socket: UdpSocket,
    dtls: Dtls,
    endpoint: Endpoint,
    connected: bool,
    pub(crate) closed: bool,
    due: Instant,
}

impl Device {
    /// Completes a handshake.
    pub(crate) fn connect(server: SocketAddr, credentials: &Credentials) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        let provider = rust_crypto::default_provider();
        let config = Config::builder().with_crypto_provider(provider).build();
        let certificate = DtlsCertificate {
            certificate: credentials.certificate.clone(),
            private_key: credentials.private_key.clone(),
        };
        let now = Instant::now();
        let mut dtls = Dtls::new_12(Arc::new(config.unwrap()), certificate, now);
        dtls.set_active(true);
        let mut device = Self {
            socket,
            dtls,
            endpoint: Endpoint::new(softsim_coap::Config::default(), 1),
            connected: false,
            closed: false,
            due: now,
        };
        device.run_until(|device| device.connected);
        device
    }

    /// What the server asks next.
    pub(crate) fn asked(&mut self, answer: impl FnOnce(&Request) -> Response) -> Request {
        match self.event() {
            Event::Request { exchange, request } => {
                let response = answer(&request);
                self.endpoint.respond(Instant::now(), exchange, response);
                self.drain();
                request
            }
            other => panic!("expected a request, got {other:?}"),
        }
    }

    /// Asks the server.
    pub(crate) fn ask(&mut self, request: Request) -> Response {
        self.endpoint.request(Instant::now(), request);
        self.drain();
        match self.event() {
            Event::Response { response, .. } => response,
            other => panic!("expected a response, got {other:?}"),
        }
    }

    /// Answers a Read that observes, and then notifies.
    pub(crate) fn observed(&mut self, first: Response, then: Response) {
        match self.event() {
            Event::Request { exchange, .. } => {
                let now = Instant::now();
                assert!(self.endpoint.respond_observed(now, exchange, first));
                self.drain();
                self.endpoint.notify(
                    Instant::now(),
                    exchange,
                    then,
                    softsim_coap::Reliability::Confirmable,
                );
                self.drain();
            }
            other => panic!("expected an observing request, got {other:?}"),
        }
    }

    /// Waits until the server closes the session.
    pub(crate) fn wait_for_close(&mut self) {
        self.run_until(|device| device.closed);
    }

    fn event(&mut self) -> Event {
        let mut found = None;
        self.run_until(|device| {
            found = device.endpoint.poll_event();
            found.is_some()
        });
        found.unwrap()
    }

    fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 64 << 10];
        self.drain();
        while !done(self) {
            assert!(Instant::now() < deadline, "the server is silent");
            let wait = self.due.saturating_duration_since(Instant::now());
            let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(1));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            let received = match self.socket.recv(&mut buffer) {
                Ok(length) => Some(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) => panic!("{error}"),
            };
            self.dtls.handle_timeout(Instant::now()).unwrap();
            if let Some(length) = received {
                self.dtls.handle_packet(&buffer[..length]).unwrap();
            }
            self.drain();
        }
    }

    fn drain(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        while let Some(datagram) = self.endpoint.poll_transmit() {
            self.dtls.send_application_data(&datagram).unwrap();
        }
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => drop(self.socket.send(packet).unwrap()),
                Output::Connected => self.connected = true,
                Output::CloseNotify => self.closed = true,
                Output::ApplicationData(datagram) => {
                    (self.endpoint.handle_datagram(Instant::now(), datagram)).unwrap();
                    while let Some(datagram) = self.endpoint.poll_transmit() {
                        self.dtls.send_application_data(&datagram).unwrap();
                    }
                }
                Output::Timeout(due) => {
                    self.due = due;
                    return;
                }
                _ => {}
            }
        }
    }
}

/// The answer to an operation that was carried out.
pub(crate) fn success(request: &Request) -> Response {
    use softsim_coap::Method;
    Response::new(match request.method {
        Method::Get => Code::CONTENT,
        Method::Delete => Code::DELETED,
        _ => Code::CHANGED,
    })
}
