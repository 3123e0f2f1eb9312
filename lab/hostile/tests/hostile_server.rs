//! Our peer with a hostile server: every scenario, in memory.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_eap::{Config, NetworkNamePolicy, Outcome, Output, Peer};
use softsim_eap_packet::{Code, Type, typed};
use softsim_lab_hostile::{End, Hostile, Scenario};
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{EapServer, Step};
use softsim_testkit::sim::{IMSI, Sim, home};

/// A peer with its SIM, and the hostile server.
struct Stand {
    peer: Peer,
    sim: Sim,
    auc: Auc,
    hostile: Hostile,
    outcome: Option<Outcome>,
    endless: bool,
}

impl Stand {
    fn new(scenario: &Arc<Scenario>, mut config: Config) -> Self {
        for setting in &scenario.settings {
            setting.apply(&mut config);
        }
        let mut sim = Sim::new(0);
        let key = PrivateKey::from_octets(Group::X25519, &[0x5c; 32]).unwrap();
        sim.suci_key = Some((1, key.public_key()));
        Self {
            peer: Peer::new(config),
            sim,
            auc: home(),
            hostile: Hostile::new(scenario.clone(), IMSI),
            outcome: None,
            endless: false,
        }
    }

    /// A conversation begins; runs until nobody has anything to say.
    fn converse(&mut self, identifier: u8) {
        let identity = typed(Code::Request, identifier, Type::Identity, &[]).unwrap();
        self.peer.handle_packet(&identity);
        for _ in 0..200 {
            let step = match self.peer.poll() {
                Some(Output::Ask(ask)) => {
                    self.peer.answer(self.sim.answer(&ask));
                    continue;
                }
                Some(Output::Note(_) | Output::Refused) => continue,
                Some(Output::Done(outcome)) => {
                    self.over(outcome);
                    continue;
                }
                Some(Output::Send(response)) => self.hostile.handle(&mut self.auc, &response),
                None => self.hostile.silence(&mut self.auc),
            };
            match step {
                Step::Request(packet) | Step::Failure(packet, _) => {
                    self.peer.handle_packet(&packet);
                }
                Step::Success(packet, session) => {
                    self.peer.handle_packet(&packet);
                    assert_eq!(&session.msk, self.sim.msk(), "one MSK on both sides");
                    while let Some(output) = self.peer.poll() {
                        if let Output::Done(outcome) = output {
                            self.over(outcome);
                        }
                    }
                    if !self.hostile.record().finished {
                        return self.converse(identifier.wrapping_add(100));
                    }
                }
                Step::Discard => return,
            }
        }
        self.endless = true;
    }

    fn over(&mut self, outcome: Outcome) {
        if matches!(outcome, Outcome::Success(_)) {
            self.sim.confirm();
        }
        self.outcome = Some(outcome);
    }
}

/// What went otherwise than the scenario says.
fn run(scenario: Scenario, config: &Config) -> Vec<String> {
    let scenario = Arc::new(scenario);
    let mut stand = Stand::new(&scenario, config.clone());
    let before = stand.sim.usim.clone();
    stand.converse(0);

    let record = stand.hostile.record();
    let mut findings = record.findings;
    if stand.endless {
        findings.push("the conversation does not end".into());
    }
    if !record.finished {
        let (sent, all) = (record.sent, scenario.messages.len());
        findings.push(format!("stuck after message {sent} of {all}"));
    }
    let ended_well = match scenario.end {
        End::Success => matches!(stand.outcome, Some(Outcome::Success(_))),
        End::Failure => matches!(stand.outcome, Some(Outcome::Failure(_))),
    };
    if !ended_well {
        let (expected, found) = (scenario.end, stand.outcome);
        findings.push(format!("expected {expected:?}, got {found:?}"));
    }
    if (stand.sim.usim != before) != scenario.uses_sqn {
        findings.push(format!("sequence numbers: expected {}", scenario.uses_sqn));
    }
    let (name, clause) = (&scenario.name, scenario.clause);
    findings
        .into_iter()
        .map(|finding| format!("{name} ({clause}): {finding}"))
        .collect()
}

fn assert_clean(scenarios: Vec<Scenario>) {
    let config = Config::new();
    let run = scenarios.into_iter().map(|scenario| run(scenario, &config));
    let findings: Vec<_> = run.flatten().collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_peer_answers_every_scenario_as_its_clause_says() {
    let scenarios = softsim_lab_hostile::all();
    assert!(scenarios.len() > 150, "{}", scenarios.len());
    assert_clean(scenarios);
}

#[test]
fn malformed_attributes_by_the_hundred_are_answered_with_client_error() {
    let scenarios = softsim_lab_hostile::malformed();
    assert!(scenarios.len() > 400, "{}", scenarios.len());
    assert_clean(scenarios);
}

/// The scenarios find what they are for: here a peer that looks at no network name, as
/// wpa_supplicant 2.10.
#[test]
fn peer_that_ignores_the_network_name_has_findings() {
    let careless = Config {
        network_name_policy: NetworkNamePolicy::Ignore,
        ..Config::new()
    };
    let scenarios = softsim_lab_hostile::all();
    let found: Vec<_> = scenarios
        .into_iter()
        .flat_map(|scenario| run(scenario, &careless))
        .filter(|finding| finding.contains("expected AuthenticationReject"))
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    let scenarios: Vec<_> = softsim_lab_hostile::all()
        .into_iter()
        .chain(softsim_lab_hostile::malformed())
        .collect();
    let mut names = BTreeSet::new();
    for scenario in &scenarios {
        assert!(names.insert(&scenario.name), "twice: {}", scenario.name);
    }
}
