//! The Debian packages, from the installation to the purge: who may open the sockets, the journey,
//! restarts, a power cut, an upgrade and the way back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::Built;
use super::lab::Lab;
use super::machine::{Machine, OUTSIDE};
use super::services::expect;
use crate::package;
use crate::run::{Result, output, program, succeed};

/// The name in the certificates of the lab's servers.
const NAME: &str = "bootstrap.example";

/// The sockets: path, owner, group and mode.
const SOCKETS: [&str; 5] = [
    "/run/softsim/admin.sock root softsim-admin 660",
    "/run/softsim/app.sock root softsim-app 660",
    "/run/softsim/netd-monitor.sock root softsim-monitor 660",
    "/run/softsim/netd.sock root softsim-admin 660",
    "/run/softsim/network.sock root softsim-network 660",
];

/// The daemons that serve after the installation.
const SERVICES: [&str; 2] = ["softsim-keyd", "softsim-netd"];

/// What is off by default, and enabled by an administrator. The interface never appears.
const STARTED: [&str; 3] = [
    "softsim-keyd-supplicant.socket",
    "softsim-port@spare.socket",
    "softsim-port@spare.service",
];

/// The version of the packages from which the machine upgrades.
const OLDER: &str = "0.0.9";

pub(super) fn run(built: &Built) -> Result<()> {
    let mut lintian = program("lintian", &["--fail-on=error,warning"]);
    succeed(lintian.args(packages(&built.packages)?))?;
    let older = built.packages.join("older");
    package::build_debian(&older, OLDER)?;
    let mut machine = Machine::new()?;
    machine.boot()?;
    let outcome = live(&mut machine, built, &older);
    if outcome.is_err() {
        println!("{}", machine.journal());
    }
    outcome
}

fn live(machine: &mut Machine, built: &Built, older: &Path) -> Result<()> {
    machine.install_packages(&packages(older)?)?;
    serves(machine)?;
    sockets(machine)?;
    strangers(machine)?;

    let admin = machine.path("run/softsim/admin.sock");
    let arguments = ["--listen", OUTSIDE, "--san", NAME];
    let lab = Lab::start(machine, &built.programs, &admin, &arguments)?;
    configure(machine, &lab)?;
    machine.run(&["systemctl", "restart", "softsim-netd"])?;
    machine.run(&["softsimctl", "bootstrap"])?;
    authenticate(machine, &lab)?;
    online(machine)?;
    observer(machine)?;
    examined(machine)?;
    let device = device(machine)?;

    for service in SERVICES {
        machine.run(&["systemctl", "restart", service])?;
        authenticate(machine, &lab)?;
        machine.run(&["systemctl", "kill", "--signal=KILL", service])?;
        machine.wait_for("an authentication after a SIGKILL", |machine| {
            authenticate(machine, &lab).is_ok()
        })?;
    }
    machine.run(&["systemctl", "reload", "softsim-netd"])?;
    authenticate(machine, &lab)?;

    machine.run(&[&["systemctl", "enable", "--quiet"][..], &STARTED].concat())?;
    cut_power(machine, &lab)?;
    expect_device(machine, &device)?;
    started(machine)?;

    for packages in [packages(&built.packages)?, packages(older)?] {
        machine.install_packages(&packages)?;
        serves(machine)?;
        authenticate(machine, &lab)?;
        expect_device(machine, &device)?;
    }
    started(machine)?;
    let names = ["softsim-tools", "softsim-netd", "softsim-keyd"];
    machine.run(&[&["dpkg", "--remove"][..], &names].concat())?;
    machine.install_packages(&packages(&built.packages)?)?;
    serves(machine)?;
    authenticate(machine, &lab)?;
    expect_device(machine, &device)?;
    machine.run(&[&["dpkg", "--purge"][..], &names].concat())?;
    nothing_is_left(machine)?;
    // A gateway that is handed on is another device, also without a restart.
    machine.install_packages(&packages(&built.packages)?)?;
    serves(machine)
}

/// The packages in a folder.
fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("find");
    command
        .arg(folder)
        .args(["-maxdepth", "1", "-name", "*.deb"]);
    let found = output(&mut command).unwrap_or_default();
    match found.lines().count() {
        3 => Ok(found.lines().map(PathBuf::from).collect()),
        count => Err(format!("expected 3 packages, got {count}")),
    }
}

/// Waits until the daemons serve.
fn serves(machine: &mut Machine) -> Result<()> {
    for service in SERVICES {
        machine.wait_for(&format!("an active {service}"), |machine| {
            machine.property(service, "ActiveState") == "active"
        })?;
    }
    Ok(())
}

/// What an administrator has enabled runs.
fn started(machine: &Machine) -> Result<()> {
    let mut units = STARTED.into_iter();
    units.try_for_each(|unit| expect(machine, unit, "ActiveState", "active"))
}

/// The sockets belong to root, and a group of their own may connect.
fn sockets(machine: &Machine) -> Result<()> {
    for expected in SOCKETS {
        let path = expected.split(' ').next().unwrap_or_default();
        let got = machine.says(&["stat", "--format=%n %U %G %a", path]);
        if got != expected {
            return Err(format!("expected the socket {expected}, got {got:?}"));
        }
    }
    Ok(())
}

