//! How often in a row a network refused a re-authentication identity before its method began.

use std::time::{Duration, Instant};

/// The number of refusals after which a network sees such identities inside the method only, since
/// each refusal costs an attempt, and with a controlled port the connection.
const MOST: u8 = 2;

/// How long it does, since the last refusal. The network may have learned to take them.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// The refusals so far.
#[derive(Debug, Default)]
pub(super) struct FastRefusals {
    number: u8,
    last: Option<Instant>,
}

impl FastRefusals {
    /// Counts a refusal.
    pub(super) fn count(&mut self, now: Instant) {
        self.number = self.number.saturating_add(1);
        self.last = Some(now);
    }

    /// Whether the network sees no such identity outside the method now.
    pub(super) fn are_too_many(&self, now: Instant) -> bool {
        let recent = self.last.is_some_and(|last| now < last + PERIOD);
        self.number >= MOST && recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_refused_twice_is_tried_again_once_a_day() {
        let mut now = Instant::now();
        let mut refusals = FastRefusals::default();
        refusals.count(now);
        assert!(!refusals.are_too_many(now));
        for _ in 0..3 {
            refusals.count(now);
            let almost = now + PERIOD - Duration::from_secs(1);
            assert!(refusals.are_too_many(now) && refusals.are_too_many(almost));
            now += PERIOD;
            assert!(!refusals.are_too_many(now));
        }
    }
}
