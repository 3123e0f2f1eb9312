//! A gateway under attack, idle or working.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{scope, sleep};
use std::time::Duration;

use softsim_client::keyd::{Connection, Error};
use softsim_client::netd::MskComparison;
use softsim_client::paths::Sockets;
use softsim_client::proto::requests::*;
use softsim_client::proto::{AkaAnswer, Call, KeyMemory, Refusal};
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::subscription::Secret;
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_server::{Config, EapServer, Server, Step};
use softsim_testkit::processes::{built, is_root};

use crate::intruder;
use crate::search::Search;
use crate::secrets::{self, Challenge};

/// The number of challenges for a working gateway, which get them repeatedly: keyd accepts each
/// once, and then answers AUTS.
const CHALLENGES: usize = 500;

/// The number of authentications whose MSK is searched for in netd.
const ACCEPTS: usize = 20;

/// The lab's server, whose MSKs the test records.
struct Overheard(Server, Arc<Mutex<Vec<[u8; 64]>>>);

impl EapServer for Overheard {
    fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        let step = self.0.handle(auc, response);
        if let Step::Success(_, session) = &step {
            self.1.lock().unwrap().push(*session.msk.as_bytes());
        }
        step
    }
}

/// A provisioned gateway, and its secrets.
pub(crate) struct Target {
    pub(crate) home: Home,
    challenges: Vec<Challenge>,
    /// Two packages with increasing sequences: one to commit, and one to stage repeatedly.
    packages: [Vec<u8>; 2],
    _folder: tempfile::TempDir,
}

