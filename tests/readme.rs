//! Runs README's command lines verbatim, with the real programs, in a folder of their own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use softsim_client::keyd::Connection;
use softsim_client::proto::ProfileState;
use softsim_client::proto::requests::Status;
use softsim_lab_harness::gateway::{self, Gateway, Options};
use softsim_lab_harness::home::{self, Home};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_testkit::processes::built;

const README: &str = include_str!("../README.md");

/// A section, from its heading to the next one.
fn section(heading: &str) -> &'static str {
    let start = README
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("README has no {heading}"));
    let section = &README[start + heading.len() + 2..];
    section[..section.find("\n## ").unwrap_or(section.len())]
        .split("\n### ")
        .next()
        .unwrap()
}

/// The indented lines of a section, which are the commands to type.
fn commands(section: &str) -> String {
    let mut fenced = false;
    let mut script = String::new();
    for line in section.lines() {
        fenced ^= line.starts_with("```");
        if let Some(command) = line.strip_prefix("    ").filter(|_| !fenced) {
            script.push_str(command);
            script.push('\n');
        }
    }
    script
}

/// The contents of the file that a section shows after the file's name.
fn file<'a>(section: &'a str, name: &str) -> &'a str {
    let named = &section[section.find(&format!("`{name}`. ")).unwrap()..];
    let (_, contents) = named.split_once("```toml\n").unwrap();
    contents.split_once("```").unwrap().0
}

/// Runs a script in a shell, in this directory and with these variables.
fn run(script: &str, folder: &Path, variables: &[(&str, &Path)]) -> Output {
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|octets| String::from_utf8_lossy(octets));
    format!("{}\n{stdout}\n{stderr}", output.status)
}

fn path_with(folder: &Path) -> std::path::PathBuf {
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", folder.display()).into()
}

#[test]
fn the_operators_lines_run_as_they_stand() {
    let programs = ["softsim-keyd", "softsimctl", "softsim-issuer"];
    if !built("README's lines for operators", &programs) {
        return;
    }
    if Command::new("openssl").arg("version").output().is_err() {
        return skip("README's lines for operators: openssl is missing");
    }
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("gateway"), Options::default()).unwrap();
    let operator = section("### As an operator");
    let profile = folder.path().join("sim.toml");
    fs::write(&profile, file(operator, "sim.toml")).unwrap();
    fs::set_permissions(&profile, fs::Permissions::from_mode(0o600)).unwrap();

    let script = commands(operator);
    for line in [
        "softsim-issuer seal ",
        "softsim-issuer command ",
        "openssl ",
    ] {
        assert!(script.contains(line), "{script}");
    }
    let before = || {
        let mut admin = Connection::connect(&gateway.sockets().admin).unwrap();
        admin.call(&Status {}).unwrap()
    };
    assert_eq!(before().profiles, 0);
    let admin = gateway.sockets().admin;
    let path = path_with(&binaries().unwrap());
    let variables = [("SOFTSIM_ADMIN_SOCKET", &*admin), ("PATH", &*path)];
    let output = run(&script, folder.path(), &variables);
    assert!(output.status.success(), "{}", said(&output));

    let status = before();
    let profile = status.profile.unwrap();
    assert_eq!(
        (&*profile.iccid, profile.state),
        ("8988211000000000037", ProfileState::Disabled),
        "{}",
        said(&output)
    );
    // keyd refuses a package that was sealed to the key before the rotation.
    let again = "softsimctl profile install sim.sealed";
    let refused = run(again, folder.path(), &variables);
    assert!(
        said(&refused).contains("expected sealing key"),
        "{}",
        said(&refused)
    );
}

