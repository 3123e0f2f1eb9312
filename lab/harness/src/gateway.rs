//! A gateway under test: keyd and netd in a folder, from the factory to a working SIM.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use softsim_client::keyd::Connection;
use softsim_client::netd::{self, Command, Control, Event, Report};
use softsim_client::paths::Sockets;
use softsim_client::proto::requests::{
    AddTrustAnchor, CertificateRequest, Commit, GenerateDeviceKey, SealingStatement,
    SetDeviceCertificate, Stage, Status,
};
use softsim_client::proto::{Staged, StatusAnswer};
use softsim_issuer::{DeviceCertificate, IssuerSigningKey, command_for, seal_for_device};
use softsim_lab_simulators::pki::Authority;
use softsim_profile::{Command as Order, Profile, Validity};
use softsim_sandbox::random;

use crate::error::{Error, Result};
use crate::host_files::HostFiles;
use crate::netns::Cable;
use crate::processes::{Daemon, Folder, NetdBootstrap, NetdConfig, plainly};
use crate::recorder::Recorder;

/// The options of a gateway.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Write the conversation between the daemons to `ipc.record`.
    pub record: bool,
    /// Open keyd's socket for bridges to supplicants.
    pub supplicant: bool,
    /// keyd's `--identity-privacy`, if it isn't the default.
    pub identity_privacy: Option<&'static str>,
    /// keyd's `--identity-patience` in seconds, if it isn't the default.
    pub identity_patience: Option<u32>,
    /// The socket of softsim-anchord.
    pub anchor: Option<PathBuf>,
    /// The application functions of which applications get keys.
    pub afs: Vec<&'static str>,
    /// The `[[access]]` entries of netd's configuration.
    pub accesses: String,
    /// Run netd at the gateway's end of this cable.
    pub cable: Option<Arc<Cable>>,
    /// The admin socket of a keyd that runs elsewhere. Neither keyd nor netd is started here then.
    pub elsewhere: Option<PathBuf>,
    /// Another netd program than the one in the folder of the other programs.
    pub netd: Option<PathBuf>,
    /// The folders that netd sees as /etc and /run.
    pub files: Option<Arc<HostFiles>>,
}

/// The two daemons of one device. Dropping the value ends those that still run.
pub struct Gateway {
    // In the order in which they are dropped: netd would log an error if keyd ended first.
    netd: Option<Daemon>,
    recorder: Option<Recorder>,
    keyd: Option<Daemon>,
    folder: Folder,
    options: Options,
}

/// The data that the operator keeps about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The device id in hexadecimal, which is the endpoint name.
    pub endpoint: String,
    /// The device certificate, DER.
    pub certificate: Vec<u8>,
    /// The sealing statement, signed by the device key.
    pub statement: Vec<u8>,
}

impl Enrolled {
    /// Seals a profile for this device and no other.
    pub fn seal(
        &self,
        profile: &Profile,
        issuer: &IssuerSigningKey,
        sequence: u64,
    ) -> Result<Vec<u8>> {
        let certificate = DeviceCertificate::parse(&self.certificate)?;
        let sealed = seal_for_device(profile, &certificate, &self.statement, issuer, sequence)?;
        Ok(sealed.signed.octets)
    }

    /// Signs a command to this device and no other.
    pub fn order(
        &self,
        command: &Order,
        validity: &Validity,
        issuer: &IssuerSigningKey,
        sequence: u64,
    ) -> Result<Vec<u8>> {
        let device = DeviceCertificate::parse(&self.certificate)?.device();
        let signed = command_for(command, validity, device, issuer, sequence)?;
        Ok(signed.octets)
    }
}

impl Gateway {
    /// Starts keyd in an empty folder.
    pub fn start(folder: &Path, options: Options) -> Result<Self> {
        let mut gateway = Self {
            netd: None,
            recorder: None,
            keyd: None,
            folder: Folder::create(folder)?,
            options,
        };
        if gateway.options.elsewhere.is_none() {
            gateway.start_keyd()?;
        }
        Ok(gateway)
    }

    /// The folder with everything.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where the daemons' sockets are.
    pub fn sockets(&self) -> Sockets {
        self.folder.sockets()
    }

