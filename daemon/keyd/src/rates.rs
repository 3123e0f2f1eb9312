//! Token buckets in integers, which limit how often one uid may make requests. `RetryAfter` says
//! how long to wait.
//!
//! A bucket slows a client, never a profile. Otherwise, anybody who makes authentications fail
//! could lock out the SIM.

use core::time::Duration;

use softsim_keyd_proto::Role;

use crate::roles::{PerRole, Rate, RolePolicy};

/// A bucket counts in parts of a request, this many for each second of its rate. It then gains
/// `requests` parts per microsecond.
const PARTS: u64 = 1_000_000;

/// The buckets of all clients that may connect.
#[derive(Debug)]
pub(crate) struct Rates {
    accounts: Vec<Account>,
}

/// Identifies the buckets of one uid in one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountId(usize);

#[derive(Debug)]
struct Account {
    role: Role,
    uid: u32,
    buckets: Vec<Buckets>,
}

/// The buckets of a group.
#[derive(Debug)]
struct Buckets {
    short: Bucket,
    long: Option<Bucket>,
}

impl Rates {
    /// Makes full buckets for each uid of each role.
    pub(crate) fn new(policies: &PerRole<RolePolicy>, uids: &PerRole<Vec<u32>>) -> Self {
        let accounts = Role::ALL.into_iter().flat_map(|role| {
            uids[role].iter().map(move |&uid| Account {
                role,
                uid,
                buckets: policies[role]
                    .groups
                    .iter()
                    .map(|group| Buckets {
                        short: Bucket::full(group.rate),
                        long: group.long.map(Bucket::full),
                    })
                    .collect(),
            })
        });
        Self {
            accounts: accounts.collect(),
        }
    }

    /// The buckets of a uid in a role; none if it may not connect.
    pub(crate) fn account(&self, role: Role, uid: u32) -> Option<AccountId> {
        self.accounts
            .iter()
            .position(|account| account.role == role && account.uid == uid)
            .map(AccountId)
    }

    /// Takes one request out of a group's buckets, or returns in how many milliseconds there will
    /// be one. It takes from the long bucket only if the request `wears` out the flash.
    ///
    /// `now` is the time of the boot clock. A time that goes back counts as unchanged.
    pub(crate) fn take(
        &mut self,
        account: AccountId,
        group: usize,
        wears: bool,
        now: Duration,
    ) -> Result<(), u32> {
        let buckets = &mut self.accounts[account.0].buckets[group];
        buckets.short.take(now)?;
        match &mut buckets.long {
            Some(long) if wears => long.take(now),
            _ => Ok(()),
        }
    }
}

/// A bucket of one rate.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    level: u64,
    filled: u64,
}

impl Bucket {
    /// Makes a full bucket.
    pub(crate) fn full(rate: Rate) -> Self {
        Self {
            rate,
            level: Self::capacity(rate),
            filled: 0,
        }
    }

    fn request(rate: Rate) -> u64 {
        u64::from(rate.seconds) * PARTS
    }

    fn capacity(rate: Rate) -> u64 {
        u64::from(rate.burst).saturating_mul(Self::request(rate))
    }

    /// Takes one request out, or returns in how many milliseconds there will be one.
    pub(crate) fn take(&mut self, now: Duration) -> Result<(), u32> {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let elapsed = now.saturating_sub(self.filled);
        let gained = elapsed.saturating_mul(self.rate.requests.into());
        self.level = self
            .level
            .saturating_add(gained)
            .min(Self::capacity(self.rate));
        self.filled = self.filled.max(now);
        let request = Self::request(self.rate);
        match self.level.checked_sub(request) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => {
                let microseconds = (request - self.level).div_ceil(self.rate.requests.into());
                // This is at most an hour, because the rate is one or more.
                Err(microseconds.div_ceil(1000) as u32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn bucket(requests: u32, burst: u32) -> Bucket {
        Bucket::full(Rate {
            requests,
            seconds: 1,
            burst,
        })
    }

    #[test]
    fn a_rate_per_hour_gives_as_much_in_an_hour_and_no_more() {
        let mut bucket = Bucket::full(Rate {
            requests: 60,
            seconds: 3600,
            burst: 40,
        });
        let start = Duration::from_secs(7);
        assert!((0..40).all(|_| bucket.take(start).is_ok()));
        assert_eq!(bucket.take(start), Err(60_000));
        let asked = (1..=3600 * 10).map(|tenth| start + Duration::from_millis(100 * tenth));
        let given = asked.filter(|now| bucket.take(*now).is_ok()).count();
        assert_eq!(given, 60);
        let day = start + Duration::from_secs(25 * 3600);
        assert!((0..40).all(|_| bucket.take(day).is_ok()));
        assert!(bucket.take(day).is_err());
    }

    #[test]
    fn a_burst_passes_and_the_next_request_waits_for_one_token() {
        let mut bucket = bucket(10, 3);
        let now = Duration::from_secs(1000);
        assert!((0..3).all(|_| bucket.take(now).is_ok()));
        assert_eq!(bucket.take(now), Err(100));
        assert_eq!(bucket.take(now + Duration::from_millis(60)), Err(40));
        assert_eq!(bucket.take(now + Duration::from_millis(100)), Ok(()));
        assert_eq!(bucket.take(now + Duration::from_millis(100)), Err(100));
    }

    #[test]
    fn request_after_the_retry_after_time_is_served() {
        let mut bucket = bucket(7, 1);
        let mut now = Duration::from_secs(5);
        for _ in 0..1000 {
            if let Err(milliseconds) = bucket.take(now) {
                now += Duration::from_millis(milliseconds.into());
                bucket.take(now).unwrap();
            }
        }
    }

    #[test]
    fn a_long_silence_fills_no_bucket_beyond_its_burst() {
        let mut bucket = bucket(u32::MAX, 2);
        let now = Duration::MAX;
        assert!(bucket.take(now).is_ok() && bucket.take(now).is_ok());
        assert_eq!(bucket.take(now), Err(1));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
        let mut bucket = bucket(1, 1);
        bucket.take(Duration::from_secs(10)).unwrap();
        assert_eq!(bucket.take(Duration::from_secs(3)), Err(1000));
        assert_eq!(bucket.take(Duration::from_secs(11)), Ok(()));
    }

    #[test]
    fn uids_and_groups_do_not_share_a_bucket() {
        let uids = PerRole::from_fn(|_| vec![0, 1000]);
        let mut rates = Rates::new(&crate::roles::COMPILED, &uids);
        let root = rates.account(Role::App, 0).unwrap();
        let other = rates.account(Role::App, 1000).unwrap();
        let now = Duration::ZERO;
        while rates.take(root, 0, true, now).is_ok() {}
        assert!(rates.take(other, 0, true, now).is_ok());
        assert!(rates.take(root, 1, true, now).is_ok());
        assert_eq!(rates.account(Role::App, 1), None);
    }
}
