//! Memory that no other process can read: the stack, the heap, and the scrubbing of both.
//!
//! Protecting only a key's own buffer doesn't help: round keys and intermediate values are on the
//! stack, in freed heap blocks and in vector registers, and one round key of AES-128 reveals the
//! key. Therefore a process of [`secret_main!`](crate::secret_main) has its *whole* stack and heap
//! in memfd_secret(2), the heap wipes freed blocks, and [`scrub()`] wipes the rest after each
//! request.

mod heap;
mod map;
mod scrub;

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize};
use std::{fmt, io};

pub use heap::Heap;
pub(crate) use map::Region;
pub(crate) use scrub::SecretStack;
pub use scrub::{SCRUB_DEPTH, SHALLOW_DEPTH, scrub, scrub_shallow};

/// How well the stack and the heap of this process are protected from other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyMemory {
    /// Ordinary memory: it may be swapped out, and root can read it.
    Plain,
    /// mlock(2), excluded from core files: it is never swapped out, but root can read it.
    Locked,
    /// memfd_secret(2): it isn't in the kernel's own map, and no other process can read it.
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

/// The error when the heap can't grow.
#[derive(Debug, thiserror::Error)]
#[error("can't give the heap {octets} octets more: {why}")]
pub struct NoMemory {
    octets: usize,
    #[source]
    why: io::Error,
}

/// The size of stack and heap in octets; 0 without `secret_main!`.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static KIND: AtomicU8 = AtomicU8::new(KeyMemory::SecretMemory as u8);
static WHY_NOT_SECRET: AtomicI32 = AtomicI32::new(0);
static HEAP: OnceLock<&'static Heap> = OnceLock::new();

/// The weaker kind of the stack's and the heap's memory; `Plain` without `secret_main!`.
pub fn key_memory() -> KeyMemory {
    match KIND.load(Relaxed) {
        _ if TAKEN.load(Relaxed) == 0 => KeyMemory::Plain,
        kind if kind == KeyMemory::SecretMemory as u8 => KeyMemory::SecretMemory,
        kind if kind == KeyMemory::Locked as u8 => KeyMemory::Locked,
        _ => KeyMemory::Plain,
    }
}

/// Why the kernel refused memfd_secret(2), if it did: `ENOSYS` (missing, or `secretmem.enable=0`),
/// `EPERM` (a container's filter) or `EAGAIN` (RLIMIT_MEMLOCK is below [`lock_limit_needed`], or
/// memory has run out).
pub fn why_not_secret() -> Option<io::Error> {
    match WHY_NOT_SECRET.load(Relaxed) {
        0 => None,
        errno => Some(io::Error::from_raw_os_error(errno)),
    }
}

/// The least RLIMIT_MEMLOCK with which all of stack and heap can be secret or locked, in octets.
///
/// Newer kernels count the secret memory of all processes of the user towards it.
pub fn lock_limit_needed() -> usize {
    TAKEN.load(Relaxed)
}

/// Gives the heap a further area of `octets`, rounded up to whole pages, with its own guard pages.
/// It is mapped now; the heap touches its pages as it grows, which the key process's filter allows.
/// If the kernel then has no page, an allocation fails, as if the heap were full.
///
/// Call it once, because the rest of an earlier area is lost, and before the process is confined,
/// because it maps memory. If the kernel doesn't give secret memory, the area is of the next weaker
/// kind, and [`key_memory`] reports that. Without `secret_main!`, the heap grows by itself, and
/// this does nothing.
///
/// # Errors
/// There isn't even ordinary memory for the area, or no address space.
pub fn extend_heap(octets: usize) -> Result<(), NoMemory> {
    let Some(heap) = HEAP.get().filter(|_| octets > 0) else {
        return Ok(());
    };
    let area = Region::reserve(octets).map_err(|why| NoMemory { octets, why })?;
    record(&area);
    heap.reserve(area);
    Ok(())
}

/// Gives the heap its first area. Returns whether it is large enough for the heap's own tables.
pub(crate) fn found_heap(heap: &'static Heap, area: Region) -> bool {
    record(&area);
    heap.claim(area) && HEAP.set(heap).is_ok()
}

/// Records which kind of memory the kernel gave.
pub(crate) fn record(region: &Region) {
    TAKEN.fetch_add(region.length(), Relaxed);
    KIND.fetch_min(region.kind() as u8, Relaxed);
    if let Some(errno) = region.why_not_secret() {
        // The first reason stays.
        let _ = WHY_NOT_SECRET.compare_exchange(0, errno, Relaxed, Relaxed);
    }
}
