//! A wired access with a controlled port: netd's unit without a capability, the port keeper as a
//! unit of its own, and hostapd at the other end of the wire, outside of the machine.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use super::Built;
use super::lab::Lab;
use super::machine::{Machine, OUTSIDE};
use super::services::{self, NAME, ctl, expect, is_active};
use crate::run::{Result, at, output, succeed};

/// The interface in the machine, and the other end of the wire.
const INTERFACE: &str = "here";
const FAR_END: &str = "there";

const KEEPER: &str = "softsim-port@here.service";
const KEEPER_SOCKET: &str = "softsim-port@here.socket";

pub(super) fn run(Built { programs, .. }: &Built) -> Result<()> {
    services::in_a_machine(programs, serve)
}

fn serve(machine: &mut Machine, programs: &Path) -> Result<()> {
    machine.lay_cable(INTERFACE, FAR_END)?;
    // What is enabled for the boot closes the port before there is a netd.
    machine.inside_tree(&["systemctl", "enable", "--quiet", KEEPER, KEEPER_SOCKET])?;
    machine.boot()?;
    machine.wait_for("an active keyd and an active port keeper", |machine| {
        is_active(machine, "softsim-keyd") && is_active(machine, KEEPER)
    })?;
    closed(machine, true)?;
    owner(machine)?;

    let admin = machine.path("run/softsim/admin.sock");
    let lab = Lab::start(machine, programs, &admin, &["--listen", OUTSIDE])?;
    let hosts = format!("127.0.0.1 localhost\n{OUTSIDE} {NAME}\n");
    machine.write("etc/hosts", &hosts)?;
    services::configure(machine, &lab)?;
    let _hostapd = Hostapd::start(machine, &lab)?;
    machine.run(&["systemctl", "start", "softsim-netd"])?;
    succeed(ctl(machine, &["bootstrap"]).stdout(Stdio::null()))?;
    add_access(machine)?;
    machine.run(&["systemctl", "restart", "softsim-netd"])?;
    authorised(machine)?;
    without_capabilities(machine)?;

    let keeper = machine.property(KEEPER, "MainPID");
    kill(machine, "softsim-netd")?;
    machine.wait_for("a netd that was started again", |machine| {
        machine.property("softsim-netd", "NRestarts") == "1"
    })?;
    authorised(machine)?;
    expect(machine, KEEPER, "MainPID", &keeper)?;

    let netd = machine.property("softsim-netd", "MainPID");
    for round in ["1", "2"] {
        kill(machine, KEEPER)?;
        machine.wait_for("a port keeper that was started again", |machine| {
            machine.property(KEEPER, "NRestarts") == round && is_active(machine, KEEPER)
        })?;
        authorised(machine)?;
        expect(machine, "softsim-netd", "MainPID", &netd)?;
    }
    expect(machine, "softsim-keyd", "NRestarts", "0")?;

    // netd stopped, and killed for good: the port is closed.
    machine.run(&["systemctl", "stop", "softsim-netd"])?;
    closed(machine, true)?;
    machine.run(&["systemctl", "start", "softsim-netd"])?;
    authorised(machine)?;
    machine.run(&["systemctl", "mask", "--quiet", "--runtime", "softsim-netd"])?;
    kill(machine, "softsim-netd")?;
    machine.wait_for("a closed port", |machine| closed(machine, true).is_ok())?;

    machine.run(&["systemctl", "stop", KEEPER, KEEPER_SOCKET])?;
    expect(machine, KEEPER, "Result", "success")?;
    closed(machine, true)
}

fn add_access(machine: &Machine) -> Result<()> {
    let file = machine.path("etc/softsim/netd.toml");
    let before = at(&file, fs::read_to_string(&file))?;
    let access = format!(
        "[[access]]\n\
         name = \"uplink\"\n\
         carrier = \"wired\"\n\
         interface = \"{INTERFACE}\"\n\
         keeper_socket = \"/run/softsim-port/{INTERFACE}.sock\"\n\
         controlled_port = \"nftables\"\n\
         network_name = \"WLAN\"\n\
         start_period = 1\n\
         max_start = 60\n\
         retry_after = 1\n"
    );
    machine.write("etc/softsim/netd.toml", &(before + &access))
}

/// Waits until the access is authorised, and its port is open.
fn authorised(machine: &mut Machine) -> Result<()> {
    machine.wait_for("an authorised access with an open port", |machine| {
        let mut status = ctl(machine, &["access", "status"]);
        let status = output(&mut status).unwrap_or_default();
        status.contains("authorised") && closed(machine, false).is_ok()
    })
}

/// Whether the packet filter has the rules of a closed port.
fn closed(machine: &Machine, expected: bool) -> Result<()> {
    let mut nft = machine.inside(Path::new("nft"));
    let tables = output(nft.args(["list", "tables"])).ok_or("nft lists no tables")?;
    let table = format!("_{INTERFACE}");
    match tables.lines().any(|line| line.ends_with(&table)) == expected {
        true => Ok(()),
        false if expected => Err("expected a closed port, got an open one".into()),
        false => Err(format!("expected an open port, got {tables}")),
    }
}

/// Nobody but netd's user can connect to the port keeper.
fn owner(machine: &Machine) -> Result<()> {
    let socket = format!("/run/softsim-port/{INTERFACE}.sock");
    let got = machine.says(&["stat", "--format=%U %a", &socket]);
    match got == "softsim-netd 600" {
        true => Ok(()),
        false => Err(format!("{socket}: expected softsim-netd 600, got {got}")),
    }
}

/// netd and its helpers have no capability, and could not get one.
fn without_capabilities(machine: &Machine) -> Result<()> {
    let netd = machine.property("softsim-netd", "MainPID");
    let status = machine.says(&["cat", &format!("/proc/{netd}/status")]);
    let mut sets = status.lines().filter(|line| line.starts_with("Cap"));
    match sets.all(|line| line.ends_with("0000000000000000")) {
        true => Ok(()),
        false => Err(format!("expected no capability, got {status}")),
    }
}

/// Kills the unit's main process, without a warning.
fn kill(machine: &Machine, unit: &str) -> Result<()> {
    let main = "--kill-who=main";
    machine.run(&["systemctl", "kill", main, "--signal=KILL", unit])
}

/// An authenticator at the far end of the wire. It ends when the value is dropped.
struct Hostapd(Child);

impl Hostapd {
    fn start(machine: &Machine, lab: &Lab) -> Result<Self> {
        let folder = machine.folder();
        let (users, file) = (folder.join("hostapd.users"), folder.join("hostapd.conf"));
        at(&users, fs::write(&users, "\"0\"*\tAKA\n\"6\"*\tAKA'\n"))?;
        let configuration = format!(
            "driver=wired\ninterface={FAR_END}\nieee8021x=1\nuse_pae_group_addr=1\neapol_version=2\n\
             eap_reauth_period=0\neap_server=1\neap_sim_id=0\neap_user_file={}\neap_sim_db=unix:{}\n",
            users.display(),
            lab.auc_socket()?
        );
        at(&file, fs::write(&file, configuration))?;
        let mut command = machine.outside(Path::new("hostapd"));
        let child = command.arg(file).stdout(Stdio::null()).spawn();
        child.map(Self).map_err(|error| format!("hostapd: {error}"))
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        // It leaves its socket to the AuC.
        let _ = fs::remove_file(format!("/tmp/eap_sim_db_{}-0", self.0.id()));
    }
}
