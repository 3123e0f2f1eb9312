//! Network namespaces with a cable between them: interfaces that a test has for itself. Root only.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// The name of either end of a cable, each in its own namespace.
pub const INTERFACE: &str = "eth0";

/// Why there can be no namespaces here, if so.
pub fn missing() -> Option<&'static str> {
    if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Some("network namespaces need root");
    }
    let made = Namespace::new("probe");
    made.is_err()
        .then_some("network namespaces can't be made (Debian package iproute2)")
}

/// A network namespace; it goes with this value.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Two namespaces, joined by a veth pair that is up.
#[derive(Debug)]
pub struct Cable {
    /// Where the authenticator is.
    pub authenticator: Namespace,
    /// Where the gateway is.
    pub gateway: Namespace,
}

impl Namespace {
    fn new(role: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("softsim-{}-{number}-{role}", process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// A command that runs in it, as the very process that is started.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// What its name is to `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

impl Cable {
    /// Makes both namespaces; the authenticator has 192.0.2.1, the gateway 192.0.2.2.
    ///
    /// # Errors
    /// Not root, or the kernel or `ip` says no.
    pub fn new() -> io::Result<Self> {
        let cable = Self {
            authenticator: Namespace::new("authenticator")?,
            gateway: Namespace::new("gateway")?,
        };
        let (here, there) = (cable.authenticator.name(), cable.gateway.name());
        ip(&[
            "-n", here, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE,
            "netns", there,
        ])?;
        for (name, address) in [(here, "192.0.2.1/24"), (there, "192.0.2.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", INTERFACE])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", INTERFACE, "up"])?;
        }
        Ok(cable)
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "ip {}: {}",
        arguments.join(" "),
        complaint.trim()
    )))
}