/// Takes the tour with the programs in this folder, which stands for the output of `cargo build`.
fn tour(programs: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("target")).unwrap();
    symlink(programs, folder.path().join("target/debug")).unwrap();
    let tour = commands(section("## Five-minute tour"));
    assert!(tour.contains("softsimctl eap-test "), "{tour}");
    // A lab has the development key, so that its gateway is degraded.
    let script = format!(
        "cargo() {{ test \"$1\" = build; }}
        softsimctl() {{ command softsimctl \"$@\" || test \"$1 $?\" = \"status 1\"; }}
        {tour}wait\n"
    );
    let variables = [("TMPDIR", folder.path()), ("SOFTSIM_BIN_DIR", programs)];
    run(&script, folder.path(), &variables)
}

/// Such as a key process of another release.
#[test]
fn a_tour_whose_lab_does_not_start_ends_with_the_reason() {
    if !built(
        "README's tour without a lab",
        &["softsim-lab", "softsimctl"],
    ) {
        return;
    }
    let programs = tempfile::tempdir().unwrap();
    for name in ["softsim-lab", "softsimctl"] {
        let program = binaries().unwrap().join(name);
        fs::copy(program, programs.path().join(name)).unwrap();
    }
    let output = tour(programs.path());
    assert!(!output.status.success());
    for expected in ["softsim-lab: ", "not ready: softsim-keyd doesn't answer"] {
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

#[test]
fn the_five_minute_tour_runs_as_it_stands() {
    let programs = [
        "softsim-keyd",
        "softsim-netd",
        "softsimctl",
        "softsim-issuer",
        "softsim-lab",
    ];
    if !built("README's tour", &programs) {
        return;
    }
    let output = tour(&binaries().unwrap());
    assert!(output.status.success(), "{}", said(&output));
    for expected in ["EAP-Success", "bootstrapped: profile ", "enabled"] {
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

/// Whether this process may have an /etc, /run and /var of its own.
fn may_mount() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "--pid", "--fork", "--mount-proc", "true"]);
    probe.output().is_ok_and(|done| done.status.success())
}

/// A root shell of a system on which nothing of softsim is installed. It ends, with all that it
/// started, when the value is dropped.
struct EmptySystem {
    folder: PathBuf,
    shell: Child,
    keyboard: ChildStdin,
    screen: BufReader<ChildStdout>,
}

impl EmptySystem {
    /// Programs come from the host's /usr; /etc, /run, /var and /usr/local are empty. The shell's
    /// directory is `archive`.
    fn start(folder: PathBuf, archive: &Path) -> Self {
        let own = ["etc", "run", "var", "usr/local"];
        for name in own {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::create_dir(folder.join("var/log")).unwrap();
        let root = "root:x:0:0:root:/root:/bin/sh\n";
        fs::write(folder.join("etc/passwd"), root).unwrap();
        fs::write(folder.join("etc/group"), "root:x:0:\n").unwrap();
        let mounts = own.map(|name| format!("mount --bind {}/{name} /{name}\n", folder.display()));
        let script = format!("exec 2>&1\n{}exec bash -eu -o pipefail", mounts.concat());
        let mut shell = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["bash", "-euc", &script])
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .current_dir(archive)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            folder,
            keyboard: shell.stdin.take().unwrap(),
            screen: BufReader::new(shell.stdout.take().unwrap()),
            shell,
        }
    }

    /// Types lines that must succeed, and returns what appeared on the screen.
    fn types(&mut self, lines: &str) -> String {
        const DONE: &str = "-- done --";
        // If the shell has ended, the screen says why.
        let _ = writeln!(self.keyboard, "{lines}echo '{DONE}'");
        let mut shown = String::new();
        while !shown.ends_with(&format!("{DONE}\n")) {
            if self.screen.read_line(&mut shown).unwrap() == 0 {
                panic!("{lines}\n{shown}\n{}", self.logs());
            }
        }
        shown
    }

    fn logs(&self) -> String {
        let log = |name| fs::read_to_string(self.folder.join("var/log").join(name));
        ["softsim-keyd.log", "softsim-netd.log"]
            .map(|name| log(name).unwrap_or_default())
            .concat()
    }
}

impl Drop for EmptySystem {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// A folder as the archive that packaging makes unpacks to.
fn unpacked(folder: &Path) -> PathBuf {
    let archive = folder.join("archive");
    fs::create_dir_all(archive.join("bin")).unwrap();
    for program in PROGRAMS {
        let from = binaries().unwrap().join(program);
        fs::copy(from, archive.join("bin").join(program)).unwrap();
    }
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let copied = Command::new("cp")
        .arg("-r")
        .args(
            ["install.sh", "systemd", "etc", "man", "completions"].map(|name| packaging.join(name)),
        )
        .arg(&archive)
        .status();
    assert!(copied.unwrap().success());
    archive
}

/// What the script installs.
const PROGRAMS: [&str; 6] = [
    "softsim-keyd",
    "softsim-netd",
    "softsim-bridge",
    "softsim-anchord",
    "softsimctl",
    "softsim-issuer",
];

#[test]
fn the_builders_lines_lead_from_an_empty_system_to_an_authentication() {
    const TEST: &str = "README's lines for builders";
    if !built(TEST, &PROGRAMS) {
        return;
    }
    if !may_mount() {
        return skip(&format!("{TEST}: mount namespaces need root and unshare"));
    }
    let folder = tempfile::tempdir().unwrap();
    // The daemons' users look for files below it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let archive = unpacked(folder.path());
    let mut system = EmptySystem::start(folder.path().join("system"), &archive);
    let script = commands(section("### As a gateway builder"));
    let (before, after) = script.split_once("softsimctl enrol\n").unwrap();
    system.types(before);
    system.types("softsimctl enrol\n");
    for file in ["device.csr", "sealing-statement.cose"] {
        assert!(archive.join(file).is_file(), "{file}");
    }

    // The factory and the operator do their work, and the network is there.
    let options = home::Options {
        gateway: gateway::Options {
            elsewhere: Some(system.folder.join("run/softsim/admin.sock")),
            ..gateway::Options::default()
        },
        ..home::Options::default()
    };
    let home = Home::start(&folder.path().join("home"), options).unwrap();
    home.plan(&home.enrol().unwrap()).unwrap();
    for (from, to) in [("ca.pem", "bootstrap.pem"), ("radius.secret", "aaa.secret")] {
        let from = home.gateway().folder().file(from);
        fs::copy(from, archive.join(to)).unwrap();
    }
    let bootstrap = home.at(home.bootstrap_server().address());
    let after = after
        .replace("bootstrap.example:5684", &bootstrap)
        .replace("aaa.example:1812", &home.at(home.radius()));
    let shown = system.types(&after);
    for expected in ["bootstrapped: profile ", "\nready\n", "EAP-Success"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }

    // Each daemon has a user of its own, and netd's is no administrator.
    let users = system.types("ps -C softsim-keyd,softsim-netd -o user:20= | sort -u\n");
    assert!(
        users.starts_with("softsim-keyd\nsoftsim-netd\n--"),
        "{users}"
    );
    let netd = "setpriv --reuid softsim-netd --regid softsim-netd --init-groups";
    let refused = system.types(&format!("! {netd} softsimctl profile list\n"));
    assert!(refused.contains("Permission denied"), "{refused}");
    let refused = system.types(&format!("! {netd} cat /etc/softsim/kek\n"));
    assert!(refused.contains("Permission denied"), "{refused}");
}
