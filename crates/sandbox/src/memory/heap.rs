//! The heap: areas of secret memory, which are used page by page, and wiped block by block when
//! they are freed.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::asm;
use std::hint;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::lock_api::{GuardSend, RawMutex};
use talc::source::Source;

use super::Region;
use super::map::take;

/// How much the heap grows at a time, in octets. It takes the kernel 72 µs.
const STEP: usize = 16 << 10;

/// The global allocator that [`secret_main!`](crate::secret_main) declares.
///
/// Before the entry has given it an area, and when all areas are full, allocations fail:
/// `try_reserve` reports that, and an infallible allocation ends the process.
pub struct Heap(TalcLock<SpinLock, Reserve>);

impl Heap {
    /// A heap without memory.
    #[doc(hidden)]
    #[allow(clippy::new_without_default)] // It is a static, made in one place.
    pub const fn new() -> Heap {
        Heap(TalcLock::new(Reserve::NONE))
    }

    /// Gives the heap a region whose pages are all present, for good. Returns whether it is large
    /// enough for the heap's own tables.
    pub(crate) fn claim(&self, region: Region) -> bool {
        // SAFETY: the region is mapped readable and writable for the life of the process, and was
        // ours alone.
        unsafe { self.0.lock().claim(region.base(), region.length()) }.is_some()
    }

    /// Gives the heap a region for good, whose pages it touches when it needs them. The heap no
    /// longer uses the rest of an earlier region.
    pub(crate) fn reserve(&self, region: Region) {
        // SAFETY: the end of a region is an end of the same map.
        let end = unsafe { region.base().add(region.length()) };
        self.0.lock().source = Reserve {
            length: region.length(),
            heap_end: None,
            taken: region.base(),
            end,
        };
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

/// The key process has one thread, so nobody ever waits for the lock. It is here for soundness.
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

/// A mapped area, whose unused part is between `taken` and `end`.
#[derive(Debug)]
struct Reserve {
    length: usize,
    /// The end of the allocator's part of the area, once it has one.
    heap_end: Option<NonNull<u8>>,
    taken: *mut u8,
    end: *mut u8,
}

// SAFETY: the area belongs to nobody but the allocator that this is a part of.
unsafe impl Send for Reserve {}

impl Reserve {
    const NONE: Reserve = Reserve {
        length: 0,
        heap_end: None,
        taken: ptr::null_mut(),
        end: ptr::null_mut(),
    };

    /// Takes the next pages, and returns where they begin and end.
    fn take_step(&mut self) -> Result<(NonNull<u8>, *mut u8), ()> {
        let length = STEP.min(self.end.addr() - self.taken.addr());
        let start = NonNull::new(self.taken).filter(|_| length > 0).ok_or(())?;
        take(start, length).map_err(drop)?;
        // SAFETY: the sum is not beyond the end of the area.
        self.taken = unsafe { self.taken.add(length) };
        Ok((start, self.taken))
    }
}

// SAFETY: the heap that this is a part of is reached through `talc` only.
unsafe impl Source for Reserve {
    /// Adds one step to the heap. The allocator calls it again until it has enough.
    fn acquire<B: Binning>(talc: &mut Talc<Reserve, B>, block: Layout) -> Result<(), ()> {
        if block.size() > talc.source.length {
            return Err(());
        }
        let (start, end) = talc.source.take_step()?;
        let heap_end = match talc.source.heap_end {
            // SAFETY: the pages are mapped readable and writable for the life of the process, and
            // begin where the heap of this area ended; nobody else has them.
            Some(heap_end) => unsafe { talc.extend(heap_end, end) },
            None => {
                let length = end.addr() - start.addr().get();
                // SAFETY: as above, and the allocator has nothing of this area yet.
                unsafe { talc.claim(start.as_ptr(), length) }.ok_or(())?
            }
        };
        talc.source.heap_end = Some(heap_end);
        Ok(())
    }
}
