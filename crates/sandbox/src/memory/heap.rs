//! The heap: areas of secret memory that never grow, wiped block by block as it is freed.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::asm;
use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};

use talc::TalcLock;
use talc::lock_api::{GuardSend, RawMutex};
use talc::source::Manual;

use super::Region;

/// The global allocator that [`secret_main!`](crate::secret_main) declares.
///
/// Until the entry has given it its first area, and once all are full, allocations fail:
/// `try_reserve` reports it, an infallible allocation ends the process.
pub struct Heap(TalcLock<SpinLock, Manual>);

impl Heap {
    /// A heap without memory.
    #[doc(hidden)]
    #[allow(clippy::new_without_default)] // It is a static, made in one place.
    pub const fn new() -> Heap {
        Heap(TalcLock::new(Manual))
    }

    /// Gives the region to the heap for good; whether it is large enough to be of use.
    pub(crate) fn claim(&self, region: Region) -> bool {
        // SAFETY: the region is mapped readable and writable for the life of the process, and was
        // ours alone.
        unsafe { self.0.lock().claim(region.base(), region.length()) }.is_some()
    }
}

// SAFETY: every block comes from talc, which gives out disjoint blocks of the claimed areas that
// fit their layouts. `realloc` keeps its default (allocate, copy, deallocate): a block that moved
// or shrank is thereby wiped too.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that talc asks for.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up a live block of this layout.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: the block came from `alloc` above, hence from talc, with the same layout.
        unsafe { self.0.dealloc(block, layout) };
    }
}

/// Zeroes memory in a way that the compiler can't leave out.
///
/// # Safety
/// The range is valid for writes.
pub(super) unsafe fn wipe(start: *mut u8, length: usize) {
    // SAFETY: by the caller's promise.
    unsafe { start.write_bytes(0, length) };
    // SAFETY: the empty instruction does nothing; since it takes the pointer and may read memory,
    // the writes before it have to happen.
    unsafe { asm!("/* {} */", in(reg) start, options(nostack, preserves_flags)) };
}

/// The key process has one thread, so the lock is never waited for; it is here for soundness.
struct SpinLock(AtomicBool);

// SAFETY: the exchange lets in one holder at a time, with acquire and release ordering.
unsafe impl RawMutex for SpinLock {
    #[allow(clippy::declare_interior_mutable_const)] // The trait asks for a constant.
    const INIT: SpinLock = SpinLock(AtomicBool::new(false));
    type GuardMarker = GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            hint::spin_loop();
        }
    }

    fn try_lock(&self) -> bool {
        self.0
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}
