//! The rollback anchor in a TPM: the real keyd and the real softsim-anchord with swtpm.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::{Daemon, Folder, binaries, inheriting, static_binaries};
use softsim_lab_harness::supplicant::find;
use softsim_lab_harness::swtpm::{self, Swtpm};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::process::uid;
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_testkit::processes::{built, service_manager_message};
use softsim_testkit::trace::{Call, Rule, STRACE, confined, spare};

/// For what happens at once, or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// The messages, as `crates/anchor-proto` describes them.
const VALUE: [u8; 9] = [1, 0, 0, 0, 0, 0, 0, 0, 0];
const AT: u8 = 0;
const NOT_ONE_STEP: u8 = 1;

fn message(kind: u8, number: u64) -> Vec<u8> {
    [&[kind], &number.to_be_bytes()[..]].concat()
}

fn advance(to: u64) -> Vec<u8> {
    message(2, to)
}

/// TPM2_NV_Increment and TPM2_NV_UndefineSpace of the index that softsim-anchord uses, with empty
/// passwords, as anybody could send them who may use the device.
const INCREMENT: &str = "80020000001f00000134018000100180001000000009400000090000000000";
const UNDEFINE: &str = "80020000001f00000122400000010180001000000009400000090000000000";

/// TPM2_Clear, which removes all that the owner ever defined.
const CLEAR: &str = "80020000001b000001264000000c00000009400000090000000000";

/// A TPM with a softsim-anchord.
struct Anchor {
    folder: Folder,
    daemon: Option<Daemon>,
    tpm: Option<Swtpm>,
    // Dropped last.
    outer: tempfile::TempDir,
}

/// Whether all is there that the test needs; it is skipped where not.
fn ready(test: &str, programs: &[&str]) -> bool {
    if let Some(missing) = swtpm::missing() {
        skip(&format!("{test}: {missing}"));
        return false;
    }
    built(test, programs)
}

impl Anchor {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let mut anchor = Self {
            folder: Folder::create(&outer.path().join("anchor")).unwrap(),
            daemon: None,
            tpm: None,
            outer,
        };
        anchor.power_on();
        anchor.start();
        anchor
    }

    fn power_on(&mut self) {
        self.tpm = Some(Swtpm::start(&self.outer.path().join("tpm")).unwrap());
    }

    /// Kills the TPM and softsim-anchord.
    fn power_off(&mut self) {
        self.kill();
        self.tpm = None;
    }

    fn start(&mut self) {
        self.start_for(uid(), |program| inheriting("tpm", program));
    }

    fn start_for(&mut self, user: u32, command: impl Fn(&Path) -> Command) {
        let device = OwnedFd::from(self.tpm().open().unwrap());
        self.daemon = Some(Daemon::anchord(&self.folder, device, user, command).unwrap());
    }

    fn kill(&mut self) {
        self.daemon = None;
    }

    fn tpm(&self) -> &Swtpm {
        self.tpm.as_ref().unwrap()
    }

    fn send_to_tpm(&self, command: &str) {
        let response = self.tpm().command(&hex::decode(command).unwrap()).unwrap();
        assert_eq!(response[6..10], [0; 4], "{}", hex::encode(&response));
    }

    fn socket(&self) -> PathBuf {
        self.folder.file("anchor.sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.file("anchord.log")).unwrap()
    }

    fn connect(&self) -> Connection {
        Connection::connect(&self.socket()).unwrap()
    }

    fn value(&self) -> u64 {
        let answer = ask(&self.connect(), &VALUE).unwrap();
        assert_eq!(answer[0], AT);
        u64::from_be_bytes(*answer[1..].first_chunk().unwrap())
    }
}

/// Sends a message. Returns the answer, or `None` if the connection was closed.
fn ask(anchord: &Connection, message: &[u8]) -> Option<Vec<u8>> {
    // If the connection was closed already, the answer shows it.
    let _ = anchord.send(message);
    poll::wait(&mut [Entry::readable(anchord)], Some(PATIENCE)).unwrap();
    let mut answer = [0; 16];
    match anchord.receive(&mut answer) {
        Ok(Received::Datagram(length)) => Some(answer[..length].to_vec()),
        Ok(Received::Closed) => None,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
        other => panic!("{other:?}"),
    }
}

const ANCHORD: [&str; 1] = ["softsim-anchord"];
const GATEWAY: [&str; 3] = ["softsim-keyd", "softsim-netd", "softsim-anchord"];

