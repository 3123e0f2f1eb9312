//! Debian's hostapd as the RADIUS server, with the lab's AuC behind it: an EAP-AKA' server that is not ours.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use secrecy::{ExposeSecret, SecretString};

/// A running hostapd; it ends with this value.
pub struct Hostapd {
    child: Child,
    address: SocketAddr,
}

/// What a test may want otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Offer AT_RESULT_IND (RFC 4187 §10.14).
    pub result_indication: bool,
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

    /// Starts it on a free loopback port, with its files in `folder`; `eap_sim_db` is the AuC's bound socket.
    ///
    /// # Errors
    /// hostapd is missing, or ended before it was ready.
    pub fn start(
        folder: &Path,
        eap_sim_db: &Path,
        secret: &SecretString,
        options: Options,
    ) -> io::Result<Self> {
        let program =
            Self::program().ok_or_else(|| io::Error::other("hostapd is not installed"))?;
        let address = free_address()?;
        let clients = folder.join("hostapd.clients");
        fs::write(
            &clients,
            format!("127.0.0.1/32 {}\n", secret.expose_secret()),
        )?;
        let users = folder.join("hostapd.users");
        fs::write(&users, "\"0\"*\tAKA\n\"6\"*\tAKA'\n")?;
        let configuration = folder.join("hostapd.conf");
        fs::write(
            &configuration,
            format!(
                "driver=none\ninterface=lo\nlogger_stdout=-1\nlogger_stdout_level=1\n\
                 radius_server_clients={}\nradius_server_auth_port={}\n\
                 eap_server=1\neap_user_file={}\neap_sim_db=unix:{}\n\
                 eap_sim_aka_result_ind={}\neap_sim_id=0\n",
                clients.display(),
                address.port(),
                users.display(),
                eap_sim_db.display(),
                u8::from(options.result_indication),
            ),
        )?;
        let mut child = Command::new(program)
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take();
        let mut hostapd = Self { child, address };
        let lines = output
            .into_iter()
            .flat_map(|output| BufReader::new(output).lines());
        hostapd.wait_until_enabled(lines.map_while(Result::ok))?;
        Ok(hostapd)
    }

    /// Where it answers RADIUS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_enabled(
        &mut self,
        mut lines: impl Iterator<Item = String> + Send + 'static,
    ) -> io::Result<()> {
        let mut said = Vec::new();
        while let Some(line) = lines.next() {
            if line.contains("AP-ENABLED") {
                // It goes on talking, and would stop at a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            said.push(line);
        }
        let status = self.child.wait()?;
        Err(io::Error::other(format!(
            "hostapd ended with {status}: {}",
            said.join("; ")
        )))
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// hostapd can't be told to pick a port and say which.
fn free_address() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
