//! What softsimctl says of the device certificate: its subject, issuer and dates, and whether it
//! serves.

use std::path::Path;

use serde_json::{Value, json};
use softsim_client::certificate::{Certificate, Malformed, State};
use softsim_client::proto::Times;
use softsim_client::time;
use softsim_sandbox::exit_status::DATA;

use crate::failure::Failure;

/// A device certificate, and the times that its dates are judged by.
pub(crate) struct Judged {
    read: Result<Certificate, Malformed>,
    times: Times,
}

impl Judged {
    /// A certificate in DER.
    pub(crate) fn new(der: &[u8], times: Times) -> Self {
        Self {
            read: Certificate::parse(der),
            times,
        }
    }

    /// Refuses a certificate that has certainly expired, whatever the host's clock says.
    pub(crate) fn refuse_expired(&self, path: &Path) -> Result<(), Failure> {
        match &self.read {
            Ok(read) if read.state(&self.times) == (State::Expired { certainly: true }) => {
                let message = format!(
                    "{}: expected a certificate that is valid, got {}, {}",
                    path.display(),
                    read.subject,
                    read.dates(&self.times)
                );
                Err(Failure::new(DATA, message).advise(
                    "softsimctl time shows the times that have certainly passed, whatever the clock says",
                ))
            }
            // keyd judges whether it is a certificate.
            _ => Ok(()),
        }
    }

    /// Refuses a certificate that ends before the stored one, which it would replace.
    pub(crate) fn refuse_earlier_end(&self, path: &Path, stored: &Self) -> Result<(), Failure> {
        match (&self.read, &stored.read) {
            (Ok(read), Ok(stored)) if read.not_after < stored.not_after => {
                let message = format!(
                    "{}: expected a certificate that doesn't end before the stored one ({}), got {}",
                    path.display(),
                    time::utc(stored.not_after),
                    self.text(),
                );
                Err(Failure::new(DATA, message).advise("--force stores it all the same"))
            }
            _ => Ok(()),
        }
    }

    /// Who issued it, if it can be read.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.read.as_ref().ok().map(|read| &*read.issuer)
    }

    /// Its subject and its dates, in one line.
    pub(crate) fn text(&self) -> String {
        match &self.read {
            Ok(read) => format!("{}, {}", read.subject, read.dates(&self.times)),
            Err(Malformed) => "stored, but its dates can't be read".to_owned(),
        }
    }

    /// What is amiss with it, as the rest of a sentence about it.
    pub(crate) fn warning(&self) -> Option<String> {
        let Ok(read) = &self.read else {
            return Some("has dates that can't be read".to_owned());
        };
        let dates = read.dates(&self.times);
        match read.state(&self.times) {
            State::Valid => None,
            State::EndsSoon => Some(dates.to_string()),
            State::NotYet => Some(format!(
                "is {dates}: servers may refuse it until then, unless the clock is wrong (softsimctl time)"
            )),
            State::Expired { .. } => Some(format!(
                "{dates}: servers will refuse it, unless the clock is wrong (softsimctl time)"
            )),
        }
    }

    /// Whether it has expired, by the times that are known.
    pub(crate) fn has_expired(&self) -> bool {
        let state = self.read.as_ref().map(|read| read.state(&self.times));
        matches!(state, Ok(State::Expired { .. }))
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        match &self.read {
            Ok(read) => json!({
                "subject": read.subject,
                "issuer": read.issuer,
                "not_before": read.not_before,
                "not_after": read.not_after,
                "days_left": read.days_left(&self.times),
                "state": read.state(&self.times).name(),
            }),
            Err(Malformed) => json!({ "state": "unreadable" }),
        }
    }
}
