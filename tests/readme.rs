//! Runs README's command lines verbatim, with the real programs, in a folder of their own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use softsim_client::keyd::Connection;
use softsim_client::proto::ProfileState;
use softsim_client::proto::requests::Status;
use softsim_lab_harness::gateway::{Gateway, Options};
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
