//! Network namespaces with a cable between them, so that a test has its own interfaces. This needs
//! root.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The name of either end of a cable, each in its own namespace.
pub const INTERFACE: &str = "eth0";

/// The authenticator's address on the cable.
pub const AUTHENTICATOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The gateway's address on the cable.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The reason why this process can't create namespaces, if there is one.
pub fn missing() -> Option<&'static str> {
    if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Some("network namespaces need root");
    }
    let made = Namespace::new("probe");
    made.is_err()
        .then_some("network namespaces can't be made (Debian package iproute2)")
}

/// A network namespace, which is deleted when the value is dropped.
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
    /// A namespace with nothing but its own loopback interface.
    ///
    /// # Errors
    /// The process isn't root, or the kernel or `ip` refuses.
    pub fn alone() -> io::Result<Self> {
        let namespace = Self::new("alone")?;
        ip(&format!("-n {} link set lo up", namespace.name))?;
        Ok(namespace)
    }

    fn new(role: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("softsim-{}-{number}-{role}", process::id());
        ip(&format!("netns add {name}"))?;
        Ok(Self { name })
    }

    /// A command that runs in it; the started process is the program itself.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a function in it. Sockets that the function creates stay in the namespace.
    ///
    /// # Errors
    /// The namespace is gone, or a thread can't be started.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let namespace = fs::File::open(Path::new("/run/netns").join(&self.name))?;
        // A thread belongs to a namespace, and this one ends afterwards.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), kind)?;
                Ok(work())
            });
            match thread.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Its name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}

impl Cable {
    /// Makes both namespaces. Each end has a permanent neighbour entry for the other, so that it
    /// sends no ARP on the cable.
    ///
    /// # Errors
    /// The process isn't root, or the kernel or `ip` refuses.
    pub fn new() -> io::Result<Self> {
        let cable = Self {
            authenticator: Namespace::new("authenticator")?,
            gateway: Namespace::new("gateway")?,
        };
        let (here, there) = (cable.authenticator.name(), cable.gateway.name());
        ip(&format!(
            "-n {here} link add {INTERFACE} type veth peer name {INTERFACE} netns {there}"
        ))?;
        let ends = [
            (here, AUTHENTICATOR, "02:00:00:00:00:01"),
            (there, GATEWAY, "02:00:00:00:00:02"),
        ];
        for (name, address, hardware) in ends {
            let up = format!("link set {INTERFACE} address {hardware} up");
            let address = format!("address add {address}/24 dev {INTERFACE}");
            for command in ["link set lo up", &up, &address] {
                ip(&format!("-n {name} {command}"))?;
            }
        }
        for ((name, ..), (_, address, hardware)) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let known = format!("{address} lladdr {hardware} dev {INTERFACE} nud permanent");
            ip(&format!("-n {name} neighbour add {known}"))?;
        }
        Ok(cable)
    }
}

/// Runs `ip` with arguments that a space separates.
fn ip(arguments: &str) -> io::Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint = complaint.trim();
    Err(io::Error::other(format!("ip {arguments}: {complaint}")))
}
