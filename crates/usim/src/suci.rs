//! SUCI, the concealed subscription identifier, as a network access identifier (TS 33.501 §6.12 and
//! Annex C, TS 23.003 §28.7.3).

use softsim_aka::agreement::{BadPublicKey, PrivateKey};
use zeroize::Zeroizing;

use crate::nai::{BadRoutingIndicator, Hex, checked};
use crate::{Imsi, Nai, Realm, ecies};

/// Length of the longest MSIN in octets. It has ten digits, because an MNC has at least two.
const MSIN_LENGTH: usize = 5;

/// The key that a SUCI is encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeNetworkKey<'a> {
    /// The identifier of the home network's key.
    pub id: u8,
    /// The public key: 32 octets of X25519, or a compressed point of P-256.
    pub octets: &'a [u8],
}

/// Why a SUCI can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuciError {
    /// The routing indicator is invalid.
    #[error(transparent)]
    RoutingIndicator(BadRoutingIndicator),
    /// The home network's key isn't valid for the ephemeral key's group.
    #[error("the home network's key: {0}")]
    HomeNetworkKey(BadPublicKey),
}

impl Imsi {
    /// A SUCI of profile A if the group of `ephemeral_key` is X25519, of profile B if it is P-256:
    /// `type0.rid<R>.schid<n>.hnkey<id>.ecckey<…>.cip<…>.mac<…>@<realm>`.
    ///
    /// Use a new `ephemeral_key` for every SUCI. Two SUCIs with the same key would show that they
    /// belong to the same subscriber.
    ///
    /// # Errors
    /// [`SuciError`].
    pub fn suci(
        &self,
        routing_indicator: &str,
        home_network_key: HomeNetworkKey<'_>,
        ephemeral_key: &PrivateKey,
        realm: Realm,
    ) -> Result<Nai, SuciError> {
        let rid = checked(routing_indicator).map_err(SuciError::RoutingIndicator)?;
        let (mut msin, length) = self.msin_bcd();
        let text = &mut msin[..length];
        let sealed = ecies::encrypt(home_network_key.octets, ephemeral_key, text)
            .map_err(SuciError::HomeNetworkKey)?;
        let (scheme, id) = (ephemeral_key.group().number(), home_network_key.id);
        let key = Hex(sealed.ephemeral_public_key.as_bytes());
        let (cip, mac) = (Hex(text), Hex(&sealed.tag));
        Ok(Nai::new(
            format_args!("type0.rid{rid}.schid{scheme}.hnkey{id}.ecckey{key}.cip{cip}.mac{mac}"),
            self,
            realm,
        ))
    }

    /// A SUCI of the null scheme, which conceals nothing:
    /// `type0.rid<R>.schid0.userid<MSIN>@<realm>`.
    ///
    /// # Errors
    /// [`BadRoutingIndicator`].
    pub fn null_suci(
        &self,
        routing_indicator: &str,
        realm: Realm,
    ) -> Result<Nai, BadRoutingIndicator> {
        let rid = checked(routing_indicator)?;
        Ok(Nai::new(
            format_args!("type0.rid{rid}.schid0.userid{}", self.msin()),
            self,
            realm,
        ))
    }

