//! Which files with secrets the crate opens.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use common::skip;
use softsim_sandbox::process;
use softsim_sandbox::secret_file::{SecretFileError, open, open_regular};

#[test]
fn a_file_that_others_may_read_or_write_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "s3cret").unwrap();
    // This isn't root's own group, for which another rule holds.
    chown(&path, None, Some(any_other_group())).unwrap();
    for mode in [0o400, 0o600] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(open(&path).is_ok(), "{mode:o}");
    }
    for mode in [0o404, 0o640, 0o644, 0o660, 0o622] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let path = path.display();
        assert_eq!(
            open(&directory.path().join("secret"))
                .unwrap_err()
                .to_string(),
            format!(
                "{path}: expected a file that only its owner may read, got mode {mode:04o}: chmod 600 {path}"
            )
        );
    }
}

/// A named pipe would let a daemon wait for a writer.
#[test]
fn what_is_no_regular_file_is_refused_by_its_name_and_lets_nobody_wait() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let made = Command::new("mkfifo").arg("-m600").arg(&pipe).status();
    assert!(made.unwrap().success());
    let socket = directory.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, name) in [
        (&*pipe, "a named pipe"),
        (&socket, "a socket"),
        (Path::new("/dev/null"), "a device"),
        (directory.path(), "a directory"),
    ] {
        assert_eq!(
            open_regular(path).unwrap_err().to_string(),
            format!("{}: expected a regular file, got {name}", path.display())
        );
    }
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    if process::uid() != 0 {
        return skip("a secret of somebody else: only root can give a file away");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "s3cret").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(65_533), Some(65_533)).unwrap();
    let refused = open(&path).unwrap_err();
    assert!(matches!(
        refused,
        SecretFileError::Owner { uid: 65_533, .. }
    ));
    assert!(refused.to_string().contains("chown 0 "), "{refused}");
}

#[test]
fn a_credential_of_systemd_is_of_root_and_its_group() {
    if process::uid() != 0 {
        return skip("a credential of systemd: only root has files of root");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "s3cret").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
    assert!(open(&path).is_ok());
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    assert!(open(&path).is_err());
}

/// Root can give the file to any group; another user only to its own.
fn any_other_group() -> u32 {
    match process::uid() {
        0 => 65_533,
        _ => process::gid(),
    }
}
