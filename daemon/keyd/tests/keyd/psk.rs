//! PSK accounts, with a policy that permits them: a transaction adds them, and only master secrets
//! leave.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Refusal, RequestKind, Role, decode_answer};
use softsim_testkit::device::*;

const TXID: [u8; 16] = [5; 16];

fn stage(
    device: &mut Device,
    txid: [u8; 16],
    accounts: &[(u16, Option<&[u8]>)],
) -> Result<(), Refusal> {
    let accounts = accounts
        .iter()
        .map(|&(account, psk)| PskAccount { account, psk })
        .collect();
    device.ask(Role::Network, &StageAccounts { txid, accounts })
}

fn commit(device: &mut Device, txid: [u8; 16]) -> Result<(), Refusal> {
    device.ask(Role::Network, &Commit::new(txid))
}

fn master_secret(device: &mut Device, account: u16) -> Result<Vec<u8>, Refusal> {
    let request = PskMasterSecret {
        account,
        session_hash: [0xab; 32],
    };
    let answer = device.ask(Role::Network, &request)?;
    Ok(answer.secret.expose().to_vec())
}

fn unknown(got: u16) -> Refusal {
    Refusal::UnknownAccount { got }
}

/// Computed with OpenSSL's TLS1-PRF over the premaster secret of RFC 4279 §2 and the label of RFC
/// 7627 §4.
#[test]
fn the_master_secret_is_the_extended_one_of_plain_psk() {
    let mut device = Device::with_psk_accounts();
    let psk: Vec<u8> = (0..16).collect();
    stage(&mut device, TXID, &[(3, Some(&psk))]).unwrap();
    commit(&mut device, TXID).unwrap();
    let mut device = device.restarted();
    assert_eq!(
        hex::encode(master_secret(&mut device, 3).unwrap()),
        "9872093f7ae133275f132f72e49716f09832760545e23a402ec76b49755a8ade25b5fc5393215ca8db83a54e93fe1d18"
    );
    assert_eq!(master_secret(&mut device, 4), Err(unknown(4)));
}

#[test]
fn no_other_label_and_no_other_length_can_be_asked_for() {
    let mut device = Device::with_psk_accounts();
    stage(&mut device, TXID, &[(3, Some(&[7; 16]))]).unwrap();
    commit(&mut device, TXID).unwrap();
    let request = RequestKind::PskMasterSecret;
    let whole = [&[request as u8, 3][..], &[0xab; 32]].concat();
    let mut netd = device.client(Role::Network);
    let answer = device.exchange(&mut netd, &whole);
    assert!(decode_answer::<PskMasterSecret>(answer).unwrap().is_ok());
    for datagram in [
        whole[..33].to_vec(),
        [&whole[..], b"\0"].concat(),
        [&whole[..], b"master secret"].concat(),
    ] {
        let answer = device.exchange(&mut netd, &datagram);
        let refusal = decode_answer::<PskMasterSecret>(answer)
            .unwrap()
            .unwrap_err();
        assert_eq!(refusal, Refusal::Malformed { request });
    }
}

#[test]
fn accounts_are_there_after_their_commit_and_not_before() {
    let mut device = Device::with_psk_accounts();
    stage(&mut device, TXID, &[(1, Some(&[1; 16]))]).unwrap();
    assert_eq!(master_secret(&mut device, 1), Err(unknown(1)));
    device.ask(Role::Network, &Abort { txid: TXID }).unwrap();
    assert!(commit(&mut device, TXID).is_err());
    assert_eq!(master_secret(&mut device, 1), Err(unknown(1)));

    stage(
        &mut device,
        TXID,
        &[(1, Some(&[1; 16])), (2, Some(&[2; 64]))],
    )
    .unwrap();
    commit(&mut device, TXID).unwrap();
    let [one, two] = [1, 2].map(|account| master_secret(&mut device, account).unwrap());
    assert_ne!(one, two);

    // A transaction's list names the accounts that remain. A transaction without a list leaves all
    // of them.
    stage(&mut device, [6; 16], &[(2, None)]).unwrap();
    commit(&mut device, [6; 16]).unwrap();
    let (txid, package) = ([7; 16], None);
    device.ask(Role::Network, &Stage { txid, package }).unwrap();
    commit(&mut device, txid).unwrap();
    let mut device = device.restarted();
    assert_eq!(master_secret(&mut device, 1), Err(unknown(1)));
    assert_eq!(master_secret(&mut device, 2), Ok(two));
}

