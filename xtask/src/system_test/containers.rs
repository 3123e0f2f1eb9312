//! The container images: keyd without a network and netd, both without a capability, and softsimctl
//! as the administrator.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Built;
use super::lab::Lab;
use super::machine::{Machine, OUTSIDE};
use crate::run::{Result, at, output, program, succeed};

/// The name in the certificates of the lab's servers.
const NAME: &str = "bootstrap.example";

/// How every container runs: with podman's own filter, and nothing that it could give up.
const CONFINED: [&str; 7] = [
    "--cgroups=disabled",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--ulimit=memlock=8388608:8388608",
    "--cap-drop=all",
    "--read-only",
    "--security-opt=no-new-privileges",
];

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(built: &Built) -> Result<()> {
    let machine = Machine::new()?;
    let engine = Engine::new(&machine)?;
    let outcome = live(&machine, &engine, built);
    if outcome.is_err() {
        for name in ["keyd", "netd"] {
            let logs = engine
                .podman(&["logs", name])
                .stderr(Stdio::inherit())
                .status();
            println!("logs of {name}: {logs:?}");
        }
    }
    outcome
}

fn live(machine: &Machine, engine: &Engine, built: &Built) -> Result<()> {
    for image in ["keyd", "netd", "tools"] {
        let archive = built.packages.join(format!("softsim-{image}.oci.tar"));
        let mut load = engine.podman(&["load", "--quiet", "--input"]);
        succeed(load.arg(archive).stdout(Stdio::null()))?;
    }
    let kek = engine.folder.join("kek");
    at(&kek, fs::write(&kek, [7; 32]))?;
    at(&kek, chown(&kek, Some(10001), Some(10001)))?;
    at(
        &kek,
        fs::set_permissions(&kek, Permissions::from_mode(0o400)),
    )?;
    let kek = format!("--volume={}:/run/secrets/kek:ro", kek.display());
    engine.start(
        "keyd",
        &[
            "--network=none",
            "--volume=state:/state",
            "--volume=network:/run/softsim-network",
            "--volume=admin:/run/softsim-admin",
            &kek,
        ],
    )?;
    let admin = engine.volume("admin")?.join("admin.sock");
    wait_for("keyd's socket", || admin.exists())?;

    let lab = Lab::start(
        machine,
        &built.programs,
        &admin,
        &["--listen", OUTSIDE, "--san", NAME],
    )?;
    engine.write("netd.toml", &configuration(&lab)?)?;
    engine.write("bootstrap.pem", &lab.authority()?)?;
    engine.write("radius.secret", &lab.radius_secret()?)?;
    let secret = engine.folder.join("etc/radius.secret");
    at(
        &secret,
        fs::set_permissions(&secret, Permissions::from_mode(0o400)),
    )?;
    let settings = format!(
        "--volume={}:/etc/softsim:ro",
        engine.folder.join("etc").display()
    );
    let network = format!("--network=ns:/run/netns/{}", machine.namespace());
    let hosts = format!("--add-host={NAME}:{OUTSIDE}");
    engine.start(
        "netd",
        &[
            &network,
            &hosts,
            &settings,
            "--volume=accounts:/state",
            "--volume=control:/run/softsim-netd",
            "--volume=network:/run/softsim-network:ro",
        ],
    )?;
    wait_for("a netd that answers", || {
        engine.ctl(&["access", "status"]).is_ok()
    })?;
    engine.ctl(&["bootstrap"])?;
    let authenticate = [
        "eap-test",
        "--radius",
        lab.radius()?,
        "--secret-file",
        "/etc/softsim/radius.secret",
    ];
    engine.ctl(&authenticate)?;

    for name in ["keyd", "netd"] {
        succeed(
            engine
                .podman(&["kill", "--signal=KILL", name])
                .stdout(Stdio::null()),
        )?;
        succeed(engine.podman(&["start", name]).stdout(Stdio::null()))?;
        wait_for("an authentication after a SIGKILL", || {
            engine.ctl(&authenticate).is_ok()
        })?;
    }
    engine.is_confined("keyd")?;
    engine.is_confined("netd")
}

fn configuration(lab: &Lab) -> Result<String> {
    Ok(format!(
        "keyd_socket = \"/run/softsim-network/network.sock\"\n\
         control_socket = \"/run/softsim-netd/netd.sock\"\n\
         state_dir = \"/state\"\n\
         [bootstrap]\n\
         uri = \"{}\"\n\
         server_trust = [\"bootstrap.pem\"]\n\
         automatic = false\n",
        lab.bootstrap_uri()?
    ))
}

/// podman with a store of its own, in a mount namespace with a cgroup file system.
struct Engine {
    folder: PathBuf,
}

impl Engine {
    fn new(machine: &Machine) -> Result<Self> {
        let folder = machine.folder().join("containers");
        let etc = folder.join("etc");
        at(&etc, fs::create_dir_all(&etc))?;
        Ok(Self { folder })
    }

    fn podman(&self, arguments: &[&str]) -> Command {
        const PREPARE: &str = "mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; exec \"$@\"";
        let mut command = program("unshare", &["--mount", "sh", "-c", PREPARE, "sh", "podman"]);
        command.args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs"]);
        command.arg("--root").arg(self.folder.join("store"));
        command.arg("--runroot").arg(self.folder.join("run"));
        command.args(arguments);
        command
    }

    /// Starts a container of the image of its name.
    fn start(&self, name: &str, options: &[&str]) -> Result<()> {
        let mut command = self.podman(&["run", "--detach", "--name", name]);
        command.args(CONFINED).args(options);
        command.arg(format!("localhost/softsim-{name}:latest"));
        succeed(command.stdout(Stdio::null()))
    }

    /// Runs softsimctl in a container of its own.
    fn ctl(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.podman(&["run", "--rm", "--network=none"]);
        command.args(
            CONFINED
                .iter()
                .filter(|option| **option != "--cap-drop=all"),
        );
        let settings = format!(
            "--volume={}:/etc/softsim:ro",
            self.folder.join("etc").display()
        );
        command.args([
            &settings,
            "--volume=admin:/run/softsim-admin:ro",
            "--volume=control:/run/softsim-netd:ro",
            "localhost/softsim-tools:latest",
        ]);
        let ended = command.args(arguments).output();
        let ended = ended.map_err(|error| format!("podman: {error}"))?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&ended.stderr).into_owned()),
        }
    }

    /// The host's folder of a volume.
    fn volume(&self, name: &str) -> Result<PathBuf> {
        let inspect = ["volume", "inspect", "--format={{.Mountpoint}}", name];
        let path = output(&mut self.podman(&inspect));
        path.map(PathBuf::from)
            .ok_or_else(|| format!("no volume {name}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join("etc").join(name);
        at(&path, fs::write(&path, text))
    }

    /// The first process of a container has a filter and no capability.
    fn is_confined(&self, name: &str) -> Result<()> {
        let inspect = ["inspect", "--format={{.State.Pid}}", name];
        let pid = output(&mut self.podman(&inspect)).unwrap_or_default();
        let path = Path::new("/proc").join(pid).join("status");
        let status = at(&path, fs::read_to_string(&path))?;
        for expected in [
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            if !status.lines().any(|line| line == expected) {
                return Err(format!("{name}: expected {expected} in\n{status}"));
            }
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = output(&mut self.podman(&["rm", "--all", "--force", "--volumes"]));
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > end {
            return Err(format!("expected {what}, waited for it in vain"));
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}
