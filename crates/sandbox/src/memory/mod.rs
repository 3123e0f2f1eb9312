//! Memory that nobody else can read: the stack, the heap, and what is left on them.
//!
//! A key in a protected buffer alone is theatre: round keys and intermediate values lie on the
//! stack, in freed heap blocks and in vector registers, and a round key of AES-128 gives back the
//! key. So the process of [`secret_main!`](crate::secret_main) has *all* its writable memory of
//! consequence in memfd_secret(2), its heap wipes what is freed, and [`scrub()`] removes the rest
//! after each request.

mod heap;
mod map;
mod scrub;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering::Relaxed};

pub use heap::Heap;
pub(crate) use map::Region;
pub(crate) use scrub::SecretStack;
pub use scrub::{SCRUB_DEPTH, scrub};

/// How well the stack and the heap of this process are kept from everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyMemory {
    /// Ordinary memory: may be swapped out, and root reads it.
    Plain,
    /// mlock(2), left out of core files: never swapped, but root reads it.
    Locked,
    /// memfd_secret(2): outside the kernel's own map, unreadable for every other process.
    SecretMemory,
}

impl fmt::Display for KeyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyMemory::Plain => "plain",
            KeyMemory::Locked => "mlock",
            KeyMemory::SecretMemory => "memfd_secret",
        })
    }
}

static KIND: AtomicU8 = AtomicU8::new(KeyMemory::Plain as u8);
static WHY_NOT_SECRET: AtomicI32 = AtomicI32::new(0);

/// The weaker one of the stack's and the heap's kind; `Plain` without `secret_main!`.
pub fn key_memory() -> KeyMemory {
    match KIND.load(Relaxed) {
        kind if kind == KeyMemory::SecretMemory as u8 => KeyMemory::SecretMemory,
        kind if kind == KeyMemory::Locked as u8 => KeyMemory::Locked,
        _ => KeyMemory::Plain,
    }
}

/// Why the kernel refused memfd_secret(2), if it did: `ENOSYS` (not there, or `secretmem.enable=0`),
/// `EPERM` (a container's filter) or `EAGAIN` (RLIMIT_MEMLOCK is below stack and heap, on newer
/// kernels of all processes of the user, or memory is out).
pub fn why_not_secret() -> Option<io::Error> {
    match WHY_NOT_SECRET.load(Relaxed) {
        0 => None,
        errno => Some(io::Error::from_raw_os_error(errno)),
    }
}

/// Records what the entry got from the kernel.
pub(crate) fn record(regions: [&Region; 2]) {
    let weakest = regions.iter().map(|region| region.kind()).min();
    KIND.store(weakest.unwrap_or(KeyMemory::Plain) as u8, Relaxed);
    let errno = regions.iter().find_map(|region| region.why_not_secret());
    WHY_NOT_SECRET.store(errno.unwrap_or(0), Relaxed);
}
