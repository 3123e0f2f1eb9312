//! What is at the path of a socket that can't be connected to.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The kernel's error for a socket of another type, which has no kind in std.
const EPROTOTYPE: i32 = 91;

/// Why a socket can't be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nobody listens there.
    NotRunning,
    /// The path is that of something else.
    Path,
    /// Other users may connect.
    User,
    /// Something else, which may pass.
    Other,
}

/// What there is in place of a socket on which somebody listens, and why.
pub(super) fn obstacle(path: &Path, error: &io::Error) -> (String, Cause) {
    let is_socket = || fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    match error.kind() {
        ErrorKind::NotFound => ("no such socket".into(), Cause::NotRunning),
        ErrorKind::ConnectionRefused if is_socket() => {
            ("a socket on which nobody listens".into(), Cause::NotRunning)
        }
        ErrorKind::ConnectionRefused => ("a file that isn't a socket".into(), Cause::Path),
        ErrorKind::PermissionDenied => (error.to_string(), Cause::User),
        _ if error.raw_os_error() == Some(EPROTOTYPE) => {
            ("a socket of another kind".into(), Cause::Path)
        }
        _ => (error.to_string(), Cause::Other),
    }
}
