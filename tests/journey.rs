//! The journey of ARCHITECTURE.md §1, steps 1 to 4, with the real daemons: enrol, bootstrap, manage,
//! authenticate.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{fs, time::Duration};

use common::built;
use softsim_client::{
    netd::{Management, MskComparison},
    proto::ProfileState,
};
use softsim_lab::{
    bootstrap_server::{BootstrapEvent, Operation, Plan},
    error::Error,
    gateway,
    home::{Home, Options},
    management_server::ManagementEvent,
    recorder,
};
use softsim_lwm2m::{ContentFormat, Path, codec};

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

/// For what happens at once, or never.
const PATIENCE: Duration = Duration::from_secs(30);

const SIM: Path = Path::Instance(26241, 0);
const PROFILE_STATE: Path = Path::Resource(26241, 0, 0);

/// Profile State: in use.
const ENABLED: i64 = 4;

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_device_is_enrolled_provisioned_managed_and_authenticated() {
    if !built("journey", &DAEMONS) {
        return;
    }
    for format in [ContentFormat::Tlv, ContentFormat::SenmlCbor] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            format,
            gateway: gateway::Options {
                record: true,
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let mut home = Home::start(&folder.path().join("lab"), options).unwrap();
        let device = home.enrol().unwrap();
        home.plan(&device).unwrap();
        home.start_netd().unwrap();
        assert!(home.gateway().status().unwrap().profiles.is_empty());

        let bootstrapped = home.bootstrap().unwrap();
        let iccid = home.subscription().profile.iccid.as_str().to_owned();
        assert_eq!(bootstrapped.iccid.as_deref(), Some(iccid.as_str()));
        let finished = BootstrapEvent::Finished {
            endpoint: device.endpoint.clone(),
        };
        assert!(
            home.bootstrap_server()
                .journal()
                .events()
                .contains(&finished)
        );
        let status = home.gateway().status().unwrap();
        let profiles: Vec<_> = (status.profiles.iter())
            .map(|profile| (profile.iccid.as_str(), profile.state))
            .collect();
        assert_eq!(profiles, [(iccid.as_str(), ProfileState::Enabled)]);
        assert_eq!(
            status.committed.map(hex::encode),
            Some(bootstrapped.transaction)
        );

        registers_and_answers(&home, &device.endpoint, &iccid);

        let (report, _) = home.eap_test().unwrap();
        assert_eq!(report.msk, MskComparison::Equal);
        assert!(!report.synchronised);
        assert!(
            report
                .identity
                .starts_with(&format!("6{}@", home.subscription().profile.imsi.digits()))
        );

        no_secret_passed(&home, &folder.path().join("lab"));
    }
}

/// Registration, Read and Observe of the SIM object.
fn registers_and_answers(home: &Home, endpoint: &str, iccid: &str) {
    let registered = home.management_server().journal().wait_for(
        PATIENCE,
        |event| matches!(event, ManagementEvent::Registered { endpoint: of, .. } if of == endpoint),
    );
    let Some(ManagementEvent::Registered { objects, .. }) = registered else {
        panic!("expected a registration");
    };
    assert!(objects.contains("</26241/0>"), "{objects}");
    for format in [ContentFormat::Tlv, ContentFormat::SenmlCbor] {
        let response = home.read(endpoint, SIM, format).unwrap();
        assert_eq!(response.content_format, Some(format.id()));
        let sim = codec::decode(format, &codec::SIM, SIM, &response.payload).unwrap();
        assert_eq!(sim[&0].text(1), Some(iccid));
        assert_eq!(sim[&0].integer(0), Some(ENABLED));
    }
    let observed = home
        .observe(endpoint, PROFILE_STATE, ContentFormat::Text)
        .unwrap();
    assert!(observed.observe.is_some());
    assert_eq!(observed.payload, ENABLED.to_string().as_bytes());
}

