//! A machine with a real systemd: Debian in a container, whose only network is a namespace that has
//! a cable to another namespace.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::package;
use crate::run::{Result, at, output, program, succeed, target};

/// The packages that systemd and the name service switch need, besides Debian's smallest
/// installation.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,libnss-resolve,libnss-mdns,libnss-myhostname";

/// The system calls that our sandboxes need and systemd-nspawn forbids by default.
const CALLS: &str = "landlock_create_ruleset landlock_add_rule landlock_restrict_self \
    memfd_secret mlock mlock2 munlock";

/// The machine's address, and that of the network outside.
const INSIDE: &str = "192.0.2.1";
pub(super) const OUTSIDE: &str = "192.0.2.2";

/// The time-out for something that takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(100);

/// A running machine. It ends when the value is dropped, and leaves nothing behind.
pub(super) struct Machine {
    folder: PathBuf,
    namespace: String,
    nspawn: Option<Child>,
    /// The host's process id of its first process.
    leader: Option<String>,
}

impl Machine {
    /// Unpacks a machine, which has nothing of ours.
    pub(super) fn new() -> Result<Self> {
        let own = std::process::id();
        let folder = std::env::temp_dir().join(format!("softsim-machine-{own}"));
        let machine = Self {
            namespace: format!("softsim-machine-{own}"),
            nspawn: None,
            leader: None,
            folder,
        };
        let tree = machine.root();
        at(&tree, fs::create_dir_all(&tree))?;
        let base = base()?;
        succeed(program("tar", &["-x", "-f"]).arg(base).arg("-C").arg(&tree))?;
        machine.connect()?;
        Ok(machine)
    }

    /// Makes the machine's network, which has a cable to the network outside.
    fn connect(&self) -> Result<()> {
        let (inner, outer) = (self.namespace.as_str(), &*self.outer());
        for name in [inner, outer] {
            succeed(&mut program("ip", &["netns", "add", name]))?;
            succeed(&mut program("ip", &["-n", name, "link", "set", "lo", "up"]))?;
        }
        self.lay_cable("wan", "wan")?;
        for (name, address) in [(inner, INSIDE), (outer, OUTSIDE)] {
            let address = format!("{address}/24");
            let mut add = program("ip", &["-n", name, "address", "add", &address]);
            succeed(add.args(["dev", "wan"]))?;
        }
        Ok(())
    }

    /// Connects an interface of the machine with one of the network outside.
    pub(super) fn lay_cable(&self, inside: &str, outside: &str) -> Result<()> {
        let (inner, outer) = (self.namespace.as_str(), &*self.outer());
        let mut add = program("ip", &["-n", inner, "link", "add", inside, "type", "veth"]);
        succeed(add.args(["peer", "name", outside, "netns", outer]))?;
        for (name, interface) in [(inner, inside), (outer, outside)] {
            succeed(&mut program(
                "ip",
                &["-n", name, "link", "set", interface, "up"],
            ))?;
        }
        Ok(())
    }

    /// Installs the programs, the units and the configuration by the installation script, and
    /// creates their users. The machine isn't running.
    pub(super) fn install_programs(&self, programs: &Path) -> Result<()> {
        let staged = self.folder.join("staged");
        package::stage(&staged, programs)?;
        let mut install = program("sh", &["install.sh", "PREFIX=/usr"]);
        install.arg(format!("DESTDIR={}", self.root().display()));
        succeed(install.current_dir(&staged))?;
        self.inside_tree(&["systemd-sysusers"])
    }

    /// Installs Debian packages while the machine runs. Returns what dpkg says.
    pub(super) fn install_packages(&self, packages: &[PathBuf]) -> Result<()> {
        let folder = "var/tmp/packages";
        let there = self.root().join(folder);
        let _ = fs::remove_dir_all(&there);
        at(&there, fs::create_dir(&there))?;
        let mut install = vec!["dpkg".to_owned(), "--install".into()];
        for package in packages {
            let name = package.file_name().unwrap_or_default();
            at(package, fs::copy(package, there.join(name)))?;
            install.push(format!("/{folder}/{}", name.display()));
        }
        let install: Vec<_> = install.iter().map(String::as_str).collect();
        succeed(self.command(&install).stdout(Stdio::null()))
    }

    /// Cuts the power: every process of the machine ends at once.
    pub(super) fn cut_power(&mut self) {
        self.kill();
    }

