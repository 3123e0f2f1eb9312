//! Device management: one session with a management server, which may read, observe and write some
//! resources.

use std::time::Instant;

use softsim_coap::{
    self as coap, Code, Endpoint, ExchangeId, Method, Reliability, Request, Response,
};

use crate::accounts::{Accounts, server_ssid};
use crate::answer::{content, decode_body, refuse, target};
use crate::content::ContentFormat;
use crate::content::link::Links;
use crate::event::{Event, ServerRole};
use crate::objects::{DEVICE, Object, Operations, SERVER, SIM, SIM_PACKAGE};
use crate::path::Path;
use crate::registration::Registration;
use crate::shared::{Decision, Shared};
use crate::value::{Instance, Instances, Kind, Resource, Value};

/// Registration Update Trigger of the Server object.
const UPDATE_TRIGGER: u16 = 8;

/// A session with a management server.
#[derive(Debug)]
pub(crate) struct Management {
    ssid: u16,
    pub(crate) endpoint: Endpoint,
    registration: Registration,
    observations: Vec<Observation>,
}

/// An observation of the server, and the last value that was sent.
#[derive(Debug)]
struct Observation {
    exchange: ExchangeId,
    path: Path,
    accept: Option<u16>,
    last_sent: Response,
}

impl Management {
    /// Begins a session by registering.
    pub(crate) fn begin(now: Instant, ssid: u16, shared: &mut Shared) -> Management {
        let endpoint = shared.new_endpoint();
        let registration = Registration::new(ssid, shared.config.version);
        let mut session = Management {
            ssid,
            endpoint,
            registration,
            observations: Vec::new(),
        };
        session.register(now, shared);
        session
    }

    fn register(&mut self, now: Instant, shared: &mut Shared) {
        let links = registration_links(shared, self.ssid);
        self.registration
            .register(now, &mut self.endpoint, shared, links);
    }

    pub(crate) fn update(&mut self, now: Instant, shared: &mut Shared) {
        self.registration.update(now, &mut self.endpoint, shared);
    }