#[test]
fn the_counter_rises_by_single_steps_and_survives_every_kill() {
    if !ready("the counter of a TPM", &ANCHORD) {
        return;
    }
    let mut anchor = Anchor::new();
    let first = anchor.value();
    let keyd = anchor.connect();
    for step in 1..=3 {
        let to = advance(first + step);
        let there = message(AT, first + step);
        assert_eq!(ask(&keyd, &to).unwrap(), there);
        // Asked again, it is there.
        assert_eq!(ask(&keyd, &to).unwrap(), there);
    }
    let value = first + 3;
    for to in [0, value - 1, value + 2, u64::MAX] {
        let answer = ask(&keyd, &advance(to)).unwrap();
        assert_eq!(answer, message(NOT_ONE_STEP, value), "{to}");
    }
    anchor.kill();
    assert_eq!(ask(&keyd, &VALUE), None);
    anchor.start();
    assert_eq!(anchor.value(), value);
    anchor.power_off();
    anchor.power_on();
    anchor.start();
    assert_eq!(anchor.value(), value);
}

#[test]
fn not_even_a_counter_that_is_defined_anew_is_set_back() {
    if !ready("a counter that is defined anew", &ANCHORD) {
        return;
    }
    let mut anchor = Anchor::new();
    for command in [UNDEFINE, CLEAR] {
        let before = anchor.value();
        anchor.kill();
        anchor.send_to_tpm(command);
        anchor.start();
        assert!(anchor.value() > before);
    }
}

#[test]
fn whoever_sends_anything_else_is_dropped_and_others_are_served() {
    if !ready("hostile messages to softsim-anchord", &ANCHORD) {
        return;
    }
    let anchor = Anchor::new();
    let value = anchor.value();
    for sent in [&[1][..], &[0; 9], &[3; 9], &[2; 10], &[2; 8], &[1; 9]] {
        assert_eq!(ask(&anchor.connect(), sent), None, "{sent:?}");
    }
    assert_eq!(anchor.value(), value);
    // There is one key process. A new one takes the place of one that hangs.
    let (old, new) = (anchor.connect(), anchor.connect());
    assert_eq!(ask(&new, &VALUE), Some(message(AT, value)));
    assert_eq!(ask(&old, &VALUE), None);
}

#[test]
fn another_user_than_that_of_the_key_process_gets_no_answer() {
    if !ready("another user at softsim-anchord", &ANCHORD) {
        return;
    }
    let mut anchor = Anchor::new();
    anchor.kill();
    anchor.start_for(uid() + 1, |program| inheriting("tpm", program));
    // Once it has refused the second, it has logged the first.
    for _ in 0..2 {
        assert_eq!(ask(&anchor.connect(), &VALUE), None);
    }
    let log = anchor.log();
    assert!(
        log.contains("refused 1 connections of other users"),
        "{log}"
    );
}

#[test]
fn only_a_character_device_is_a_tpm() {
    if !built("softsim-anchord without a TPM", &ANCHORD) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    for (tpm, reason) in [
        (
            file.as_path(),
            "expected a character device, got another file",
        ),
        (Path::new("/nonexistent"), "No such file"),
        // It takes the command, and answers nothing.
        (
            Path::new("/dev/null"),
            "TPM2_NV_ReadPublic: unexpected end of file",
        ),
    ] {
        let output = Command::new(binaries().unwrap().join("softsim-anchord"))
            .args(["--user", "1", "--tpm"])
            .arg(tpm)
            .arg("--socket")
            .arg(folder.path().join("socket"))
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{log}");
        assert!(log.contains(reason), "{log}");
    }
}

/// A gateway with an installed profile and netd, whose keyd uses the anchor.
fn home(anchor: &Anchor) -> Home {
    let options = Options {
        gateway: gateway::Options {
            anchor: Some(anchor.socket()),
            ..gateway::Options::default()
        },
        ..Options::default()
    };
    let mut home = Home::installed(&anchor.outer.path().join("lab"), options).unwrap();
    home.start_netd().unwrap();
    home
}

fn vault(home: &Home) -> PathBuf {
    home.gateway().folder().file("keyd/vault")
}

fn epoch(home: &Home) -> u64 {
    home.gateway().status().unwrap().anchor.unwrap()
}

/// Starts keyd again, which must refuse its vault. Returns the reason.
fn refused(home: &mut Home) -> String {
    let error = home.gateway_mut().start_keyd().unwrap_err();
    error.to_string()
}

#[test]
fn an_old_copy_of_the_vault_is_refused_and_the_newest_is_not() {
    if !ready("a put-back vault under a TPM", &GATEWAY) {
        return;
    }
    let mut anchor = Anchor::new();
    let mut home = home(&anchor);
    assert_eq!(anchor.value(), epoch(&home));
    home.gateway_mut().stop();
    let old = fs::read(vault(&home)).unwrap();

    home.gateway_mut().start_keyd().unwrap();
    home.start_netd().unwrap();
    let before = epoch(&home);
    home.eap_test().unwrap();
    let after = epoch(&home);
    println!("an authentication raises the counter by {}", after - before);
    assert!(after > before);
    home.gateway_mut().stop();
    let newest = fs::read(vault(&home)).unwrap();

    // Power fails; the TPM remembers.
    anchor.power_off();
    anchor.power_on();
    anchor.start();
    assert_eq!(anchor.value(), after);
    fs::write(vault(&home), old).unwrap();
    let reason = refused(&mut home);
    assert!(reason.contains("an old copy was put back"), "{reason}");
    fs::write(vault(&home), newest).unwrap();
    home.gateway_mut().start_keyd().unwrap();
    home.start_netd().unwrap();
    home.eap_test().unwrap();
}

