//! The complete lab: a gateway, its home network, and the servers that provision and manage it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::{ExposeSecret, SecretString};
use softsim_carriers::radius::Secret;
use softsim_client::netd::{self, Event};
use softsim_coap::{Method, Request, Response};
use softsim_issuer::IssuerSigningKey;
use softsim_lab_simulators::bootstrap_server::{Account, BootstrapServer, Plan};
use softsim_lab_simulators::coap_server::CoapServer;
use softsim_lab_simulators::dtls_server::DtlsServer;
use softsim_lab_simulators::eap_server::{self, EapServer};
use softsim_lab_simulators::eap_sim_db::EapSimDb;
use softsim_lab_simulators::management_server::{ManagementServer, RequestError};
use softsim_lab_simulators::pki::{ANY_YEAR, Authority, Credentials};
use softsim_lab_simulators::radius_server::{RadiusServer, Responder};
use softsim_lwm2m::ContentFormat;
use softsim_profile::{Command, Profile, Validity};
use softsim_sandbox::random;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};
use crate::gateway::{self, Enrolled, Gateway};
use crate::hostapd::{self, Hostapd};
use crate::netns::Cable;
use crate::processes::NetdBootstrap;
use crate::subscription::{Subscription, random_profile};

/// How long a registration lasts, in seconds.
const LIFETIME: u32 = 300;

/// The management server's Short Server ID.
const SHORT_SERVER_ID: u16 = 123;

/// The options of a lab.
pub struct Options {
    /// The profile file; none means a random profile.
    pub profile: Option<String>,
    /// The format in which the bootstrap server writes.
    pub format: ContentFormat,
    /// Sets fields of the profile that its file doesn't have: consent, keys of the home network.
    pub prepare: Box<dyn FnOnce(&mut Profile)>,
    /// How the EAP server behaves.
    pub eap: eap_server::Config,
    /// The address on which the servers listen.
    pub listen: IpAddr,
    /// The servers' host name; none means that they have addresses only.
    pub host: Option<String>,
    /// The years in which the bootstrap server's certificate is valid.
    pub bootstrap_years: RangeInclusive<i32>,
    /// How the gateway is run.
    pub gateway: gateway::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: None,
            prepare: Box::new(|_| {}),
            format: ContentFormat::Tlv,
            eap: eap_server::Config::default(),
            listen: Ipv4Addr::LOCALHOST.into(),
            host: None,
            bootstrap_years: ANY_YEAR,
            gateway: gateway::Options::default(),
        }
    }
}

/// The operator that issues the subscription.
struct Operator {
    subscription: Subscription,
    issuer: IssuerSigningKey,
    /// The sequence of the last package.
    sequence: AtomicU64,
}

impl Operator {
    fn seal(&self, device: &Enrolled) -> Result<Vec<u8>> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        device.seal(&self.subscription.profile, &self.issuer, sequence)
    }

    fn order(&self, device: &Enrolled, command: &Command, validity: &Validity) -> Result<Vec<u8>> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        device.order(command, validity, &self.issuer, sequence)
    }
}

/// A running lab. Dropping the value ends everything that it started.
pub struct Home {
    gateway: Gateway,
    operator: Arc<Operator>,
    authority: Authority,
    format: ContentFormat,
    bootstrap_server: BootstrapServer,
    management_server: ManagementServer,
    management_certificate: Vec<u8>,
    radius: SocketAddr,
    radius_secret: SecretString,
    host: Option<String>,
    // Dropped last, because the servers above run on it.
    runtime: Runtime,
}

impl Home {
    /// Starts everything in an empty folder, enrols the device, and provisions it over the network.
    pub fn up(folder: &Path, options: Options) -> Result<Self> {
        let mut home = Self::start(folder, options)?;
        let enrolled = home.enrol()?;
        home.plan(&enrolled)?;
        home.start_netd()?;
        home.bootstrap()?;
        Ok(home)
    }

