//! Debian's wpa_supplicant and eapol_test, which are widely used peers, with an external SIM.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use softsim_lab_simulators::journal::Journal;

use crate::netns::{INTERFACE, Namespace};

/// The configuration of either program.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// `AKA` or `AKA'`.
    pub method: &'a str,
    /// The permanent identity.
    pub identity: &'a str,
    /// Whether the result is to be protected.
    pub result_indication: bool,
}

impl Network<'_> {
    fn write(&self, folder: &Path, wired: bool) -> io::Result<PathBuf> {
        let path = folder.join("network.conf");
        let wired = if wired {
            "ap_scan=0\neapol_version=2\n"
        } else {
            ""
        };
        let result = u8::from(self.result_indication);
        fs::write(
            &path,
            format!(
                "ctrl_interface=DIR={}\nexternal_sim=1\n{wired}network={{\n key_mgmt=IEEE8021X\n eap={}\n \
                 identity=\"{}\"\n phase1=\"result_ind={result}\"\n eapol_flags=0\n}}\n",
                folder.join("control").display(),
                self.method,
                self.identity,
            ),
        )?;
        Ok(path)
    }
}

/// Where eapol_test in `folder` has its control socket.
pub fn eapol_test_control(folder: &Path) -> PathBuf {
    folder.join("control/test")
}

/// Where wpa_supplicant in `folder` has its control socket.
pub fn wpa_supplicant_control(folder: &Path) -> PathBuf {
    folder.join("control").join(INTERFACE)
}

/// Whether the programs are installed.
pub fn missing() -> Option<&'static str> {
    if find("eapol_test").is_none() {
        return Some("eapol_test is missing (Debian package eapoltest)");
    }
    if find("wpa_supplicant").is_none() {
        return Some("wpa_supplicant is missing (Debian package wpasupplicant)");
    }
    None
}

/// Runs eapol_test once with a RADIUS server and returns its output. It begins when a process is
/// attached to its control socket, because earlier requests would be lost. `prefix` is a command
/// that runs it, unless it is empty.
///
/// # Errors
/// It can't be started.
pub fn eapol_test(
    prefix: &[&str],
    folder: &Path,
    server: SocketAddr,
    secret: &SecretString,
    network: Network<'_>,
) -> io::Result<String> {
    let configuration = network.write(folder, false)?;
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    let program = find("eapol_test").unwrap_or_default();
    let mut command = match prefix {
        [] => Command::new(program),
        [first, others @ ..] => {
            let mut command = Command::new(first);
            command.args(others).arg(program);
            command
        }
    };
    let output = command
        .args(["-W", "-a", &address, "-p", &port, "-t", "20"])
        .args(["-s", secret.expose_secret(), "-c"])
        .arg(&configuration)
        .stdin(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// wpa_supplicant on the wired port of a namespace. It ends when the value is dropped.
pub struct WpaSupplicant {
    child: Child,
    said: Arc<Journal<String>>,
}

impl WpaSupplicant {
    /// Starts it. It begins when a process is attached to its control socket.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(folder: &Path, namespace: &Namespace, network: Network<'_>) -> io::Result<Self> {
        let configuration = network.write(folder, true)?;
        let mut child = namespace
            .command(find("wpa_supplicant").unwrap_or_default())
            .args(["-W", "-D", "wired", "-i", INTERFACE, "-c"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = Arc::<Journal<String>>::default();
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let journal = said.clone();
        std::thread::spawn(move || record(output, &journal));
        Ok(Self { child, said })
    }

    /// Every line that it wrote.
    pub fn said(&self) -> &Journal<String> {
        &self.said
    }
}

impl Drop for WpaSupplicant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn record(output: impl Read, journal: &Journal<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        journal.record(line);
    }
}

/// A program on the search path, or in the folders of system administration.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
