//! The digest of netd's accounts: it becomes durable with its transaction, and only the role
//! network may change it.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Refusal, Role, TransactionFault};
use softsim_testkit::device::*;

const OLD: [u8; 16] = [1; 16];
const NEW: [u8; 16] = [2; 16];

/// The digest of netd's accounts for a transaction.
fn digest(txid: [u8; 16]) -> Option<[u8; 32]> {
    Some([txid[0]; 32])
}

fn begin(device: &mut Device, role: Role, txid: [u8; 16]) {
    let package = None;
    device.ask(role, &Stage { txid, package }).unwrap();
}

fn commit(device: &mut Device, txid: [u8; 16], accounts: Option<[u8; 32]>) -> Result<(), Refusal> {
    device.ask(Role::Network, &Commit { txid, accounts })
}

fn accounts_digest(device: &mut Device, role: Role) -> Option<[u8; 32]> {
    device.ask(role, &Status {}).unwrap().accounts
}

#[test]
fn the_digest_is_durable_with_its_transaction_and_told_to_netd_and_the_administrator() {
    let mut device = Device::blank();
    assert_eq!(accounts_digest(&mut device, Role::Network), None);
    begin(&mut device, Role::Network, OLD);
    assert_eq!(
        accounts_digest(&mut device, Role::Network),
        None,
        "not before Commit"
    );
    commit(&mut device, OLD, digest(OLD)).unwrap();
    let mut device = device.restarted();
    for (role, expected) in [
        (Role::Network, digest(OLD)),
        (Role::Admin, digest(OLD)),
        (Role::App, None),
    ] {
        assert_eq!(accounts_digest(&mut device, role), expected, "{role}");
    }
}

#[test]
fn a_transaction_without_accounts_keeps_the_digest() {
    let (mut device, operator) = Device::provisioned();
    begin(&mut device, Role::Network, OLD);
    commit(&mut device, OLD, digest(OLD)).unwrap();
    // netd installs what a management server wrote; then an administrator does.
    for (role, sequence) in [(Role::Network, 2), (Role::Admin, 3)] {
        let package = operator.seal(&mut device, profile(ICCID), sequence);
        let (txid, package) = ([sequence as u8; 16], Some(&package[..]));
        device.ask(role, &Stage { txid, package }).unwrap();
        device.ask(role, &Commit::new(txid)).unwrap();
        device = device.restarted();
        assert_eq!(
            accounts_digest(&mut device, Role::Network),
            digest(OLD),
            "{role}"
        );
    }
}

#[test]
fn a_digest_from_an_administrator_is_refused_and_changes_nothing() {
    let mut device = Device::blank();
    begin(&mut device, Role::Admin, NEW);
    let (txid, accounts) = (NEW, digest(NEW));
    let refusal = device.ask(Role::Admin, &Commit { txid, accounts });
    assert!(matches!(refusal, Err(Refusal::Field { name, .. }) if name == "accounts"));
    assert_eq!(accounts_digest(&mut device, Role::Admin), None);
    device.ask(Role::Admin, &Commit::new(txid)).unwrap();
}

#[test]
fn a_committed_transaction_is_answered_alike_with_the_same_digest_only() {
    let mut device = Device::blank();
    begin(&mut device, Role::Network, OLD);
    commit(&mut device, OLD, digest(OLD)).unwrap();
    let mut device = device.restarted();
    commit(&mut device, OLD, digest(OLD)).unwrap();
    let nothing = Refusal::Transaction(TransactionFault::NothingStaged);
    assert_eq!(commit(&mut device, OLD, digest(NEW)), Err(nothing));
    // If netd stages the transaction again, it may commit another digest.
    begin(&mut device, Role::Network, OLD);
    commit(&mut device, OLD, digest(NEW)).unwrap();
    assert_eq!(
        accounts_digest(&mut device.restarted(), Role::Network),
        digest(NEW)
    );
}

#[test]
fn a_crash_at_any_write_leaves_the_digest_of_the_transaction_that_is_there() {
    let mut device = Device::blank();
    begin(&mut device, Role::Network, OLD);
    commit(&mut device, OLD, digest(OLD)).unwrap();
    fail_at_each_write(
        device,
        |device| {
            begin(device, Role::Network, NEW);
            commit(device, NEW, digest(NEW))
        },
        |device, whole| {
            let status = device.ask(Role::Network, &Status {}).unwrap();
            assert!(status.committed == Some(NEW) || !whole);
            assert_eq!(status.accounts, status.committed.and_then(digest));
        },
    );
}
