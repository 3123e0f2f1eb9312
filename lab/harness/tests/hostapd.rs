//! Our peer and USIM with Debian's hostapd as RADIUS server, and the lab's AuC behind its
//! `eap_sim_db` socket.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use softsim_carriers::radius::{Answer, Client, Msk, Secret};
use softsim_eap::{AuthenticationReject, Config, Method, Outcome, Output, Peer, Reason};
use softsim_eap_packet::{Code, Type, typed};
use softsim_lab_harness::hostapd::{Hostapd, Identities, Methods, Options};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_simulators::auc::Auc;
use softsim_lab_simulators::eap_sim_db::EapSimDb;
use softsim_sandbox::random;
use softsim_testkit::sim::{IMSI, Sim, auc, home};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const SECRET: &str = "testing123";

/// How one authentication ended: the peer's outcome, and the MSK of an Access-Accept.
struct End {
    outcome: Outcome,
    msk: Option<Msk>,
}

/// Runs authentications of one SIM, one after the other; `None` where hostapd isn't installed.
async fn authenticate(
    auc: &Arc<Mutex<Auc>>,
    sim: &mut Sim,
    options: Options,
    times: usize,
) -> Option<Vec<End>> {
    if Hostapd::program().is_none() {
        skip("hostapd is missing (Debian package hostapd)");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("auc.sock");
    let served = tokio::spawn(EapSimDb::bind(&socket, auc.clone()).unwrap().serve());
    let hostapd = Hostapd::start(directory.path(), &socket, &SECRET.into(), options).unwrap();
    let mut ends = Vec::new();
    for _ in 0..times {
        let radius = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        radius.connect(hostapd.address()).await.unwrap();
        let end = one_authentication(&radius, sim, options.methods);
        let end = timeout(Duration::from_secs(20), end);
        ends.push(end.await.expect("hostapd answers"));
    }
    served.abort();
    Some(ends)
}

async fn one_authentication(radius: &UdpSocket, sim: &mut Sim, methods: Methods) -> End {
    let method = match methods {
        Methods::Aka => Method::Aka,
        _ => Method::AkaPrime,
    };
    let mut peer = Peer::new(Config {
        methods: vec![method],
        ..Config::new()
    });
    let mut client = Client::new(Secret::new(SECRET.into()).unwrap(), "gateway").unwrap();
    let mut granted = None;
    peer.handle_packet(&typed(Code::Request, 0, Type::Identity, &[]).unwrap());
    loop {
        match peer
            .poll()
            .expect("the peer has something to do until it is done")
        {
            Output::Ask(ask) => peer.answer(sim.answer(&ask)),
            Output::Note(_) | Output::Refused => {}
            Output::Done(outcome) => {
                if matches!(outcome, Outcome::Success(_)) {
                    sim.confirm();
                }
                return End {
                    outcome,
                    msk: granted,
                };
            }
            Output::Send(response) => {
                let mut authenticator = [0; 16];
                random::fill(&mut authenticator);
                let request = client
                    .request(Instant::now(), authenticator, &response)
                    .unwrap();
                radius.send(&request).await.unwrap();
                let mut buffer = [0; 4096];
                let length = radius.recv(&mut buffer).await.unwrap();
                match client.handle(&buffer[..length]).unwrap() {
                    Answer::Challenge { eap } => peer.handle_packet(&eap),
                    Answer::Accept { eap, msk, .. } => {
                        granted = msk;
                        peer.handle_packet(&eap);
                    }
                    Answer::Reject { eap: Some(eap) } => peer.handle_packet(&eap),
                    Answer::Reject { eap: None } => peer.carrier_failed(),
                }
            }
        }
    }
}

fn assert_success(end: &End, sim: &Sim) {
    let msk = end.msk.as_ref().unwrap();
    assert!(matches!(end.outcome, Outcome::Success(_)));
    assert_eq!(msk.expose(), sim.msk().as_bytes());
}

fn shared(auc: Auc) -> Arc<Mutex<Auc>> {
    Arc::new(Mutex::new(auc))
}

#[tokio::test]
async fn hostapds_mppe_keys_are_our_msk() {
    let (auc, mut sim) = (shared(home()), Sim::new(0));
    for result_indication in [false, true] {
        let options = Options {
            result_indication,
            ..Options::default()
        };
        let Some(ends) = authenticate(&auc, &mut sim, options, 1).await else {
            return;
        };
        assert_success(&ends[0], &sim);
    }
}

#[tokio::test]
async fn an_auc_that_fell_behind_is_resynchronised_through_hostapd() {
    let (auc, mut sim) = (shared(home()), Sim::new(1 << 40));
    let Some(ends) = authenticate(&auc, &mut sim, Options::default(), 2).await else {
        return;
    };
    assert_success(&ends[1], &sim);
    assert!(matches!(ends[0].outcome, Outcome::Success(_)));
    assert!(auc.lock().unwrap().subscriber(IMSI).unwrap().sqn().value() > 1 << 40);
}

#[tokio::test]
async fn another_k_and_a_missing_separation_bit_end_in_a_clean_failure() {
    for wrong in [auc(0x47, [0x80, 0]), auc(0x46, [0, 0])] {
        let mut sim = Sim::new(0);
        let before = sim.usim.clone();
        let Some(ends) = authenticate(&shared(wrong), &mut sim, Options::default(), 1).await else {
            return;
        };
        assert_eq!(
            ends[0].outcome,
            Outcome::Failure(Reason::AuthenticationReject(AuthenticationReject::Autn))
        );
        assert!(ends[0].msk.is_none());
        assert_eq!(sim.usim, before);
    }
}

#[tokio::test]
async fn fast_reauthentications_with_hostapd_use_no_sequence_number() {
    for methods in [Methods::Aka, Methods::AkaPrime] {
        let (auc, mut sim) = (shared(home()), Sim::new(0));
        let options = Options {
            methods,
            result_indication: true,
            identities: Identities::All,
            ..Options::default()
        };
        let Some(ends) = authenticate(&auc, &mut sim, options, 4).await else {
            return;
        };
        assert_success(&ends[3], &sim);
        let reauthenticated: Vec<_> = ends
            .iter()
            .map(|end| match &end.outcome {
                Outcome::Success(success) => success.reauthenticated,
                Outcome::Failure(reason) => panic!("{reason}"),
            })
            .collect();
        assert_eq!(reauthenticated, [false, true, true, true], "{methods:?}");
        assert_eq!(
            auc.lock().unwrap().subscriber(IMSI).unwrap().sqn(),
            sim.usim.sqn_ms()
        );
    }
}
