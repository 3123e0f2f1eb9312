//! The lab's RADIUS server with `eapol_test`, the peer of wpa_supplicant, which uses our USIM as
//! its SIM.
//!
//! `eapol_test` (Debian package `eapoltest`) requests AKA through its `external_sim` interface, and
//! compares its own MSK with the MS-MPPE keys of the Access-Accept.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use softsim_aka::{Amf, Autn, Rand, Sqn};
use softsim_carriers::radius::Secret;
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_simulators::auc::{Auc, Subscriber};
use softsim_lab_simulators::eap_server::{Config, IdentityRequest, Method};
use softsim_lab_simulators::radius_server::{RadiusServer, Responder};
use softsim_testkit::sim::{milenage, up_to};
use softsim_usim::{AuthenticationFailure, SeparationBit};
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

const IMSI: &str = "001010000000001";
const REALM: &str = "wlan.mnc001.mcc001.3gppnetwork.org";
const SECRET: &str = "testing123";

fn subscriber(k: u8, sqn: u64, amf: [u8; 2]) -> Subscriber {
    Subscriber::new(&milenage(k), Amf::new(amf), Sqn::new(sqn).unwrap(), 5)
}

/// The SIM: answers every request on the control interface until the process ends. Tells when it is
/// `attached`: what was asked before is lost.
async fn sim(control: PathBuf, own: PathBuf, floor: u64, attached: oneshot::Sender<()>) {
    let (algorithm, mut usim) = (milenage(0x46).functions(), up_to(floor));
    let socket = UnixDatagram::bind(own).unwrap();
    while socket.connect(&control).is_err() {
        sleep(Duration::from_millis(5)).await;
    }
    socket.send(b"ATTACH").await.unwrap();
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"OK\n");
    attached.send(()).unwrap();
    while let Ok(length) = socket.recv(&mut buffer).await {
        let event = std::str::from_utf8(&buffer[..length]).unwrap();
        let Some(request) = event.strip_prefix("<3>CTRL-REQ-SIM-") else {
            continue;
        };
        let fields: Vec<&str> = request.split([':', ' ']).collect();
        let [id, "UMTS-AUTH", rand, autn, ..] = fields[..] else {
            panic!("{event}")
        };
        let octets = |field| <[u8; 16]>::try_from(hex::decode(field).unwrap()).unwrap();
        let (rand, autn) = (Rand::new(octets(rand)), Autn::new(octets(autn)));
        let answer = match usim.check(&algorithm, &rand, &autn, SeparationBit::NotRequired) {
            Ok(verified) => {
                usim.accept(&verified).unwrap();
                let fields = [
                    &verified.ik.as_bytes()[..],
                    verified.ck.as_bytes(),
                    verified.res.as_bytes(),
                ];
                format!("UMTS-AUTH:{}", fields.map(hex::encode).join(":"))
            }
            Err(AuthenticationFailure::SyncFailure(auts)) => {
                format!("UMTS-AUTS:{}", hex::encode(auts.as_bytes()))
            }
            Err(_) => "UMTS-FAIL".into(),
        };
        socket
            .send(format!("CTRL-RSP-SIM-{id}:{answer}").as_bytes())
            .await
            .unwrap();
    }
}

/// Runs one authentication and gives what `eapol_test` wrote, or `None` where it isn't installed.
async fn authenticate(subscriber: Subscriber, floor: u64, config: Config) -> Option<String> {
    authenticate_again(subscriber, floor, config, 0).await
}

