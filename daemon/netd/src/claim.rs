//! The locks on what only one netd may use at a time: the state folder and the control socket. netd
//! holds them as long as it runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How often netd tries a lock whose holder it can't find, and the time between two attempts.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A lock that other netds find as long as this value lives, and no longer. No file remains of it,
/// and a process that netd starts doesn't inherit it.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "held, not used")] File);

/// Why netd can't claim something.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another netd has claimed it.
    #[error("another softsim-netd{pid} uses {}", .path.display(), pid = in_brackets(*.pid))]
    Held {
        /// The folder or the socket.
        path: PathBuf,
        /// The process id of that netd, if /proc shows it.
        pid: Option<u32>,
    },
    /// netd can't try the lock.
    #[error("{path}: {1}", path = .0.display())]
    Lock(PathBuf, #[source] io::Error),
}

fn in_brackets(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

impl Claim {
    /// Claims a folder, with a lock on the folder itself.
    pub(crate) fn folder(path: &Path) -> Result<Self, ClaimError> {
        Self::of(path, File::open(path))
    }

    /// Claims a socket that doesn't exist yet, with a lock on an empty file next to it.
    pub(crate) fn socket(path: &Path) -> Result<Self, ClaimError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).mode(0o600);
        // `create_new` follows no symbolic link.
        let made = match options.clone().create_new(true).open(&lock) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&lock),
            made => made,
        };
        Self::of(path, made)
    }

    fn of(path: &Path, file: io::Result<File>) -> Result<Self, ClaimError> {
        let failed = |error| ClaimError::Lock(path.to_owned(), error);
        let file = file.map_err(failed)?;
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            // If no process has the lock, a netd that was killed has not quite ended.
            match holder(&file) {
                None => sleep(PAUSE),
                pid => return Err(held(path, pid)),
            }
        }
        Err(held(path, None))
    }
}

fn held(path: &Path, pid: Option<u32>) -> ClaimError {
    ClaimError::Held {
        path: path.to_owned(),
        pid,
    }
}

/// The netd that holds a lock on a file, as the kernel lists it (proc(5), /proc/locks).
fn holder(file: &File) -> Option<u32> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let own_name = fs::read_to_string("/proc/self/comm").ok()?;
    locks.lines().find_map(|lock| {
        let fields: Vec<_> = lock.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else {
            return None;
        };
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        let is_holder = file.ends_with(&inode) && name.is_ok_and(|name| name == own_name);
        pid.parse().ok().filter(|_| is_holder)
    })
}