/// K, OPc, CK and IK are neither in the conversation of the daemons nor in their logs; RES is.
fn no_secret_passed(home: &Home, folder: &std::path::Path) {
    let messages = recorder::read(&folder.join("ipc.record")).unwrap();
    let traffic: Vec<u8> = messages
        .into_iter()
        .flat_map(|message| message.octets)
        .collect();
    for response in home.subscription().responses() {
        assert!(contains(&traffic, &response.octets), "RES passes");
    }
    let logs = ["keyd.log", "netd.log"].map(|log| fs::read(folder.join(log)).unwrap());
    for secret in home.subscription().secrets() {
        let digits = hex::encode(&*secret.octets);
        for octets in [&traffic, &logs[0], &logs[1]] {
            assert!(!contains(octets, &secret.octets), "{}", secret.name);
            assert!(!contains(octets, digits.as_bytes()), "{}", secret.name);
        }
    }
}

#[test]
fn an_auc_behind_the_sim_is_synchronised_on_the_way() {
    if !built("synchronisation", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
    let imsi = home.subscription().profile.imsi.digits().to_owned();
    let sqn = |home: &Home| {
        let mut auc = home.subscription().auc.lock().unwrap();
        auc.subscriber(&imsi).unwrap().sqn()
    };
    let first = sqn(&home);
    for _ in 0..3 {
        assert!(!home.eap_test().unwrap().0.synchronised);
    }
    (home.subscription().auc.lock().unwrap())
        .subscriber(&imsi)
        .unwrap()
        .set_sqn(first);
    let (report, _) = home.eap_test().unwrap();
    assert!(report.synchronised);
    assert_eq!(report.msk, MskComparison::Equal);
    assert!(sqn(&home) > first);
}

#[test]
fn what_was_committed_and_authenticated_outlives_a_power_cut() {
    if !built("power cut", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
    home.eap_test().unwrap();
    let before = home.gateway().status().unwrap();
    home.gateway_mut().stop();
    home.gateway_mut().start_keyd().unwrap();
    home.start_netd().unwrap();
    let after = home.gateway().status().unwrap();
    assert_eq!(after.profiles, before.profiles);
    assert_eq!(after.committed, before.committed);
    let journal = home.management_server().journal();
    let registrations =
        |event: &ManagementEvent| matches!(event, ManagementEvent::Registered { .. });
    let mut seen = 0;
    let again = journal.wait_for(PATIENCE, |event| {
        seen += usize::from(registrations(event));
        seen == 2
    });
    assert!(
        again.is_some(),
        "netd registers again with its stored account"
    );
    // The SQN is where it was: the next vector is fresh, and the AuC needn't be synchronised.
    assert!(!home.eap_test().unwrap().0.synchronised);
}

#[test]
fn a_package_for_another_device_is_refused_and_changes_nothing() {
    if !built("foreign package", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("one"), Options::default()).unwrap();
    let mut other = Home::start(&folder.path().join("two"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    let stranger = other.enrol().unwrap();
    let package = home.seal(&stranger).unwrap();
    let plan = Plan::new(ContentFormat::Tlv, &home.account(), Some(&package)).unwrap();
    home.bootstrap_server().set_plan(&device.endpoint, plan);
    home.start_netd().unwrap();
    let refused = home.bootstrap().unwrap_err();
    assert!(matches!(refused, Error::Failed { .. }), "{refused}");
    let failed = home
        .bootstrap_server()
        .journal()
        .wait_for(PATIENCE, |event| {
            matches!(event, BootstrapEvent::Failed { .. })
        });
    let Some(BootstrapEvent::Failed { operation, .. }) = failed else {
        panic!("expected a failure");
    };
    assert!(matches!(operation, Operation::Write { path, .. } if path == SIM));
    let status = home.gateway().status().unwrap();
    assert!(status.profiles.is_empty() && status.committed.is_none());
    assert_eq!(
        home.gateway().netd_status().unwrap().management,
        Management::NotBootstrapped
    );
}