    /// Starts keyd again on its state, after [`Self::stop`].
    pub fn start_keyd(&mut self) -> Result<()> {
        let network = self.sockets().network;
        let more = self.keyd_flags();
        let more: Vec<_> = more.iter().map(OsString::as_os_str).collect();
        if self.options.record {
            let own = self.folder.recorded_socket();
            self.keyd = Some(Daemon::keyd(&self.folder, &own, &more)?);
            let record = self.folder.file("ipc.record");
            self.recorder = Some(Recorder::start(&network, &own, &record)?);
        } else {
            self.keyd = Some(Daemon::keyd(&self.folder, &network, &more)?);
        }
        Ok(())
    }

    fn keyd_flags(&self) -> Vec<OsString> {
        let mut flags = Vec::new();
        if self.options.supplicant {
            flags.extend([
                OsStr::new("--supplicant").into(),
                self.sockets().supplicant.into(),
            ]);
        }
        if let Some(privacy) = self.options.identity_privacy {
            flags.push(format!("--identity-privacy={privacy}").into());
        }
        if let Some(patience) = self.options.identity_patience {
            flags.push(format!("--identity-patience={patience}").into());
        }
        if let Some(anchor) = &self.options.anchor {
            flags.extend([OsStr::new("--anchor-socket").into(), anchor.into()]);
        }
        let own = softsim_sandbox::process::uid();
        let afs = self.options.afs.iter();
        flags.extend(afs.map(|af| format!("--app-af={own}={af}").into()));
        flags
    }

    /// Starts netd, with a bootstrap server or without.
    pub fn start_netd(&mut self, bootstrap: Option<NetdBootstrap>) -> Result<()> {
        let config = NetdConfig::new(&self.folder, bootstrap)?;
        let command = |program: &Path| {
            let program = self.options.netd.as_deref().unwrap_or(program);
            match (&self.options.cable, &self.options.files) {
                (Some(cable), _) => cable.gateway.command(program),
                (None, Some(files)) => files.command(program),
                (None, None) => plainly(program),
            }
        };
        let accesses = &self.options.accesses;
        self.netd = Some(Daemon::netd(&self.folder, &config, accesses, command)?);
        Ok(())
    }

    /// Gives netd other `[[access]]` entries, for its next start.
    pub fn set_accesses(&mut self, accesses: String) {
        self.options.accesses = accesses;
    }

    /// Starts a bridge for these control sockets.
    pub fn bridge(&self, controls: &[&Path]) -> Result<Daemon> {
        Ok(Daemon::bridge(&self.folder, controls)?)
    }

    /// Kills netd, and leaves keyd alone.
    pub fn stop_netd(&mut self) {
        self.netd = None;
    }

    /// Kills keyd, and leaves netd alone.
    pub fn stop_keyd(&mut self) {
        self.keyd = None;
    }

    /// Kills both daemons, as a power cut would.
    pub fn stop(&mut self) {
        self.netd = None;
        self.recorder = None;
        self.keyd = None;
    }

    /// Waits until keyd ends by itself.
    ///
    /// # Errors
    /// It doesn't run, or doesn't end in time.
    pub fn await_end_of_keyd(&mut self, patience: Duration) -> Result<ExitStatus> {
        let keyd = self.keyd.as_mut().ok_or(Error::Missing("a running keyd"))?;
        Ok(keyd.await_end(patience)?)
    }

    /// Waits until netd ends by itself.
    ///
    /// # Errors
    /// It doesn't run, or doesn't end in time.
    pub fn await_end_of_netd(&mut self, patience: Duration) -> Result<ExitStatus> {
        let netd = self.netd.as_mut().ok_or(Error::Missing("a running netd"))?;
        Ok(netd.await_end(patience)?)
    }

    /// keyd, while it runs.
    pub fn keyd(&self) -> Option<&Daemon> {
        self.keyd.as_ref()
    }

    /// netd, while it runs.
    pub fn netd(&self) -> Option<&Daemon> {
        self.netd.as_ref()
    }

    /// A connection to keyd's admin socket.
    pub fn admin(&self) -> Result<Connection> {
        let own = self.sockets().admin;
        let admin = self.options.elsewhere.as_ref().unwrap_or(&own);
        Ok(Connection::connect(admin)?)
    }