    /// Starts everything except netd in an empty folder, and installs the profile directly, for a
    /// gateway whose only network is the one that it has to authenticate to.
    pub fn installed(folder: &Path, options: Options) -> Result<Self> {
        let home = Self::start(folder, options)?;
        let enrolled = home.enrol()?;
        home.gateway.install(&home.seal(&enrolled)?)?;
        Ok(home)
    }

    /// Starts the servers and keyd. The device isn't enrolled yet.
    pub fn start(folder: &Path, options: Options) -> Result<Self> {
        let text = options
            .profile
            .unwrap_or_else(|| random_profile().to_string());
        let mut subscription = Subscription::new(&text)?;
        (options.prepare)(&mut subscription.profile);
        let gateway = Gateway::start(folder, options.gateway)?;
        gateway.folder().write("profile.toml", text.as_bytes())?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lab")
            .enable_all()
            .build()?;
        let mut authority = Authority::new("softsim lab")?;
        authority.certify_servers_at(&options.listen.to_string());
        if let Some(host) = &options.host {
            authority.certify_servers_at(host);
        }
        gateway
            .folder()
            .write("ca.pem", authority.certificate_pem().as_bytes())?;
        let issuer = IssuerSigningKey::generate();
        let name = "softsim lab bootstrap server";
        let credentials = authority.server_in(name, options.bootstrap_years)?;
        let coap = coap_server(&runtime, options.listen, &authority, &credentials)?;
        let bootstrap_server = BootstrapServer::start(runtime.handle(), coap)?;
        let credentials = authority.server("softsim lab management server")?;
        let coap = coap_server(&runtime, options.listen, &authority, &credentials)?;
        let management_server = ManagementServer::start(runtime.handle(), coap)?;
        let radius_secret = radius_secret();
        let radius = {
            let octets = radius_secret.expose_secret().as_bytes();
            gateway.folder().write("radius.secret", octets)?;
            let socket = gateway.folder().file("auc.sock");
            start_access(
                (&runtime, options.listen),
                &subscription,
                octets,
                options.eap,
                &socket,
            )?
        };
        Ok(Self {
            gateway,
            operator: Arc::new(Operator {
                subscription,
                issuer,
                sequence: AtomicU64::new(0),
            }),
            authority,
            format: options.format,
            bootstrap_server,
            management_server,
            management_certificate: credentials.certificate,
            radius,
            radius_secret,
            host: options.host,
            runtime,
        })
    }

    /// Does the factory's work.
    pub fn enrol(&self) -> Result<Enrolled> {
        self.enrol_with(&self.authority)
    }

    /// The authority that issues the device certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Does the factory's work, with an authority that the servers need not trust.
    pub fn enrol_with(&self, authority: &Authority) -> Result<Enrolled> {
        self.gateway.enrol(authority, &self.operator.issuer)
    }

    /// Makes the bootstrap server write the account of the management server and the profile, which
    /// is sealed again each time that the device bootstraps.
    pub fn plan(&self, device: &Enrolled) -> Result<()> {
        let (format, account) = (self.format, self.account());
        let (operator, of) = (self.operator.clone(), device.clone());
        let plan = move || Plan::new(format, &account, Some(&operator.seal(&of).ok()?));
        // An error in the device's data is reported now, and not when the device bootstraps.
        plan().ok_or(Error::Missing("a package that this device can open"))?;
        self.bootstrap_server.set_planner(&device.endpoint, plan);
        Ok(())
    }

    /// Seals the profile for a device, with a sequence that it hasn't seen.
    pub fn seal(&self, device: &Enrolled) -> Result<Vec<u8>> {
        self.operator.seal(device)
    }

    /// Signs a command to a device, with a sequence that it hasn't seen.
    pub fn order(&self, device: &Enrolled, command: &Command) -> Result<Vec<u8>> {
        self.order_within(device, command, &Validity::default())
    }

    /// Like [`Self::order`], for a command that is valid in this period.
    pub fn order_within(
        &self,
        device: &Enrolled,
        command: &Command,
        validity: &Validity,
    ) -> Result<Vec<u8>> {
        self.operator.order(device, command, validity)
    }

