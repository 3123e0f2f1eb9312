//! Maps of secret memory between guard pages.

use std::io;
use std::ptr::{self, NonNull};

use super::KeyMemory;
use crate::{process, sys};

/// Not every C library defines it. The number is the same on all newer architectures.
const SYS_MEMFD_SECRET: libc::c_long = 447;

/// A readable and writable map that lives as long as the process, with an unmapped page before and
/// after. The owner of the value owns the memory.
pub(crate) struct Region {
    base: NonNull<u8>,
    length: usize,
    kind: KeyMemory,
    why_not_secret: Option<i32>,
}

impl Region {
    /// Maps `length` octets, rounded up to whole pages: memfd_secret, else mlock, else plain. If it
    /// is secret memory, all its pages are present.
    ///
    /// It doesn't use the allocator.
    pub(crate) fn map(length: usize) -> io::Result<Region> {
        Region::of(length, take)
    }

    /// Maps the same, but without making pages present: see [`take`].
    pub(crate) fn reserve(length: usize) -> io::Result<Region> {
        Region::of(length, |_, length| within_lock_limit(length))
    }

    /// Maps a region. `check` decides whether all of it can be secret memory.
    fn of(length: usize, check: fn(NonNull<u8>, usize) -> io::Result<()>) -> io::Result<Region> {
        let page = page_size();
        let whole_pages = length.checked_next_multiple_of(page);
        let with_guards = whole_pages.and_then(|length| length.checked_add(2 * page));
        let (Some(length), Some(reserved)) = (whole_pages, with_guards) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let reserved = reserve(reserved)?;
        // SAFETY: the reserved range is longer than one page.
        let base = unsafe { reserved.add(page) };
        let secret = map_secret(base, length).and_then(|()| check(base, length));
        let (kind, why_not_secret) = match secret {
            Ok(()) => (KeyMemory::SecretMemory, None),
            Err(error) => (map_ordinary(base, length)?, error.raw_os_error()),
        };
        Ok(Region {
            base,
            length,
            kind,
            why_not_secret,
        })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn kind(&self) -> KeyMemory {
        self.kind
    }

    pub(crate) fn why_not_secret(&self) -> Option<i32> {
        self.why_not_secret
    }
}

fn page_size() -> usize {
    // SAFETY: the call takes a number only.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("every Linux knows its page size")
}

/// Address space that faults on every access.
fn reserve(length: usize) -> io::Result<NonNull<u8>> {
    const FLAGS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(ptr::null_mut(), length, libc::PROT_NONE, FLAGS, -1)
}

/// Replaces reserved space at `base` by memory of memfd_secret(2).
fn map_secret(base: NonNull<u8>, length: usize) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let fd = sys::check(unsafe { libc::syscall(SYS_MEMFD_SECRET, libc::O_CLOEXEC) })?;
    let fd = fd as libc::c_int;
    // SAFETY: the call takes numbers only.
    let sized = sys::check(unsafe { libc::ftruncate(fd, length as libc::off_t) });
    // Most kernels compare the map with RLIMIT_MEMLOCK here.
    let mapped = sized.and_then(|_| map_over(base, length, libc::MAP_SHARED, fd));
    // SAFETY: the descriptor was opened above and isn't used any more; the map stays.
    unsafe { libc::close(fd) };
    mapped
}

/// Makes the kernel provide whole pages, from `base` on, now.
///
/// Newer kernels compare each page with the user's limit when it is first touched, and send SIGBUS
/// if the limit is exceeded or memory has run out. If the kernel itself touches the page during a
/// system call, that call fails instead, so this function makes one. MADV_POPULATE_WRITE and
/// MAP_POPULATE don't work on secret memory.
///
/// A page costs 18 µs, however it is touched: the kernel removes it from its own map, and flushes
/// it from the TLBs of all processors. Therefore the heap takes its pages as it grows.
pub(super) fn take(base: NonNull<u8>, length: usize) -> io::Result<()> {
    for offset in (0..length).step_by(page_size()) {
        // SAFETY: the offset lies in the map.
        let page = unsafe { base.add(offset) };
        // SAFETY: the kernel writes one timespec to the start of a page that nobody uses yet.
        sys::check(unsafe {
            libc::syscall(
                libc::SYS_clock_gettime,
                libc::CLOCK_BOOTTIME, // the filter of the key process leaves this one
                page.as_ptr(),
            )
        })
        // EFAULT here means what other kernels report as EAGAIN.
        .map_err(|_| io::Error::from_raw_os_error(libc::EAGAIN))?;
    }
    Ok(())
}

/// Checks that RLIMIT_MEMLOCK allows so much more secret memory, because some kernels check it only
/// when the pages are touched.
fn within_lock_limit(more: usize) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit that outlives the call.
    sys::check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) })?;
    let needed = super::lock_limit_needed() + more;
    if process::uid() == 0 || needed as u64 <= limit.rlim_cur {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }
}

/// Replaces reserved space at `base` by ordinary memory, locked if the kernel allows that.
fn map_ordinary(base: NonNull<u8>, length: usize) -> io::Result<KeyMemory> {
    map_over(base, length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
    for advice in [
        libc::MADV_DONTDUMP,
        libc::MADV_WIPEONFORK,
        libc::MADV_NOHUGEPAGE,
    ] {
        // On kernels without one of these, DUMPABLE=0 still applies, and the daemon doesn't fork.
        // SAFETY: the range was mapped above, and no advice changes its content here.
        unsafe { libc::madvise(base.as_ptr().cast(), length, advice) };
    }
    // Lock each page from the moment when it is first touched. SAFETY: the range was mapped above;
    // locking changes no content.
    let locked =
        unsafe { libc::syscall(libc::SYS_mlock2, base.as_ptr(), length, libc::MLOCK_ONFAULT) };
    match sys::check(locked) {
        Ok(_) => Ok(KeyMemory::Locked),
        Err(_) => Ok(KeyMemory::Plain),
    }
}

fn map_over(base: NonNull<u8>, length: usize, flags: i32, fd: libc::c_int) -> io::Result<()> {
    const ACCESS: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
    map(base.as_ptr(), length, ACCESS, flags | libc::MAP_FIXED, fd).map(drop)
}

/// `at` is null, or with MAP_FIXED the start of space that `reserve` gave and nobody uses yet.
fn map(at: *mut u8, length: usize, access: i32, flags: i32, fd: i32) -> io::Result<NonNull<u8>> {
    // SAFETY: both callers keep to the rule above, so that no live memory is replaced.
    let base = unsafe { libc::mmap(at.cast(), length, access, flags, fd, 0) };
    match NonNull::new(base.cast::<u8>()) {
        Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => Ok(base),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_page_that_the_kernel_does_not_give_is_an_error_and_not_a_signal() {
        let page = page_size();
        let unusable = reserve(2 * page).unwrap();
        let error = take(unusable, page).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        map_over(unusable, page, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).unwrap();
        take(unusable, page).unwrap();
        assert!(take(unusable, 2 * page).is_err());
    }
}