impl Target {
    /// Starts the gateway; `None`, with a message, if this machine can't run the attack.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !built(test, &["softsim-keyd", "softsim-netd"]) {
            return None;
        }
        if !is_root() {
            skip(&format!("{test}: the red team has to be root"));
            return None;
        }
        if intruder::program().is_none() {
            skip(&format!(
                "{test}: build it with `cargo build --examples -p softsim-sandbox`"
            ));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
        let key_memory = home.gateway().status().unwrap().enforcement.key_memory;
        if key_memory != KeyMemory::SecretMemory {
            skip(&format!(
                "{test}: keyd's memory is no secret memory here, but {key_memory}"
            ));
            return None;
        }
        let device = home.enrol().unwrap();
        home.plan(&device).unwrap();
        home.start_netd().unwrap();
        home.bootstrap().unwrap();
        home.eap_test().unwrap();
        let subscription = home.subscription();
        let challenges = (0..CHALLENGES).map(|_| secrets::challenge(subscription));
        Some(Self {
            challenges: challenges.collect(),
            packages: [home.seal(&device).unwrap(), home.seal(&device).unwrap()],
            home,
            _folder: folder,
        })
    }

    pub(crate) fn keyd(&self) -> String {
        self.home.gateway().keyd().unwrap().id().to_string()
    }

    pub(crate) fn netd(&self) -> String {
        self.home.gateway().netd().unwrap().id().to_string()
    }

    /// All secrets of keyd.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let mut secrets = secrets::of_subscription(self.home.subscription());
        secrets.extend(secrets::of_vault(&self.home));
        let of_challenges = self
            .challenges
            .iter()
            .flat_map(|challenge| &challenge.secrets);
        secrets.extend(of_challenges.map(|Secret { name, octets }| Secret {
            name,
            octets: octets.clone(),
        }));
        secrets
    }

    pub(crate) fn search(&self) -> Search {
        Search::new(&self.secrets())
    }

    /// Authenticates several times, and returns the MSKs that the server sent in its
    /// Access-Accepts.
    pub(crate) fn msks_of_accepts(&self) -> Vec<Secret> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = sent.clone();
        let open = move || -> Box<dyn EapServer> {
            let server = Server::new(Config::default()).unwrap();
            Box::new(Overheard(server, kept.clone()))
        };
        let server = self.home.radius_played_by(open).unwrap();
        for _ in 0..ACCEPTS {
            let (report, _) = self.home.eap_test_at(server).unwrap();
            assert_eq!(report.msk, MskComparison::Equal);
        }
        let sent = sent.lock().unwrap();
        assert_eq!(sent.len(), ACCEPTS);
        (sent.iter())
            .map(|msk| secrets::secret("MSK", msk))
            .collect()
    }

    /// Runs `work` while clients of every role make both daemons use all their keys.
    pub(crate) fn while_working<T>(&self, work: impl FnOnce() -> T) -> T {
        let (go_on, served) = (AtomicBool::new(true), AtomicUsize::new(0));
        let working = || go_on.load(Ordering::Relaxed);
        scope(|scope| {
            let authenticating = scope.spawn(|| self.authenticate_while(working, &served));
            scope.spawn(|| self.sign_while(working));
            scope.spawn(|| self.provision_while(working));
            scope.spawn(|| {
                while working() {
                    self.home.eap_test().unwrap();
                }
            });
            let alive = || !authenticating.is_finished();
            while served.load(Ordering::Relaxed) < 100 && alive() {
                sleep(Duration::from_millis(1));
            }
            // If the work panics, the threads that wait for its end must still end.
            let result = catch_unwind(AssertUnwindSafe(|| {
                assert!(alive(), "authentications go on");
                work()
            }));
            go_on.store(false, Ordering::Relaxed);
            result.unwrap_or_else(|failed| resume_unwind(failed))
        })
    }

    /// Makes keyd use K, OPc and session keys.
    fn authenticate_while(&self, working: impl Fn() -> bool, served: &AtomicUsize) {
        let mut keyd = self.connect(|sockets| &sockets.network);
        for challenge in self.challenges.iter().cycle().take_while(|_| working()) {
            let answer = ask(&mut keyd, &challenge.request());
            if let Some(AkaAnswer::Success { handle, .. }) = answer {
                ask(&mut keyd, &Confirm { handle, msk: None });
                ask(&mut keyd, &CloseSession { handle });
            }
            served.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes keyd use the application key.
    fn sign_while(&self, working: impl Fn() -> bool) {
        let mut keyd = self.connect(|sockets| &sockets.app);
        let (context, message) = ("red team", &b"a message"[..]);
        while working() {
            ask(&mut keyd, &Sign { context, message });
        }
    }

    /// Makes keyd use the sealing key and the device key.
    fn provision_while(&self, working: impl Fn() -> bool) {
        let mut keyd = self.connect(|sockets| &sockets.admin);
        let (txid, package) = ([0xaa; 16], Some(&self.packages[1][..]));
        while working() {
            ask(&mut keyd, &Stage { txid, package });
            ask(&mut keyd, &CertificateRequest {});
            ask(&mut keyd, &SealingStatement {});
        }
    }

    /// Calls `look` after each operation with a key. The first challenge must be unused.
    pub(crate) fn after_each_operation(&self, mut look: impl FnMut(&str)) {
        let mut netd = self.connect(|sockets| &sockets.network);
        let challenge = self.challenges[0].request();
        let Some(AkaAnswer::Success { handle, .. }) = ask(&mut netd, &challenge) else {
            panic!("expected a fresh challenge");
        };
        look("AkaPrimeChallenge");
        // EAP-Response/AKA'-Challenge with only an AT_MAC of zeros (RFC 4187 §9.4, §10.15).
        let packet = &[&[2, 7, 0, 28, 50, 1, 0, 0, 11, 5][..], &[0; 18]].concat()[..];
        ask(&mut netd, &EapMac { handle, packet }).unwrap();
        look("EapMac");
        ask(&mut netd, &Confirm { handle, msk: None }).unwrap();
        look("Confirm");
        ask(&mut netd, &CloseSession { handle }).unwrap();
        look("CloseSession");
        ask(&mut netd, &challenge).unwrap();
        look("AUTS");
        let mut app = self.connect(|sockets| &sockets.app);
        let (context, message) = ("red team", &b"a message"[..]);
        ask(&mut app, &Sign { context, message }).unwrap();
        look("Sign");
        let mut admin = self.connect(|sockets| &sockets.admin);
        let (txid, package) = ([0xaa; 16], Some(&self.packages[0][..]));
        ask(&mut admin, &Stage { txid, package }).unwrap();
        look("Stage");
        ask(&mut admin, &CertificateRequest {}).unwrap();
        look("CertificateRequest");
        ask(&mut admin, &SealingStatement {}).unwrap();
        look("SealingStatement");
        ask(&mut admin, &Commit::new(txid)).unwrap();
        look("Commit");
    }

    /// Asserts that the attacked daemon still works.
    pub(crate) fn still_works(&self) {
        self.home.eap_test().unwrap();
    }

    fn connect(&self, socket: impl FnOnce(&Sockets) -> &PathBuf) -> Connection {
        Connection::connect(socket(&self.home.gateway().sockets())).unwrap()
    }
}

/// Sends a request, and repeats it after each RetryAfter.
fn ask<C: Call>(keyd: &mut Connection, call: &C) -> Option<C::Answer> {
    match keyd.call(call) {
        Ok(answer) => Some(answer),
        Err(Error::Refused(Refusal::RetryAfter { milliseconds })) => {
            sleep(Duration::from_millis(milliseconds.into()));
            None
        }
        Err(error) => panic!("{error}"),
    }
}
