//! The accounts of a running bootstrap, which the bootstrap server changes until it finishes.

use std::collections::BTreeMap;
use std::fmt;

use softsim_coap::{Code, Method, Request, Response};
use zeroize::{Zeroize, Zeroizing};

use crate::accounts::{
    AccountKey, Accounts, Inconsistency, SecurityMode, is_bootstrap, security_summary, server_ssid,
};
use crate::answer::{content, decode_body, refuse, target};
use crate::config::Version;
use crate::content::ContentFormat;
use crate::content::link::Links;
use crate::objects::{DEVICE, Object, SECURITY, SERVER, SIM, SIM_PACKAGE};
use crate::path::Path;
use crate::value::{Instances, Resource, Value};

/// The Secret Key resource of a Security instance.
const SECRET_KEY: u16 = 5;
/// The shortest pre-shared key in octets; shorter ones could be guessed offline.
const SHORTEST_KEY: usize = 16;

/// The accounts that a bootstrap server reads and changes.
pub(crate) struct Staging {
    accounts: Accounts,
    /// The secret keys that this bootstrap has written, by Security instance.
    keys: BTreeMap<u16, Zeroizing<Vec<u8>>>,
    sim_object: u16,
    version: Version,
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Staging {{ accounts: {:?}, keys: [redacted] }}",
            self.accounts
        )
    }
}

/// What the client does after a request of the bootstrap server.
#[derive(Debug)]
pub(crate) enum Step {
    /// Answer the request, which was carried out.
    Answer(Response),
    /// Let the key process check a sealed package before the answer.
    Package(Vec<u8>),
    /// Drop the staged package, then answer.
    Discard(Response),
    /// Make the accounts, which are complete and consistent, durable before the answer.
    Finish(Accounts, Vec<AccountKey>),
}

impl Staging {
    pub(crate) fn new(accounts: Accounts, sim_object: u16, version: Version) -> Staging {
        Staging {
            accounts,
            keys: BTreeMap::new(),
            sim_object,
            version,
        }
    }

    /// Carries out a request, or returns the answer that refuses it. A refused request changes
    /// nothing.
    pub(crate) fn handle(
        &mut self,
        request: Request,
        committed: &Accounts,
        allow_no_sec: bool,
    ) -> Result<Step, Response> {
        if request.method == Method::Post && request.path == ["bs"] {
            let finished = self.finish(committed, allow_no_sec);
            return finished.map_err(|inconsistency| refuse(Code::NOT_ACCEPTABLE, inconsistency));
        }
        let path = target(&request)?;
        match request.method {
            Method::Get if request.accept == Some(ContentFormat::Link.id()) => {
                self.discover(path).map(Step::Answer)
            }
            Method::Get => self.read(path, request.accept).map(Step::Answer),
            Method::Put => self.write(path, request),
            Method::Delete => self.delete(path),
            _ => Err(Response::new(Code::METHOD_NOT_ALLOWED)),
        }
    }

    /// Bootstrap-Discover (LwM2M Core §6.1.7.3).
    fn discover(&self, path: Path) -> Result<Response, Response> {
        let mut links = Links::default();
        links.link("/").attribute("lwm2m", self.version);
        let objects = [SECURITY.id, SERVER.id, DEVICE.id, self.sim_object];
        let covered = |object: &&u16| path == Path::Root || path == Path::Object(**object);
        if !objects.iter().any(|object| covered(&object)) {
            return Err(Response::new(if path.instance().is_some() {
                Code::BAD_REQUEST
            } else {
                Code::NOT_FOUND
            }));
        }
        for &object in objects.iter().filter(covered) {
            match object {
                0 => self.discover_security(&mut links),
                1 => self.discover_servers(&mut links),
                _ => _ = links.link(Path::Instance(object, 0)),
            }
        }
        Ok(Response::content(
            ContentFormat::Link.id(),
            links.into_bytes(),
        ))
    }

    fn discover_security(&self, links: &mut Links) {
        for (&id, instance) in &self.accounts.security {
            let link = links.link(Path::Instance(0, id));
            let (ssid, uri) = security_summary(instance);
            ssid.map(|ssid| link.attribute("ssid", ssid));
            uri.map(|uri| link.quoted("uri", uri));
        }
    }

    fn discover_servers(&self, links: &mut Links) {
        if self.accounts.servers.is_empty() {
            links.link(Path::Object(1));
        }
        for (&id, instance) in &self.accounts.servers {
            let link = links.link(Path::Instance(1, id));
            server_ssid(instance).map(|ssid| link.attribute("ssid", ssid));
        }
    }

    /// Bootstrap-Read, which may only read the objects that list the servers (LwM2M Core §6.1.7.7).
    fn read(&self, path: Path, accept: Option<u16>) -> Result<Response, Response> {
        let (Path::Object(1) | Path::Instance(1, _)) = path else {
            return Err(Response::new(Code::METHOD_NOT_ALLOWED));
        };
        if path
            .instance()
            .is_some_and(|id| !self.accounts.servers.contains_key(&id))
        {
            return Err(Response::new(Code::NOT_FOUND));
        }
        content(path, &self.accounts.servers, accept, ContentFormat::Tlv)
    }