    /// The account of the management server.
    pub fn account(&self) -> Account {
        Account {
            uri: format!("coaps://{}", self.at(self.management_server.address())),
            certificate: self.management_certificate.clone(),
            ssid: SHORT_SERVER_ID,
            lifetime: LIFETIME,
        }
    }

    /// Starts netd with the bootstrap server that it knows from the factory.
    pub fn start_netd(&mut self) -> Result<()> {
        let authority = self.gateway.folder().file("ca.pem");
        let bootstrap = NetdBootstrap::new(self.at(self.bootstrap_server.address()), authority);
        self.gateway.start_netd(Some(bootstrap))
    }

    /// The address at which the gateway finds a server, with the server's name if it has one.
    pub fn at(&self, address: SocketAddr) -> String {
        match &self.host {
            Some(host) => format!("{host}:{}", address.port()),
            None => address.to_string(),
        }
    }

    /// Bootstraps and registers.
    pub fn bootstrap(&self) -> Result<netd::Bootstrap> {
        Ok(self.gateway.bootstrap()?.0)
    }

    /// Authenticates once, against the lab's own server.
    pub fn eap_test(&self) -> Result<(netd::EapTest, Vec<Event>)> {
        self.eap_test_at(self.at(self.radius))
    }

    /// Authenticates once, against another server that knows the secret.
    pub fn eap_test_at(&self, radius: impl ToString) -> Result<(netd::EapTest, Vec<Event>)> {
        let secret = self.radius_secret.expose_secret().as_bytes();
        self.gateway.eap_test(radius, secret, None)
    }

    /// Reads a path of a registered device.
    pub fn read(
        &self,
        endpoint: &str,
        path: softsim_lwm2m::Path,
        format: ContentFormat,
    ) -> std::result::Result<Response, RequestError> {
        let asked = self.management_server.read(endpoint, path, format);
        self.runtime.block_on(asked)
    }

    /// Writes a package or a command to a registered device, as the Software SIM object takes it.
    pub fn write_package(
        &self,
        endpoint: &str,
        package: &[u8],
    ) -> std::result::Result<Response, RequestError> {
        let path = ["26241", "0", "3"].map(str::to_owned);
        let request = Request::new(Method::Put, path.to_vec())
            .body(ContentFormat::Opaque.id(), package.to_vec());
        let asked = self.management_server.request(endpoint, request);
        self.runtime.block_on(asked)
    }

    /// Observes a path of a registered device. Notifications go to the server's journal.
    pub fn observe(
        &self,
        endpoint: &str,
        path: softsim_lwm2m::Path,
        format: ContentFormat,
    ) -> std::result::Result<Response, RequestError> {
        let asked = self.management_server.observe(endpoint, path, format);
        self.runtime.block_on(asked)
    }

    /// Starts a RADIUS server whose conversations are held by the EAP servers that `open` makes.
    pub fn radius_played_by(
        &self,
        open: impl FnMut() -> Box<dyn EapServer> + Send + 'static,
    ) -> Result<SocketAddr> {
        let auc = self.subscription().auc.clone();
        self.serve(Responder::played_by(self.shared_secret()?, open, auc))
    }

    fn shared_secret(&self) -> Result<Secret> {
        let octets = self.radius_secret.expose_secret().as_bytes();
        Ok(Secret::new(octets.to_vec()).map_err(std::io::Error::other)?)
    }

    fn serve(&self, responder: Responder) -> Result<SocketAddr> {
        let _context = self.runtime.enter();
        serve_radius(&self.runtime, self.radius.ip(), responder)
    }

    /// Starts Debian's hostapd in front of the same AuC.
    pub fn hostapd(&self, options: hostapd::Options) -> Result<Hostapd> {
        let (folder, auc) = (self.gateway.folder(), self.auc_socket());
        let secret = &self.radius_secret;
        Ok(Hostapd::start(folder.path(), &auc, secret, options)?)
    }

