//! keyd, netd and the bridge as services: the journey with host names, with watchdogs on, SIGHUP,
//! and a keyd that hangs.

use std::path::Path;
use std::process::Stdio;

use super::Built;
use super::lab::Lab;
use super::machine::{Machine, OUTSIDE};
use crate::run::{Result, succeed};

/// The name in the certificates of the lab's servers.
pub(super) const NAME: &str = "lwm2m.example";

/// The sockets' services are started with them.
const UNITS: [&str; 5] = [
    "softsim-keyd-network.socket",
    "softsim-keyd-admin.socket",
    "softsim-keyd-app.socket",
    "softsim-keyd-supplicant.socket",
    "softsim-keyd.service",
];

const SERVICES: [&str; 3] = ["softsim-keyd", "softsim-netd", "softsim-bridge"];

/// The greatest exposure level of each unit, on systemd's scale from 0 to 100.
const EXPOSURE: [(&str, &str); 6] = [
    ("softsim-keyd", "4"),
    // 2 of these are for NotifyAccess=all.
    ("softsim-netd", "15"),
    ("softsim-bridge", "4"),
    // CAP_NET_ADMIN, CAP_NET_RAW and AF_PACKET.
    ("softsim-port@", "15"),
    ("softsim-kek", "20"),
    ("softsim-anchord", "20"),
];

/// Watchdog periods that are short enough for a test.
const WATCHDOG: &str = "[Service]\nWatchdogSec=2s\n";

pub(super) fn run(Built { programs, .. }: &Built) -> Result<()> {
    in_a_machine(programs, serve)
}

/// Runs a case in a machine where keyd is enabled, and prints the journal if it fails.
pub(super) fn in_a_machine(
    programs: &Path,
    case: fn(&mut Machine, &Path) -> Result<()>,
) -> Result<()> {
    let mut machine = Machine::new()?;
    machine.install_programs(programs)?;
    for service in SERVICES {
        let path = format!("etc/systemd/system/{service}.service.d/watchdog.conf");
        machine.write(&path, WATCHDOG)?;
    }
    machine.write(
        "etc/softsim/bridge.conf",
        "--control /run/wpa_supplicant/wlan0\n",
    )?;
    let enable = ["systemctl", "enable", "--quiet"];
    machine.inside_tree(&[&enable[..], &UNITS].concat())?;
    let outcome = case(&mut machine, programs);
    if outcome.is_err() {
        println!("{}", machine.journal());
    }
    outcome
}

fn serve(machine: &mut Machine, programs: &Path) -> Result<()> {
    machine.boot()?;
    audit(machine)?;
    anchord_without_a_tpm(machine)?;
    machine.wait_for("an active keyd", |machine| {
        is_active(machine, "softsim-keyd")
    })?;

    let admin = machine.path("run/softsim/admin.sock");
    let lab = Lab::start(
        machine,
        programs,
        &admin,
        &["--listen", OUTSIDE, "--names", OUTSIDE],
    )?;
    configure(machine, &lab)?;
    machine.run(&["systemctl", "start", "softsim-netd", "softsim-bridge"])?;

    // A name of the hosts file, then one that a name server knows, and systemd-resolved.
    machine.write("etc/resolv.conf", "")?;
    machine.write(
        "etc/hosts",
        &format!("127.0.0.1 localhost\n{OUTSIDE} {NAME}\n"),
    )?;
    journey(machine, &lab)?;
    machine.write("etc/hosts", "127.0.0.1 localhost\n")?;
    machine.write("etc/nsswitch.conf", "hosts: files dns\n")?;
    machine.write("etc/resolv.conf", &format!("nameserver {OUTSIDE}\n"))?;
    journey(machine, &lab)?;
    machine.write("etc/nsswitch.conf", "hosts: files resolve\n")?;
    let resolved = format!("[Resolve]\nDNS={OUTSIDE}\nDNSSEC=no\nLLMNR=no\n");
    machine.write("etc/systemd/resolved.conf.d/lab.conf", &resolved)?;
    machine.run(&["systemctl", "restart", "systemd-resolved"])?;
    journey(machine, &lab)?;

    for service in SERVICES {
        machine.run(&[
            "systemctl",
            "kill",
            "--kill-who=main",
            "--signal=HUP",
            service,
        ])?;
    }
    machine.run(&["systemctl", "reload", "softsim-netd"])?;
    for service in SERVICES {
        tells_that_it_lives(machine, service)?;
    }
    journey(machine, &lab)?;
    for service in SERVICES {
        expect(machine, service, "NRestarts", "0")?;
    }

    // The watchdog ends and restarts a keyd that hangs; the bridge restarts, too, and netd goes on.
    machine.run(&[
        "systemctl",
        "kill",
        "--kill-who=main",
        "--signal=STOP",
        "softsim-keyd",
    ])?;
    machine.wait_for("a keyd that was started again", |machine| {
        machine.property("softsim-keyd", "NRestarts") == "1" && is_active(machine, "softsim-keyd")
    })?;
    machine.wait_for("an authentication through it", |machine| {
        authenticate(machine, &lab).is_ok()
    })?;
    machine.run(&["systemctl", "restart", "softsim-keyd"])?;
    authenticate(machine, &lab)?;
    expect(machine, "softsim-netd", "NRestarts", "0")?;
    machine.run(&["systemctl", "stop", "softsim-netd", "softsim-bridge"])?;
    for service in ["softsim-netd", "softsim-bridge"] {
        expect(machine, service, "Result", "success")?;
    }
    Ok(())
}