    /// Bootstrap-Write of an object, an instance or a resource. Writing a whole instance replaces
    /// it.
    fn write(&mut self, path: Path, mut request: Request) -> Result<Step, Response> {
        let object = self.object(path).ok_or(Response::new(Code::NOT_FOUND))?;
        let definition = path.resource().map(|resource| object.resource(resource));
        if definition.is_some_and(|definition| definition.is_none()) {
            return Err(Response::new(Code::NOT_FOUND));
        }
        let decoded = decode_body(&object, path, &request);
        // It may hold a key.
        request.payload.zeroize();
        let instances = decoded?;
        match object.id {
            0 => self.write_security(path, instances),
            1 => write_instances(&mut self.accounts.servers, path, instances),
            id if id == self.sim_object => return write_sim(path, instances),
            _ if path.resource().is_some() => return Err(Response::new(Code::METHOD_NOT_ALLOWED)),
            _ => {}
        }
        Ok(Step::Answer(Response::new(Code::CHANGED)))
    }

    fn write_security(&mut self, path: Path, mut instances: Instances) {
        for (&id, instance) in &mut instances {
            if path.resource().is_none() {
                self.keys.remove(&id);
            }
            if let Some(Resource::Single(Value::Opaque(octets))) = instance.0.remove(&SECRET_KEY) {
                self.keys.insert(id, Zeroizing::new(octets));
            }
        }
        write_instances(&mut self.accounts.security, path, instances);
    }

    /// Bootstrap-Delete, which never deletes the bootstrap account or the Device object (LwM2M Core
    /// §6.1.7.6).
    fn delete(&mut self, path: Path) -> Result<Step, Response> {
        let deleted = Response::new(Code::DELETED);
        match path {
            Path::Root => {
                self.delete_security();
                self.accounts.servers.clear();
                return Ok(Step::Discard(deleted));
            }
            Path::Object(0) => self.delete_security(),
            Path::Object(1) => self.accounts.servers.clear(),
            Path::Instance(0, id) if !self.accounts.security.get(&id).is_some_and(is_bootstrap) => {
                self.accounts.security.remove(&id);
                self.keys.remove(&id);
            }
            Path::Instance(1, id) => _ = self.accounts.servers.remove(&id),
            Path::Object(id) | Path::Instance(id, _) if id == self.sim_object => {
                return Ok(Step::Discard(deleted));
            }
            _ => {
                return Err(refuse(
                    Code::BAD_REQUEST,
                    format_args!("{path} is not to be deleted"),
                ));
            }
        }
        Ok(Step::Answer(deleted))
    }

    fn delete_security(&mut self) {
        self.accounts
            .security
            .retain(|_, instance| is_bootstrap(instance));
        let left = &self.accounts.security;
        self.keys.retain(|id, _| left.contains_key(id));
    }

    /// Bootstrap-Finish: returns the accounts if they are consistent (LwM2M Core §6.1.7.8).
    fn finish(&self, committed: &Accounts, allow_no_sec: bool) -> Result<Step, Inconsistency> {
        self.accounts.check(allow_no_sec)?;
        let mut keys = Vec::new();
        for server in self.accounts.servers() {
            let instance = server.security.instance;
            if server.security.mode != SecurityMode::Psk {
                continue;
            }
            match self.keys.get(&instance) {
                Some(key) if key.len() >= SHORTEST_KEY => {
                    keys.push(AccountKey {
                        instance,
                        identity: server.security.identity,
                        key: key.clone(),
                    });
                }
                // The account is unchanged, so the key process has its key already.
                None if self.accounts.security.get(&instance)
                    == committed.security.get(&instance) => {}
                key => {
                    let octets = key.map_or(0, |key| key.len());
                    return Err(Inconsistency::WeakKey { instance, octets });
                }
            }
        }
        Ok(Step::Finish(self.accounts.clone(), keys))
    }

    fn object(&self, path: Path) -> Option<Object> {
        match path.object()? {
            0 => Some(SECURITY),
            1 => Some(SERVER),
            3 => Some(DEVICE),
            id if id == self.sim_object => Some(Object { id, ..SIM }),
            _ => None,
        }
    }
}

/// Replaces whole instances, or sets single resources.
fn write_instances(instances: &mut Instances, path: Path, written: Instances) {
    for (id, instance) in written {
        if path.resource().is_none() {
            instances.insert(id, instance);
        } else {
            instances.entry(id).or_default().0.extend(instance.0);
        }
    }
}

/// A write to the Software SIM object, which may hold a package. It doesn't change read-only
/// resources.
fn write_sim(path: Path, mut instances: Instances) -> Result<Step, Response> {
    if instances.keys().any(|id| *id != 0) {
        return Err(Response::new(Code::NOT_FOUND));
    }
    if path
        .resource()
        .is_some_and(|resource| resource != SIM_PACKAGE)
    {
        return Err(Response::new(Code::METHOD_NOT_ALLOWED));
    }
    let package = instances
        .get_mut(&0)
        .and_then(|instance| instance.0.remove(&SIM_PACKAGE));
    let changed = Response::new(Code::CHANGED);
    Ok(match package {
        Some(Resource::Single(Value::Opaque(package))) if package.is_empty() => {
            Step::Discard(changed)
        }
        Some(Resource::Single(Value::Opaque(package))) => Step::Package(package),
        _ => Step::Answer(changed),
    })
}
