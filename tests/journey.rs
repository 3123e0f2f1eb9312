//! Steps 1 to 4 of ARCHITECTURE.md's journey, with the real daemons: enrol, bootstrap, manage,
//! authenticate.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use softsim_client::netd::{Failure, Management, MskComparison};
use softsim_client::proto::ProfileState;
use softsim_client::proto::requests::DeviceCertificate;
use softsim_lab_harness::error::Error;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::processes::{NetdBootstrap, binaries};
use softsim_lab_harness::subscription::found_in;
use softsim_lab_harness::{gateway, recorder};
use softsim_lab_simulators::bootstrap_server::{BootstrapEvent, Operation, Plan};
use softsim_lab_simulators::management_server::ManagementEvent;
use softsim_lab_simulators::pki::Authority;
use softsim_lwm2m::{ContentFormat, Path, codec};
use softsim_testkit::processes::built;

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

/// How long the test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

const SIM: Path = Path::Instance(26241, 0);
const PROFILE_STATE: Path = Path::Resource(26241, 0, 0);

/// A subscription whose K has 256 bits. The other subscription is a random one with Milenage.
const TUAK: &str = r#"
iccid = "8988211000000000268"
imsi = "001010000000256"
mnc_length = 2
algorithm = "tuak"
k = "5c1f0a9be7d2438661a4cf07358e92bd4d708b13f62ae9c5107d64ab98f3e215"
top = "a76d3be08254f1c90e9d47b5286afc13d1850b67c43ea92f78f2146c5be03d98"
res_bits = 128
"#;

