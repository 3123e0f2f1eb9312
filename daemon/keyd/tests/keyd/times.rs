//! The times by which keyd judges validity, and the one that it keeps: a time that an operator
//! signed, and never one that the host's clock showed.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{PackageFault, Refusal, Role, Times};
use softsim_profile::{Command, DeviceId, Iccid, MAX_LEAP, Validity};
use softsim_testkit::device::{
    Device, ICCID, Operator, certificate, other_profile, set_clock, spki_of_request,
    with_check_digit,
};

const HOUR: u64 = 3600;
const YEAR: u64 = 365 * 24 * HOUR;

fn times(device: &mut Device) -> Times {
    device.ask(Role::Network, &Status {}).unwrap().times
}

fn built(device: &mut Device) -> u64 {
    times(device).built
}

fn second() -> String {
    with_check_digit("898821100000000002")
}

/// Seals a second profile that is valid in this period.
fn within(
    operator: &Operator,
    device: &mut Device,
    (from, to): (Option<u64>, Option<u64>),
    sequence: u64,
) -> Vec<u8> {
    let mut profile = other_profile(&second());
    profile.validity = Validity::new(from, to).unwrap();
    operator.seal(device, profile, sequence)
}

/// Signs a command to rotate the sealing key that begins at a time.
fn rotation(operator: &Operator, device: &mut Device, from: u64, sequence: u64) -> Vec<u8> {
    let id = device.ask(Role::Admin, &Status {}).unwrap().device_id;
    let (id, validity) = (DeviceId(id.unwrap()), Validity::new(Some(from), None));
    operator.order_within(id, Command::RotateSealingKey, validity.unwrap(), sequence)
}

/// Everything that writes to the vault, except packages with a beginning.
fn change_everything(device: &mut Device, operator: &Operator) {
    let package = operator.seal(device, other_profile(&second()), 10);
    device.install(&package, [10; 16]).unwrap();
    let iccid = &second()[..];
    let admin = Role::Admin;
    device.ask(admin, &Enable { iccid }).unwrap();
    device.ask(admin, &Disable { iccid }).unwrap();
    device.ask(admin, &Delete { iccid }).unwrap();
    let enable = Command::Enable(Iccid::new(ICCID).unwrap());
    let command = operator.order(device, enable, 11);
    device.install(&command, [11; 16]).unwrap();
    let mut netd = device.client(Role::Network);
    let txid = [12; 16];
    let empty = Stage {
        txid,
        package: None,
    };
    device.call(&mut netd, &empty).unwrap();
    let accounts = Some([7; 32]);
    device.call(&mut netd, &Commit { txid, accounts }).unwrap();
    let request = device.ask(admin, &CertificateRequest {}).unwrap().der;
    let certificate = &certificate(&spki_of_request(&request))[..];
    let certified = device.ask(admin, &SetDeviceCertificate { certificate });
    certified.unwrap();
    device.trust(&Operator::generate());
}

#[test]
fn a_wrong_clock_leaves_nothing_behind() {
    let (mut device, operator) = Device::provisioned();
    let right = built(&mut device) + HOUR;
    set_clock(right);
    let package = within(&operator, &mut device, (None, Some(right + HOUR)), 20);

    set_clock(right + 100 * YEAR);
    let refusal = device.install(&package, [1; 16]).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Package(PackageFault::Validity { .. })
    ));
    change_everything(&mut device, &operator);

    set_clock(right);
    let mut device = device.restarted();
    let now = times(&mut device);
    assert_eq!((now.are_known(), now.now(), now.kept), (true, right, 0));
    device.install(&package, [2; 16]).unwrap();
}

#[test]
fn the_beginning_of_a_package_is_kept_when_it_is_committed_and_not_before() {
    let (mut device, operator) = Device::provisioned();
    let begins = built(&mut device) + YEAR;
    set_clock(begins + HOUR);
    let package = within(&operator, &mut device, (Some(begins), None), 2);
    let mut admin = device.client(Role::Admin);
    let (txid, package) = ([2; 16], Some(&package[..]));
    device.call(&mut admin, &Stage { txid, package }).unwrap();
    assert_eq!(times(&mut device).kept, 0);
    device.call(&mut admin, &Commit::new(txid)).unwrap();
    assert_eq!(times(&mut device).kept, begins);

    // A command has a beginning, too; an earlier one changes nothing.
    for (n, from, kept) in [
        (3, begins + 1, begins + 1),
        (4, begins - 1, begins + 1),
        (5, 0, begins + 1),
    ] {
        let command = rotation(&operator, &mut device, from, n);
        device.install(&command, [n as u8; 16]).unwrap();
        assert_eq!(times(&mut device).kept, kept);
    }
    assert_eq!(times(&mut device.restarted()).kept, begins + 1);
}

