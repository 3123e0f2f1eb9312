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

/// How many users that only a group admits have buckets in one role at once.
pub(crate) const MAX_MEMBERS: usize = 32;

/// How long a user waits for whom there are no buckets, in milliseconds.
const NO_BUCKETS: u32 = 1000;

/// The buckets of all clients.
#[derive(Debug)]
pub(crate) struct Rates {
    policies: PerRole<RolePolicy>,
    /// First those of users that a role names, which stay.
    accounts: Vec<Account>,
    named: usize,
}

/// The buckets of one uid in one role.
#[derive(Debug)]
struct Account {
    role: Role,
    uid: u32,
    buckets: Vec<Buckets>,
}

impl Account {
    /// Full buckets.
    fn new(policy: &RolePolicy, role: Role, uid: u32) -> Self {
        let buckets = policy.groups.iter().map(|group| Buckets {
            short: Bucket::full(group.rate),
            long: group.long.map(Bucket::full),
        });
        Self {
            role,
            uid,
            buckets: buckets.collect(),
        }
    }

    /// Whether all buckets are full, so that new ones are the same.
    fn is_full(&self, now: Duration) -> bool {
        self.buckets.iter().all(|buckets| {
            let long = buckets.long.as_ref();
            buckets.short.is_full(now) && long.is_none_or(|long| long.is_full(now))
        })
    }
}

/// The buckets of a group.
#[derive(Debug)]
struct Buckets {
    short: Bucket,
    long: Option<Bucket>,
}

impl Rates {
    /// Makes full buckets for each uid that a role names.
    pub(crate) fn new(policies: &PerRole<RolePolicy>, uids: &PerRole<Vec<u32>>) -> Self {
        let accounts = Role::ALL.into_iter().flat_map(|role| {
            let of = move |&uid: &u32| Account::new(&policies[role], role, uid);
            uids[role].iter().map(of)
        });
        let accounts: Vec<_> = accounts.collect();
        Self {
            policies: *policies,
            named: accounts.len(),
            accounts,
        }
    }

    /// The place of a uid's buckets. A user that only a group admits gets full ones at its first
    /// request. They take the place of others that have become full again, if there are many.
    fn account(&mut self, role: Role, uid: u32, now: Duration) -> Option<usize> {
        let mut accounts = self.accounts.iter();
        let known = accounts.position(|account| (account.role, account.uid) == (role, uid));
        if known.is_some() {
            return known;
        }
        let members = self.accounts.iter().enumerate().skip(self.named);
        let mut members = members.filter(|(_, account)| account.role == role);
        let new = Account::new(&self.policies[role], role, uid);
        if members.clone().count() < MAX_MEMBERS {
            self.accounts.push(new);
            return Some(self.accounts.len() - 1);
        }
        let (place, _) = members.find(|(_, account)| account.is_full(now))?;
        self.accounts[place] = new;
        Some(place)
    }

    /// Takes one request out of a group's buckets, or returns in how many milliseconds there will
    /// be one. It takes from the long bucket only if the request `wears` out the flash.
    ///
    /// `now` is the time of the boot clock. A time that goes back counts as unchanged.
    pub(crate) fn take(
        &mut self,
        (role, uid): (Role, u32),
        group: usize,
        wears: bool,
        now: Duration,
    ) -> Result<(), u32> {
        let account = self.account(role, uid, now).ok_or(NO_BUCKETS)?;
        let buckets = &mut self.accounts[account].buckets[group];
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

    /// What is in it at `now`, in microseconds.
    fn level(&self, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.filled);
        let gained = elapsed.saturating_mul(self.rate.requests.into());
        let level = self.level.saturating_add(gained);
        level.min(Self::capacity(self.rate))
    }

    fn is_full(&self, now: Duration) -> bool {
        self.level(microseconds(now)) == Self::capacity(self.rate)
    }

    /// Takes one request out, or returns in how many milliseconds there will be one.
    pub(crate) fn take(&mut self, now: Duration) -> Result<(), u32> {
        let now = microseconds(now);
        self.level = self.level(now);
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

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
        let [root, other] = [0, 1000].map(|uid| (Role::App, uid));
        let now = Duration::ZERO;
        while rates.take(root, 0, true, now).is_ok() {}
        assert!(rates.take(other, 0, true, now).is_ok());
        assert!(rates.take(root, 1, true, now).is_ok());
    }

    #[test]
    fn as_many_users_as_a_group_has_take_a_bounded_number_of_buckets() {
        let uids = PerRole::from_fn(|role| vec![role as u32]);
        let mut rates = Rates::new(&crate::roles::COMPILED, &uids);
        let now = Duration::from_secs(1);
        let members = MAX_MEMBERS as u32;
        let user = |uid| (Role::App, 1000 + uid);
        for uid in 0..members {
            assert_eq!(rates.take(user(uid), 0, true, now), Ok(()));
        }
        // None of theirs is full again. Those whom the role names have their own.
        assert_eq!(rates.take(user(members), 0, true, now), Err(NO_BUCKETS));
        let named = (Role::App, Role::App as u32);
        assert_eq!(rates.take(named, 0, true, now), Ok(()));
        assert_eq!(rates.take((Role::Admin, 1000), 0, true, now), Ok(()));
        // Nobody gets more requests by leaving for a while.
        while rates.take(user(0), 0, true, now).is_ok() {}
        let later = now + Duration::from_secs(1);
        for uid in members..2 * members - 1 {
            assert_eq!(rates.take(user(uid), 0, true, later), Ok(()));
        }
        let before = rates.accounts.len();
        while rates.take(user(0), 0, true, later).is_ok() {}
        let burst = crate::roles::COMPILED[Role::App].groups[0].rate.burst;
        let (last, full) = (2 * members - 1, later + Duration::from_secs(burst.into()));
        assert_eq!(rates.take(user(last), 0, true, later), Err(NO_BUCKETS));
        assert_eq!(rates.take(user(last), 0, true, full), Ok(()));
        assert_eq!(rates.accounts.len(), before);
    }
}
