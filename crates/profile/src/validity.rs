//! The period in which a profile may be installed, and its check by a clock that may not know the
//! time.

use crate::field::FieldError;

/// How far beyond a time that has certainly passed a period may begin if the present is unknown: 20
/// years, in seconds. A mistake of an operator can't take a gateway without a clock further, since
/// keyd keeps the beginning of what it accepts.
pub const MAX_LEAP: u64 = 20 * 365 * 86_400;

/// The period in which a package may be opened, in seconds since 1970. Both ends are included; none
/// means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    not_before: Option<u64>,
    not_after: Option<u64>,
}

impl Validity {
    /// Takes the two ends.
    ///
    /// # Errors
    /// The end is before the beginning.
    pub fn new(not_before: Option<u64>, not_after: Option<u64>) -> Result<Self, FieldError> {
        match (not_before, not_after) {
            (Some(from), Some(to)) if to < from => Err(FieldError::new(
                "not_after",
                "a time not before not_before",
                format!("{to}, with not_before {from}"),
            )),
            _ => Ok(Self {
                not_before,
                not_after,
            }),
        }
    }

    /// The first second.
    pub fn not_before(&self) -> Option<u64> {
        self.not_before
    }

    /// The last second.
    pub fn not_after(&self) -> Option<u64> {
        self.not_after
    }

    /// Compares the period with the present.
    ///
    /// A gateway without a clock is normal. If it can't know the time, the verdict is
    /// [`Verdict::TimeUnknown`], which is no refusal, unless the period begins more than
    /// [`MAX_LEAP`] later than a time that has certainly passed.
    pub fn judge(&self, now: Now) -> Verdict {
        let earliest = match now {
            Now::Known(seconds) | Now::Unknown { at_least: seconds } => seconds,
        };
        if self.not_after.is_some_and(|end| earliest > end) {
            return Verdict::Expired;
        }
        match (now, self.not_before) {
            (Now::Known(seconds), Some(start)) if seconds < start => Verdict::NotYetValid,
            (Now::Unknown { at_least }, Some(start))
                if start.saturating_sub(at_least) > MAX_LEAP =>
            {
                Verdict::NotYetValid
            }
            (Now::Unknown { at_least }, start)
                if self.not_after.is_some() || start.is_some_and(|start| at_least < start) =>
            {
                Verdict::TimeUnknown
            }
            _ => Verdict::Valid,
        }
    }
}

/// What is known of the present, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// The clock is plausible.
    Known(u64),
    /// The clock is behind a time that has certainly passed.
    Unknown {
        /// That time.
        at_least: u64,
    },
}

impl Now {
    /// A time that has certainly passed.
    pub fn at_least(self) -> u64 {
        match self {
            Self::Known(seconds) | Self::Unknown { at_least: seconds } => seconds,
        }
    }
}

/// The result of a check of the validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The present is within the period.
    Valid,
    /// The time is unknown, but the period isn't certainly over.
    TimeUnknown,
    /// The present is before the beginning.
    NotYetValid,
    /// The present is after the end.
    Expired,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_ends_are_included() {
        let validity = Validity::new(Some(100), Some(200)).unwrap();
        for (now, verdict) in [
            (99, Verdict::NotYetValid),
            (100, Verdict::Valid),
            (200, Verdict::Valid),
            (201, Verdict::Expired),
        ] {
            assert_eq!(validity.judge(Now::Known(now)), verdict, "{now}");
        }
    }

    #[test]
    fn an_unknown_time_refuses_only_what_has_certainly_expired() {
        let validity = Validity::new(Some(100), Some(200)).unwrap();
        for (at_least, verdict) in [
            (50, Verdict::TimeUnknown),
            (150, Verdict::TimeUnknown),
            (200, Verdict::TimeUnknown),
            (201, Verdict::Expired),
        ] {
            assert_eq!(
                validity.judge(Now::Unknown { at_least }),
                verdict,
                "{at_least}"
            );
        }
        let open_end = Validity::new(Some(100), None).unwrap();
        assert_eq!(
            open_end.judge(Now::Unknown { at_least: 99 }),
            Verdict::TimeUnknown
        );
        assert_eq!(
            open_end.judge(Now::Unknown { at_least: 100 }),
            Verdict::Valid
        );
        assert_eq!(
            Validity::default().judge(Now::Unknown { at_least: 0 }),
            Verdict::Valid
        );
    }

    #[test]
    fn an_unknown_time_refuses_a_period_that_begins_more_than_twenty_years_later() {
        let at_least = 1_800_000_000;
        for (leap, verdict) in [
            (1, Verdict::TimeUnknown),
            (MAX_LEAP, Verdict::TimeUnknown),
            (MAX_LEAP + 1, Verdict::NotYetValid),
            (u64::MAX - at_least, Verdict::NotYetValid),
        ] {
            let validity = Validity::new(Some(at_least + leap), None).unwrap();
            assert_eq!(validity.judge(Now::Unknown { at_least }), verdict, "{leap}");
        }
    }

    #[test]
    fn an_end_before_the_beginning_is_an_error() {
        let error = Validity::new(Some(2), Some(1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not_after: expected a time not before not_before, got 1, with not_before 2"
        );
    }
}