    /// Writes a file of the machine, and replaces an existing one.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root().join(path);
        let new = path.with_extension("new");
        at(&path, fs::create_dir_all(path.parent().unwrap_or(&path)))?;
        at(&new, fs::write(&new, text))?;
        at(
            &new,
            fs::set_permissions(&new, fs::Permissions::from_mode(0o644)),
        )?;
        at(&path, fs::rename(&new, &path))
    }

    /// Runs a program in the tree, before the machine is started.
    pub(super) fn inside_tree(&self, arguments: &[&str]) -> Result<()> {
        succeed(program("chroot", &[]).arg(self.root()).args(arguments))
    }

    /// Starts systemd, and waits until it is up.
    pub(super) fn boot(&mut self) -> Result<()> {
        let mut command = program(
            "systemd-nspawn",
            &["--keep-unit", "--register=no", "--boot"],
        );
        command
            .args([
                "--quiet",
                "--resolv-conf=off",
                "--console=read-only",
                "--kill-signal=SIGRTMIN+4",
            ])
            .arg(format!(
                "--network-namespace-path=/run/netns/{}",
                self.namespace
            ))
            .arg(format!("--system-call-filter={CALLS}"))
            // Port keepers have it, in the namespace that nspawn takes for the host's.
            .arg("--capability=CAP_NET_ADMIN")
            .arg("-D")
            .arg(self.root())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("systemd-nspawn: {error}"))?;
        let id = child.id().to_string();
        self.nspawn = Some(child);
        self.wait_for("a machine that is up", |machine| {
            if machine.leader.is_none() {
                let children = format!("/proc/{id}/task/{id}/children");
                let children = fs::read_to_string(children).unwrap_or_default();
                machine.leader = children.split_whitespace().next().map(str::to_owned);
            }
            let state = machine.says(&["systemctl", "is-system-running", "--wait"]);
            matches!(state.as_str(), "running" | "degraded")
        })
    }

    /// A command that runs in the machine.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let leader = self.leader.as_deref().unwrap_or("0");
        let mut command = program("nsenter", &["--all", "--target", leader, "--"]);
        command.args(arguments);
        command
    }

    /// Runs a program in the machine, and expects success.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<()> {
        succeed(&mut self.command(arguments))
    }

    /// Returns what a program in the machine prints, whether or not it succeeds.
    pub(super) fn says(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).stderr(Stdio::null()).output();
        let output = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    }

    /// A property of a unit.
    pub(super) fn property(&self, unit: &str, property: &str) -> String {
        self.says(&["systemctl", "show", "--value", "--property", property, unit])
    }

    /// The last lines that our services logged.
    pub(super) fn journal(&self) -> String {
        self.says(&[
            "journalctl",
            "--no-pager",
            "--output=short-monotonic",
            "--lines=60",
            "--unit=softsim-*",
        ])
    }

    /// Waits until a condition holds.
    pub(super) fn wait_for(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&mut Self) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            if Instant::now() > end {
                return Err(format!("expected {what}, waited for it in vain"));
            }
            sleep(INTERVAL);
        }
        Ok(())
    }

    /// A command of the host that runs in the network outside.
    pub(super) fn outside(&self, program_there: &Path) -> Command {
        in_network(&self.outer(), program_there)
    }

    /// A command of the host that runs in the machine's network.
    pub(super) fn inside(&self, program_there: &Path) -> Command {
        in_network(&self.namespace, program_there)
    }

    /// The host's path of a file in the running machine.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let leader = self.leader.as_deref().unwrap_or("0");
        Path::new("/proc").join(leader).join("root").join(path)
    }

    /// The namespace of its network.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A folder of the host for the test's files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends all processes of the machine.
    fn kill(&mut self) {
        let Some(mut nspawn) = self.nspawn.take() else {
            return;
        };
        // When its first process ends, all others and nspawn end, too.
        match self.leader.take() {
            Some(leader) => _ = output(&mut program("kill", &["-s", "KILL", &leader])),
            None => _ = nspawn.kill(),
        }
        let _ = nspawn.wait();
    }

    /// The namespace of the network outside.
    fn outer(&self) -> String {
        format!("{}-outside", self.namespace)
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        let _ = output(&mut program("ip", &["netns", "del", &self.outer()]));
        let _ = output(&mut program("ip", &["netns", "del", &self.namespace]));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn in_network(name: &str, program_there: &Path) -> Command {
    let mut command = program("ip", &["netns", "exec", name]);
    command.arg(program_there);
    command
}

/// Debian's smallest installation with systemd, created once and kept as a tar file.
fn base() -> Result<PathBuf> {
    let kept = target().join("softsim/debian.tar");
    if !kept.is_file() {
        println!("making a Debian machine (once)");
        let tree = target().join("softsim/debian");
        let _ = fs::remove_dir_all(&tree);
        let include = format!("--include={PACKAGES}");
        let mut make = program("debootstrap", &["--variant=minbase", &include, "bookworm"]);
        succeed(make.arg(&tree).stdout(Stdio::null()))?;
        let new = kept.with_extension("new");
        succeed(
            program("tar", &["-c", "-f"])
                .arg(&new)
                .arg("-C")
                .arg(&tree)
                .arg("."),
        )?;
        at(&kept, fs::rename(&new, &kept))?;
        let _ = fs::remove_dir_all(&tree);
    }
    Ok(kept)
}