/// systemd finds no error in the units, and a low exposure level for each.
fn audit(machine: &Machine) -> Result<()> {
    for (service, exposure) in EXPOSURE {
        let unit = format!("/usr/lib/systemd/system/{service}.service");
        machine.run(&["systemd-analyze", "verify", "--recursive-errors=no", &unit])?;
        let mut security = machine.command(&["systemd-analyze", "security", "--offline=true"]);
        security.args([&format!("--threshold={exposure}"), &unit]);
        succeed(security.stdout(Stdio::null()))?;
    }
    Ok(())
}

/// softsim-anchord, which is off by default, starts under its unit as far as it can without a TPM.
fn anchord_without_a_tpm(machine: &mut Machine) -> Result<()> {
    let units = ["softsim-anchord.service", "softsim-anchord.socket"];
    machine.run(&["systemctl", "start", units[1]])?;
    // It fails, which is waited for below.
    machine.says(&["systemctl", "start", units[0]]);
    machine.wait_for("a softsim-anchord that finds no TPM", |machine| {
        // EX_UNAVAILABLE
        machine.property(units[0], "ExecMainStatus") == "69"
    })?;
    machine.run(&[&["systemctl", "stop"], &units[..]].concat())
}

/// The gateway's configuration: its bootstrap server and its RADIUS server.
pub(super) fn configure(machine: &Machine, lab: &Lab) -> Result<()> {
    machine.write("etc/softsim/ca.pem", &lab.authority()?)?;
    machine.write("etc/softsim/radius.secret", &lab.radius_secret()?)?;
    machine.run(&["chmod", "0600", "/etc/softsim/radius.secret"])?;
    let config = format!(
        "keyd_socket = \"/run/softsim/network.sock\"\n\
         control_socket = \"/run/softsim/netd.sock\"\n\
         state_dir = \"/var/lib/softsim/netd\"\n\
         [bootstrap]\n\
         uri = \"{}\"\n\
         server_trust = [\"/etc/softsim/ca.pem\"]\n\
         automatic = false\n",
        lab.bootstrap_uri()?
    );
    machine.write("etc/softsim/netd.toml", &config)
}

/// A bootstrap, which ends with a registration, and an authentication.
fn journey(machine: &Machine, lab: &Lab) -> Result<()> {
    succeed(ctl(machine, &["bootstrap"]).stdout(Stdio::null()))?;
    authenticate(machine, lab)
}

fn authenticate(machine: &Machine, lab: &Lab) -> Result<()> {
    let radius = lab.radius()?;
    let secret = "/etc/softsim/radius.secret";
    let arguments = ["eap-test", "--radius", radius, "--secret-file", secret];
    succeed(ctl(machine, &arguments).stdout(Stdio::null()))
}

pub(super) fn ctl(machine: &Machine, arguments: &[&str]) -> std::process::Command {
    machine.command(&[&["softsimctl"], arguments].concat())
}

/// Waits until the service has sent two more watchdog messages.
fn tells_that_it_lives(machine: &mut Machine, service: &str) -> Result<()> {
    for _ in 0..2 {
        let before = machine.property(service, "WatchdogTimestampMonotonic");
        let what = format!("a sign of life of {service}");
        machine.wait_for(&what, |machine| {
            machine.property(service, "WatchdogTimestampMonotonic") != before
        })?;
    }
    match is_active(machine, service) {
        true => Ok(()),
        false => Err(format!("expected an active {service}")),
    }
}

pub(super) fn is_active(machine: &Machine, service: &str) -> bool {
    machine.property(service, "ActiveState") == "active"
}

pub(super) fn expect(
    machine: &Machine,
    service: &str,
    property: &str,
    expected: &str,
) -> Result<()> {
    let got = machine.property(service, property);
    match got == expected {
        true => Ok(()),
        false => Err(format!(
            "{service}: expected {property}={expected}, got {got}"
        )),
    }
}
