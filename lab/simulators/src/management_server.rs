//! An LwM2M management server, which accepts registrations and sends devices the requests of a
//! test.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use softsim_coap::{Code, Event, ExchangeId, Method, Request, Response, Token};
use softsim_lwm2m::{ContentFormat, Path};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::bootstrap_server::{argument, segments};
use crate::coap_server::{CoapEvent, CoapServer};
use crate::journal::Journal;

/// The versions that a device may register with. As in Leshan, 1.2 is not among them.
const VERSIONS: [&str; 2] = ["1.0", "1.1"];

/// The events of the management server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagementEvent {
    /// Someone got no DTLS session.
    Refused {
        /// Why not.
        reason: String,
    },
    /// A device registered.
    Registered {
        /// Its endpoint name.
        endpoint: String,
        /// Where its registration is.
        location: String,
        /// For how many seconds, as it said.
        lifetime: Option<String>,
        /// Its objects, as links.
        objects: String,
    },
    /// A device updated its registration.
    Updated {
        /// Its endpoint name.
        endpoint: String,
    },
    /// A device deregistered.
    Deregistered {
        /// Its endpoint name.
        endpoint: String,
    },
    /// A request that was not accepted.
    Rejected {
        /// The common name of the device's certificate.
        identity: String,
        /// What the server answered.
        code: Code,
    },
    /// A device sent a notification of an observed path.
    Notified {
        /// Its endpoint name.
        endpoint: String,
        /// What is observed.
        path: Path,
        /// Its new state.
        response: Response,
    },
}

/// Why a device gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No such device is registered and connected.
    #[error("no such device is registered")]
    Unknown,
    /// The answer didn't come.
    #[error("{0}")]
    Failed(String),
    /// The server has ended.
    #[error("the management server has ended")]
    Ended,
}

type Reply = oneshot::Sender<Result<Response, RequestError>>;

struct Command {
    endpoint: String,
    request: Request,
    /// What the request observes.
    observed: Option<Path>,
    reply: Reply,
}

