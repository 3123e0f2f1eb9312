//! The responses are those of swtpm 0.7.1 (libtpms 0.9.2), recorded.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const INDEX: Index = Index::DEFAULT;

const DONE: &str = "80020000001300000000000000000000010000";
const NEW: &str = "80010000003e00000000000e01800010000b02060016000000080022000bc703cf0e2bdcb69a64cc82d5ac7e\
                   faa7d50b35f446164c1dbb631ad7e4091966";
const RAISED: &str = "80010000003e00000000000e01800010000b22060016000000080022000be7ec4e0926844ffe8d8b674b39\
                      af3604062b27e9f099bf944d8db88c9b5825f7";
const FOUR: &str = "80020000001d000000000000000a000800000000000000040000010000";

fn octets(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn code(refused: Result<impl fmt::Debug, ResponseError>) -> u32 {
    match refused.unwrap_err() {
        ResponseError::Refused(code) => code.0,
        other => panic!("{other}"),
    }
}

#[test]
fn commands_are_what_a_tpm_takes() {
    for (command, expected) in [
        (Command::ReadPublic, "80010000000e0000016901800010"),
        (
            Command::Define,
            "80020000002d0000012a40000001000000094000000900000000000000000e01800010000b0206001600000008",
        ),
        (
            Command::Increment,
            "80020000001f00000134018000100180001000000009400000090000000000",
        ),
        (
            Command::Read,
            "8002000000230000014e01800010018000100000000940000009000000000000080000",
        ),
    ] {
        assert_eq!(hex::encode(command.encode(INDEX).octets()), expected);
    }
}

#[test]
fn responses_of_a_tpm_are_read() {
    for command in [Command::Define, Command::Increment] {
        assert_eq!(done(command, &octets(DONE)), Ok(()));
    }
    assert_eq!(has_value(INDEX, &octets(NEW)), Ok(false));
    assert_eq!(has_value(INDEX, &octets(RAISED)), Ok(true));
    assert_eq!(value(&octets(FOUR)), Ok(4));
}

#[test]
fn refusals_have_their_code() {
    let refusal = |code: u32| octets(&format!("80010000000a{code:08x}"));
    assert_eq!(code(has_value(INDEX, &refusal(0x18b))), 0x18b);
    assert_eq!(code(value(&refusal(0x14a))), 0x14a);
    for number in [0x14c, 0x922, 0x9a2, u32::MAX] {
        assert_eq!(code(done(Command::Define, &refusal(number))), number);
    }
    let patience = [0x908, 0x90a, 0x920, 0x922];
    for number in 0..0x1000 {
        let asks = ResponseCode(number).asks_for_patience();
        assert_eq!(asks, patience.contains(&number), "{number:#x}");
    }
    let text = ResponseCode(0x922).to_string();
    assert_eq!(text, "0x922 (it is busy: TPM_RC_RETRY)");
    assert_eq!(ResponseCode(0x1d5).to_string(), "0x1d5");
}

/// Reads a response as that of each command: how many take it.
fn taken(response: &[u8]) -> usize {
    let as_done = [Command::Define, Command::Increment]
        .map(|command| done(command, response).is_ok())
        .into_iter()
        .filter(|taken| *taken)
        .count();
    as_done + usize::from(has_value(INDEX, response).is_ok()) + usize::from(value(response).is_ok())
}

#[test]
fn a_response_is_taken_for_its_own_command_only() {
    for (response, commands) in [(DONE, 2), (NEW, 1), (RAISED, 1), (FOUR, 1)] {
        assert_eq!(taken(&octets(response)), commands, "{response}");
    }
}

#[test]
fn a_response_that_is_cut_off_or_goes_on_is_refused() {
    for response in [DONE, NEW, RAISED, FOUR, "80010000000a0000018b"] {
        let whole = octets(response);
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            assert_eq!(taken(&cut), 0, "{length} octets of {response}");
            // The same with a size that fits.
            if length >= HEADER {
                cut[2..6].copy_from_slice(&(length as u32).to_be_bytes());
                assert_eq!(taken(&cut), 0, "{length} octets of {response}");
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(taken(&longer), 0, "{response}");
        longer[5] += 1;
        assert_eq!(taken(&longer), 0, "{response}");
    }
}

#[test]
fn each_octet_but_the_counter_the_name_and_one_bit_is_as_expected() {
    for (response, free) in [
        (DONE, vec![]),
        (NEW, (28..62).collect::<Vec<_>>()),
        (FOUR, (16..24).collect()),
    ] {
        let whole = octets(response);
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[place] ^= 1 << bit;
                // TPMA_NV_WRITTEN, and continueSession.
                let written = response == NEW && (place, bit) == (18, 5);
                let session = response != NEW && (place, bit) == (whole.len() - 3, 0);
                let taken = taken(&flipped) > 0;
                let expected = free.contains(&place) || written || session;
                assert_eq!(taken, expected, "{place}, bit {bit} of {response}");
            }
        }
    }
}

#[test]
fn an_index_that_is_no_such_counter_is_refused_with_what_it_is() {
    // An ordinary index of eight octets, which could be set back.
    let ordinary = NEW.replacen("02060016", "02060006", 1);
    let error = has_value(INDEX, &octets(&ordinary)).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "the index's attributes: expected 0x2060016, got 0x2060006"
    );
    let other = Index::new(0x0180_0011).unwrap();
    assert!(has_value(other, &octets(NEW)).is_err());
}

#[test]
fn a_tpm_1_2_is_refused() {
    // TPM_BAD_ORDINAL, as a TPM 1.2 answers.
    let error = value(&octets("00c40000000a0000000a")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the refusal's tag: expected 0x8001, got 0xc4"
    );
}

#[test]
fn only_indices_of_the_owner_are_used() {
    for (number, owners) in [
        (0x017f_ffff, false),
        (0x0180_0000, true),
        (0x01bf_ffff, true),
        (0x01c0_0000, false),
        (0x8100_0000, false),
    ] {
        assert_eq!(Index::new(number).is_some(), owners, "{number:#x}");
    }
    assert_eq!(Index::new(0x0180_0010), Some(Index::DEFAULT));
}