/// The value of Profile State for an enabled profile.
const ENABLED: i64 = 4;

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_device_is_enrolled_provisioned_managed_and_authenticated() {
    if !built("journey", &DAEMONS) {
        return;
    }
    for (format, profile) in [
        (ContentFormat::Tlv, None),
        (ContentFormat::SenmlCbor, Some(TUAK.to_owned())),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            profile,
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
        assert!(home.gateway().status().unwrap().profile.is_none());

        let bootstrapped = home.bootstrap().unwrap();
        let iccid = home.subscription().profile.iccid.as_str().to_owned();
        assert_eq!(
            bootstrapped.package,
            Some(format!("profile {iccid} installed"))
        );
        let finished = BootstrapEvent::Finished {
            endpoint: device.endpoint.clone(),
        };
        let journal = home.bootstrap_server().journal();
        assert!(
            journal
                .wait_for(PATIENCE, |event| *event == finished)
                .is_some()
        );
        let status = home.gateway().status().unwrap();
        let profile = status.profile.unwrap();
        assert_eq!(
            (&profile.iccid, profile.state, status.profiles),
            (&iccid, ProfileState::Enabled, 1)
        );
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

/// Asserts that K, OPc, CK and IK are neither in the messages between the daemons nor in their
/// logs, and that RES is in the messages.
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
    let secrets = home.subscription().secrets();
    for octets in [&traffic, &logs[0], &logs[1]] {
        assert_eq!(found_in(octets, &secrets), [""; 0]);
    }
}

fn softsimctl(home: &Home, folder: &std::path::Path, arguments: &[&str]) -> Output {
    let sockets = home.gateway().sockets();
    Command::new(binaries().unwrap().join("softsimctl"))
        .args(arguments)
        .current_dir(folder)
        .env("SOFTSIM_ADMIN_SOCKET", sockets.admin)
        .env("SOFTSIM_NETWORK_SOCKET", sockets.network)
        .env("SOFTSIM_NETD_SOCKET", sockets.netd)
        .output()
        .unwrap()
}

#[test]
fn a_support_bundle_of_a_gateway_in_service_holds_no_secret_and_no_identity() {
    if !built("support bundle", &[&DAEMONS[..], &["softsimctl"]].concat()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab");
    let home = Home::up(&lab, Options::default()).unwrap();
    home.eap_test().unwrap();
    let config = lab.join("netd.toml").display().to_string();
    let doctor = ["doctor", "--config", &config, "--bundle", "bundle"];
    let output = softsimctl(&home, folder.path(), &doctor);
    // The laboratory's daemons have no users of their own.
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let bundle = fs::read(folder.path().join("bundle")).unwrap();
    let text = String::from_utf8_lossy(&bundle);
    assert!(text.contains("registered with coaps://"), "{text}");
    let profile = &home.subscription().profile;
    for identity in [profile.imsi.digits(), profile.iccid.as_str()] {
        assert!(!text.contains(identity), "{text}");
    }
    let secret = fs::read(home.radius_secret_file()).unwrap();
    assert!(!contains(&bundle, &secret));
    assert_eq!(found_in(&bundle, &home.subscription().secrets()), [""; 0]);
}

/// keyd signs only handshakes that show the certificate that it has stored.
#[test]
fn a_renewed_device_certificate_serves_from_the_next_handshake_on_and_ends_no_registration() {
    if !built("renewal", &[&DAEMONS[..], &["softsimctl"]].concat()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
    let old = home.gateway().admin().unwrap();
    let old = { old }.call(&DeviceCertificate {}).unwrap().der;
    let softsimctl = |arguments: &[&str]| {
        let output = softsimctl(&home, folder.path(), arguments);
        assert!(output.status.success(), "{output:?}");
    };
    softsimctl(&["enrol"]);
    let request = fs::read(folder.path().join("device.csr")).unwrap();
    let (_, request) = pem_rfc7468::decode_vec(&request).unwrap();
    let new = home.authority().sign_device(&request).unwrap();
    assert_ne!(new, old);
    fs::write(folder.path().join("device.der"), &new).unwrap();
    let registered = home.gateway().netd_status().unwrap().management;
    softsimctl(&["enrol", "--certificate", "device.der"]);
    let mut admin = home.gateway().admin().unwrap();
    assert_eq!(admin.call(&DeviceCertificate {}).unwrap().der, new);

    // The session of the old certificate goes on.
    let endpoint = home.gateway().netd_status().unwrap().endpoint.unwrap();
    home.read(&endpoint, SIM, ContentFormat::Tlv).unwrap();
    let status = home.gateway().netd_status().unwrap();
    assert_eq!(status.management, registered);

    let bootstrapped = home.bootstrap().unwrap();
    assert!(matches!(
        bootstrapped.management,
        Management::Registered { .. }
    ));
    home.read(&endpoint, SIM, ContentFormat::Tlv).unwrap();
}

#[test]
fn a_gateway_bootstraps_by_itself_and_takes_its_leave_when_it_is_told_to_end() {
    if !built("automatic bootstrap", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    let authority = home.gateway().folder().file("ca.pem");
    let server = NetdBootstrap::new(home.bootstrap_server().address(), authority).automatic();
    home.gateway_mut().start_netd(Some(server)).unwrap();
    let journal = home.management_server().journal();
    let registered = |event: &ManagementEvent| matches!(event, ManagementEvent::Registered { .. });
    assert!(journal.wait_for(PATIENCE, registered).is_some());
    assert_eq!(home.gateway().status().unwrap().profiles, 1);
    // netd deregisters only if it knows that it is registered.
    let management = || home.gateway().netd_status().unwrap().management;
    while !matches!(management(), Management::Registered { .. }) {
        sleep(Duration::from_millis(5));
    }

    let netd = home.gateway().netd().unwrap().id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &netd]).status();
    assert!(sent.unwrap().success());
    let left = |event: &ManagementEvent| matches!(event, ManagementEvent::Deregistered { .. });
    assert!(journal.wait_for(PATIENCE, left).is_some());
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
    assert_eq!(after.profile, before.profile);
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
    // The SIM's SQN hasn't changed, so the next vector is fresh without resynchronisation.
    assert!(!home.eap_test().unwrap().0.synchronised);
}

#[test]
fn an_authentication_is_notified_to_whoever_observes_the_counter() {
    if !built("notification", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = Home::up(&folder.path().join("lab"), Options::default()).unwrap();
    let endpoint = home.gateway().netd_status().unwrap().endpoint.unwrap();
    let served = Path::Resource(26241, 0, 20);
    let first = home.observe(&endpoint, served, ContentFormat::Text);
    assert_eq!(first.unwrap().payload, b"0");
    home.eap_test().unwrap();
    let notified = home.management_server().journal().wait_for(
        PATIENCE,
        |event| matches!(event, ManagementEvent::Notified { path, .. } if *path == served),
    );
    let Some(ManagementEvent::Notified { response, .. }) = notified else {
        panic!("expected a notification");
    };
    assert_eq!(response.payload, b"1");
}

/// Asserts that a bootstrap fails and leaves keyd unchanged.
fn fails_and_changes_nothing(home: &Home) -> Failure {
    let before = home.gateway().status().unwrap();
    let failed = home.bootstrap().unwrap_err();
    let Error::Failed { failure, .. } = failed else {
        panic!("expected a failure of netd's, got {failed}");
    };
    let after = home.gateway().status().unwrap();
    assert_eq!(after.profile, before.profile);
    assert_eq!(after.committed, before.committed);
    failure
}

/// Asserts that the device refused the sealed package and that the bootstrap ended with it.
fn package_was_refused(home: &Home) {
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
}

#[test]
fn a_package_for_another_device_is_refused_and_changes_nothing() {
    if !built("foreign package", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("one"), Options::default()).unwrap();
    let other = Home::start(&folder.path().join("two"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    let package = home.seal(&other.enrol().unwrap()).unwrap();
    let plan = Plan::new(ContentFormat::Tlv, &home.account(), Some(&package)).unwrap();
    home.bootstrap_server().set_plan(&device.endpoint, plan);
    home.start_netd().unwrap();
    fails_and_changes_nothing(&home);
    package_was_refused(&home);
    let management = home.gateway().netd_status().unwrap().management;
    assert!(matches!(management, Management::NotBootstrapped { .. }));
}

#[test]
fn a_replayed_package_is_refused_and_the_profile_goes_on_working() {
    if !built("replayed package", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    let package = home.seal(&device).unwrap();
    let plan = Plan::new(ContentFormat::Tlv, &home.account(), Some(&package)).unwrap();
    home.bootstrap_server().set_plan(&device.endpoint, plan);
    home.start_netd().unwrap();
    home.bootstrap().unwrap();
    // The server sends the same package again.
    fails_and_changes_nothing(&home);
    package_was_refused(&home);
    home.eap_test().unwrap();
    home.plan(&device).unwrap();
    home.bootstrap().unwrap();
    assert!(
        !home.eap_test().unwrap().0.synchronised,
        "SQN was not rewound"
    );
}

#[test]
fn a_device_that_the_authority_did_not_certify_gets_no_session() {
    if !built("foreign certificate", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
    let device = home
        .enrol_with(&Authority::new("another").unwrap())
        .unwrap();
    home.plan(&device).unwrap();
    home.start_netd().unwrap();
    fails_and_changes_nothing(&home);
    let refused = |event: &BootstrapEvent| matches!(event, BootstrapEvent::Refused { .. });
    let journal = home.bootstrap_server().journal();
    assert!(journal.wait_for(PATIENCE, refused).is_some());
    let bootstrapped = |event| matches!(event, BootstrapEvent::Requested { .. });
    assert!(!journal.events().into_iter().any(bootstrapped));
}

#[test]
fn a_server_of_another_authority_is_refused_before_keyd_signs() {
    if !built("foreign server", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    let authority = Authority::new("another").unwrap();
    let trusted = folder.path().join("another.pem");
    fs::write(&trusted, authority.certificate_pem()).unwrap();
    let server = NetdBootstrap::new(home.bootstrap_server().address(), trusted);
    home.gateway_mut().start_netd(Some(server)).unwrap();
    assert_eq!(fails_and_changes_nothing(&home), Failure::Refused);
    let counters = home.gateway().status().unwrap().counters.unwrap();
    assert_eq!(counters.handshakes_signed, 0);
}
