//! The first line of the status and its exit status: whether the gateway can authenticate, and what
//! is amiss; and what the status of the daemons adds to that.

use serde_json::{Value, json};
use softsim_client::netd::{Access, AccessState, Management, Status as NetdStatus};
use softsim_client::proto::{KekSource, ProfileState, StatusAnswer};
use softsim_sandbox::exit_status::{DEGRADED, DONE, NOT_READY};

use crate::certificate::Judged;
use crate::finding::{Finding, State};
use crate::keyd::KeydStatus;
use crate::text;

const KEYD: &str = "softsim-keyd";
const NETD: &str = "softsim-netd";
const CERTIFICATE: &str = "certificate";

/// What the findings come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict(Vec<Finding>);

impl Verdict {
    pub(crate) fn of(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.0
    }

    fn word(&self) -> &'static str {
        match self.exit_status() {
            NOT_READY => "not ready",
            DEGRADED => "degraded",
            _ => "ready",
        }
    }

    /// What keeps the gateway from authenticating comes first.
    fn reasons(&self) -> Vec<String> {
        let of = |state| self.0.iter().filter(move |finding| finding.state == state);
        let told = of(State::Wrong).chain(of(State::Amiss));
        let unexamined = of(State::Unexamined).count();
        let unexamined = match unexamined {
            0 => None,
            1 => Some("1 check couldn't be made".to_owned()),
            more => Some(format!("{more} checks couldn't be made")),
        };
        let told = told.map(|finding| finding.found.clone());
        told.chain(unexamined).collect()
    }

    /// The exit status of `softsimctl status` and `softsimctl doctor`.
    pub(crate) fn exit_status(&self) -> u8 {
        match self.0.iter().map(|finding| finding.state).max() {
            Some(State::Wrong) => NOT_READY,
            Some(State::Amiss | State::Unexamined) => DEGRADED,
            Some(State::Fine) | None => DONE,
        }
    }

    /// In a line.
    pub(crate) fn text(&self) -> String {
        match &*self.reasons() {
            [] => self.word().into(),
            reasons => format!("{}: {}", self.word(), reasons.join("; ")),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({ "state": self.word(), "reasons": self.reasons() })
    }
}

/// What the status of both daemons shows; none if a daemon didn't answer.
pub(crate) fn of_daemons(keyd: Option<&KeydStatus>, netd: Option<&NetdStatus>) -> Vec<Finding> {
    let of_keyd = match keyd {
        Some(keyd) => of_keyd(keyd),
        None => vec![Finding::wrong(
            KEYD,
            "softsim-keyd doesn't answer",
            "systemctl status softsim-keyd, or the log of the program that starts it, says why",
        )],
    };
    let of_netd = match netd {
        Some(netd) => of_netd(netd),
        None => vec![Finding::amiss(
            NETD,
            "softsim-netd doesn't answer",
            "systemctl status softsim-netd, or the log of the program that starts it, says why",
        )],
    };
    [of_keyd, of_netd].concat()
}

fn of_keyd(keyd: &KeydStatus) -> Vec<Finding> {
    let KeydStatus {
        answer,
        certificate,
    } = keyd;
    let enforcement = &answer.enforcement;
    let mut findings = profile(answer);
    findings.extend(certificate.as_ref().map(self::certificate));
    findings.push(confinement(
        KEYD,
        enforcement.landlock_abi,
        enforcement.seccomp_calls.into(),
        "start softsim-keyd without --sandbox=off",
    ));
    findings.push(match enforcement.kek_source {
        KekSource::Development => Finding::amiss(
            "vault's key",
            "the development key doesn't protect the vault",
            "softsimctl vault rekey --development-key --new-kek-credential or --new-kek-file gives it another key",
        ),
        source => Finding::fine("vault's key", source.to_string()),
    });
    findings
}

