//! Times as people write them: seconds since 1970, or a date and a time of UTC (RFC 3339).

use core::fmt;

/// The seconds of a day.
pub const DAY: u64 = 86_400;

/// The days of a period of 400 years, after which the calendar repeats.
const DAYS_OF_400_YEARS: u64 = 146_097;

/// The last second that has a year of four digits.
pub const LAST: u64 = 253_402_300_799;

/// Seconds since 1970, shown as `2026-11-30T18:30:14Z`, or as they are if the year has more than
/// four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(seconds) = *self;
        if seconds > LAST {
            return seconds.fmt(f);
        }
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// [`Utc`] as a text.
pub fn utc(seconds: u64) -> String {
    Utc(seconds).to_string()
}

/// Reads what [`utc`] writes, and seconds since 1970.
///
/// # Errors
/// It is something else.
pub fn parse(text: &str) -> Result<u64, String> {
    let whole = text.parse().ok();
    whole.or_else(|| seconds_of(text)).ok_or_else(|| {
        format!("expected seconds since 1970, or YYYY-MM-DDTHH:MM:SSZ, got {text:?}")
    })
}

/// Only what is written as [`utc`] writes it, so that there is no 31 November.
fn seconds_of(text: &str) -> Option<u64> {
    let field = |at: usize, length| text.get(at..at + length)?.parse::<u64>().ok();
    let days = days((field(0, 4)?, field(5, 2)?, field(8, 2)?))?;
    let (hour, minute, second) = (field(11, 2)?, field(14, 2)?, field(17, 2)?);
    let seconds = days * DAY + hour * 3600 + minute * 60 + second;
    (utc(seconds) == text).then_some(seconds)
}

/// The date of a day since 1970, in the Gregorian calendar. Years begin in March here, so that a
/// leap day is the last day of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let since = days + days_before(1970);
    let (periods, day) = (since / DAYS_OF_400_YEARS, since % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * periods + year;
    match month {
        0..10 => (year, month + 3, day),
        _ => (year + 1, month - 9, day),
    }
}

/// The day since 1970 of a date; none if it was before.
fn days((year, month, day): (u64, u64, u64)) -> Option<u64> {
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year.checked_sub(1)?, month + 9),
    };
    let of_year = (153 * month + 2) / 5 + day;
    let since = 365 * year + year / 4 - year / 100 + year / 400 + of_year;
    since.checked_sub(1)?.checked_sub(days_before(1970))
}

/// The days from 1 March of the year 0 to 1 January of a year.
fn days_before(year: u64) -> u64 {
    let whole = year - 1;
    365 * whole + whole / 4 - whole / 100 + whole / 400 + 306
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_the_same_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_796_063_414, "2026-11-30T18:30:14Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), text);
            assert_eq!(parse(text), Ok(seconds));
            assert_eq!(parse(&seconds.to_string()), Ok(seconds));
        }
        assert_eq!(utc(LAST + 1), "253402300800");
    }

    #[test]
    fn each_day_of_800_years_has_its_date() {
        for day in 0..2 * DAYS_OF_400_YEARS {
            assert_eq!(days(date(day)), Some(day));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-1",
            "now",
            "2026-11-30",
            "2026-11-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-30T24:00:00Z",
            "2026-11-30T18:30:14",
            "2026-11-30T18:30:14+00:00",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "99999999999999999999",
            "2026\u{2013}11-30T18:30:14Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
