//! The checks of certificates' dates: those of the trust anchors, and of the device certificate.
//!
//! All of them are warnings. A gateway that nobody can visit must start, its clock may be wrong,
//! and a server decides by itself about the device certificate.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use softsim_client::certificate::{Certificate, State};
use softsim_client::keyd::Connection;
use softsim_client::proto::Times;
use softsim_client::proto::requests::{DeviceCertificate, Status};
use tokio::time::{Instant, interval_at};

use super::{Finding, Kind, Place};
use crate::config::{self, Bootstrap, Config};
use crate::files::Files;
use crate::keyd::{self, Keyd};

/// How often netd warns of the device certificate.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks the trust anchors, and, if keyd is there, the device certificate.
pub(super) fn check(config: &Config, mut keyd: Option<Connection>) -> Vec<Finding> {
    let device = keyd
        .as_mut()
        .and_then(|keyd| keyd.call(&DeviceCertificate {}).ok());
    if device.is_none() && config.bootstrap.is_none() {
        return Vec::new();
    }
    let known = keyd.and_then(|mut keyd| keyd.call(&Status {}).ok());
    let times = known.map_or_else(by_the_clock_alone, |status| status.times);
    let anchors = config.bootstrap.iter();
    let anchors = anchors.flat_map(|bootstrap| trust_anchors(bootstrap, &Files::System, &times));
    let device = device.and_then(|answer| self::device(&answer.der, &times));
    anchors.chain(device).collect()
}

/// Without keyd, there is no other time.
pub(crate) fn by_the_clock_alone() -> Times {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    Times {
        clock: clock.unwrap_or_default().as_secs(),
        built: 0,
        kept: 0,
    }
}

/// Checks the files that the configuration names. Those that can't be read are reported elsewhere.
pub(crate) fn trust_anchors(bootstrap: &Bootstrap, files: &Files, times: &Times) -> Vec<Finding> {
    let of_file = |path: &Path| {
        let certificates = config::certificates(path, files).unwrap_or_default();
        let read = certificates.iter().map(|der| Certificate::parse(der));
        let outdated = read
            .flatten()
            .filter_map(|read| outdated(&read, path, times));
        outdated.collect::<Vec<_>>()
    };
    let of_files = bootstrap.server_trust.iter().flat_map(|path| of_file(path));
    let place = || bootstrap.section.place("server_trust");
    let warn = |(problem, way_out): (String, &str)| {
        Finding::warning(Kind::Configuration, place(), problem).advise(way_out)
    };
    of_files.map(warn).collect()
}

/// What is wrong with the dates of a trust anchor, and the way out. One that ends soon isn't worth
/// a word: netd trusts it afterwards, too.
fn outdated(read: &Certificate, path: &Path, times: &Times) -> Option<(String, &'static str)> {
    let way_out = match read.state(times) {
        State::Valid | State::EndsSoon => return None,
        State::NotYet => "is the clock right? softsim-netd trusts it all the same",
        State::Expired { .. } => {
            "softsim-netd trusts it all the same; if the server has another one now, get that"
        }
    };
    let problem = format!(
        "{}: expected a certificate that is valid now, got {}, {}",
        path.display(),
        read.subject,
        read.dates(times)
    );
    Some((problem, way_out))
}

/// Tells each day that the device certificate isn't valid, or not for long. The checks at start
/// have done so for the first time.
pub(crate) async fn warn_daily(keyd: Keyd, tell: impl Fn(&Finding)) {
    let mut days = interval_at(Instant::now() + DAY, DAY);
    loop {
        days.tick().await;
        let Ok(certificate) = keyd::ask(&keyd, &DeviceCertificate {}).await else {
            continue;
        };
        if let Ok(status) = keyd::status(&keyd).await
            && let Some(finding) = device(&certificate.der, &status.times)
        {
            tell(&finding);
        }
    }
}

/// What is worth a word about a device certificate: it isn't valid now, or not for long.
fn device(der: &[u8], times: &Times) -> Option<Finding> {
    let warn = |problem: String| {
        let problem = format!("the device certificate {problem}");
        Finding::warning(Kind::System, Place::default(), problem)
    };
    let Ok(read) = Certificate::parse(der) else {
        return Some(warn("can't be read, and its end is unknown".into()));
    };
    let about = format!("{}: {}", read.subject, read.dates(times));
    let store = "softsimctl enrol --certificate stores a new one";
    match read.state(times) {
        State::Valid => None,
        State::EndsSoon => Some(warn(about).advise(store)),
        State::Expired { .. } => {
            Some(warn(about).advise(format!("servers will refuse it; {store}")))
        }
        State::NotYet => {
            Some(warn(about).advise("is the clock right? servers may refuse it until then"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use softsim_client::proto::{CertificateAnswer, Refusal, RequestKind, StatusAnswer, kind_of};
    use tokio::sync::mpsc;

    use super::*;
    use crate::scripted_keyd::{self, encoded};

    /// 2030-07-01T00:00:01Z, when netd starts.
    const START: u64 = 1_909_094_401;

    /// A keyd whose certificate ends on 2 August, whose clock advances by a day with each question
    /// for it, and which knows none on the fourth day.
    fn keyd() -> Keyd {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 8, 2);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut days = 0;
        let answer = move |request: &[u8]| match kind_of(request).unwrap() {
            RequestKind::DeviceCertificate => {
                days += 1;
                encoded::<DeviceCertificate>(match days {
                    4 => Err(Refusal::NoDeviceCertificate),
                    _ => Ok(CertificateAnswer {
                        der: certificate.der().to_vec(),
                    }),
                })
            }
            RequestKind::Status => encoded::<Status>(Ok(StatusAnswer {
                times: Times {
                    clock: START + days * DAY.as_secs(),
                    built: 0,
                    kept: 0,
                },
                ..scripted_keyd::status()
            })),
            other => panic!("not expected: {other}"),
        };
        scripted_keyd::connect(answer).into()
    }

    #[tokio::test(start_paused = true)]
    async fn each_day_a_device_certificate_that_ends_soon_or_has_ended_is_told() {
        let (told, mut findings) = mpsc::unbounded_channel();
        let start = Instant::now();
        let tell = move |finding: &Finding| told.send(finding.problem.clone()).unwrap();
        tokio::spawn(warn_daily(keyd(), tell));
        for day in (2..).filter(|day| *day != 4).take(35) {
            let problem = findings.recv().await.unwrap();
            assert_eq!((start.elapsed() + DAY / 2).as_secs() / DAY.as_secs(), day);
            assert_eq!(problem.contains("expired"), day >= 32, "{day}: {problem}");
        }
    }
}