fn profile(keyd: &StatusAnswer) -> Vec<Finding> {
    const NAME: &str = "profile";
    let wrong = |found: &str, advice: &str| Finding::wrong(NAME, found, advice);
    match &keyd.profile {
        None => {
            let missing = wrong(
                "no profile is installed",
                "softsimctl bootstrap gets it, or softsimctl profile install FILE",
            );
            // Without one, no bootstrap can bring the profile.
            let uncertified = (!keyd.certified).then(|| {
                Finding::wrong(
                    CERTIFICATE,
                    "there is no device certificate",
                    "softsimctl enrol writes the request, and softsimctl enrol --certificate FILE stores the certificate",
                )
            });
            [Some(missing), uncertified].into_iter().flatten().collect()
        }
        Some(profile) if profile.state != ProfileState::Enabled => {
            vec![wrong(
                "no profile is enabled",
                "softsimctl profile list, and softsimctl profile enable ICCID",
            )]
        }
        Some(profile) if profile.autn_mac_rejected > 0 => vec![Finding::amiss(
            NAME,
            format!("K or OPc of profile {} may be wrong", profile.iccid),
            "compare both with the operator's",
        )],
        Some(profile) => vec![Finding::fine(NAME, format!("{} is enabled", profile.iccid))],
    }
}

fn certificate(certificate: &Judged) -> Finding {
    const RENEW: &str = "softsimctl enrol writes a request for the same key, and softsimctl enrol --certificate FILE stores the new certificate";
    let Some(warning) = certificate.warning() else {
        return Finding::fine(CERTIFICATE, certificate.text());
    };
    let found = format!("the device certificate {warning}");
    match certificate.has_expired() {
        true => Finding::wrong(CERTIFICATE, found, RENEW),
        false => Finding::amiss(CERTIFICATE, found, RENEW),
    }
}

fn confinement(name: &'static str, abi: u8, calls: u16, advice: &str) -> Finding {
    match abi == 0 || calls == 0 {
        true => Finding::amiss(name, format!("{name} isn't confined"), advice),
        false => Finding::fine(
            name,
            format!("answers; landlock ABI {abi}, {calls} system calls"),
        ),
    }
}

fn of_netd(netd: &NetdStatus) -> Vec<Finding> {
    let confinement = confinement(
        NETD,
        netd.landlock_abi,
        netd.seccomp_calls,
        "remove sandbox = \"off\" from the configuration",
    );
    let lost = netd.keyd_lost.as_ref().map(|reason| {
        let advice = format!("systemctl status softsim-keyd: {reason}");
        Finding::amiss(NETD, "softsim-netd has lost softsim-keyd", advice)
    });
    [confinement, management(&netd.management)]
        .into_iter()
        .chain(lost)
        .chain(netd.accesses.iter().map(access))
        .collect()
}

fn management(management: &Management) -> Finding {
    const NAME: &str = "management";
    match management {
        // A gateway that is provisioned by hand has no LwM2M server, and no reason.
        Management::NotBootstrapped {
            reason: Some(reason),
        }
        | Management::Unregistered {
            reason: Some(reason),
        } => Finding::amiss(NAME, "no LwM2M server has registered it", reason.clone()),
        management => Finding::fine(NAME, text::management(management)),
    }
}

fn access(access: &Access) -> Finding {
    const NAME: &str = "access";
    match &access.state {
        AccessState::Held { reason } => Finding::amiss(
            NAME,
            format!("access {} is held", access.name),
            format!(
                "{reason}; softsimctl access connect {} shows each message",
                access.name
            ),
        ),
        _ => Finding::fine(NAME, text::access(access)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn netd(management: Management, accesses: Vec<Access>) -> NetdStatus {
        NetdStatus {
            management,
            accesses,
            ..crate::doctor::tests::netd()
        }
    }

    #[test]
    fn what_is_amiss_is_told_and_what_is_as_it_should_be_isn_t() {
        let verdict = |netd: &NetdStatus| Verdict::of(of_netd(netd)).text();
        let by_hand = Management::NotBootstrapped { reason: None };
        assert_eq!(verdict(&netd(by_hand, Vec::new())), "ready");
        let reason = Some("the server doesn't answer".to_owned());
        let failed = netd(Management::Unregistered { reason }, Vec::new());
        assert_eq!(
            verdict(&failed),
            "degraded: no LwM2M server has registered it"
        );
        let silent = Verdict::of(of_daemons(None, None)).text();
        assert_eq!(
            silent,
            "not ready: softsim-keyd doesn't answer; softsim-netd doesn't answer"
        );
    }
}
