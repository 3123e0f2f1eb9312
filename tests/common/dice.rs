//! Chance that can be had again: a test prints its seed, and `SOFTSIM_SEED` sets it.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// SplitMix64: for picking what a test does next, not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// With the seed of `SOFTSIM_SEED`, or with a new one; prints it.
    pub(crate) fn of_test(test: &str) -> Self {
        let seed = number_from_env("SOFTSIM_SEED").unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
        println!("{test}: SOFTSIM_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    /// True once in so many throws.
    pub(crate) fn once_in(&mut self, throws: usize) -> bool {
        self.below(throws) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(crate) fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number() as u8)
    }

    /// A time shorter than a limit.
    pub(crate) fn shorter_than(&mut self, limit: Duration) -> Duration {
        Duration::from_nanos(self.number() % limit.as_nanos() as u64)
    }

    /// Dice of its own for another thread.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.number())
    }
}

/// A number that a variable of the environment sets, such as how often something is done.
pub(crate) fn number_from_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}: expected a number, got {value}")),
    )
}