/// [`authenticate`], and so many times more in the same process.
async fn authenticate_again(
    subscriber: Subscriber,
    floor: u64,
    config: Config,
    times: u32,
) -> Option<String> {
    let program = Path::new("/usr/bin/eapol_test");
    if !program.exists() {
        skip("eapol_test is missing (Debian package eapoltest)");
        return None;
    }
    let (method, prefix) = match config.methods[..] {
        [Method::Aka, ..] => ("AKA", '0'),
        _ => ("AKA'", '6'),
    };
    let mut auc = Auc::new(softsim_sandbox::random::fill);
    auc.insert(IMSI, subscriber);
    let responder = Responder::new(
        Secret::new(SECRET.into()).unwrap(),
        config,
        Arc::new(Mutex::new(auc)),
    )
    .unwrap();
    let server = RadiusServer::bind("127.0.0.1:0".parse().unwrap(), responder)
        .await
        .unwrap();
    let port = server.local_address().unwrap().port();
    let (attached, is_attached) = oneshot::channel();
    // Until then the first request waits in the socket.
    tokio::spawn(async {
        is_attached.await.unwrap();
        server.serve().await
    });

    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control");
    let network = format!(
        "ctrl_interface=DIR={}\nexternal_sim=1\nnetwork={{\n key_mgmt=IEEE8021X\n eap={method}\n \
         identity=\"{prefix}{IMSI}@{REALM}\"\n \
         phase1=\"result_ind=1\"\n}}\n",
        control.display()
    );
    std::fs::write(directory.path().join("network.conf"), network).unwrap();
    tokio::spawn(sim(
        control.join("test"),
        directory.path().join("sim.sock"),
        floor,
        attached,
    ));
    let mut eapol_test = Command::new(program);
    eapol_test.args([
        "-a",
        "127.0.0.1",
        "-s",
        SECRET,
        "-t",
        "10",
        "-p",
        &port.to_string(),
        &format!("-r{times}"),
        "-c",
    ]);
    eapol_test
        .arg(directory.path().join("network.conf"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(Duration::from_secs(30), eapol_test.output())
        .await
        .unwrap()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn assert_success(output: &str) {
    assert!(output.ends_with("SUCCESS\n"), "{output}");
    assert!(output.contains("MPPE keys OK: 1"), "{output}");
}

#[tokio::test]
async fn a_full_authentication_agrees_on_the_msk() {
    let Some(output) = authenticate(subscriber(0x46, 0, [0x80, 0]), 0, Config::default()).await
    else {
        return;
    };
    assert_success(&output);
}

#[tokio::test]
async fn a_synchronisation_failure_is_followed_by_success() {
    let Some(output) =
        authenticate(subscriber(0x46, 0, [0x80, 0]), 1 << 30, Config::default()).await
    else {
        return;
    };
    assert_success(&output);
    assert!(output.contains("UMTS-AUTS"), "{output}");
}

#[tokio::test]
async fn result_indications_and_the_negotiation_of_the_function_interoperate() {
    let config = Config {
        result_indication: true,
        kdfs: vec![9, 1],
        ..Config::default()
    };
    let Some(output) = authenticate(subscriber(0x46, 0, [0x80, 0]), 0, config).await else {
        return;
    };
    assert_success(&output);
}

#[tokio::test]
async fn another_k_is_a_clean_failure() {
    let Some(output) = authenticate(subscriber(0x47, 0, [0x80, 0]), 0, Config::default()).await
    else {
        return;
    };
    assert!(output.ends_with("FAILURE\n"), "{output}");
    assert!(
        output.contains("EAP-AKA: Authentication-Reject")
            || output.contains("EAP: Received EAP-Failure"),
        "{output}"
    );
}

/// How often a message of this name came.
fn count(output: &str, message: &str) -> usize {
    output.matches(message).count()
}

#[tokio::test]
async fn fast_reauthentications_agree_on_a_new_msk_each_time() {
    for method in [Method::Aka, Method::AkaPrime] {
        let config = Config {
            methods: vec![method],
            pseudonyms: true,
            reauthentication: true,
            result_indication: true,
            ..Config::default()
        };
        let Some(output) = authenticate_again(subscriber(0x46, 0, [0x80, 0]), 0, config, 3).await
        else {
            return;
        };
        assert!(output.ends_with("SUCCESS\n"), "{output}");
        assert!(output.contains("MPPE keys OK: 4  mismatch: 0"), "{output}");
        assert_eq!(count(&output, "EAP-SIM: (encr) AT_NONCE_S"), 3, "{output}");
        assert_eq!(count(&output, "CTRL-REQ-SIM-0:UMTS-AUTH:"), 1, "{output}");
    }
}

#[tokio::test]
async fn pseudonyms_name_the_subscriber_in_further_full_authentications() {
    let config = Config {
        pseudonyms: true,
        ask_identity: Some(IdentityRequest::FullAuth),
        ..Config::default()
    };
    let register = config.register.clone();
    let Some(output) = authenticate_again(subscriber(0x46, 0, [0x80, 0]), 0, config, 2).await
    else {
        return;
    };
    assert!(output.contains("MPPE keys OK: 3  mismatch: 0"), "{output}");
    assert_eq!(register.pseudonyms(), 3);
    assert!(output.contains("(encr) AT_NEXT_PSEUDONYM"), "{output}");
}

#[tokio::test]
async fn eap_aka_agrees_on_the_msk_and_resynchronises() {
    for floor in [0, 1 << 30] {
        let config = Config {
            methods: vec![Method::Aka],
            ..Config::default()
        };
        let Some(output) = authenticate(subscriber(0x46, 0, [0, 0]), floor, config).await else {
            return;
        };
        assert_success(&output);
    }
}
