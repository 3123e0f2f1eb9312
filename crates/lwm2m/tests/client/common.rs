//! Helpers: a client, servers for it, and an application with scripted decisions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use softsim_coap::{self as coap, Code, Endpoint, Method, Request, Response};
use softsim_lwm2m::codec::encode;
use softsim_lwm2m::{
    Accounts, Client, Config, ContentFormat, Event, Instance, Instances, Output, Path,
    SecurityMode, ServerRole, SimResult,
};

pub(crate) const BOOTSTRAP: ServerRole = ServerRole::Bootstrap;
pub(crate) const SSID: u16 = 123;
pub(crate) const MANAGEMENT: ServerRole = ServerRole::Management(SSID);

/// A client in a session with one server. The test controls the other end of the session.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) client: Client,
    pub(crate) server: Endpoint,
    pub(crate) role: ServerRole,
    /// The server's answers to the client's next requests. When these are used up, it answers
    /// 2.04, 2.01 or 2.02.
    pub(crate) answers: VecDeque<Response>,
    /// The client's requests to the server.
    pub(crate) requests: Vec<Request>,
    pub(crate) events: Vec<Event>,
    pub(crate) package_verdict: Option<Result<(), SimResult>>,
    pub(crate) commit_verdict: Option<Result<(), SimResult>>,
    /// The notifications that the server received.
    pub(crate) notifications: Vec<Response>,
}

pub(crate) fn config() -> Config {
    Config::new("gw1")
}

/// The factory's accounts, with one bootstrap server.
pub(crate) fn factory() -> Accounts {
    Accounts::factory("coaps://bootstrap.example:5684", SecurityMode::Certificate)
}

pub(crate) fn certificate_account(uri: &str, ssid: u16) -> Instance {
    Instance::default()
        .with(0, uri)
        .with(1, false)
        .with(2, SecurityMode::Certificate as i64)
        .with(3, vec![])
        .with(4, vec![0x30, 0x82])
        .with(5, b"dummy".to_vec())
        .with(10, i64::from(ssid))
}

pub(crate) fn server_account(ssid: u16, lifetime: i64) -> Instance {
    Instance::default()
        .with(0, i64::from(ssid))
        .with(1, lifetime)
        .with(6, true)
        .with(7, "U")
}

/// The accounts after a bootstrap with one management server.
pub(crate) fn bootstrapped() -> Accounts {
    let mut world = World::new(config(), factory(), BOOTSTRAP);
    world.bootstrap_with("coaps://dm.example:5684", SSID);
    world.client.accounts().clone()
}

impl World {
    pub(crate) fn new(config: Config, accounts: Accounts, role: ServerRole) -> World {
        World::answering(config, accounts, role, [])
    }

    /// A world whose server gives these answers to the client's first requests.
    pub(crate) fn answering<const N: usize>(
        config: Config,
        accounts: Accounts,
        role: ServerRole,
        answers: [Response; N],
    ) -> World {
        let now = Instant::now();
        let mut world = World {
            now,
            client: Client::new(config, accounts, 1),
            server: server_endpoint(),
            role,
            answers: answers.into(),
            requests: Vec::new(),
            events: Vec::new(),
            package_verdict: Some(Ok(())),
            commit_verdict: Some(Ok(())),
            notifications: Vec::new(),
        };
        world.client.session_opened(now, role);
        world.run();
        world
    }

    /// Sends a request to the client, and returns its response.
    pub(crate) fn ask(&mut self, request: Request) -> Response {
        self.try_ask(request).expect("an answer")
    }

    /// Sends a request to the client; `None` if the client hasn't answered yet.
    pub(crate) fn try_ask(&mut self, request: Request) -> Option<Response> {
        let asked = self.server.request(self.now, request);
        self.run_for(Some(asked))
    }

    pub(crate) fn run(&mut self) {
        self.run_for(None);
    }

    /// Runs until the client has answered a request of the server.
    pub(crate) fn run_to_answer(&mut self, asked: coap::Token) -> Response {
        self.run_for(Some(asked)).expect("an answer")
    }

