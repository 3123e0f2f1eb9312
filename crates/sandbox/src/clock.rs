//! The two clocks of the key process, and one of the service manager.

use std::time::Duration;

use crate::sys;

/// Why no clock fails.
const ALL_EXIST: &str = "all of them exist on every kernel since 2.6.39";

const UNSET: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The time since boot, including suspension. It is never set back.
///
/// Every request needs it. The C library asks the vDSO, which takes a tenth of a system call under
/// a filter; if the vDSO can't tell, it makes the system call.
pub fn boottime() -> Duration {
    let mut time = UNSET;
    // SAFETY: the C library writes one timespec to `time`, which outlives the call.
    sys::check(unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) })
        .expect(ALL_EXIST);
    since_zero(time)
}

/// The time since boot without suspension, by which systemd orders a service's messages.
pub fn monotonic() -> Duration {
    let mut time = UNSET;
    // SAFETY: the C library writes one timespec to `time`, which outlives the call.
    sys::check(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) })
        .expect(ALL_EXIST);
    since_zero(time)
}

/// The host's time since 1970-01-01 UTC. On a gateway without a clock, it starts near zero.
///
/// It always makes the system call, so that the filter's rule is needed on every machine.
pub fn realtime() -> Duration {
    const CLOCK: libc::clockid_t = libc::CLOCK_REALTIME;
    let mut time = UNSET;
    // SAFETY: the kernel writes one timespec to `time`, which outlives the call.
    sys::check(unsafe { libc::syscall(libc::SYS_clock_gettime, CLOCK, &raw mut time) })
        .expect(ALL_EXIST);
    since_zero(time)
}

/// A clock set before 1970 counts as 1970.
fn since_zero(time: libc::timespec) -> Duration {
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_does_not_go_back() {
        let before = boottime();
        assert!(before > Duration::ZERO);
        assert!(boottime() >= before);
    }

    #[test]
    fn realtime_is_the_time_that_std_tells() {
        let before = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let now = realtime();
        let after = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        assert!(before <= now && now <= after);
    }
}
