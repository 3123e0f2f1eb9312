//! An operator's commands on their path through the real daemons: in a write of the management
//! server and in a bootstrap. netd carries them like packages.

#![allow(clippy::unwrap_used, clippy::panic)]

use softsim_client::proto::ProfileState;
use softsim_coap::Code;
use softsim_lab_harness::gateway::Enrolled;
use softsim_lab_harness::home::Home;
use softsim_lab_simulators::bootstrap_server::Plan;
use softsim_lwm2m::{ContentFormat, Path};
use softsim_profile::Command;
use softsim_testkit::processes::{bootstrapped, built};

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

/// Last Result of the Software SIM object: the result of the last package or command.
const LAST_RESULT: Path = Path::Resource(26241, 0, 11);
/// Sealing Key Attestation: the sealing statement.
const STATEMENT: Path = Path::Resource(26241, 0, 14);
const PROFILE_STATE: Path = Path::Resource(26241, 0, 0);

fn number(home: &Home, device: &Enrolled, path: Path) -> String {
    let read = home.read(&device.endpoint, path, ContentFormat::Text);
    String::from_utf8(read.unwrap().payload).unwrap()
}

fn state(home: &Home) -> Option<ProfileState> {
    let profile = home.gateway().status().unwrap().profile;
    profile.map(|profile| profile.state)
}

#[test]
fn a_command_comes_in_a_write_of_the_management_server() {
    if !built("commands", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (home, device) = bootstrapped(folder.path());
    let iccid = home.subscription().profile.iccid;
    let write = |package: &[u8]| home.write_package(&device.endpoint, package).unwrap().code;

    // Only a disabled profile can be deleted.
    let delete = home.order(&device, &Command::Delete(iccid)).unwrap();
    assert_eq!(write(&delete), Code::METHOD_NOT_ALLOWED);
    assert_eq!(state(&home), Some(ProfileState::Enabled));

    let disable = home.order(&device, &Command::Disable(iccid)).unwrap();
    assert_eq!(write(&disable), Code::CHANGED);
    assert_eq!(state(&home), Some(ProfileState::Disabled));
    assert_eq!(number(&home, &device, PROFILE_STATE), "3");
    assert_eq!(number(&home, &device, LAST_RESULT), "1");

    // The device executes a command once.
    let enable = home.order(&device, &Command::Enable(iccid)).unwrap();
    assert_eq!(write(&enable), Code::CHANGED);
    assert_eq!(write(&disable), Code::BAD_REQUEST);
    assert_eq!(number(&home, &device, LAST_RESULT), "6");
    assert_eq!(state(&home), Some(ProfileState::Enabled));
    home.eap_test().unwrap();
}

#[test]
fn a_command_comes_in_a_bootstrap() {
    if !built("a command in a bootstrap", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (home, device) = bootstrapped(folder.path());
    let before = home.gateway().status().unwrap().sealing_key_id;
    let rotate = home.order(&device, &Command::RotateSealingKey).unwrap();
    let account = home.account();
    home.bootstrap_server()
        .set_planner(&device.endpoint, move || {
            Plan::new(ContentFormat::Tlv, &account, Some(&rotate))
        });
    let bootstrapped = home.bootstrap().unwrap();
    assert_eq!(bootstrapped.package.as_deref(), Some("sealing key rotated"));
    assert_ne!(home.gateway().status().unwrap().sealing_key_id, before);

    // The device refuses a package that is sealed to the old key. It accepts one that is sealed
    // with the new statement, which the management server reads.
    let package = home.seal(&device).unwrap();
    assert_eq!(
        home.write_package(&device.endpoint, &package).unwrap().code,
        Code::BAD_REQUEST
    );
    assert_eq!(number(&home, &device, LAST_RESULT), "3");
    let statement = home.read(&device.endpoint, STATEMENT, ContentFormat::Opaque);
    let device = Enrolled {
        statement: statement.unwrap().payload,
        ..device
    };
    let package = home.seal(&device).unwrap();
    assert_eq!(
        home.write_package(&device.endpoint, &package).unwrap().code,
        Code::CHANGED
    );
    assert_eq!(state(&home), Some(ProfileState::Enabled));
}
