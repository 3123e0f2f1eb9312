//! The first line of the status and its exit status: whether the gateway can authenticate, and what
//! is amiss.

use serde_json::{Value, json};
use softsim_client::netd::{AccessState, Management, Status as NetdStatus};
use softsim_client::proto::{KekSource, ProfileState, StatusAnswer};
use softsim_sandbox::exit_status::{DEGRADED, DONE, NOT_READY};

use crate::certificate::Judged;
use crate::keyd::KeydStatus;

/// What the status of both daemons comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What keeps the gateway from authenticating.
    missing: Vec<String>,
    /// What else is not as it should be.
    amiss: Vec<String>,
}

impl Verdict {
    /// Judges what each daemon said; none if it didn't answer.
    pub(crate) fn of(keyd: Option<&KeydStatus>, netd: Option<&NetdStatus>) -> Self {
        let mut verdict = Self::default();
        match keyd {
            Some(keyd) => {
                verdict.judge_keyd(&keyd.answer);
                if let Some(certificate) = &keyd.certificate {
                    verdict.judge_certificate(certificate);
                }
            }
            None => verdict.missing.push("softsim-keyd doesn't answer".into()),
        }
        match netd {
            Some(netd) => verdict.judge_netd(netd),
            None => verdict.amiss.push("softsim-netd doesn't answer".into()),
        }
        verdict
    }

    fn judge_keyd(&mut self, keyd: &StatusAnswer) {
        let enabled = |state| state == ProfileState::Enabled;
        match &keyd.profile {
            None => {
                self.missing.push("no profile is installed".into());
                // Without one, no bootstrap can bring the profile.
                let certificate =
                    (!keyd.certified).then(|| "there is no device certificate".into());
                self.missing.extend(certificate);
            }
            Some(profile) if !enabled(profile.state) => {
                self.missing.push("no profile is enabled".into());
            }
            Some(profile) if profile.autn_mac_rejected > 0 => {
                let iccid = &profile.iccid;
                self.amiss
                    .push(format!("K or OPc of profile {iccid} may be wrong"));
            }
            Some(_) => {}
        }
        let enforcement = &keyd.enforcement;
        if enforcement.landlock_abi == 0 || enforcement.seccomp_calls == 0 {
            self.amiss.push("softsim-keyd isn't confined".into());
        }
        if enforcement.kek_source == KekSource::Development {
            self.amiss
                .push("the development key doesn't protect the vault".into());
        }
    }

    fn judge_certificate(&mut self, certificate: &Judged) {
        let warning = certificate.warning();
        let reason = warning.map(|warning| format!("the device certificate {warning}"));
        match certificate.has_expired() {
            true => self.missing.extend(reason),
            false => self.amiss.extend(reason),
        }
    }

    fn judge_netd(&mut self, netd: &NetdStatus) {
        if netd.landlock_abi == 0 || netd.seccomp_calls == 0 {
            self.amiss.push("softsim-netd isn't confined".into());
        }
        // A gateway that is provisioned by hand has no LwM2M server, and no reason.
        if let Management::NotBootstrapped { reason: Some(_) }
        | Management::Unregistered { reason: Some(_) } = netd.management
        {
            self.amiss.push("no LwM2M server has registered it".into());
        }
        let lost = netd.keyd_lost.as_ref();
        self.amiss
            .extend(lost.map(|_| "softsim-netd has lost softsim-keyd".into()));
        let held = netd.accesses.iter();
        let held = held.filter(|access| matches!(access.state, AccessState::Held { .. }));
        self.amiss
            .extend(held.map(|access| format!("access {} is held", access.name)));
    }

    fn word(&self) -> &'static str {
        match self.exit_status() {
            NOT_READY => "not ready",
            DEGRADED => "degraded",
            _ => "ready",
        }
    }

    fn reasons(&self) -> Vec<&str> {
        let reasons = self.missing.iter().chain(&self.amiss);
        reasons.map(String::as_str).collect()
    }

    /// The exit status of `softsimctl status`.
    pub(crate) fn exit_status(&self) -> u8 {
        match (self.missing.is_empty(), self.amiss.is_empty()) {
            (false, _) => NOT_READY,
            (true, false) => DEGRADED,
            (true, true) => DONE,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_client::netd::Access;

    use super::*;

    fn netd(management: Management, accesses: Vec<Access>) -> NetdStatus {
        NetdStatus {
            endpoint: None,
            landlock_abi: 7,
            seccomp_calls: 47,
            keyd_lost: None,
            accounts: None,
            accounts_fault: None,
            management,
            accesses,
        }
    }

    #[test]
    fn what_is_amiss_is_told_and_what_is_as_it_should_be_isn_t() {
        let verdict = |netd: &NetdStatus| {
            let mut verdict = Verdict::default();
            verdict.judge_netd(netd);
            verdict.text()
        };
        let by_hand = Management::NotBootstrapped { reason: None };
        assert_eq!(verdict(&netd(by_hand, Vec::new())), "ready");
        let reason = Some("the server doesn't answer".to_owned());
        let failed = netd(Management::Unregistered { reason }, Vec::new());
        assert_eq!(
            verdict(&failed),
            "degraded: no LwM2M server has registered it"
        );
        let silent = Verdict::of(None, None).text();
        assert_eq!(
            silent,
            "not ready: softsim-keyd doesn't answer; softsim-netd doesn't answer"
        );
    }
}