#[test]
fn a_package_that_is_not_valid_yet_is_refused_and_its_beginning_is_not_kept() {
    let (mut device, operator) = Device::provisioned();
    let begins = built(&mut device) + YEAR;
    set_clock(begins - 1);
    let package = within(&operator, &mut device, (Some(begins), None), 2);
    let refusal = device.install(&package, [2; 16]).unwrap_err();
    let fault = PackageFault::Validity {
        not_before: begins,
        not_after: u64::MAX,
        now: begins - 1,
    };
    assert_eq!(refusal, Refusal::Package(fault));
    assert_eq!(times(&mut device).kept, 0);
}

#[test]
fn without_a_clock_packages_bring_the_time_with_them() {
    set_clock(0);
    let (mut device, operator) = Device::provisioned();
    let built = built(&mut device);
    let now = times(&mut device);
    assert_eq!((now.are_known(), now.now()), (false, built));

    let begins = built + 5 * YEAR;
    let package = within(&operator, &mut device, (Some(begins), None), 2);
    device.install(&package, [2; 16]).unwrap();
    let mut device = device.restarted();
    let now = times(&mut device);
    assert_eq!((now.are_known(), now.now()), (false, begins));
    let over = within(&operator, &mut device, (None, Some(begins - 1)), 3);
    let refusal = device.install(&over, [3; 16]).unwrap_err();
    let fault = PackageFault::Validity {
        not_before: 0,
        not_after: begins - 1,
        now: begins,
    };
    assert_eq!(refusal, Refusal::Package(fault));

    // A clock counts as soon as it is plausible.
    set_clock(begins + HOUR);
    let now = times(&mut device);
    assert_eq!((now.are_known(), now.now()), (true, begins + HOUR));
}

#[test]
fn without_a_clock_no_mistake_of_an_operator_takes_a_gateway_out_of_its_time() {
    set_clock(0);
    let (mut device, operator) = Device::provisioned();
    let built = built(&mut device);
    // The last one is in milliseconds.
    for (n, begins) in [built + MAX_LEAP + 1, 1000 * built].into_iter().enumerate() {
        let package = within(&operator, &mut device, (Some(begins), None), 2 + n as u64);
        let refusal = device.install(&package, [2; 16]).unwrap_err();
        let fault = PackageFault::Validity {
            not_before: begins,
            not_after: u64::MAX,
            now: built,
        };
        assert_eq!(refusal, Refusal::Package(fault));
        assert_eq!(times(&mut device).kept, 0);
    }
    let begins = built + MAX_LEAP;
    let package = within(&operator, &mut device, (Some(begins), None), 2);
    device.install(&package, [2; 16]).unwrap();
    assert_eq!(times(&mut device).kept, begins);
}

#[test]
fn an_administrator_sets_the_kept_time_back_and_never_below_the_build() {
    set_clock(0);
    let (mut device, operator) = Device::provisioned();
    let built = built(&mut device);
    let kept = built + 10 * YEAR;
    let command = rotation(&operator, &mut device, kept, 2);
    device.install(&command, [2; 16]).unwrap();
    let package = within(&operator, &mut device, (None, Some(built + 2)), 3);
    assert!(device.install(&package, [3; 16]).is_err());

    let set = |device: &mut Device, seconds| {
        let answer = device.ask(Role::Admin, &SetTimeBack { seconds });
        let status = device.ask(Role::Admin, &Status {}).unwrap();
        let counted = status.counters.unwrap().times_set_back;
        (answer, status.times.kept, counted)
    };
    for wrong in [0, built - 1, kept + 1, u64::MAX] {
        let (answer, now, counted) = set(&mut device, wrong);
        let refusal = Refusal::Field {
            name: "seconds".to_owned(),
            expected: format!("a time from the build at {built} up to the kept time {kept}"),
            got: wrong.to_string(),
        };
        assert_eq!((answer, now, counted), (Err(refusal), kept, 0));
    }
    // The same time again changes nothing, since a client may have lost the answer.
    for (seconds, times) in [(kept, 0), (built + 1, 1), (built + 1, 1), (built, 2)] {
        assert_eq!(set(&mut device, seconds), (Ok(()), seconds, times));
    }
    let mut device = device.restarted();
    assert_eq!(times(&mut device).now(), built);
    device.install(&package, [3; 16]).unwrap();
}