    pub(crate) fn deregister(&mut self, now: Instant) {
        self.registration.deregister(now, &mut self.endpoint);
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        [self.registration.next_due(), self.endpoint.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        self.endpoint.handle_timeout(now);
        self.registration
            .handle_timeout(now, &mut self.endpoint, shared);
    }

    pub(crate) fn handle_event(&mut self, now: Instant, event: coap::Event, shared: &mut Shared) {
        match event {
            coap::Event::Request { exchange, request } => {
                self.handle_request(now, exchange, request, shared)
            }
            coap::Event::Response { token, response } => {
                if self
                    .registration
                    .handle_response(now, token, response, shared)
                {
                    self.register(now, shared);
                }
            }
            coap::Event::Failed { token, reason } => {
                self.registration.handle_failure(token, reason, shared)
            }
            coap::Event::ObserverGone { exchange } => {
                self.observations
                    .retain(|observation| observation.exchange != exchange);
            }
            coap::Event::Notification { .. } => {}
        }
    }

    /// Notifies the server of changed values that it observes.
    pub(crate) fn notify_changes(&mut self, now: Instant, shared: &Shared) {
        let Management {
            ssid,
            endpoint,
            observations,
            ..
        } = self;
        observations.retain_mut(|observation| {
            let present = read(shared, *ssid, observation.path, observation.accept);
            let response = present.unwrap_or_else(|refusal| refusal);
            if response == observation.last_sent {
                return true;
            }
            observation.last_sent = response.clone();
            let continues = response.code.is_success();
            endpoint.notify(
                now,
                observation.exchange,
                response,
                Reliability::Confirmable,
            );
            continues
        });
    }

    fn handle_request(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        request: Request,
        shared: &mut Shared,
    ) {
        let answer = match request.method {
            Method::Get if request.accept == Some(ContentFormat::Link.id()) => target(&request)
                .and_then(|path| discover(shared, self.ssid, path))
                .map(Some),
            Method::Get => return self.read_or_observe(now, exchange, &request, shared),
            Method::Put | Method::Post => self.put_or_post(now, exchange, &request, shared),
            _ => Err(Response::new(Code::METHOD_NOT_ALLOWED)),
        };
        match answer {
            Ok(Some(response)) | Err(response) => self.endpoint.respond(now, exchange, response),
            // The application decides before the server gets an answer.
            Ok(None) => {}
        }
    }

    fn read_or_observe(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        request: &Request,
        shared: &Shared,
    ) {
        let (path, accept) = (target(request), request.accept);
        let read = |path| read(shared, self.ssid, path, accept);
        let response = path
            .clone()
            .and_then(read)
            .unwrap_or_else(|refusal| refusal);
        let observed = self
            .endpoint
            .respond_observed(now, exchange, response.clone());
        if let (true, Ok(path)) = (observed, path) {
            self.observations.push(Observation {
                exchange,
                path,
                accept,
                last_sent: response,
            });
        }
    }

    fn put_or_post(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        request: &Request,
        shared: &mut Shared,
    ) -> Result<Option<Response>, Response> {
        let path = target(request)?;
        let (object, instances) = visible(shared, self.ssid, path)?;
        if !matches!(path, Path::Instance(..) | Path::Resource(..)) {
            return Err(Response::new(Code::METHOD_NOT_ALLOWED));
        }
        if path
            .instance()
            .is_none_or(|id| !instances.contains_key(&id))
        {
            return Err(Response::new(Code::NOT_FOUND));
        }
        if let (Method::Post, Some(resource)) = (request.method, path.resource()) {
            return self.execute(now, &object, resource, shared).map(Some);
        }
        let written = decode_writable(&object, path, request)?;
        if object.id == shared.config.sim_object {
            return self.write_package(exchange, written, shared);
        }
        self.write_server(now, written, shared).map(Some)
    }

    fn execute(
        &mut self,
        now: Instant,
        object: &Object,
        resource: u16,
        shared: &mut Shared,
    ) -> Result<Response, Response> {
        let definition = object
            .resource(resource)
            .ok_or(Response::new(Code::NOT_FOUND))?;
        if definition.operations != Operations::Execute {
            return Err(Response::new(Code::METHOD_NOT_ALLOWED));
        }
        if (object.id, resource) == (SERVER.id, UPDATE_TRIGGER) {
            self.update(now, shared);
        }
        Ok(Response::new(Code::CHANGED))
    }

    /// Handles a write of a sealed package, which the key process checks before the server gets an
    /// answer.
    fn write_package(
        &mut self,
        exchange: ExchangeId,
        mut written: Instance,
        shared: &mut Shared,
    ) -> Result<Option<Response>, Response> {
        if shared.decision.is_some() {
            return Err(Response::new(Code::SERVICE_UNAVAILABLE));
        }
        let source = ServerRole::Management(self.ssid);
        match written.0.remove(&SIM_PACKAGE) {
            Some(Resource::Single(Value::Opaque(package))) if !package.is_empty() => {
                shared.decision = Some(Decision::Package { source, exchange });
                shared.emit(Event::StagePackage { source, package });
                Ok(None)
            }
            _ => Ok(Some(Response::new(Code::CHANGED))),
        }
    }

    /// Handles a write to the server's own Server instance. The accounts must stay consistent.
    fn write_server(
        &mut self,
        now: Instant,
        written: Instance,
        shared: &mut Shared,
    ) -> Result<Response, Response> {
        let mut accounts = shared.accounts.clone();
        let own = accounts
            .servers
            .values_mut()
            .find(|instance| server_ssid(instance) == Some(self.ssid));
        own.ok_or(Response::new(Code::NOT_FOUND))?
            .0
            .extend(written.0);
        accounts
            .check(shared.config.allow_no_sec)
            .map_err(|inconsistency| refuse(Code::BAD_REQUEST, inconsistency))?;
        if accounts != shared.accounts {
            let lifetime =
                |accounts: &Accounts| accounts.server(self.ssid).map(|server| server.lifetime);
            let update = lifetime(&accounts) != lifetime(&shared.accounts);
            shared.accounts = accounts.clone();
            shared.emit(Event::AccountsChanged(accounts));
            if update {
                self.update(now, shared);
            }
        }
        Ok(Response::new(Code::CHANGED))
    }
}

/// The list of objects in a registration.
fn registration_links(shared: &Shared, ssid: u16) -> Vec<u8> {
    let mut links = Links::default();
    links
        .link("/")
        .quoted("rt", "oma.lwm2m")
        .quoted("ct", "60 110 112 11542");
    for id in [SERVER.id, DEVICE.id, shared.config.sim_object] {
        if let Ok((_, instances)) = visible(shared, ssid, Path::Object(id)) {
            instances
                .keys()
                .for_each(|instance| _ = links.link(Path::Instance(id, *instance)));
        }
    }
    links.into_bytes()
}

/// The object that contains `path`, and the instances that this server may see: only its own
/// instance of the Server object, and none of Security and OSCORE (LwM2M Core §8.2).
fn visible(shared: &Shared, ssid: u16, path: Path) -> Result<(Object, Instances), Response> {
    match path
        .object()
        .ok_or(Response::new(Code::METHOD_NOT_ALLOWED))?
    {
        0 | 21 => Err(Response::new(Code::UNAUTHORIZED)),
        1 => {
            let own = shared
                .accounts
                .servers
                .iter()
                .filter(|(_, instance)| server_ssid(instance) == Some(ssid));
            Ok((
                SERVER,
                own.map(|(id, instance)| (*id, instance.clone())).collect(),
            ))
        }
        3 => Ok((
            DEVICE,
            Instances::from([(0, shared.config.device.instance())]),
        )),
        id if id == shared.config.sim_object => Ok((
            Object { id, ..SIM },
            Instances::from([(0, shared.sim.instance())]),
        )),
        _ => Err(Response::new(Code::NOT_FOUND)),
    }
}

/// Read (LwM2M Core §6.3.1): 2.05 with the readable values at `path`.
fn read(shared: &Shared, ssid: u16, path: Path, accept: Option<u16>) -> Result<Response, Response> {
    let (object, mut instances) = visible(shared, ssid, path)?;
    let definition = path
        .resource()
        .and_then(|resource| object.resource(resource));
    if definition.is_some_and(|definition| !definition.operations.readable()) {
        return Err(Response::new(Code::METHOD_NOT_ALLOWED));
    }
    if !exists(path, &instances) {
        return Err(Response::new(Code::NOT_FOUND));
    }
    let readable = |id: u16| {
        object
            .resource(id)
            .is_some_and(|resource| resource.operations.readable())
    };
    instances
        .values_mut()
        .for_each(|instance| instance.0.retain(|id, _| readable(*id)));
    let alone =
        definition.filter(|definition| definition.multiple == path.resource_instance().is_some());
    let default = match alone.map(|definition| definition.kind) {
        Some(Kind::Opaque) => ContentFormat::Opaque,
        Some(_) => ContentFormat::Text,
        None => ContentFormat::Tlv,
    };
    content(path, &instances, accept, default)
}

fn exists(path: Path, instances: &Instances) -> bool {
    let Some(instance) = path.instance() else {
        return true;
    };
    let Some(instance) = instances.get(&instance) else {
        return false;
    };
    let Some(resource) = path.resource() else {
        return true;
    };
    match (instance.0.get(&resource), path.resource_instance()) {
        (Some(Resource::Multiple(values)), Some(leaf)) => values.contains_key(&leaf),
        (found, None) => found.is_some(),
        _ => false,
    }
}

/// Discover (LwM2M Core §6.3.2): the objects, instances and resources at and below `path`.
fn discover(shared: &Shared, ssid: u16, path: Path) -> Result<Response, Response> {
    let (object, instances) = visible(shared, ssid, path)?;
    let mut links = Links::default();
    let mut link = |node: Path| path.contains(node).then(|| _ = links.link(node)).is_some();
    let mut found = link(Path::Object(object.id));
    for (&id, instance) in &instances {
        found |= link(Path::Instance(object.id, id));
        for resource in object.resources {
            let present = instance.0.contains_key(&resource.id);
            // A resource that can only be written or executed has no visible value.
            let silent = matches!(resource.operations, Operations::Write | Operations::Execute);
            if silent || (present && resource.operations.readable()) {
                found |= link(Path::Resource(object.id, id, resource.id));
            }
        }
    }
    if found {
        Ok(Response::content(
            ContentFormat::Link.id(),
            links.into_bytes(),
        ))
    } else {
        Err(Response::new(Code::NOT_FOUND))
    }
}

/// Decodes the resources in a Write. The server must be allowed to write each of them.
fn decode_writable(object: &Object, path: Path, request: &Request) -> Result<Instance, Response> {
    if path
        .resource()
        .is_some_and(|resource| object.resource(resource).is_none())
    {
        return Err(Response::new(Code::NOT_FOUND));
    }
    let instances = decode_body(object, path, request)?;
    let written = instances.into_values().next().unwrap_or_default();
    let writable = |id: &u16| {
        object
            .resource(*id)
            .is_some_and(|resource| resource.operations.writable())
    };
    if written.0.keys().all(writable) {
        Ok(written)
    } else {
        Err(Response::new(Code::METHOD_NOT_ALLOWED))
    }
}
