//! A count of refused connections, reported at most once a minute, since anybody can cause as many
//! as they like.

use core::time::Duration;

/// The time between two reports.
const PAUSE: Duration = Duration::from_secs(60);

/// The connections of one kind that were refused since the last report.
#[derive(Debug)]
pub struct Tally<P> {
    unreported: Option<Unreported<P>>,
    /// When the last report was made.
    last_report: Option<Duration>,
}

/// What the next report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreported<P> {
    /// How many connections.
    pub connections: u64,
    /// The peer of the last one.
    pub last: P,
}

impl<P> Default for Tally<P> {
    fn default() -> Self {
        Self {
            unreported: None,
            last_report: None,
        }
    }
}

impl<P> Tally<P> {
    /// Counts a connection of `last`.
    pub fn add(&mut self, last: P) {
        let connections = self
            .unreported
            .as_ref()
            .map_or(0, |unreported| unreported.connections)
            + 1;
        self.unreported = Some(Unreported { connections, last });
    }

    /// The report, if one is due at `now`, a time of the boot clock.
    pub fn due(&mut self, now: Duration) -> Option<Unreported<P>> {
        if self.wait(now)?.is_zero() {
            self.last_report = Some(now);
            return self.unreported.take();
        }
        None
    }

    /// How long until a report is due; none if there is nothing to report.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.unreported.as_ref()?;
        let from = self.last_report.map_or(now, |reported| reported + PAUSE);
        Some(from.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_reported_at_once_and_those_of_the_next_minute_together() {
        let mut tally = Tally::default();
        let start = Duration::from_secs(5);
        assert_eq!((tally.due(start), tally.wait(start)), (None, None));
        let mut reported = Vec::new();
        for second in 0..150 {
            let now = start + Duration::from_secs(second);
            for uid in 0..1000 {
                tally.add(uid);
                reported.extend(
                    tally
                        .due(now)
                        .map(|unreported| (second, unreported.connections)),
                );
            }
        }
        assert_eq!(reported, [(0, 1), (60, 60_000), (120, 60_000)]);
        let now = start + Duration::from_secs(150);
        assert_eq!(tally.wait(now), Some(Duration::from_secs(30)));
        let last = 999;
        let unreported = Unreported {
            connections: 29_999,
            last,
        };
        assert_eq!(tally.due(now + Duration::from_secs(30)), Some(unreported));
        assert_eq!(tally.wait(now + Duration::from_secs(300)), None);
    }
}