    /// MSIN with two digits in an octet, the first one in the lower half, and 1111 in place of a
    /// missing digit (TS 33.501 C.3.2, which refers to TS 24.501 §9.11.3.4).
    fn msin_bcd(&self) -> (Zeroizing<[u8; MSIN_LENGTH]>, usize) {
        let mut octets = Zeroizing::new([0; MSIN_LENGTH]);
        let pairs = self.msin().as_bytes().chunks(2);
        let length = pairs.len();
        for (octet, pair) in octets.iter_mut().zip(pairs) {
            let high = pair.get(1).map_or(0xf, |digit| digit - b'0');
            *octet = high << 4 | (pair[0] - b'0');
        }
        (octets, length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    extern crate std;

    use std::format;

    use serde_json::Value;
    use softsim_aka::agreement::Group;
    use softsim_testkit::vectors::{cases, octets};

    use super::*;
    use crate::MncLength;
    use crate::ecies::{TAG_LENGTH, Undecipherable};

    const VECTORS: &str = "suci_ecies_ts33501_c4.json";

    fn private_key(case: &Value, field: &str) -> PrivateKey {
        let group = match case["profile"].as_str().unwrap() {
            "A" => Group::X25519,
            _ => Group::P256,
        };
        PrivateKey::from_octets(group, &octets(&case[field]).try_into().unwrap()).unwrap()
    }

    fn imsi(digits: &str, mnc_length: MncLength) -> Imsi {
        Imsi::new(digits.as_bytes(), mnc_length).unwrap()
    }

    #[test]
    fn the_scheme_output_is_that_of_ts_33_501_c_4() {
        let cases = cases(VECTORS);
        assert_eq!(cases.len(), 2);
        for case in &cases {
            let name = case["name"].as_str().unwrap();
            let home = private_key(case, "hn_priv");
            assert_eq!(
                home.public_key().as_bytes(),
                octets(&case["hn_pub"]),
                "{name}"
            );
            let mut text = octets(&case["plaintext"]);
            let ephemeral = private_key(case, "eph_priv");
            let sealed = ecies::encrypt(&octets(&case["hn_pub"]), &ephemeral, &mut text).unwrap();
            let public_key = sealed.ephemeral_public_key;
            let output = [public_key.as_bytes(), &text, &sealed.tag].concat();
            assert_eq!(output, octets(&case["scheme_output"]), "{name}");

            let mut wrong = sealed.tag;
            wrong[TAG_LENGTH - 1] ^= 1;
            let refused = ecies::decrypt(&home, public_key.as_bytes(), &mut text, &wrong);
            assert_eq!(refused, Err(Undecipherable::Tag), "{name}");
            assert_eq!(text, octets(&case["ciphertext"]), "{name}");
            ecies::decrypt(&home, public_key.as_bytes(), &mut text, &sealed.tag).unwrap();
            assert_eq!(text, octets(&case["plaintext"]), "{name}");
        }
    }

    /// The subscriber of the vectors has MSIN 001002086.
    #[test]
    fn the_nai_carries_the_scheme_output_in_parts() {
        for (case, scheme) in cases(VECTORS).iter().zip(1..) {
            let field = |name: &str| case[name].as_str().unwrap();
            let key = HomeNetworkKey {
                id: 27,
                octets: &octets(&case["hn_pub"]),
            };
            let nai = imsi("274012001002086", MncLength::Three)
                .suci("678", key, &private_key(case, "eph_priv"), Realm::FiveGc)
                .unwrap();
            assert_eq!(
                nai.as_str(),
                format!(
                    "type0.rid678.schid{scheme}.hnkey27.ecckey{}.cip{}.mac{}@5gc.mnc012.mcc274.3gppnetwork.org",
                    field("eph_pub"),
                    field("ciphertext"),
                    field("mac_tag"),
                )
            );
        }
    }

    #[test]
    fn a_missing_digit_of_msin_is_filled_with_ones() {
        let msin = |digits, mnc_length| {
            let (octets, length) = imsi(digits, mnc_length).msin_bcd();
            octets[..length].to_vec()
        };
        assert_eq!(
            msin("274012001002086", MncLength::Three),
            [0x00, 0x01, 0x20, 0x80, 0xf6]
        );
        assert_eq!(
            msin("234150999999999", MncLength::Two),
            [0x90, 0x99, 0x99, 0x99, 0x99]
        );
        assert_eq!(msin("001017", MncLength::Two), [0xf7]);
    }

    /// The example of TS 23.003 §28.7.3.
    #[test]
    fn the_null_scheme_carries_msin_in_clear() {
        let nai = imsi("234150999999999", MncLength::Two)
            .null_suci("678", Realm::FiveGc)
            .unwrap();
        assert_eq!(
            nai.as_str(),
            "type0.rid678.schid0.userid0999999999@5gc.mnc015.mcc234.3gppnetwork.org"
        );
    }

    #[test]
    fn the_longest_suci_fits_and_one_that_cannot_be_made_says_why() {
        let cases = cases(VECTORS);
        let (case, imsi) = (&cases[1], imsi("001019999999999", MncLength::Two));
        let public_key = octets(&case["hn_pub"]);
        let ephemeral = private_key(case, "eph_priv");
        let key = HomeNetworkKey {
            id: 255,
            octets: &public_key,
        };
        let nai = imsi.suci("9999", key, &ephemeral, Realm::N5cw).unwrap();
        assert_eq!(nai.as_str().len(), Nai::MAX);

        let refused = imsi.suci("99x9", key, &ephemeral, Realm::N5cw);
        assert_eq!(
            refused,
            Err(SuciError::RoutingIndicator(BadRoutingIndicator))
        );
        let key = HomeNetworkKey {
            octets: &public_key[1..],
            ..key
        };
        let refused = imsi.suci("9999", key, &ephemeral, Realm::N5cw);
        let expected = BadPublicKey::Length {
            group: Group::P256,
            found: 32,
        };
        assert_eq!(refused, Err(SuciError::HomeNetworkKey(expected)));
    }
}
