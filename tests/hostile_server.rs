//! netd and keyd with a hostile home network: every scenario that RADIUS can carry, one after the
//! other, and hundreds of malformed attributes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use softsim_aka::Sqn;
use softsim_aka::agreement::{Group, PrivateKey};
use softsim_client::keyd;
use softsim_client::netd::AccessState;
use softsim_client::proto::Refusal;
use softsim_client::proto::requests::ForgetIdentities;
use softsim_eap::Method;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_hostile::{End, Hostile, Scenario, ServerMessage, Setting};
use softsim_lab_simulators::eap_server::EapServer;
use softsim_profile::{HomeNetworkKey, HomeNetworkKeys};
use softsim_testkit::processes::built;

/// The number of attempts in which a scenario must end; it may have several conversations.
const ATTEMPTS: usize = 8;

/// A gateway and a server that runs one scenario after the other.
struct Scene {
    home: Home,
    server: SocketAddr,
    running: Arc<Mutex<Option<Hostile>>>,
    sqn: u64,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::from_octets(Group::X25519, &[0x5c; 32]).unwrap();
        let public = HomeNetworkKey::new(1, 1, key.public_key().as_bytes()).unwrap();
        let options = Options {
            prepare: Box::new(move |profile| {
                profile.home_network_keys = HomeNetworkKeys::new(&[public]).unwrap();
            }),
            ..Options::default()
        };
        let home = Home::installed(&folder.path().join("lab"), options).unwrap();
        let running = Arc::<Mutex<Option<Hostile>>>::default();
        let next = running.clone();
        let open = move || -> Box<dyn EapServer> {
            let running = next.lock().unwrap();
            Box::new(
                running
                    .clone()
                    .expect("a scenario is set before netd begins"),
            )
        };
        Self {
            server: home.radius_played_by(open).unwrap(),
            home,
            running,
            sqn: 0,
            _folder: folder,
        }
    }

    /// Starts netd with a scenario's lines of configuration.
    fn configure(&mut self, lines: &str) {
        let access = self.home.radius_access(&[self.server], lines);
        let gateway = self.home.gateway_mut();
        gateway.stop_netd();
        gateway.set_accesses(access);
        gateway.start_netd(None).unwrap();
    }

    /// Runs a scenario, and returns the deviations from it.
    fn run(&mut self, scenario: &Arc<Scenario>) -> Vec<String> {
        self.begin_anew(scenario);
        let hostile = Hostile::new(scenario.clone(), self.imsi());
        *self.running.lock().unwrap() = Some(hostile.clone());
        let before = self.authentications();
        let mut state = AccessState::Identity;
        for _ in 0..ATTEMPTS {
            state = self.home.gateway().connect().unwrap().0.state;
            if hostile.record().finished || state != AccessState::Authorised {
                break;
            }
        }
        let record = hostile.record();
        let mut findings = record.findings;
        if !record.finished {
            let (sent, all) = (record.sent, scenario.messages.len());
            findings.push(format!("stuck after message {sent} of {all}"));
        }
        if (state == AccessState::Authorised) != (scenario.end == End::Success) {
            findings.push(format!("expected {:?}, got: {state}", scenario.end));
        }
        if (self.authentications() != before) != scenario.uses_sqn {
            findings.push(format!("sequence numbers: expected {}", scenario.uses_sqn));
        }
        let (name, clause) = (&scenario.name, scenario.clause);
        let findings = findings.into_iter();
        findings
            .map(|finding| format!("{name} ({clause}): {finding}"))
            .collect()
    }

    /// Resets the AuC to an SQN just above the SIM's, and the SIM to one without pseudonym and
    /// re-authentication identity.
    fn begin_anew(&mut self, scenario: &Scenario) {
        self.sqn += 1 << 10;
        let sqn = Sqn::new(self.sqn).unwrap();
        self.home.subscription().set_sqn(sqn);
        if names_the_peer(scenario) {
            // A netd that runs would authenticate again as soon as keyd forgets.
            self.home.gateway_mut().stop_netd();
            let mut admin = self.home.gateway().admin().unwrap();
            while let Err(error) = admin.call(&ForgetIdentities { iccid: None }) {
                let keyd::Error::Refused(Refusal::RetryAfter { milliseconds }) = error else {
                    panic!("{error}")
                };
                sleep(Duration::from_millis(milliseconds.into()));
            }
            self.home.gateway_mut().start_netd(None).unwrap();
        }
    }

    fn authentications(&self) -> u64 {
        self.home
            .gateway()
            .status()
            .unwrap()
            .counters
            .unwrap()
            .authentications
    }

    fn imsi(&self) -> &str {
        self.home.subscription().profile.imsi.digits()
    }
}

/// Whether the SIM may have an identity from the previous scenario or get one in this one.
fn names_the_peer(scenario: &Scenario) -> bool {
    let succeeds = |message: &ServerMessage| matches!(message, ServerMessage::Success);
    scenario.end == End::Success || scenario.messages.iter().any(succeeds)
}

/// The line of an access's configuration for a setting.
fn line(setting: &Setting) -> String {
    match setting {
        Setting::Only(Method::Aka) => "methods = ['aka']\n".into(),
        Setting::Only(Method::AkaPrime) => "methods = ['aka-prime']\n".into(),
        Setting::Suci => "identity = 'suci'\n".into(),
        Setting::RequireForwardSecrecy => "forward_secrecy = 'require'\n".into(),
        Setting::NoForwardSecrecy => "forward_secrecy = 'off'\n".into(),
        Setting::RefuseSeparationBit => "aka_separation_bit = 'refuse'\n".into(),
        Setting::NetworkName(name) => format!("network_name = '{name}'\n"),
    }
}

/// Plays all scenarios, grouped by configuration.
fn play_all(scenarios: Vec<Scenario>) {
    let mut by_configuration = BTreeMap::<String, Vec<_>>::new();
    // The server can't speak twice in a row over RADIUS.
    for scenario in scenarios.into_iter().filter(|one| !one.speaks_unasked()) {
        let lines = scenario.settings.iter().map(line).collect();
        let together = by_configuration.entry(lines).or_default();
        together.push(Arc::new(scenario));
    }
    let mut scene = Scene::new();
    let mut findings = Vec::new();
    let mut run = 0;
    for (lines, scenarios) in by_configuration {
        scene.configure(&lines);
        for scenario in scenarios {
            findings.extend(scene.run(&scenario));
            run += 1;
        }
    }
    println!("{run} scenarios");
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_daemons_answer_every_scenario_as_its_clause_says() {
    if built("hostile scenarios", &["softsim-keyd", "softsim-netd"]) {
        play_all(softsim_lab_hostile::all());
    }
}

#[test]
fn malformed_attributes_by_the_hundred_are_answered_with_client_error() {
    if built("malformed attributes", &["softsim-keyd", "softsim-netd"]) {
        play_all(softsim_lab_hostile::malformed());
    }
}