#[test]
fn without_softsim_anchord_keyd_ends_and_with_it_goes_on() {
    if !ready("a keyd without its anchor", &GATEWAY) {
        return;
    }
    let mut anchor = Anchor::new();
    let mut home = home(&anchor);
    home.eap_test().unwrap();
    let before = epoch(&home);
    anchor.kill();
    assert!(
        home.eap_test().is_err(),
        "nothing is answered that isn't anchored"
    );
    let ended = home.gateway_mut().await_end_of_keyd(PATIENCE).unwrap();
    assert_eq!(ended.code(), Some(74));
    home.gateway_mut().stop();
    let log = || fs::read_to_string(home.gateway().folder().file("keyd.log")).unwrap();
    assert!(log().contains("storage failed: "), "{}", log());
    let reason = refused(&mut home);
    assert!(reason.contains("the anchor's socket: "), "{reason}");

    anchor.start();
    home.gateway_mut().start_keyd().unwrap();
    home.start_netd().unwrap();
    home.eap_test().unwrap();
    assert!(epoch(&home) > before);
    assert_eq!(anchor.value(), epoch(&home));
}

/// Runs keyd under the anchor with these flags, for one thing.
fn run_keyd(home: &Home, anchor: &Anchor, flags: &[&OsStr]) -> String {
    let folder = home.gateway().folder();
    let output = Command::new(binaries().unwrap().join("softsim-keyd"))
        .arg("--state")
        .arg(folder.file("keyd"))
        .arg("--kek-file")
        .arg(folder.file("kek"))
        .arg("--anchor-socket")
        .arg(anchor.socket())
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Takes the vault as it is.
fn accept(home: &Home, anchor: &Anchor) -> String {
    run_keyd(home, anchor, &[OsStr::new("--accept-vault")])
}

/// Encrypts the vault under a new key, and puts that key in the place of the old.
fn rekey(home: &Home, anchor: &Anchor) {
    let folder = home.gateway().folder();
    let new = folder.file("kek.new");
    fs::write(&new, [9; 32]).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    fs::set_permissions(&new, private).unwrap();
    run_keyd(
        home,
        anchor,
        &[OsStr::new("--new-kek-file"), new.as_os_str()],
    );
    fs::rename(new, folder.file("kek")).unwrap();
}

#[test]
fn a_counter_that_others_raised_locks_keyd_out_until_the_vault_is_accepted() {
    if !ready("a counter that others raised", &GATEWAY) {
        return;
    }
    let mut anchor = Anchor::new();
    let mut home = home(&anchor);
    home.gateway_mut().stop();
    anchor.kill();
    for _ in 0..3 {
        anchor.send_to_tpm(INCREMENT);
    }
    anchor.start();
    let reason = refused(&mut home);
    assert!(reason.contains("an old copy was put back"), "{reason}");
    assert!(
        reason.contains("--accept-vault"),
        "it names the way out: {reason}"
    );
    let before = anchor.value();
    assert!(accept(&home, &anchor).contains("VAULT ACCEPTED AS IT IS"));
    assert_eq!(anchor.value(), before + 1);
    rekey(&home, &anchor);
    assert_eq!(anchor.value(), before + 2, "level with the new vault");
    home.gateway_mut().start_keyd().unwrap();
    home.start_netd().unwrap();
    home.eap_test().unwrap();
    assert_eq!(anchor.value(), epoch(&home));
}

#[test]
fn a_new_tpm_counts_up_to_a_vault_that_is_accepted_under_it() {
    if !ready("a new TPM", &GATEWAY) {
        return;
    }
    let mut anchor = Anchor::new();
    let mut home = home(&anchor);
    home.eap_test().unwrap();
    let before = epoch(&home);
    home.gateway_mut().stop();
    anchor.power_off();
    fs::remove_dir_all(anchor.outer.path().join("tpm")).unwrap();
    anchor.power_on();
    anchor.start();
    assert!(anchor.value() + 1 < before);
    let reason = refused(&mut home);
    assert!(reason.contains("--accept-vault"), "{reason}");
    accept(&home, &anchor);
    assert_eq!(anchor.value(), before + 1);
    home.gateway_mut().start_keyd().unwrap();
    home.start_netd().unwrap();
    home.eap_test().unwrap();
}

/// What a service manager passes: the opened TPM as descriptor 3, and the socket as descriptor 4.
const AS_A_SERVICE: &str = "exec 3<&0 4<&1 0</dev/null 1>&2; \
    LISTEN_PID=$$ WATCHDOG_PID=$$ exec prlimit --nofile=16: --core=0 -- \"$@\"";

#[test]
fn it_lives_as_a_service() {
    if !ready("softsim-anchord as a service", &ANCHORD) {
        return;
    }
    for programs in [binaries().ok(), static_binaries()].into_iter().flatten() {
        lives_as_a_service(&programs.join("softsim-anchord"));
    }
}

fn lives_as_a_service(program: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let tpm = Swtpm::start(folder.path()).unwrap();
    let manager = UnixDatagram::bind(file("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = Listener::bind(&file("anchor"), 0o600).unwrap();
    let socket = listener.as_fd().try_clone_to_owned().unwrap();
    let mut service = Command::new("sh")
        .args(["-euc", AS_A_SERVICE, "sh"])
        .arg(program)
        .args(["--user", &uid().to_string()])
        .env("NOTIFY_SOCKET", file("notify"))
        .env("WATCHDOG_USEC", "20000")
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "tpm:anchor")
        .stdin(OwnedFd::from(tpm.open().unwrap()))
        .stdout(socket)
        .spawn()
        .unwrap();
    assert_eq!(service_manager_message(&manager).unwrap(), "READY=1");
    let keyd = Connection::connect(&file("anchor")).unwrap();
    for signal in ["HUP", "STOP", "CONT"] {
        let id = service.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }
    for _ in 0..3 {
        assert_eq!(service_manager_message(&manager).unwrap(), "WATCHDOG=1");
    }
    assert_eq!(ask(&keyd, &VALUE), Some(message(AT, 1)));
    // Its device fails.
    drop(tpm);
    assert_eq!(ask(&keyd, &VALUE), None);
    while service_manager_message(&manager).unwrap() != "STOPPING=1" {}
    assert_eq!(service.wait().unwrap().code(), Some(69));
}

/// The calls that softsim-anchord makes under its filter, with a TPM and without it.
fn calls(programs: &Path, folder: &Path) -> Vec<Call> {
    let trace = folder.join("trace");
    let mut anchor = Anchor::new();
    anchor.kill();
    let manager = folder.join("notify");
    let socket = UnixDatagram::bind(&manager).unwrap();
    anchor.start_for(uid(), |_| {
        // strace keeps the process id, by which the descriptors are the process's.
        let mut command = inheriting("tpm", Path::new(STRACE[0]));
        command.args(&STRACE[1..]).arg("-o").arg(&trace);
        command.arg(programs.join("softsim-anchord"));
        command.env("NOTIFY_SOCKET", &manager);
        command
    });
    let value = anchor.value();
    let keyd = anchor.connect();
    assert_eq!(
        ask(&keyd, &advance(value + 1)),
        Some(message(AT, value + 1))
    );
    drop(socket);
    // The device fails, and so does softsim-anchord.
    anchor.tpm = None;
    assert_eq!(ask(&keyd, &VALUE), None);
    let mut daemon = anchor.daemon.take().unwrap();
    assert_eq!(daemon.await_end(PATIENCE).unwrap().code(), Some(69));
    let own = daemon.id();
    let trace = fs::read_to_string(trace).unwrap();
    let mut made: Vec<_> = trace.lines().filter_map(Call::parse).collect();
    made.retain(|call| call.thread == own);
    confined(&made).to_vec()
}

#[test]
fn softsim_anchord_needs_each_rule_of_its_filter() {
    let test = "the rules of softsim-anchord";
    if !ready(test, &ANCHORD) {
        return;
    }
    if find("strace").is_none() {
        skip(&format!("{test}: strace is missing"));
        return;
    }
    let rules = Rule::all("anchord");
    let Some(musl) = static_binaries() else {
        skip(&format!("{test}: SOFTSIM_STATIC_BIN_DIR is not set"));
        return;
    };
    for programs in [binaries().unwrap(), musl] {
        let folder = tempfile::tempdir().unwrap();
        let made = calls(&programs, folder.path());
        let spare = spare(&rules, &made);
        assert!(spare.is_empty(), "{spare:#?}");
    }
}

#[test]
fn softsim_anchord_says_how_to_use_it() {
    if !built("the usage of softsim-anchord", &ANCHORD) {
        return;
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binaries().unwrap().join("softsim-anchord"));
        command.args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    };
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).starts_with("usage: softsim-anchord "));
    assert_eq!(run(&[]).status.code(), Some(64));
    let output = run(&["--user", "1"]);
    assert_eq!(output.status.code(), Some(64));
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(
        reason.contains("expected an inherited socket or --socket"),
        "{reason}"
    );
}
