//! PSK accounts: a client gives keyd a key once, and only gets master secrets of single handshakes.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use softsim_keyd_proto::requests::{PskAccount, PskMasterSecret, StageAccounts};
use softsim_keyd_proto::{Refusal, Role, SecretAnswer, SecretBytes};
use zeroize::Zeroizing;

use crate::transactions::Transactions;
use crate::vault::{MAX_ACCOUNTS, Psk, Vault};

/// The only label that keyd uses. With the label of RFC 5246 §8.1, the result wouldn't depend on
/// the handshake, and with any other it wouldn't be a master secret.
const LABEL: &[u8] = b"extended master secret";

/// Length of a master secret in octets (RFC 5246 §8.1).
const MASTER_SECRET: usize = 48;

pub(crate) fn stage_accounts(
    transactions: &mut Transactions,
    vault: &Vault,
    role: Role,
    request: StageAccounts<'_>,
) -> Result<(), Refusal> {
    let accounts = checked(vault, request.accounts)?;
    transactions.get_or_stage(role, request.txid).accounts = Some(accounts);
    Ok(())
}

/// Checks that each account occurs once, and that its key is long enough or exists already.
fn checked(
    vault: &Vault,
    accounts: Vec<PskAccount<'_>>,
) -> Result<BTreeMap<u16, Option<Psk>>, Refusal> {
    if accounts.len() > MAX_ACCOUNTS {
        let limit = format!("at most {MAX_ACCOUNTS}");
        return Err(field("accounts", &limit, accounts.len().to_string()));
    }
    let mut checked = BTreeMap::new();
    for PskAccount { account, psk } in accounts {
        let psk = match psk {
            Some(octets) => Some(Psk::new(octets).ok_or_else(|| {
                field("psk", "16 to 64 octets", format!("{} octets", octets.len()))
            })?),
            None if vault.psk(account).is_none() => {
                return Err(Refusal::UnknownAccount { got: account });
            }
            None => None,
        };
        if checked.insert(account, psk).is_some() {
            return Err(field("account", "each once", format!("{account} twice")));
        }
    }
    Ok(checked)
}

pub(crate) fn psk_master_secret(
    vault: &Vault,
    request: PskMasterSecret,
) -> Result<SecretAnswer, Refusal> {
    let psk = vault.psk(request.account);
    let psk = psk.ok_or(Refusal::UnknownAccount {
        got: request.account,
    })?;
    let mut secret = vec![0; MASTER_SECRET];
    p_sha256(&premaster(psk), [LABEL, &request.session_hash], &mut secret);
    Ok(SecretAnswer {
        secret: SecretBytes::new(secret),
    })
}

fn field(name: &str, expected: &str, got: String) -> Refusal {
    Refusal::Field {
        name: name.to_owned(),
        expected: expected.to_owned(),
        got,
    }
}

/// The premaster secret of plain PSK: zeros in place of another secret, then the key, each preceded
/// by its length (RFC 4279 §2).
fn premaster(psk: &Psk) -> Zeroizing<Vec<u8>> {
    let psk = psk.as_bytes();
    let length = (psk.len() as u16).to_be_bytes();
    let mut premaster = Zeroizing::new(Vec::with_capacity(2 * (2 + psk.len())));
    premaster.extend_from_slice(&length);
    premaster.resize(2 + psk.len(), 0);
    premaster.extend_from_slice(&length);
    premaster.extend_from_slice(psk);
    premaster
}

/// Fills `output` with P_SHA256(secret, seed) (RFC 5246 §5). `seed` is in two parts.
fn p_sha256(secret: &[u8], seed: [&[u8]; 2], output: &mut [u8]) {
    let keyed = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    let over = |first: Option<&[u8; 32]>, rest: &[&[u8]]| {
        let mut hmac = keyed.clone();
        if let Some(first) = first {
            hmac.update(first);
        }
        rest.iter().for_each(|part| hmac.update(part));
        Zeroizing::new(<[u8; 32]>::from(hmac.finalize().into_bytes()))
    };
    let mut a = over(None, &seed);
    for chunk in output.chunks_mut(32) {
        chunk.copy_from_slice(&over(Some(&a), &seed)[..chunk.len()]);
        a = over(Some(&a), &[]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The known answer for the PRF of TLS 1.2 with SHA-256 that implementations share.
    #[test]
    fn p_sha256_computes_the_known_answer() {
        let octets = |digits: &str| hex::decode(digits).unwrap();
        let seed = octets("a0ba9f936cda311827a6f796ffd5198c");
        let mut output = [0; 100];
        p_sha256(
            &octets("9bbe436ba940f017b17652849a71db35"),
            [b"test label", &seed],
            &mut output,
        );
        assert_eq!(
            hex::encode(output),
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af\
             0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
             87347b66"
        );
    }

    #[test]
    fn the_premaster_secret_has_zeros_before_the_key() {
        let psk = Psk::new(&[7; 16]).unwrap();
        let expected = [&[0, 16][..], &[0; 16], &[0, 16], &[7; 16]].concat();
        assert_eq!(*premaster(&psk), expected);
    }
}