    /// Delivers datagrams until neither side sends any.
    fn run_for(&mut self, asked: Option<coap::Token>) -> Option<Response> {
        let mut answer = None;
        loop {
            let mut moved = false;
            while let Some(datagram) = self.server.poll_transmit() {
                moved = true;
                self.client.handle_datagram(self.now, self.role, &datagram);
            }
            while let Some(output) = self.client.poll_output() {
                moved = true;
                match output {
                    Output::Transmit { server, datagram } if server == self.role => {
                        self.server.handle_datagram(self.now, &datagram).unwrap();
                    }
                    Output::Transmit { .. } => {}
                    Output::Event(event) => self.decide(event),
                }
            }
            while let Some(event) = self.server.poll_event() {
                moved = true;
                match event {
                    coap::Event::Request { exchange, request } => {
                        let answer = self
                            .answers
                            .pop_front()
                            .unwrap_or_else(|| usual_answer(&request));
                        self.requests.push(request);
                        self.server.respond(self.now, exchange, answer);
                    }
                    coap::Event::Response { token, response } if Some(token) == asked => {
                        answer = Some(response)
                    }
                    coap::Event::Notification { response, .. } => self.notifications.push(response),
                    coap::Event::Response { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            if !moved {
                return answer;
            }
        }
    }

    fn decide(&mut self, event: Event) {
        match (&event, self.package_verdict, self.commit_verdict) {
            (Event::StagePackage { .. }, Some(verdict), _) => self.client.staged(self.now, verdict),
            (Event::Commit { .. }, _, Some(verdict)) => self.client.committed(self.now, verdict),
            _ => {}
        }
        self.events.push(event);
    }

    /// Advances the clock, and runs the client's timers.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    /// The last event.
    pub(crate) fn last_event(&self) -> &Event {
        self.events.last().expect("an event")
    }

    /// Makes a complete bootstrap with one management server in certificate mode.
    pub(crate) fn bootstrap_with(&mut self, uri: &str, ssid: u16) {
        for request in bootstrap_script(uri, ssid) {
            let answer = self.ask(request.clone());
            assert!(answer.code.is_success(), "{request:?}: {answer:?}");
        }
        assert!(
            matches!(self.last_event(), Event::Bootstrapped),
            "{:?}",
            self.events
        );
    }
}

pub(crate) fn server_endpoint() -> Endpoint {
    // Leshan writes in blocks of 512 octets.
    let block_size = coap::BlockSize::from_szx(5).unwrap();
    Endpoint::new(
        coap::Config {
            block_size,
            ..coap::Config::default()
        },
        99,
    )
}

fn usual_answer(request: &Request) -> Response {
    match (request.method, request.path.len()) {
        (Method::Post, 1) if request.path == ["rd"] => {
            Response::new(Code::CREATED).location(["rd", "x"])
        }
        (Method::Delete, _) => Response::new(Code::DELETED),
        _ => Response::new(Code::CHANGED),
    }
}

/// The Uri-Path segments of a path.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(crate) fn get(path: &str) -> Request {
    Request::new(Method::Get, segments(path))
}

pub(crate) fn delete(path: &str) -> Request {
    Request::new(Method::Delete, segments(path))
}

/// A write of an instance in TLV.
pub(crate) fn write(path: &str, instance: Instance) -> Request {
    let path = Path::parse(path).unwrap();
    let instances = Instances::from([(path.instance().unwrap(), instance)]);
    let payload = encode(ContentFormat::Tlv, path, &instances).unwrap();
    Request::new(Method::Put, segments(&path.to_string())).body(ContentFormat::Tlv.id(), payload)
}

pub(crate) fn finish() -> Request {
    Request::new(Method::Post, ["bs"])
}

/// As many octets as a sealed package has, which need several blocks.
pub(crate) fn package() -> Vec<u8> {
    (0..3000_u32)
        .map(|index| ((index * 31) >> 3) as u8)
        .collect()
}

pub(crate) fn write_package() -> Request {
    Request::new(Method::Put, segments("/26241/0/3")).body(ContentFormat::Opaque.id(), package())
}

/// The requests of a bootstrap server.
pub(crate) fn bootstrap_script(uri: &str, ssid: u16) -> Vec<Request> {
    vec![
        get("/").accept(ContentFormat::Link.id()),
        delete("/0"),
        delete("/1"),
        write("/0/1", certificate_account(uri, ssid)),
        write("/1/0", server_account(ssid, 300)),
        write_package(),
        finish(),
    ]
}