    /// Starts Debian's hostapd on the authenticator's end of a cable, in front of the same AuC.
    pub fn wired_hostapd(&self, cable: &Cable, options: hostapd::Options) -> Result<Hostapd> {
        let (folder, auc) = (self.gateway.folder(), self.auc_socket());
        let namespace = &cable.authenticator;
        Ok(Hostapd::wired(folder.path(), &auc, namespace, options)?)
    }

    /// An `[[access]]` to RADIUS servers with the lab's secret, which authenticates on command.
    /// `more` holds further lines.
    pub fn radius_access(&self, servers: &[impl std::fmt::Display], more: &str) -> String {
        let secret = self.radius_secret_file();
        let servers: String = servers
            .iter()
            .map(|server| format!("'{server}',"))
            .collect();
        format!(
            "[[access]]\nname = 'radius'\ncarrier = 'radius'\nservers = [{servers}]\n\
             secret_files = ['{}']\nautomatic = false\n{more}",
            secret.display()
        )
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The gateway, to stop it and start it again.
    pub fn gateway_mut(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    /// The subscription and its AuC.
    pub fn subscription(&self) -> &Subscription {
        &self.operator.subscription
    }

    /// The bootstrap server.
    pub fn bootstrap_server(&self) -> &BootstrapServer {
        &self.bootstrap_server
    }

    /// The management server.
    pub fn management_server(&self) -> &ManagementServer {
        &self.management_server
    }

    /// The address of the lab's own RADIUS server.
    pub fn radius(&self) -> SocketAddr {
        self.radius
    }

    /// The secret of its RADIUS clients.
    pub fn radius_secret(&self) -> &SecretString {
        &self.radius_secret
    }

    /// The file with it.
    pub fn radius_secret_file(&self) -> PathBuf {
        self.gateway.folder().file("radius.secret")
    }

    /// The path where the AuC answers like hostapd's `eap_sim_db`.
    pub fn auc_socket(&self) -> PathBuf {
        self.gateway.folder().file("auc.sock")
    }
}

/// A CoAP server on a free port of this address.
fn coap_server(
    runtime: &Runtime,
    listen: IpAddr,
    authority: &Authority,
    credentials: &Credentials,
) -> Result<CoapServer> {
    let dtls = DtlsServer::bind((listen, 0).into(), credentials, authority.certificate());
    Ok(CoapServer::new(runtime.block_on(dtls)?))
}

/// The secret is text, because hostapd and similar programs keep secrets in text files.
fn radius_secret() -> SecretString {
    let mut octets = [0; 16];
    random::fill(&mut octets);
    hex::encode(octets).into()
}

/// The EAP server over RADIUS, and the AuC's socket for hostapd; both end with the runtime.
fn start_access(
    (runtime, listen): (&Runtime, IpAddr),
    subscription: &Subscription,
    secret: &[u8],
    config: eap_server::Config,
    auc_socket: &Path,
) -> Result<SocketAddr> {
    let _context = runtime.enter();
    let secret = Secret::new(secret.to_vec()).map_err(std::io::Error::other)?;
    let responder =
        Responder::new(secret, config, subscription.auc.clone()).map_err(std::io::Error::other)?;
    let address = serve_radius(runtime, listen, responder)?;
    let eap_sim_db = EapSimDb::bind(auc_socket, subscription.auc.clone())?;
    runtime.spawn(async {
        let Err(error) = eap_sim_db.serve().await;
        eprintln!("softsim-lab: AuC: {error}");
    });
    Ok(address)
}

/// A RADIUS server on a free port of this address, which ends with the runtime.
fn serve_radius(runtime: &Runtime, listen: IpAddr, responder: Responder) -> Result<SocketAddr> {
    let server = runtime.block_on(RadiusServer::bind((listen, 0).into(), responder))?;
    let address = server.local_address()?;
    runtime.spawn(async {
        let Err(error) = server.serve().await;
        eprintln!("softsim-lab: RADIUS server: {error}");
    });
    Ok(address)
}