/// A running management server; ends when it is dropped.
pub struct ManagementServer {
    address: SocketAddr,
    journal: Arc<Journal<ManagementEvent>>,
    commands: mpsc::UnboundedSender<Command>,
    /// The prefix of the location names.
    prefix: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl ManagementServer {
    /// Serves on a runtime.
    pub fn start(runtime: &Handle, coap: CoapServer) -> io::Result<Self> {
        let address = coap.local_addr()?;
        let journal = Arc::<Journal<ManagementEvent>>::default();
        let (commands, received) = mpsc::unbounded_channel();
        let prefix = Arc::<Mutex<String>>::default();
        let worker = Worker {
            prefix: prefix.clone(),
            coap,
            journal: journal.clone(),
            registrations: HashMap::new(),
            next_location: 1,
            waiting: HashMap::new(),
            observations: HashMap::new(),
        };
        let task = runtime.spawn(worker.run(received));
        Ok(Self {
            address,
            journal,
            commands,
            prefix,
            task,
        })
    }

    /// Sets the prefix of location names from now on.
    pub fn name_locations(&self, prefix: &str) {
        prefix.clone_into(&mut self.prefix.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its events.
    pub fn journal(&self) -> &Journal<ManagementEvent> {
        &self.journal
    }

    /// Reads a node of the object tree.
    pub async fn read(
        &self,
        endpoint: &str,
        path: Path,
        format: ContentFormat,
    ) -> Result<Response, RequestError> {
        let request = Request::new(Method::Get, segments(path)).accept(format.id());
        self.send(endpoint, request, None).await
    }

    /// Observes a node. Notifications go to the journal.
    pub async fn observe(
        &self,
        endpoint: &str,
        path: Path,
        format: ContentFormat,
    ) -> Result<Response, RequestError> {
        let request = Request::new(Method::Get, segments(path)).accept(format.id());
        self.send(endpoint, request.observing(), Some(path)).await
    }

    /// Sends a device any other request.
    pub async fn request(
        &self,
        endpoint: &str,
        request: Request,
    ) -> Result<Response, RequestError> {
        self.send(endpoint, request, None).await
    }

    async fn send(
        &self,
        endpoint: &str,
        request: Request,
        observed: Option<Path>,
    ) -> Result<Response, RequestError> {
        let (reply, answer) = oneshot::channel();
        let command = Command {
            endpoint: endpoint.to_owned(),
            request,
            observed,
            reply,
        };
        let sent = self.commands.send(command);
        sent.map_err(|_| RequestError::Ended)?;
        answer.await.map_err(|_| RequestError::Ended)?
    }
}

impl Drop for ManagementServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Worker {
    prefix: Arc<Mutex<String>>,
    coap: CoapServer,
    journal: Arc<Journal<ManagementEvent>>,
    /// The registrations by the segment after `/rd/`.
    registrations: HashMap<String, Registration>,
    next_location: u32,
    waiting: HashMap<(SocketAddr, Token), Reply>,
    observations: HashMap<(SocketAddr, Token), Path>,
}

struct Registration {
    endpoint: String,
    peer: SocketAddr,
}

impl Worker {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                event = self.coap.next() => match event {
                    Ok(event) => self.handle(event),
                    Err(error) => {
                        eprintln!("softsim-lab: management server: {error}");
                        return;
                    }
                },
                command = commands.recv() => match command {
                    Some(command) => self.carry_out(command),
                    None => return,
                },
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        let registered = (self.registrations.values())
            .find(|registration| registration.endpoint == command.endpoint);
        let peer = registered.map(|registration| registration.peer);
        let sent = peer.and_then(|peer| Some((peer, self.coap.request(peer, command.request)?)));
        match sent {
            Some(key) => {
                self.waiting.insert(key, command.reply);
                if let Some(path) = command.observed {
                    self.observations.insert(key, path);
                }
            }
            // The caller may have stopped waiting.
            None => drop(command.reply.send(Err(RequestError::Unknown))),
        }
    }

    fn handle(&mut self, event: CoapEvent) {
        match event {
            CoapEvent::Refused { reason } => {
                self.journal.record(ManagementEvent::Refused { reason });
            }
            CoapEvent::Closed { peer } => self.gone(peer),
            CoapEvent::Coap {
                peer,
                identity,
                event,
            } => self.handle_coap(peer, identity, event),
        }
    }

    fn handle_coap(&mut self, peer: SocketAddr, identity: String, event: Event) {
        match event {
            Event::Request { exchange, request } => {
                self.requested(peer, identity, exchange, &request);
            }
            Event::Response { token, response } => self.reply((peer, token), Ok(response)),
            Event::Failed { token, reason } => {
                let failed = RequestError::Failed(reason.to_string());
                self.reply((peer, token), Err(failed));
            }
            Event::Notification { token, response } => {
                if let Some(&path) = self.observations.get(&(peer, token)) {
                    self.journal.record(ManagementEvent::Notified {
                        endpoint: identity,
                        path,
                        response,
                    });
                }
            }
            Event::ObserverGone { .. } => {}
        }
    }

    fn reply(&mut self, key: (SocketAddr, Token), answer: Result<Response, RequestError>) {
        if let Some(reply) = self.waiting.remove(&key) {
            // The caller may have stopped waiting.
            drop(reply.send(answer));
        }
    }

    /// A registration outlives its session: the device comes back with an Update.
    fn gone(&mut self, peer: SocketAddr) {
        let lost = RequestError::Failed("the session was closed".into());
        for (_, reply) in self.waiting.extract_if(|(of, _), _| *of == peer) {
            drop(reply.send(Err(lost.clone())));
        }
        self.observations.retain(|(of, _), _| *of != peer);
    }

    /// The registration interface (LwM2M Core §6.2).
    fn requested(
        &mut self,
        peer: SocketAddr,
        identity: String,
        exchange: ExchangeId,
        request: &Request,
    ) {
        let path: Vec<_> = request.path.iter().map(String::as_str).collect();
        let outcome = match (request.method, path.as_slice()) {
            (Method::Post, ["rd"]) => self.register(peer, &identity, request),
            (Method::Post, ["rd", location]) => self.update(peer, &identity, location),
            (Method::Delete, ["rd", location]) => self.deregister(&identity, location),
            (_, ["rd", ..]) => Err(Code::METHOD_NOT_ALLOWED),
            _ => Err(Code::NOT_FOUND),
        };
        let (response, event) = match outcome {
            Ok(accepted) => accepted,
            Err(code) => {
                let rejected = ManagementEvent::Rejected { identity, code };
                (Response::new(code), rejected)
            }
        };
        // Record the event first, so that a caller who has the answer finds it.
        self.journal.record(event);
        self.coap.respond(peer, exchange, response);
    }

    fn register(&mut self, peer: SocketAddr, identity: &str, request: &Request) -> Outcome {
        if argument(request, "ep") != Some(identity) {
            return Err(Code::BAD_REQUEST);
        }
        if !argument(request, "lwm2m").is_some_and(|version| VERSIONS.contains(&version)) {
            return Err(Code::PRECONDITION_FAILED);
        }
        let objects = String::from_utf8(request.payload.clone()).map_err(|_| Code::BAD_REQUEST)?;
        (self.registrations).retain(|_, registration| registration.endpoint != identity);
        let prefix = self.prefix.lock().unwrap_or_else(PoisonError::into_inner);
        let location = format!("{prefix}{}", self.next_location);
        drop(prefix);
        self.next_location += 1;
        let registration = Registration {
            endpoint: identity.to_owned(),
            peer,
        };
        self.registrations.insert(location.clone(), registration);
        let response = Response::new(Code::CREATED).location(["rd", location.as_str()]);
        let event = ManagementEvent::Registered {
            endpoint: identity.to_owned(),
            location: format!("/rd/{location}"),
            lifetime: argument(request, "lt").map(str::to_owned),
            objects,
        };
        Ok((response, event))
    }

    fn update(&mut self, peer: SocketAddr, identity: &str, location: &str) -> Outcome {
        let registration = (self.registrations.get_mut(location))
            .filter(|registration| registration.endpoint == identity)
            .ok_or(Code::NOT_FOUND)?;
        registration.peer = peer;
        let endpoint = identity.to_owned();
        let event = ManagementEvent::Updated { endpoint };
        Ok((Response::new(Code::CHANGED), event))
    }

    fn deregister(&mut self, identity: &str, location: &str) -> Outcome {
        (self.registrations.get(location))
            .filter(|registration| registration.endpoint == identity)
            .ok_or(Code::NOT_FOUND)?;
        self.registrations.remove(location);
        let endpoint = identity.to_owned();
        let event = ManagementEvent::Deregistered { endpoint };
        Ok((Response::new(Code::DELETED), event))
    }
}

type Outcome = Result<(Response, ManagementEvent), Code>;
