//! Debian's hostapd with the lab's AuC, as a RADIUS server or as the authenticator of a wired port.
//! It is an independent server of EAP-AKA and EAP-AKA'.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use softsim_lab_simulators::journal::Journal;

use crate::netns::{INTERFACE, Namespace};

/// A running hostapd, which ends when the value is dropped.
pub struct Hostapd {
    place: Place,
    configuration: PathBuf,
    child: Child,
    said: Arc<Journal<String>>,
}

/// How clients reach it.
enum Place {
    Radius(SocketAddr),
    /// The name of the namespace.
    Wired(String),
}

/// The options for a test.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Which methods it offers, to whichever identity.
    pub methods: Methods,
    /// Offer AT_RESULT_IND (RFC 4187 §10.14).
    pub result_indication: bool,
    /// The identities that it assigns.
    pub identities: Identities,
    /// Seconds after which a wired port is authenticated again.
    pub again_after: Option<u32>,
}

/// The EAP methods of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Methods {
    /// EAP-AKA for identities of EAP-AKA, EAP-AKA' for identities of EAP-AKA'.
    #[default]
    AsIdentified,
    /// EAP-AKA only.
    Aka,
    /// EAP-AKA' only.
    AkaPrime,
}

/// The identities that hostapd assigns. It keeps them in memory only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Identities {
    /// None.
    #[default]
    None = 0,
    /// Pseudonyms.
    Pseudonyms = 1,
    /// For fast re-authentication.
    Reauthentication = 2,
    /// Both.
    All = 3,
}

impl Hostapd {
    /// The program, where Debian installs it.
    pub fn program() -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into()])
            .map(|folder| folder.join("hostapd"))
            .find(|program| program.is_file())
    }

    /// Starts it as a RADIUS server on a free loopback port, with its files in `folder`;
    /// `eap_sim_db` is the AuC's bound socket.
    ///
    /// # Errors
    /// hostapd is missing, or ended before it was ready.
    pub fn start(
        folder: &Path,
        eap_sim_db: &Path,
        secret: &SecretString,
        options: Options,
    ) -> io::Result<Self> {
        let address = free_address()?;
        let clients = folder.join("hostapd.clients");
        fs::write(
            &clients,
            format!("127.0.0.1/32 {}\n", secret.expose_secret()),
        )?;
        let place = format!(
            "driver=none\ninterface=lo\nradius_server_clients={}\nradius_server_auth_port={}\n",
            clients.display(),
            address.port(),
        );
        Self::configured(folder, &place, eap_sim_db, options, Place::Radius(address))
    }

    /// Starts it on the wired port of a namespace.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn wired(
        folder: &Path,
        eap_sim_db: &Path,
        namespace: &Namespace,
        options: Options,
    ) -> io::Result<Self> {
        let place = format!(
            "driver=wired\ninterface={INTERFACE}\nieee8021x=1\nuse_pae_group_addr=1\neapol_version=2\n\
             eap_reauth_period={}\n",
            options.again_after.unwrap_or(0),
        );
        let namespace = Place::Wired(namespace.name().to_owned());
        Self::configured(folder, &place, eap_sim_db, options, namespace)
    }

    fn configured(
        folder: &Path,
        place_lines: &str,
        eap_sim_db: &Path,
        options: Options,
        place: Place,
    ) -> io::Result<Self> {
        let users = folder.join("hostapd.users");
        fs::write(&users, options.methods.users())?;
        let configuration = folder.join("hostapd.conf");
        let lines = format!(
            "{place_lines}logger_stdout=-1\nlogger_stdout_level=1\neap_server=1\neap_user_file={}\n\
             eap_sim_db=unix:{}\neap_sim_aka_result_ind={}\neap_sim_id={}\n",
            users.display(),
            eap_sim_db.display(),
            u8::from(options.result_indication),
            options.identities as u8,
        );
        fs::write(&configuration, lines)?;
        let said = Arc::default();
        let child = spawn(&place, &configuration, &said)?;
        Ok(Self {
            place,
            configuration,
            child,
            said,
        })
    }

    /// Kills and restarts it. It has then forgotten the identities that it assigned.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.end();
        self.child = spawn(&self.place, &self.configuration, &self.said)?;
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its RADIUS address; none if it is wired.
    pub fn address(&self) -> SocketAddr {
        match self.place {
            Place::Radius(address) => address,
            Place::Wired(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

    /// Every line that it wrote.
    pub fn said(&self) -> &Journal<String> {
        &self.said
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // hostapd names its own socket after its process id, and doesn't start if an earlier
        // process with the same id has left one.
        let _ = fs::remove_file(format!("/tmp/eap_sim_db_{}-0", self.child.id()));
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        self.end();
    }
}

impl Methods {
    /// The user file: 0, 2 and 4 begin identities of EAP-AKA, 6, 7 and 8 those of EAP-AKA' (RFC
    /// 9048 §3.1).
    fn users(self) -> String {
        let mut users = String::new();
        for (first, usual) in [
            ('0', "AKA"),
            ('2', "AKA"),
            ('4', "AKA"),
            ('6', "AKA'"),
            ('7', "AKA'"),
            ('8', "AKA'"),
        ] {
            let method = match self {
                Self::AsIdentified => usual,
                Self::Aka => "AKA",
                Self::AkaPrime => "AKA'",
            };
            let _ = writeln!(users, "\"{first}\"*\t{method}");
        }
        users
    }
}

fn spawn(place: &Place, configuration: &Path, said: &Arc<Journal<String>>) -> io::Result<Child> {
    let program = Hostapd::program().ok_or_else(|| io::Error::other("hostapd is not installed"))?;
    let mut command = match place {
        Place::Radius(_) => Command::new(program),
        Place::Wired(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(program);
            command
        }
    };
    let mut child = command
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take();
    let mut lines = output
        .into_iter()
        .flat_map(|output| BufReader::new(output).lines())
        .map_while(Result::ok);
    let mut first = Vec::new();
    for line in lines.by_ref() {
        let enabled = line.contains("AP-ENABLED");
        first.push(line.clone());
        said.record(line);
        if enabled {
            // It keeps writing, and would block on a full pipe.
            let said = said.clone();
            std::thread::spawn(move || lines.for_each(|line| said.record(line)));
            return Ok(child);
        }
    }
    let status = child.wait()?;
    Err(io::Error::other(format!(
        "hostapd ended with {status}: {}",
        first.join("; ")
    )))
}

/// hostapd can't choose a port by itself and report it.
fn free_address() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
