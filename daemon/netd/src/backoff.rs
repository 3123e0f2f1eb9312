//! The time that an access, or a connection to an LwM2M server, waits after a failure. It grows
//! with each failure, and it has jitter, so that gateways that failed together don't retry
//! together.

use std::time::Duration;

use softsim_sandbox::random;

/// A wait that doubles with each failure.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts with `first`, and doubles the wait up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// Counts a failure, and returns the wait that follows it.
    pub(crate) fn failed(&mut self) -> Duration {
        self.failed_within(Duration::MAX)
    }

    /// As [`Self::failed`], but for the jitter no longer than `longest`, unless that is shorter
    /// than the first wait.
    pub(crate) fn failed_within(&mut self, longest: Duration) -> Duration {
        let longest = self.longest.min(longest.max(self.first));
        let doubled = 2u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        jittered(self.first.saturating_mul(doubled).min(longest))
    }

    /// The wait after something that doesn't count as a failure.
    pub(crate) fn shortest(&self) -> Duration {
        jittered(self.first)
    }

    /// Forgets the failures, after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Makes a wait up to a fifth longer or shorter.
pub(crate) fn jittered(wait: Duration) -> Duration {
    let mut octets = [0; 2];
    random::fill(&mut octets);
    let tenths_of_thousands = 8000 + u32::from(u16::from_ne_bytes(octets)) * 4000 / 65536;
    wait.saturating_mul(tenths_of_thousands) / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 100 * second);
        for expected in [1, 2, 4, 8, 16, 32, 64, 100, 100] {
            let wait = backoff.failed();
            let around = expected * second * 8 / 10..=expected * second * 12 / 10;
            assert!(around.contains(&wait), "{expected}: {wait:?}");
        }
        for _ in 0..100 {
            backoff.failed();
        }
        assert!((8 * second..=12 * second).contains(&backoff.failed_within(10 * second)));
        assert!(backoff.failed_within(Duration::ZERO) >= second * 8 / 10);
        assert!(backoff.shortest() <= 2 * second);
        assert!((80 * second..=120 * second).contains(&backoff.failed()));
        backoff.reset();
        assert!(backoff.failed() <= 2 * second);
    }

    #[test]
    fn waits_are_jittered() {
        let waits: std::collections::BTreeSet<_> =
            (0..64).map(|_| jittered(Duration::from_secs(60))).collect();
        assert!(waits.len() > 32);
    }
}
