//! What anybody can cause as often as they like: counted, and told at most once a minute.

use core::time::Duration;

/// Between two lines of the log.
const PAUSE: Duration = Duration::from_secs(60);

/// Connections of one kind that weren't taken, since it was last told.
#[derive(Debug)]
pub struct Tally<P> {
    untold: Option<Untold<P>>,
    told: Option<Duration>,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold<P> {
    /// How many connections.
    pub connections: u64,
    /// Who made the last one.
    pub last: P,
}

impl<P> Default for Tally<P> {
    fn default() -> Self {
        Self {
            untold: None,
            told: None,
        }
    }
}

impl<P> Tally<P> {
    /// Counts a connection.
    pub fn add(&mut self, last: P) {
        let connections = self.untold.as_ref().map_or(0, |untold| untold.connections) + 1;
        self.untold = Some(Untold { connections, last });
    }

    /// What is to be told now, of the boot clock.
    pub fn due(&mut self, now: Duration) -> Option<Untold<P>> {
        if self.wait(now)?.is_zero() {
            self.told = Some(now);
            return self.untold.take();
        }
        None
    }

    /// How long until something is to be told; none where nothing is.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.untold.as_ref()?;
        let from = self.told.map_or(now, |told| told + PAUSE);
        Some(from.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_those_of_the_next_minute_together() {
        let mut tally = Tally::default();
        let start = Duration::from_secs(5);
        assert_eq!((tally.due(start), tally.wait(start)), (None, None));
        let mut told = Vec::new();
        for second in 0..150 {
            let now = start + Duration::from_secs(second);
            for uid in 0..1000 {
                tally.add(uid);
                told.extend(tally.due(now).map(|untold| (second, untold.connections)));
            }
        }
        assert_eq!(told, [(0, 1), (60, 60_000), (120, 60_000)]);
        let now = start + Duration::from_secs(150);
        assert_eq!(tally.wait(now), Some(Duration::from_secs(30)));
        let last = 999;
        let untold = Untold {
            connections: 29_999,
            last,
        };
        assert_eq!(tally.due(now + Duration::from_secs(30)), Some(untold));
        assert_eq!(tally.wait(now + Duration::from_secs(300)), None);
    }
}