#[test]
fn accounts_join_the_staged_profile_of_their_transaction_and_of_no_other() {
    let (mut device, operator) = (Device::with_psk_accounts(), Operator::generate());
    device.enrol();
    device.trust(&operator);
    let package = operator.seal(&mut device, profile(ICCID), 1);
    let package = Some(&package[..]);
    for (other, installed) in [([9; 16], 0), (TXID, 1)] {
        let txid = TXID;
        device.ask(Role::Network, &Stage { txid, package }).unwrap();
        stage(&mut device, other, &[(1, Some(&[1; 16]))]).unwrap();
        commit(&mut device, other).unwrap();
        let status = device.ask(Role::Network, &Status {}).unwrap();
        assert_eq!(status.profiles, installed);
        assert!(master_secret(&mut device, 1).is_ok());
    }
}

#[test]
fn a_crash_at_any_write_leaves_profile_and_accounts_of_one_transaction() {
    let mut device = Device::with_psk_accounts();
    device.enrol();
    let operator = device.provision();
    stage(&mut device, [4; 16], &[(1, Some(&[1; 16]))]).unwrap();
    commit(&mut device, [4; 16]).unwrap();
    let package = operator.seal(&mut device, other_profile("8988211000000000029"), 2);
    fail_at_each_write(
        device,
        |device| {
            let (txid, package) = (TXID, Some(&package[..]));
            device.ask(Role::Network, &Stage { txid, package })?;
            stage(device, TXID, &[(2, Some(&[2; 16]))])?;
            commit(device, TXID)
        },
        |device, whole| {
            let status = device.ask(Role::Network, &Status {}).unwrap();
            let new = status.committed == Some(TXID);
            assert!(new || !whole);
            assert_eq!(status.profiles, 1 + u32::from(new));
            assert_eq!(master_secret(device, 1).is_ok(), !new);
            assert_eq!(master_secret(device, 2).is_ok(), new);
        },
    );
}

#[test]
fn a_key_that_can_be_guessed_or_does_not_fit_is_refused_with_the_whole_list() {
    let mut device = Device::with_psk_accounts();
    let long = [7; 65];
    for length in [0, 15, 65] {
        let list = [(1, Some(&[1; 16][..])), (2, Some(&long[..length]))];
        let refusal = stage(&mut device, TXID, &list).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!("psk: expected 16 to 64 octets, got {length} octets")
        );
    }
    let twice = [(1, Some(&[1; 16][..])), (1, Some(&[2; 16]))];
    let refusal = stage(&mut device, TXID, &twice).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "account: expected each once, got 1 twice"
    );
    let many: Vec<_> = (0..17).map(|n| (n, Some(&[1; 16][..]))).collect();
    let refusal = stage(&mut device, TXID, &many).unwrap_err();
    assert_eq!(refusal.to_string(), "accounts: expected at most 16, got 17");
    assert_eq!(stage(&mut device, TXID, &[(1, None)]), Err(unknown(1)));
    assert!(commit(&mut device, TXID).is_err(), "nothing was staged");
}

#[test]
fn the_longest_list_is_within_the_limit_of_its_request() {
    let mut device = Device::with_psk_accounts();
    let many: Vec<_> = (0..16)
        .map(|n| (u16::MAX - n, Some(&[1; 64][..])))
        .collect();
    stage(&mut device, TXID, &many).unwrap();
    commit(&mut device, TXID).unwrap();
    assert!(master_secret(&mut device, u16::MAX - 15).is_ok());
}

#[test]
fn a_request_with_a_key_prints_without_it() {
    let psk = Some(&[0x5a; 16][..]);
    let accounts = vec![PskAccount { account: 7, psk }];
    let printed = format!(
        "{:?}",
        StageAccounts {
            txid: TXID,
            accounts
        }
    );
    assert!(printed.contains("PskAccount(7)"), "{printed}");
    assert!(!printed.contains("90, 90"), "{printed}");
}
