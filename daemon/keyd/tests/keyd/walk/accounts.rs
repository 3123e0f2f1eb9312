//! PSK accounts: lists of right and wrong keys, in transactions that are committed or not.

use std::collections::BTreeMap;

use softsim_keyd_proto::Refusal;
use softsim_keyd_proto::requests::*;

use super::{Keyd, Walk};
use crate::dice::Dice;

/// Keys by account.
pub(super) type Accounts = BTreeMap<u16, Vec<u8>>;

/// The accounts that are asked for.
const NUMBERS: u16 = 4;

impl<K: Keyd> Walk<K> {
    /// One account, which the walk begins with.
    pub(super) fn first_account(&mut self, dice: &mut Dice) {
        let (psk, txid): ([u8; 16], _) = (dice.octets(), dice.octets());
        let (account, octets) = (0, Some(&psk[..]));
        let accounts = vec![PskAccount {
            account,
            psk: octets,
        }];
        self.ask(0, &StageAccounts { txid, accounts }).unwrap();
        self.forbidden.add_psk(&psk);
        self.profiles.join(txid).accounts = Some([(account, psk.to_vec())].into());
        self.commit_as(0, txid);
    }

    pub(super) fn stage_accounts(&mut self, on: usize, dice: &mut Dice) {
        let txid = self.profiles.any_txid(dice);
        let mut expected = Some(Accounts::new());
        let mut list = Vec::new();
        for account in (0..NUMBERS).filter(|_| dice.once_in(2)).collect::<Vec<_>>() {
            let kept = dice.once_in(3);
            let octets: [u8; 70] = dice.octets();
            let length = match dice.once_in(8) {
                true => dice.below(16),
                false => 16 + dice.below(50),
            };
            let psk = &octets[..length];
            let known = if kept {
                self.profiles.accounts.get(&account).cloned()
            } else {
                Some(psk.to_vec()).filter(|psk| (16..=64).contains(&psk.len()))
            };
            match (known, &mut expected) {
                (Some(psk), Some(expected)) => _ = expected.insert(account, psk),
                _ => expected = None,
            }
            list.push((account, (!kept).then(|| psk.to_vec())));
        }
        for psk in expected.iter().flat_map(Accounts::values) {
            self.forbidden.add_psk(psk);
        }
        let accounts = (list.iter())
            .map(|(account, psk)| PskAccount {
                account: *account,
                psk: psk.as_deref(),
            })
            .collect();
        let answer = self.ask(on, &StageAccounts { txid, accounts });
        assert_eq!(answer.is_ok(), expected.is_some(), "{answer:?}");
        if expected.is_some() {
            self.profiles.join(txid).accounts = expected;
        }
    }

    /// What leaves is a master secret, the same for the same handshake and another for another.
    pub(super) fn psk_master_secret(&mut self, on: usize, dice: &mut Dice) {
        let (account, session_hash) = (dice.below(NUMBERS.into()) as u16, dice.octets());
        let mut other = session_hash;
        other[dice.below(32)] ^= 1 << dice.below(8);
        let mut secret = |session_hash| {
            self.ask(
                on,
                &PskMasterSecret {
                    account,
                    session_hash,
                },
            )
            .map(|answer| answer.secret.expose().to_vec())
        };
        let answers = [session_hash, session_hash, other].map(&mut secret);
        match &answers {
            [Ok(first), Ok(again), Ok(another)] => {
                assert_eq!((first.len(), first), (48, again));
                assert_ne!(first, another);
                self.given.master_secrets += 1;
            }
            refused => {
                let unknown = Refusal::UnknownAccount { came: account };
                assert!(refused.iter().all(|answer| *answer == Err(unknown.clone())));
            }
        }
        let known = self.profiles.accounts.contains_key(&account);
        assert_eq!(answers[0].is_ok(), known);
    }

    pub(super) fn accounts_are_as_confirmed(&mut self) {
        for account in 0..NUMBERS {
            let session_hash = [0; 32];
            let answer = self.ask(
                0,
                &PskMasterSecret {
                    account,
                    session_hash,
                },
            );
            let known = self.profiles.accounts.contains_key(&account);
            assert_eq!(answer.is_ok(), known, "{account}");
        }
    }
}
