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

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize};
use std::{error, fmt, io};

pub use heap::Heap;
pub(crate) use map::Region;
pub(crate) use scrub::SecretStack;
pub use scrub::{SCRUB_DEPTH, SHALLOW_DEPTH, scrub, scrub_shallow};

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

/// The heap can't grow.
#[derive(Debug)]
pub struct NoMemory {
    octets: usize,
    why: io::Error,
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (octets, why) = (self.octets, &self.why);
        write!(f, "can't give the heap {octets} octets more: {why}")
    }
}

impl error::Error for NoMemory {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.why)
    }
}

/// Octets that stack and heap may take; 0 without `secret_main!`.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static KIND: AtomicU8 = AtomicU8::new(KeyMemory::SecretMemory as u8);
static WHY_NOT_SECRET: AtomicI32 = AtomicI32::new(0);
static HEAP: OnceLock<&'static Heap> = OnceLock::new();

/// The weakest one of the stack's and the heap's kinds; `Plain` without `secret_main!`.
pub fn key_memory() -> KeyMemory {
    match KIND.load(Relaxed) {
        _ if TAKEN.load(Relaxed) == 0 => KeyMemory::Plain,
        kind if kind == KeyMemory::SecretMemory as u8 => KeyMemory::SecretMemory,
        kind if kind == KeyMemory::Locked as u8 => KeyMemory::Locked,
        _ => KeyMemory::Plain,
    }
}

/// Why the kernel refused memfd_secret(2), if it did: `ENOSYS` (not there, or
/// `secretmem.enable=0`), `EPERM` (a container's filter) or `EAGAIN` (RLIMIT_MEMLOCK is below
/// [`lock_limit_needed`], or memory is out).
pub fn why_not_secret() -> Option<io::Error> {
    match WHY_NOT_SECRET.load(Relaxed) {
        0 => None,
        errno => Some(io::Error::from_raw_os_error(errno)),
    }
}

/// The least RLIMIT_MEMLOCK under which all of stack and heap can be secret or locked, in octets.
///
/// Newer kernels count the secret memory of all processes of the user against it.
pub fn lock_limit_needed() -> usize {
    TAKEN.load(Relaxed)
}

/// Gives the heap a further area of `octets`, rounded up to whole pages, between guard pages of its
/// own. It is mapped now and taken page by page as the heap grows, also under the key process's
/// filter: where the kernel then has no page, an allocation fails, as where the heap is full.
///
/// To be called once, since what an earlier area has left is lost, and before the process is
/// confined, since it maps memory. Where the kernel gives less than secret memory, the area is as
/// good as it gets, and [`key_memory`] says so. Without `secret_main!` the heap grows by itself,
/// and nothing is done.
///
/// # Errors
/// There is not even ordinary memory, or no address space, for the area.
pub fn extend_heap(octets: usize) -> Result<(), NoMemory> {
    let Some(heap) = HEAP.get().filter(|_| octets > 0) else {
        return Ok(());
    };
    let area = Region::reserve(octets).map_err(|why| NoMemory { octets, why })?;
    record(&area);
    heap.reserve(area);
    Ok(())
}

/// Gives the heap its first area; whether it is large enough for the heap's own tables.
pub(crate) fn found_heap(heap: &'static Heap, area: Region) -> bool {
    record(&area);
    heap.claim(area) && HEAP.set(heap).is_ok()
}

/// Records what the kernel gave.
pub(crate) fn record(region: &Region) {
    TAKEN.fetch_add(region.length(), Relaxed);
    KIND.fetch_min(region.kind() as u8, Relaxed);
    if let Some(errno) = region.why_not_secret() {
        // The first reason stays.
        let _ = WHY_NOT_SECRET.compare_exchange(0, errno, Relaxed, Relaxed);
    }
}
