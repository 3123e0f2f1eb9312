//! The two clocks of the key process, as raw clock_gettime(2).
//!
//! If the vDSO can't answer, the C library falls back to the system call anyway. Always making it
//! keeps the set of system calls the same on every machine.

use std::time::Duration;

use crate::sys;

/// The time since boot, including suspension. It is never set back.
pub fn boottime() -> Duration {
    now(libc::CLOCK_BOOTTIME)
}

/// The host's time since 1970-01-01 UTC. On a gateway without a clock, it starts near zero.
pub fn realtime() -> Duration {
    now(libc::CLOCK_REALTIME)
}

fn now(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec to `time`, which outlives the call.
    sys::check(unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) })
        .expect("both clocks exist on every kernel since 2.6.39");
    // A clock set before 1970 counts as 1970.
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