/// A user in none of the groups can't connect at all, and one in another role's group isn't served.
fn strangers(machine: &Machine) -> Result<()> {
    machine.run(&["useradd", "--groups=softsim-app", "stranger"])?;
    let ask = as_user("stranger", &["softsimctl", "profile", "list"]);
    let denied = machine.command(&ask).output();
    let denied = denied.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&denied.stderr);
    match !denied.status.success() && said.contains("Permission denied") {
        true => Ok(()),
        false => Err(format!("expected that a stranger is refused, got {said}")),
    }
}

/// The target for what needs the access is reached once that is authorised.
fn online(machine: &mut Machine) -> Result<()> {
    machine.run(&["systemctl", "start", "softsim-online.target"])?;
    machine.wait_for(
        "an access for which softsim-online.target waits",
        |machine| machine.property("softsim-wait-online", "ActiveState") == "active",
    )?;
    machine.run(&["softsimctl", "wait", "--access", "aaa", "--timeout", "30"])
}

/// A member of the monitors' group sees the accesses, and gives no order.
fn observer(machine: &Machine) -> Result<()> {
    machine.run(&["useradd", "--groups=softsim-monitor", "observer"])?;
    machine.run(&as_user("observer", &["softsimctl", "access", "status"]))?;
    match machine.run(&as_user("observer", &["softsimctl", "access", "connect"])) {
        Err(_) => Ok(()),
        Ok(()) => Err("expected that an observer gives no order".into()),
    }
}

/// softsimctl doctor finds nothing that keeps the gateway from working.
fn examined(machine: &Machine) -> Result<()> {
    let examined = machine.command(&["softsimctl", "doctor"]).output();
    let examined = examined.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&examined.stdout);
    println!("{said}");
    match examined.status.code() {
        Some(0 | 1) => Ok(()),
        other => Err(format!("softsimctl doctor: expected 0 or 1, got {other:?}")),
    }
}

/// A command line of another user than root.
fn as_user<'a>(user: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    let ids = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"];
    [&ids, command].concat()
}

/// The gateway's configuration: its bootstrap server and its RADIUS server, whose files the package
/// doesn't own.
fn configure(machine: &Machine, lab: &Lab) -> Result<()> {
    machine.write(
        "etc/hosts",
        &format!("127.0.0.1 localhost\n{OUTSIDE} {NAME}\n"),
    )?;
    machine.write("etc/lab/bootstrap.pem", &lab.authority()?)?;
    for (file, owner) in [("radius.secret", "root"), ("netd.secret", "softsim-netd")] {
        machine.write(&format!("etc/lab/{file}"), &lab.radius_secret()?)?;
        let path = format!("/etc/lab/{file}");
        machine.run(&["chown", owner, &path])?;
        machine.run(&["chmod", "0600", &path])?;
    }
    let shipped = machine.says(&["cat", "/etc/softsim/netd.toml"]);
    let server = format!(
        "{shipped}\n[bootstrap]\nuri = \"{}\"\nserver_trust = [\"/etc/lab/bootstrap.pem\"]\nautomatic = false\n\
         [[access]]\nname = \"aaa\"\ncarrier = \"radius\"\nservers = [\"{}\"]\n\
         secret_files = [\"/etc/lab/netd.secret\"]\n",
        lab.bootstrap_uri()?,
        lab.radius()?
    );
    machine.write("etc/softsim/netd.toml", &server)
}

fn authenticate(machine: &Machine, lab: &Lab) -> Result<()> {
    succeed(authentication(machine, lab)?.stdout(Stdio::null()))
}

fn authentication(machine: &Machine, lab: &Lab) -> Result<Command> {
    let secret = "/etc/lab/radius.secret";
    Ok(machine.command(&[
        "softsimctl",
        "eap-test",
        "--radius",
        lab.radius()?,
        "--secret-file",
        secret,
    ]))
}

/// The identity of the vault: the device id.
fn device(machine: &Machine) -> Result<String> {
    let status = machine.says(&["softsimctl", "--json", "status"]);
    let id = status.split("\"device_id\":\"").nth(1);
    let id = id.and_then(|rest| rest.split('"').next());
    id.map(str::to_owned)
        .ok_or_else(|| format!("expected a device id, got {status}"))
}

fn expect_device(machine: &Machine, expected: &str) -> Result<()> {
    let got = device(machine)?;
    match got == expected {
        true => Ok(()),
        false => Err(format!("expected the device {expected}, got {got}")),
    }
}

/// Cuts the power while the gateway authenticates, and boots again. Nothing that was used before is
/// used again: the lab would answer with a resynchronisation or refuse.
fn cut_power(machine: &mut Machine, lab: &Lab) -> Result<()> {
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut command = authentication(machine, lab)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        running.push(command.spawn().map_err(|error| error.to_string())?);
        thread::sleep(Duration::from_millis(3));
    }
    machine.cut_power();
    for mut authentication in running {
        let _ = authentication.wait();
    }
    machine.boot()?;
    serves(machine)?;
    authenticate(machine, lab)
}

/// Neither a file nor a unit of ours is left. Debian keeps users.
fn nothing_is_left(machine: &Machine) -> Result<()> {
    let find = "find / -xdev -iname '*softsim*' -not -path '/proc/*' -not -path '/var/tmp/packages*' \
                -not -path '/var/log/journal/*'; systemctl list-unit-files --no-legend 'softsim*'";
    match &*machine.says(&["sh", "-c", find]) {
        "" => Ok(()),
        left => Err(format!(
            "expected nothing of ours after the purge, got\n{left}"
        )),
    }
}
