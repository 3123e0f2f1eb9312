//! An LwM2M bootstrap server that provisions each device by a plan, in the same order as Leshan.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use softsim_coap::{Code, Event, ExchangeId, Method, Request, Response, Token};
use softsim_lwm2m::{ContentFormat, Instance, Instances, Path, SecurityMode, codec};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::coap_server::{CoapEvent, CoapServer};
use crate::journal::Journal;

/// One request of a bootstrap (LwM2M Core §6.1.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bootstrap-Discover of everything.
    Discover,
    /// Bootstrap-Delete.
    Delete(Path),
    /// Bootstrap-Write.
    Write {
        /// To where.
        path: Path,
        /// Of what format.
        format: ContentFormat,
        /// What.
        payload: Vec<u8>,
    },
    /// Bootstrap-Finish.
    Finish,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discover => f.write_str("Discover"),
            Self::Delete(path) => write!(f, "Delete {path}"),
            Self::Write { path, payload, .. } => {
                write!(f, "Write {path} ({} octets)", payload.len())
            }
            Self::Finish => f.write_str("Finish"),
        }
    }
}

impl Operation {
    /// Bootstrap-Write of an instance; `None` if the format can't express it.
    pub fn write(
        format: ContentFormat,
        object: u16,
        instance: u16,
        resources: Instance,
    ) -> Option<Self> {
        let path = Path::Instance(object, instance);
        let payload = codec::encode(format, path, &Instances::from([(instance, resources)]))?;
        Some(Self::Write {
            path,
            format,
            payload,
        })
    }

    fn request(&self) -> Request {
        match self {
            Self::Discover => Request::new(Method::Get, [""; 0]).accept(ContentFormat::Link.id()),
            Self::Delete(path) => Request::new(Method::Delete, segments(*path)),
            Self::Write {
                path,
                format,
                payload,
            } => Request::new(Method::Put, segments(*path)).body(format.id(), payload.clone()),
            Self::Finish => Request::new(Method::Post, ["bs"]),
        }
    }
}

/// The account of a management server that knows devices by certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `coaps://host:port`.
    pub uri: String,
    /// The server's certificate, DER, which the device pins.
    pub certificate: Vec<u8>,
    /// The Short Server ID.
    pub ssid: u16,
    /// The lifetime of a registration in seconds.
    pub lifetime: u32,
}

impl Account {
    fn security(&self) -> Instance {
        Instance::default()
            .with(0, self.uri.as_str())
            .with(1, false)
            .with(2, SecurityMode::Certificate as i64)
            .with(3, Vec::new())
            .with(4, self.certificate.clone())
            .with(5, Vec::new())
            .with(10, i64::from(self.ssid))
    }

    fn server(&self) -> Instance {
        Instance::default()
            .with(0, i64::from(self.ssid))
            .with(1, i64::from(self.lifetime))
            .with(2, 1)
            .with(6, false)
            .with(7, "U")
    }
}

/// Makes the plan of each bootstrap of a device. `None` rejects the device.
type Planner = Box<dyn FnMut() -> Option<Plan> + Send>;

/// The operations that a device gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub Vec<Operation>);

impl Plan {
    /// The plan in Leshan's order: Discover, Delete of the old accounts, Write of the new account
    /// and of the sealed package, if there is one, Finish. `None` if the format can't express it.
    pub fn new(format: ContentFormat, account: &Account, package: Option<&[u8]>) -> Option<Self> {
        let mut operations = vec![
            Operation::Discover,
            Operation::Delete(Path::Object(codec::SECURITY.id)),
            Operation::Delete(Path::Object(codec::SERVER.id)),
            Operation::write(format, codec::SECURITY.id, 1, account.security())?,
            Operation::write(format, codec::SERVER.id, 0, account.server())?,
        ];
        if let Some(package) = package {
            let sim = Instance::default().with(SIM_PACKAGE, package.to_vec());
            operations.push(Operation::write(format, codec::SIM.id, 0, sim)?);
        }
        operations.push(Operation::Finish);
        Some(Self(operations))
    }
}

/// Sealed Profile Package, in the Software SIM object.
const SIM_PACKAGE: u16 = 3;

/// The events of the bootstrap server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootstrapEvent {
    /// Someone got no DTLS session.
    Refused {
        /// Why not.
        reason: String,
    },
    /// A device asks to be bootstrapped.
    Requested {
        /// Its endpoint name.
        endpoint: String,
        /// The content format it prefers.
        preferred: Option<String>,
    },
    /// A request that was not accepted.
    Rejected {
        /// The common name of the device's certificate.
        identity: String,
        /// What the server answered.
        code: Code,
    },
    /// The device answered an operation.
    Answered {
        /// Its endpoint name.
        endpoint: String,
        /// The operation.
        operation: Operation,
        /// The answer.
        response: Response,
    },
    /// The device didn't answer, left, or answered with an error, so it isn't bootstrapped.
    Failed {
        /// Its endpoint name.
        endpoint: String,
        /// The operation that was not carried out.
        operation: Operation,
        /// Why not.
        reason: String,
    },
    /// The device carried everything out.
    Finished {
        /// Its endpoint name.
        endpoint: String,
    },
}

/// A running bootstrap server; ends when it is dropped.
pub struct BootstrapServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    plans: Mutex<HashMap<String, Planner>>,
    journal: Journal<BootstrapEvent>,
}

