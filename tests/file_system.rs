//! keyd on a file system that doesn't write over old octets says so.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use softsim_client::keyd::Connection;
use softsim_client::proto::Overwrites;
use softsim_client::proto::requests::Status;
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_sandbox::process::uid;
use softsim_testkit::processes::built;

#[test]
fn a_vault_on_an_overlay_is_told_of_at_start_and_in_the_status() {
    const TEST: &str = "a vault on an overlay";
    if uid() != 0 {
        return skip(&format!("{TEST}: needs root"));
    }
    if !built(TEST, &["softsim-keyd"]) {
        return;
    }
    // keyd alone sees the overlay; it ends with keyd.
    const SCRIPT: &str = "\
        mkdir \"$1/lower\" \"$1/upper\" \"$1/work\" \"$1/mount\"
        mount -t overlay overlay -o \"lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work\" \"$1/mount\"
        shift; exec \"$@\"";
    let folder = tempfile::tempdir().unwrap();
    let admin = folder.path().join("admin");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", SCRIPT, "sh"])
        .arg(folder.path())
        .arg(binaries().unwrap().join("softsim-keyd"))
        .arg("--development-key")
        .arg("--state")
        .arg(folder.path().join("mount/state"))
        .arg("--admin")
        .arg(&admin)
        .stderr(Stdio::piped());
    let mut keyd = command.spawn().unwrap();
    let mut said = BufReader::new(keyd.stderr.take().unwrap()).lines();
    let [enforcing, file_system] = [(); 2].map(|()| said.next().unwrap().unwrap());
    let mut client = Connection::connect(&admin).unwrap();
    let status = client.call(&Status {}).unwrap();
    keyd.kill().unwrap();
    keyd.wait().unwrap();
    assert!(enforcing.contains("enforcing landlock"), "{enforcing}");
    assert!(
        file_system.starts_with("softsim-keyd: the vault's file system is overlay, "),
        "{file_system}"
    );
    assert_eq!(status.enforcement.overwrites, Overwrites::Unknown);
}
