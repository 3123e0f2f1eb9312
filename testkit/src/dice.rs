//! Reproducible random numbers: a test prints its seed, and `SOFTSIM_SEED` sets it.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// SplitMix64. Tests choose with it what they do next; it is not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins with the seed of `SOFTSIM_SEED` or a new one, and prints it.
    pub fn of_test(test: &str) -> Self {
        let seed = number_from_env("SOFTSIM_SEED").unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
        println!("{test}: SOFTSIM_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    /// True on average once in `throws` calls.
    pub fn once_in(&mut self, throws: usize) -> bool {
        self.below(throws) == 0
    }

    /// One of these values.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The next octets.
    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number() as u8)
    }

    /// A time shorter than a limit.
    pub fn shorter_than(&mut self, limit: Duration) -> Duration {
        Duration::from_nanos(self.number() % limit.as_nanos() as u64)
    }

    /// Separate dice for another thread.
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}

/// A number from an environment variable, such as a number of repetitions.
pub fn number_from_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}: expected a number, got {value}")),
    )
}