impl BootstrapServer {
    /// Serves on a runtime.
    pub fn start(runtime: &Handle, coap: CoapServer) -> io::Result<Self> {
        let address = coap.local_addr()?;
        let shared = Arc::<Shared>::default();
        let worker = Worker {
            coap,
            shared: shared.clone(),
            sessions: HashMap::new(),
        };
        let task = runtime.spawn(worker.run());
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its events.
    pub fn journal(&self) -> &Journal<BootstrapEvent> {
        &self.shared.journal
    }

    /// Sets the plan of a device for every bootstrap. The server rejects a device without a plan.
    pub fn set_plan(&self, endpoint: impl Into<String>, plan: Plan) {
        self.set_planner(endpoint, move || Some(plan.clone()));
    }

    /// Sets the planner that makes a device's plan for each bootstrap, because a device accepts a
    /// package only once.
    pub fn set_planner(
        &self,
        endpoint: impl Into<String>,
        planner: impl FnMut() -> Option<Plan> + Send + 'static,
    ) {
        let mut plans = (self.shared.plans.lock()).unwrap_or_else(PoisonError::into_inner);
        plans.insert(endpoint.into(), Box::new(planner));
    }
}

impl Drop for BootstrapServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Worker {
    coap: CoapServer,
    shared: Arc<Shared>,
    sessions: HashMap<SocketAddr, Session>,
}

/// A running bootstrap.
struct Session {
    endpoint: String,
    token: Token,
    operation: Operation,
    rest: VecDeque<Operation>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            match self.coap.next().await {
                Ok(event) => self.handle(event),
                Err(error) => {
                    eprintln!("softsim-lab: bootstrap server: {error}");
                    return;
                }
            }
        }
    }

    fn handle(&mut self, event: CoapEvent) {
        match event {
            CoapEvent::Refused { reason } => self.record(BootstrapEvent::Refused { reason }),
            CoapEvent::Closed { peer } => self.fail(peer, "the session was closed"),
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
            Event::Response { token, response } => self.answered(peer, token, response),
            // One request is open at a time, so it can only be this one.
            Event::Failed { reason, .. } => {
                self.fail(peer, &reason.to_string());
                self.coap.close(peer);
            }
            _ => {}
        }
    }

    /// Bootstrap-Request (LwM2M Core §6.1.7.1).
    fn requested(
        &mut self,
        peer: SocketAddr,
        identity: String,
        exchange: ExchangeId,
        request: &Request,
    ) {
        match self.plan(&identity, request) {
            Err(code) => {
                self.record(BootstrapEvent::Rejected { identity, code });
                self.coap.respond(peer, exchange, Response::new(code));
            }
            Ok(Plan(operations)) => {
                let preferred = argument(request, "pct").map(str::to_owned);
                let endpoint = identity.clone();
                self.record(BootstrapEvent::Requested {
                    endpoint,
                    preferred,
                });
                (self.coap).respond(peer, exchange, Response::new(Code::CHANGED));
                self.proceed(peer, identity, operations.into());
            }
        }
    }

    fn plan(&self, identity: &str, request: &Request) -> Result<Plan, Code> {
        if request.path != ["bs"] {
            return Err(Code::NOT_FOUND);
        }
        if request.method != Method::Post {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        if argument(request, "ep") != Some(identity) {
            return Err(Code::BAD_REQUEST);
        }
        let mut plans = (self.shared.plans.lock()).unwrap_or_else(PoisonError::into_inner);
        let planner = plans.get_mut(identity).ok_or(Code::BAD_REQUEST)?;
        planner().ok_or(Code::INTERNAL_SERVER_ERROR)
    }

    fn proceed(&mut self, peer: SocketAddr, endpoint: String, mut rest: VecDeque<Operation>) {
        let Some(operation) = rest.pop_front() else {
            self.sessions.remove(&peer);
            self.record(BootstrapEvent::Finished { endpoint });
            return;
        };
        if let Some(token) = self.coap.request(peer, operation.request()) {
            let session = Session {
                endpoint,
                token,
                operation,
                rest,
            };
            self.sessions.insert(peer, session);
        }
    }

    fn answered(&mut self, peer: SocketAddr, token: Token, response: Response) {
        let answered = self.sessions.get(&peer);
        let Some(session) = answered.filter(|session| session.token == token) else {
            return;
        };
        let code = response.code;
        self.record(BootstrapEvent::Answered {
            endpoint: session.endpoint.clone(),
            operation: session.operation.clone(),
            response,
        });
        if !code.is_success() {
            self.fail(peer, &format!("the device answered {code}"));
            self.coap.close(peer);
        } else if let Some(session) = self.sessions.remove(&peer) {
            self.proceed(peer, session.endpoint, session.rest);
        }
    }

    fn fail(&mut self, peer: SocketAddr, reason: &str) {
        if let Some(session) = self.sessions.remove(&peer) {
            self.record(BootstrapEvent::Failed {
                endpoint: session.endpoint,
                operation: session.operation,
                reason: reason.to_owned(),
            });
        }
    }

    fn record(&self, event: BootstrapEvent) {
        self.shared.journal.record(event);
    }
}

/// The value of a Uri-Query argument.
pub(crate) fn argument<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut arguments = request.query.iter();
    arguments.find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
}

/// The Uri-Path segments of a node of the object tree.
pub(crate) fn segments(path: Path) -> Vec<String> {
    let text = path.to_string();
    let segments = text.split('/').filter(|segment| !segment.is_empty());
    segments.map(str::to_owned).collect()
}
