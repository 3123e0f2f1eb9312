//! What a certificate says of itself: its subject, its issuer, and from when until when it is
//! valid. Nothing here verifies a certificate.

use std::fmt;

use softsim_keyd_proto::Times;
use x509_cert::der::Decode;

use crate::time::{DAY, LAST, utc};

/// The most days before its end on which a certificate ends soon.
const SOON: u64 = 30;

/// A certificate that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an X.509 certificate, got other octets")]
pub struct Malformed;

/// The subject, the issuer and the dates of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject (RFC 4514).
    pub subject: String,
    /// Who issued it (RFC 4514).
    pub issuer: String,
    /// The first second in which it is valid, since 1970.
    pub not_before: u64,
    /// The last second in which it is valid, since 1970.
    pub not_after: u64,
}

/// What the dates of a certificate mean at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is valid.
    Valid,
    /// It ends within 30 days, or within the last third of its life if that is shorter.
    EndsSoon,
    /// It isn't valid yet, if the clock is right.
    NotYet,
    /// It has ended.
    Expired {
        /// Whether that is certain, even if the host's clock is wrong.
        certainly: bool,
    },
}

impl State {
    /// The state in one word, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::EndsSoon => "ends-soon",
            Self::NotYet => "not-yet-valid",
            Self::Expired { .. } => "expired",
        }
    }
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// It isn't an X.509 certificate.
    pub fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let certificate = x509_cert::Certificate::from_der(der).map_err(|_| Malformed)?;
        let tbs = certificate.tbs_certificate();
        let validity = tbs.validity();
        Ok(Self {
            subject: tbs.subject().to_string(),
            issuer: tbs.issuer().to_string(),
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// What its dates mean at these times. If the time isn't known, it may be any that is later, so
    /// that only an end that has certainly passed counts.
    pub fn state(&self, times: &Times) -> State {
        let now = times.now();
        let life = self.not_after.saturating_sub(self.not_before);
        let soon = (SOON * DAY).min(life / 3);
        if now > self.not_after {
            State::Expired {
                certainly: times.passed() > self.not_after,
            }
        } else if times.are_known() && now < self.not_before {
            State::NotYet
        } else if self.not_after - now < soon && !self.is_endless() {
            State::EndsSoon
        } else {
            State::Valid
        }
    }

    /// The whole days until it ends, none if it doesn't; negative if it has ended.
    pub fn days_left(&self, times: &Times) -> Option<i64> {
        let seconds = i128::from(self.not_after) - i128::from(times.now());
        let days = seconds.div_euclid(i128::from(DAY));
        (!self.is_endless()).then(|| days.try_into().unwrap_or(i64::MAX))
    }

    /// Whether it has the date of a certificate without an end (RFC 5280 §4.1.2.5).
    fn is_endless(&self) -> bool {
        self.not_after >= LAST
    }

    /// Its dates in words, at these times: `expires in 41 days (2027-01-10T12:00:00Z)`.
    pub fn dates(&self, times: &Times) -> impl fmt::Display {
        let (begin, end) = (utc(self.not_before), utc(self.not_after));
        match self.state(times) {
            State::NotYet => format!("not valid before {begin}"),
            State::Expired { .. } => {
                let since = (times.now() - self.not_after) / DAY;
                format!("expired {} ago ({end})", count(since))
            }
            _ if self.is_endless() => "doesn't expire".to_owned(),
            _ if times.are_known() => {
                let left = (self.not_after - times.now()) / DAY;
                format!("expires in {} ({end})", count(left))
            }
            // The present may be any later time.
            _ => format!("expires {end}"),
        }
    }
}

fn count(days: u64) -> String {
    match days {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_800_000_000;
    const END: u64 = BEGIN + 365 * DAY;

    fn certificate(not_after: u64) -> Certificate {
        Certificate {
            subject: "CN=gateway".into(),
            issuer: "CN=factory".into(),
            not_before: BEGIN,
            not_after,
        }
    }

    /// The times of a host whose clock is right.
    fn at(clock: u64) -> Times {
        Times {
            clock,
            built: BEGIN - DAY,
            kept: 0,
        }
    }

    #[test]
    fn a_certificate_is_told_by_its_days() {
        let year = certificate(END);
        for (clock, state, dates) in [
            (
                BEGIN - 1,
                State::NotYet,
                "not valid before 2027-01-15T08:00:00Z",
            ),
            (
                BEGIN,
                State::Valid,
                "expires in 365 days (2028-01-15T08:00:00Z)",
            ),
            (
                END - 30 * DAY,
                State::Valid,
                "expires in 30 days (2028-01-15T08:00:00Z)",
            ),
            (
                END - 30 * DAY + 1,
                State::EndsSoon,
                "expires in 29 days (2028-01-15T08:00:00Z)",
            ),
            (
                END - DAY,
                State::EndsSoon,
                "expires in 1 day (2028-01-15T08:00:00Z)",
            ),
            (
                END,
                State::EndsSoon,
                "expires in less than a day (2028-01-15T08:00:00Z)",
            ),
            (
                END + 1,
                State::Expired { certainly: false },
                "expired less than a day ago (2028-01-15T08:00:00Z)",
            ),
            (
                END + 2 * DAY,
                State::Expired { certainly: false },
                "expired 2 days ago (2028-01-15T08:00:00Z)",
            ),
        ] {
            assert_eq!(year.state(&at(clock)), state, "{clock}");
            assert_eq!(year.dates(&at(clock)).to_string(), dates);
        }
    }

    #[test]
    fn a_short_life_ends_soon_in_its_last_third() {
        let nine = certificate(BEGIN + 9 * DAY);
        assert_eq!(nine.state(&at(BEGIN + 6 * DAY)), State::Valid);
        assert_eq!(nine.state(&at(BEGIN + 6 * DAY + 1)), State::EndsSoon);
    }

    #[test]
    fn without_a_clock_only_what_has_certainly_passed_counts() {
        let times = |built, kept| Times {
            clock: 0,
            built,
            kept,
        };
        let year = certificate(END);
        assert_eq!(year.state(&times(BEGIN - DAY, 0)), State::Valid);
        let expired = State::Expired { certainly: true };
        assert_eq!(year.state(&times(END + 1, 0)), expired);
        assert_eq!(year.state(&times(0, END + 1)), expired);
        let dates = year.dates(&times(BEGIN, 0)).to_string();
        assert_eq!(dates, "expires 2028-01-15T08:00:00Z");
    }

    #[test]
    fn a_certificate_without_an_end_never_ends_soon() {
        let endless = certificate(LAST);
        assert_eq!(endless.state(&at(LAST - 1)), State::Valid);
        assert_eq!(endless.dates(&at(BEGIN)).to_string(), "doesn't expire");
        assert_eq!(endless.days_left(&at(BEGIN)), None);
    }

    #[test]
    fn other_octets_are_no_certificate() {
        for octets in [&b""[..], b"\x30\x00", b"-----BEGIN CERTIFICATE-----"] {
            assert_eq!(Certificate::parse(octets), Err(Malformed));
        }
    }
}