    /// keyd's status.
    pub fn status(&self) -> Result<StatusAnswer> {
        Ok(self.admin()?.call(&Status {})?)
    }

    /// Does the factory's work: keyd generates its keys unless it has some, the authority issues a
    /// certificate, and the operator becomes trusted.
    pub fn enrol(&self, authority: &Authority, issuer: &IssuerSigningKey) -> Result<Enrolled> {
        let mut keyd = self.admin()?;
        let device_id = match keyd.call(&Status {})?.device_id {
            Some(id) => id,
            None => keyd.call(&GenerateDeviceKey {})?.device_id,
        };
        let request = keyd.call(&CertificateRequest {})?.der;
        let certificate = authority.sign_device(&request)?;
        keyd.call(&SetDeviceCertificate {
            certificate: &certificate,
        })?;
        let statement = keyd.call(&SealingStatement {})?.statement;
        let issuer = issuer.public().to_spki();
        keyd.call(&AddTrustAnchor { issuer: &issuer })?;
        Ok(Enrolled {
            endpoint: hex::encode(device_id),
            certificate,
            statement,
        })
    }

    /// Installs a sealed package, or carries out a command, through the admin socket. Returns what
    /// it did.
    pub fn install(&self, package: &[u8]) -> Result<Option<Staged>> {
        let mut txid = [0; 16];
        random::fill(&mut txid);
        let mut keyd = self.admin()?;
        let staged = keyd.call(&Stage {
            txid,
            package: Some(package),
        })?;
        keyd.call(&Commit::new(txid))?;
        Ok(staged.staged)
    }

    /// Bootstraps now.
    pub fn bootstrap(&self) -> Result<(netd::Bootstrap, Vec<Event>)> {
        match self.ask(&Command::Bootstrap {})? {
            (Report::Bootstrap(bootstrap), events) => Ok((bootstrap, events)),
            _ => Err(Error::Missing("a report of the bootstrap")),
        }
    }

    /// Authenticates once against a RADIUS server.
    pub fn eap_test(
        &self,
        radius: impl ToString,
        secret: &[u8],
        identity: Option<&str>,
    ) -> Result<(netd::EapTest, Vec<Event>)> {
        let command = Command::EapTest {
            radius: radius.to_string(),
            secret: netd::RadiusSecret::new(secret.to_vec()),
            identity: identity.map(str::to_owned),
        };
        match self.ask(&command)? {
            (Report::EapTest(report), events) => Ok((report, events)),
            _ => Err(Error::Missing("a report of the authentication")),
        }
    }

    /// The state of netd's only access.
    pub fn access(&self) -> Result<netd::Access> {
        Ok(self.ask_access(&Command::AccessStatus { name: None })?.0)
    }

    /// Makes netd's only access authenticate now. Returns its state afterwards, and the events.
    pub fn connect(&self) -> Result<(netd::Access, Vec<Event>)> {
        self.ask_access(&Command::AccessConnect { name: None })
    }

    /// Makes netd's only access log off. Returns its state afterwards, and the events.
    pub fn disconnect(&self) -> Result<(netd::Access, Vec<Event>)> {
        self.ask_access(&Command::AccessDisconnect { name: None })
    }

    fn ask_access(&self, command: &Command) -> Result<(netd::Access, Vec<Event>)> {
        match self.ask(command)? {
            (Report::Access(mut report), events) => match report.accesses.pop() {
                Some(access) => Ok((access, events)),
                None => Err(Error::Missing("an access")),
            },
            _ => Err(Error::Missing("a report of the access")),
        }
    }

    /// netd's status.
    pub fn netd_status(&self) -> Result<netd::Status> {
        match self.ask(&Command::Status {})? {
            (Report::Status(status), _) => Ok(status),
            _ => Err(Error::Missing("a report of the state")),
        }
    }

    /// Sends netd a command, and returns its report with the events before it.
    fn ask(&self, command: &Command) -> Result<(Report, Vec<Event>)> {
        let mut events = Vec::new();
        for event in Control::run(&self.sockets().netd, command)? {
            match event? {
                Event::Done { report } => return Ok((report, events)),
                Event::Failed { failure, reason } => return Err(Error::Failed { failure, reason }),
                event => events.push(event),
            }
        }
        Err(Error::Missing("a last event"))
    }
}
