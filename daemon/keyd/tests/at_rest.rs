//! The sources of the vault's key, and rekeying, with the real program.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use softsim_client::keyd::Connection;
use softsim_keyd_proto::requests::{GenerateDeviceKey, Status};
use softsim_keyd_proto::{KekSource, Role, StatusAnswer};
use softsim_testkit::dice::{Dice, number_from_env};
use softsim_testkit::host::{Host, Running};

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// The number of rekeyings that are killed, unless `SOFTSIM_KILLS` sets another.
const KILLS: u64 = 20;

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn key_file(host: &Host, name: &str, octet: u8) {
    let path = host.path(name);
    fs::write(&path, [octet; 32]).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
}

/// The command for keyd with only these flags.
fn keyd(host: &Host, flags: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--state")
        .arg(host.path("state"))
        .args(flags)
        .env("CREDENTIALS_DIRECTORY", host.path(""))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn serving(host: &Host, flags: &[&str]) -> Command {
    let mut command = keyd(host, flags);
    command.arg("--admin").arg(host.path("admin"));
    command
}

fn status(host: &Host) -> StatusAnswer {
    Connection::connect(&host.path("admin"))
        .unwrap()
        .call(&Status {})
        .unwrap()
}

/// A device with keys, whose vault is encrypted under the host's key file.
fn enrolled() -> (Host, StatusAnswer) {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    host.connect(Role::Admin)
        .call(&GenerateDeviceKey {})
        .unwrap();
    let status = host.status();
    (host, status)
}

#[test]
fn a_credential_is_a_source_and_is_named() {
    let host = Host::new(PROGRAM);
    let flags = ["--kek-credential", "kek"];
    let running = Running::of(&mut serving(&host, &flags));
    assert!(
        running
            .first_line
            .trim_end()
            .ends_with("vault under credential"),
        "{}",
        running.first_line
    );
    assert_eq!(status(&host).enforcement.kek_source, KekSource::Credential);
    drop(running);

    let mut without = serving(&host, &flags);
    let output = without
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr(&output).contains("got no CREDENTIALS_DIRECTORY"),
        "{}",
        stderr(&output)
    );
    let output = serving(&host, &["--kek-credential", "../kek"])
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("got a path"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_key_on_standard_input_is_a_source_and_leaves_zeros() {
    let host = Host::new(PROGRAM);
    let path = host.path("input");
    fs::write(&path, [7; 32]).unwrap();
    let input = File::options().read(true).write(true).open(&path).unwrap();
    let running = Running::of(serving(&host, &["--kek-stdin"]).stdin(input));
    assert!(
        running
            .first_line
            .trim_end()
            .ends_with("vault under key on standard input"),
        "{}",
        running.first_line
    );
    assert_eq!(
        status(&host).enforcement.kek_source,
        KekSource::StandardInput
    );
    assert_eq!(fs::read(&path).unwrap(), [0; 32]);
    drop(running);

    for length in [31, 33] {
        let mut child = serving(&host, &["--kek-stdin"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(&vec![7; length])
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert!(
            stderr(&output).contains(&format!("expected 32 octets, got {length}")),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_rekeyed_vault_opens_with_the_new_key_only() {
    let (host, before) = enrolled();
    key_file(&host, "new", 8);
    let new = host.path("new");
    let new = new.to_str().unwrap();
    let kek = host.path("kek");
    let kek = kek.to_str().unwrap();
    let output = keyd(
        &host,
        &[
            "--kek-file",
            kek,
            "--new-kek-file",
            new,
            "--capacity",
            "1000",
        ],
    )
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "softsim-keyd: vault rekeyed: under key file, with a new data key and room for 1000 profiles\n"
    );

    let old = host.refused();
    assert_eq!(old.status.code(), Some(78));
    assert!(stderr(&old).contains("expected the key-encryption key it was made with"));
    let _running = Running::of(&mut serving(&host, &["--kek-file", new]));
    let after = status(&host);
    assert_eq!((after.device_id, after.capacity), (before.device_id, 1000));
    let second = keyd(&host, &["--kek-file", new, "--new-development-key"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(78));
    assert!(
        stderr(&second).contains("another process holds it"),
        "{}",
        stderr(&second)
    );
}

/// Returns which of two keys opens the vault, and keyd's status.
fn opens(host: &Host, keys: [&str; 2]) -> (usize, StatusAnswer) {
    let mut opened = keys.iter().enumerate().filter_map(|(which, key)| {
        let running = Running::of(&mut serving(host, &["--kek-file", key]));
        let good = running.first_line.contains("vault under key file");
        good.then(|| (which, status(host)))
    });
    let found = opened.next().unwrap();
    assert!(opened.next().is_none(), "one key opens it");
    found
}

#[test]
fn rekeying_what_is_not_there_creates_nothing() {
    let host = Host::new(PROGRAM);
    let rekey = ["--development-key", "--new-development-key"];
    let said = |output: Output| String::from_utf8(output.stderr).unwrap();
    let output = keyd(&host, &rekey).output().unwrap();
    assert_eq!(output.status.code(), Some(73));
    let missing = said(output);
    assert!(missing.contains("No such file or directory"), "{missing}");
    assert!(!host.path("state").exists());
    DirBuilder::new()
        .mode(0o700)
        .create(host.path("state"))
        .unwrap();
    let output = keyd(&host, &rekey).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let empty = said(output);
    assert!(
        empty.contains("expected a vault, got a directory without one"),
        "{empty}"
    );
}

#[test]
fn a_rekeying_that_is_killed_leaves_the_old_vault_or_the_new_one() {
    let (host, before) = enrolled();
    key_file(&host, "new", 8);
    let names = ["kek", "new"].map(|name| host.path(name));
    let keys = names.each_ref().map(|path| path.to_str().unwrap());
    let mut dice = Dice::of_test("rekeying");
    let (mut under, mut rekeyed) = (0, 0);
    for _ in 0..number_from_env("SOFTSIM_KILLS").unwrap_or(KILLS) {
        let (old, new) = (keys[under], keys[1 - under]);
        let mut child = keyd(&host, &["--kek-file", old, "--new-kek-file", new])
            .spawn()
            .unwrap();
        sleep(dice.shorter_than(Duration::from_millis(40)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (which, after) = opens(&host, keys);
        assert_eq!(after.device_id, before.device_id);
        rekeyed += usize::from(which != under);
        under = which;
    }
    println!("{rekeyed} of the killed rekeyings were done");
}

/// A host whose anchor is a file, and whose vault was put back.
struct PutBack {
    host: Host,
    flags: Vec<String>,
}

impl PutBack {
    fn new() -> Self {
        let host = Host::new(PROGRAM);
        let path = |name: &str| host.path(name).to_str().unwrap().to_owned();
        let flags = ["--kek-file", &path("kek"), "--anchor-file", &path("anchor")];
        let this = Self {
            flags: flags.map(str::to_owned).to_vec(),
            host,
        };
        let vault = this.host.path("state/vault");
        drop(Running::of(&mut this.serving()));
        let old = fs::read(&vault).unwrap();
        let running = Running::of(&mut this.serving());
        assert!(status(&this.host).anchor.is_some());
        let mut admin = this.host.connect(Role::Admin);
        admin.call(&GenerateDeviceKey {}).unwrap();
        drop(running);
        let running = Running::of(&mut this.serving());
        assert_eq!(status(&this.host).anchor, Some(1));
        drop(running);
        fs::write(&vault, old).unwrap();
        this
    }

    fn flags(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn serving(&self) -> Command {
        serving(&self.host, &self.flags())
    }

    /// Runs keyd with these flags besides.
    fn run(&self, flags: &[&str]) -> Output {
        keyd(&self.host, &[&self.flags(), flags].concat())
            .output()
            .unwrap()
    }
}

#[test]
fn an_old_copy_of_the_vault_is_refused_under_an_anchor_until_it_is_accepted() {
    let put_back = PutBack::new();
    let refused = put_back.serving().output().unwrap();
    assert_eq!(refused.status.code(), Some(78));
    let said = stderr(&refused);
    assert!(
        said.contains("an old copy was put back: expected epoch 1"),
        "{said}"
    );
    assert!(said.contains("--accept-vault"), "{said}");

    let output = put_back.run(&["--accept-vault"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    let aloud = "softsim-keyd: VAULT ACCEPTED AS IT IS: its epoch was 0, its anchor's 1, and both are 2 now; ";
    assert!(said.starts_with(aloud), "{said}");
    let output = put_back.run(&["--accept-vault"]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("nothing to accept"));
    let _running = Running::of(&mut put_back.serving());
    let status = status(&put_back.host);
    assert_eq!((status.device_id, status.anchor), (None, Some(2)));
}

#[test]
fn rekeying_accepts_no_old_copy_and_leaves_it_and_the_anchor_as_they_were() {
    let put_back = PutBack::new();
    let files =
        || ["state/vault", "anchor"].map(|name| fs::read(put_back.host.path(name)).unwrap());
    let before = files();
    let output = put_back.run(&["--new-development-key"]);
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output);
    assert!(said.contains("an old copy was put back"), "{said}");
    assert_eq!(files(), before);

    assert!(put_back.run(&["--accept-vault"]).status.success());
    let output = put_back.run(&["--new-development-key"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let flags = [
        "--development-key",
        put_back.flags[2].as_str(),
        put_back.flags[3].as_str(),
    ];
    let _running = Running::of(&mut serving(&put_back.host, &flags));
    assert_eq!(status(&put_back.host).anchor, Some(3), "level");
}
