//! The subscription profile. The type of each field excludes values that are out of range.

use core::fmt;

use softsim_aka::{Amf, Credentials, Sqn};
use softsim_usim::{BadImsi, BadSqnState, Imsi, MncLength, SqnParameters, SqnState};

use crate::field::FieldError;
use crate::validity::Validity;

/// One subscription, which the operator seals and the key process holds.
///
/// It prints neither keys nor the IMSI. It has no `Clone`, so that K has only one owner at a time.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// Names the profile.
    pub iccid: Iccid,
    /// Names the subscriber.
    pub imsi: Imsi,
    /// K, OPc or TOPc, with their algorithm set.
    pub credentials: Credentials,
    /// The authentication management field of the subscription.
    pub amf: Amf,
    /// How the USIM checks sequence numbers.
    pub sqn: SqnScheme,
    /// Routes a SUCI inside the home network.
    pub routing_indicator: RoutingIndicator,
    /// The keys to which a SUCI is encrypted, by falling priority.
    pub home_network_keys: HomeNetworkKeys,
    /// Whether the subscription allows raw CK and IK to leave, to an unmodified supplicant.
    pub supplicant_consent: bool,
    /// When it may be installed.
    pub validity: Validity,
    /// The policy that the subscriber's identity has at least, whatever the host's policy is; none
    /// if the operator leaves it to the host.
    pub identity_privacy: Option<PrivacyDemand>,
}

/// A policy of keyd that an operator may demand (`--identity-privacy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PrivacyDemand {
    /// The permanent identity is withheld as long as a pseudonym is known.
    Conservative = 1,
    /// The IMSI never leaves in clear.
    Strict = 2,
}

impl PrivacyDemand {
    const ALL: [Self; 2] = [Self::Conservative, Self::Strict];

    /// The policy's name in a profile file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Strict => "strict",
        }
    }

    /// The policy with this name.
    ///
    /// # Errors
    /// An operator can't demand such a policy.
    pub fn from_name(name: &str) -> Result<Self, FieldError> {
        let mut all = Self::ALL.into_iter();
        all.find(|demand| demand.name() == name)
            .ok_or_else(|| Self::unknown(format!("{name:?}")))
    }

    /// The policy with this number in a package.
    ///
    /// # Errors
    /// There is none.
    pub fn from_number(number: u64) -> Result<Self, FieldError> {
        let mut all = Self::ALL.into_iter();
        all.find(|demand| *demand as u64 == number)
            .ok_or_else(|| Self::unknown(number.to_string()))
    }

    fn unknown(got: String) -> FieldError {
        FieldError::new("identity_privacy", "conservative or strict", got)
    }
}

/// Up to `N` decimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digits<const N: usize> {
    octets: [u8; N],
    length: u8,
}

impl<const N: usize> Digits<N> {
    fn new(
        field: &'static str,
        expected: &'static str,
        min: usize,
        text: &str,
    ) -> Result<Self, FieldError> {
        let mut octets = [0; N];
        let digits = text.as_bytes();
        match octets.get_mut(..digits.len()) {
            Some(place) if digits.len() >= min => place.copy_from_slice(digits),
            _ => {
                return Err(FieldError::new(
                    field,
                    expected,
                    format!("{} characters", text.chars().count()),
                ));
            }
        }
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(FieldError::new(
                field,
                expected,
                "a character that is no digit",
            ));
        }
        Ok(Self {
            octets,
            length: digits.len() as u8,
        })
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.octets[..usize::from(self.length)]).expect("digits are ASCII")
    }
}

/// The ICCID: 18 to 20 digits (ITU-T E.118; TS 31.102 §4.2.1 has room for 20).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Iccid(Digits<20>);

impl Iccid {
    /// Takes the digits.
    ///
    /// # Errors
    /// Not 18 to 20 digits.
    pub fn new(digits: &str) -> Result<Self, FieldError> {
        Digits::new("iccid", "18 to 20 digits", 18, digits).map(Self)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The digit of Luhn's formula that belongs behind these (ISO/IEC 7812-1 Annex B).
    pub fn check_digit(digits: &str) -> u8 {
        let sum: u32 = (digits.bytes().rev().enumerate())
            .map(|(place, digit)| match u32::from(digit.wrapping_sub(b'0')) {
                digit if place % 2 == 1 => digit,
                digit if digit < 5 => 2 * digit,
                digit => 2 * digit - 9,
            })
            .sum();
        ((10 - sum % 10) % 10) as u8
    }
}

impl fmt::Debug for Iccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iccid({})", self.as_str())
    }
}

impl fmt::Display for Iccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Takes an IMSI and the length of its MNC, 2 or 3 digits.
///
/// # Errors
/// Not 6 to 15 digits, no digit left for the MSIN, or another length of the MNC.
pub fn imsi(digits: &str, mnc_length: u64) -> Result<Imsi, FieldError> {
    let mnc_length = u8::try_from(mnc_length)
        .ok()
        .and_then(|length| MncLength::try_from(length).ok())
        .ok_or_else(|| FieldError::new("mnc_length", "2 or 3", mnc_length.to_string()))?;
    Imsi::new(digits.as_bytes(), mnc_length).map_err(|error| {
        let got = match error {
            BadImsi::NotADigit { .. } => "a character that is no digit".to_owned(),
            BadImsi::Length(_) | BadImsi::MncLength(_) => {
                format!("{} characters", digits.chars().count())
            }
        };
        FieldError::new("imsi", "MCC, MNC and MSIN, at most 15 digits", got)
    })
}

/// How the USIM checks sequence numbers, and where it begins (TS 33.102 Annex C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqnScheme {
    floor: Sqn,
    parameters: SqnParameters,
}

impl SqnScheme {
    /// Checks the parameters. `floor` is the highest SQN that counts as used from the beginning.
    ///
    /// # Errors
    /// A parameter is out of range.
    pub fn new(floor: Sqn, parameters: SqnParameters) -> Result<Self, FieldError> {
        SqnState::new(parameters, floor).map_err(|error| match error {
            BadSqnState::IndBits(got) => FieldError::new("ind_bits", "0 to 5", got.to_string()),
            BadSqnState::Delta(got) => {
                FieldError::new("delta", "1 to the greatest SEQ", got.to_string())
            }
            BadSqnState::L => FieldError::new("l", "1 or more", "0"),
            BadSqnState::Element { seq, .. } => {
                FieldError::new("sqn", "a number below 2^48", seq.to_string())
            }
        })?;
        Ok(Self { floor, parameters })
    }

    /// The highest SQN that counts as used from the beginning.
    pub fn floor(&self) -> Sqn {
        self.floor
    }

    /// Length of IND, Δ and L.
    pub fn parameters(&self) -> SqnParameters {
        self.parameters
    }

    /// The state of a USIM that has seen nothing yet.
    pub fn state(&self) -> SqnState {
        SqnState::new(self.parameters, self.floor).expect("checked when the scheme was made")
    }
}

/// The routing indicator of a SUCI: 1 to 4 digits (TS 23.003 §2.2B).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoutingIndicator(Digits<4>);

impl RoutingIndicator {
    /// Takes the digits.
    ///
    /// # Errors
    /// Not 1 to 4 digits.
    pub fn new(digits: &str) -> Result<Self, FieldError> {
        Digits::new("routing_indicator", "1 to 4 digits", 1, digits).map(Self)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// `0`, which stands for none (TS 23.003 §2.2B).
impl Default for RoutingIndicator {
    fn default() -> Self {
        Self::new("0").expect("one digit")
    }
}

impl fmt::Debug for RoutingIndicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingIndicator({})", self.as_str())
    }
}

/// The ECIES profiles that conceal a SUPI (TS 33.501 Annex C.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ProtectionScheme {
    /// X25519.
    A = 1,
    /// P-256.
    B = 2,
}

/// A public key of the home network (TS 31.102 §4.4.11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeNetworkKey {
    id: u8,
    scheme: ProtectionScheme,
    octets: [u8; Self::MAX],
}

impl HomeNetworkKey {
    /// The longest key: a compressed point of P-256.
    const MAX: usize = 33;

    /// Takes the key's identifier, the scheme's (1: A, 2: B) and the key: 32 octets for X25519, 33
    /// for a compressed point of P-256.
    ///
    /// # Errors
    /// An unknown scheme, an identifier above 255, another length, or octets that are no point of
    /// P-256.
    pub fn new(id: u64, scheme: u64, key: &[u8]) -> Result<Self, FieldError> {
        let taken = Self::stored(id, scheme, key)?;
        if taken.scheme == ProtectionScheme::B && p256::PublicKey::from_sec1_bytes(key).is_err() {
            return Err(FieldError::new(
                Self::FIELD,
                "a point of P-256",
                "other octets",
            ));
        }
        Ok(taken)
    }

    const FIELD: &str = "home_network_keys";

    /// Restores a key that [`HomeNetworkKey::new`] has checked before, from an authenticated store.
    /// It doesn't check again that a key of P-256 is a point, since that would take longer than all
    /// the rest of a profile.
    ///
    /// # Errors
    /// An unknown scheme, an identifier above 255, or another length.
    pub fn stored(id: u64, scheme: u64, key: &[u8]) -> Result<Self, FieldError> {
        const FIELD: &str = HomeNetworkKey::FIELD;
        let id = u8::try_from(id)
            .map_err(|_| FieldError::new(FIELD, "an identifier from 0 to 255", id.to_string()))?;
        let (scheme, expected, length) = match scheme {
            1 => (ProtectionScheme::A, "32 octets", 32),
            2 => (ProtectionScheme::B, "33 octets", 33),
            other => {
                return Err(FieldError::new(
                    FIELD,
                    "scheme 1 (A) or 2 (B)",
                    other.to_string(),
                ));
            }
        };
        if key.len() != length {
            return Err(FieldError::new(
                FIELD,
                expected,
                format!("{} octets", key.len()),
            ));
        }
        let mut octets = [0; Self::MAX];
        octets[..length].copy_from_slice(key);
        Ok(Self { id, scheme, octets })
    }

    /// The home network public key identifier.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The protection scheme of the key.
    pub fn scheme(&self) -> ProtectionScheme {
        self.scheme
    }

    /// The key: 32 or 33 octets.
    pub fn as_bytes(&self) -> &[u8] {
        match self.scheme {
            ProtectionScheme::A => &self.octets[..32],
            ProtectionScheme::B => &self.octets,
        }
    }
}

/// The public keys of the home network, by falling priority: at most two, which is enough for one
/// of each scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HomeNetworkKeys([Option<HomeNetworkKey>; 2]);

impl HomeNetworkKeys {
    /// How many there may be.
    pub const MAX: usize = 2;

    /// Takes the keys.
    ///
    /// # Errors
    /// More than two.
    pub fn new(keys: &[HomeNetworkKey]) -> Result<Self, FieldError> {
        match keys {
            [] => Ok(Self([None, None])),
            [one] => Ok(Self([Some(*one), None])),
            [one, two] => Ok(Self([Some(*one), Some(*two)])),
            more => Err(FieldError::new(
                "home_network_keys",
                "at most 2 keys",
                more.len().to_string(),
            )),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none, so that the SUPI can't be concealed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys by falling priority.
    pub fn iter(&self) -> impl Iterator<Item = &HomeNetworkKey> {
        self.0.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn digits_out_of_range_name_the_field_and_what_came() {
        for (error, text) in [
            (
                Iccid::new("123").unwrap_err(),
                "iccid: expected 18 to 20 digits, got 3 characters",
            ),
            (
                Iccid::new(&"1".repeat(21)).unwrap_err(),
                "iccid: expected 18 to 20 digits, got 21 characters",
            ),
            (
                Iccid::new("89882110000001234x").unwrap_err(),
                "iccid: expected 18 to 20 digits, got a character that is no digit",
            ),
            (
                imsi("00101", 2).unwrap_err(),
                "imsi: expected MCC, MNC and MSIN, at most 15 digits, got 5 characters",
            ),
            (
                imsi("001010", 3).unwrap_err(),
                "imsi: expected MCC, MNC and MSIN, at most 15 digits, got 6 characters",
            ),
            (
                imsi("00101000000000x", 2).unwrap_err(),
                "imsi: expected MCC, MNC and MSIN, at most 15 digits, got a character that is no digit",
            ),
            (
                imsi("001010000000001", 4).unwrap_err(),
                "mnc_length: expected 2 or 3, got 4",
            ),
            (
                imsi("001010000000001", 258).unwrap_err(),
                "mnc_length: expected 2 or 3, got 258",
            ),
            (
                RoutingIndicator::new("12345").unwrap_err(),
                "routing_indicator: expected 1 to 4 digits, got 5 characters",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn sqn_parameters_out_of_range_name_the_field() {
        let new =
            |ind_bits, delta, l| SqnScheme::new(Sqn::MAX, SqnParameters { ind_bits, delta, l });
        assert_eq!(
            new(5, 1 << 28, Some(32)).unwrap().state().sqn_ms(),
            Sqn::MAX
        );
        assert_eq!(
            new(6, 1, None).unwrap_err().to_string(),
            "ind_bits: expected 0 to 5, got 6"
        );
        assert_eq!(
            new(5, 0, None).unwrap_err().to_string(),
            "delta: expected 1 to the greatest SEQ, got 0"
        );
        assert_eq!(
            new(5, 1, Some(0)).unwrap_err().to_string(),
            "l: expected 1 or more, got 0"
        );
    }

    #[test]
    fn a_home_network_key_is_a_key_of_its_scheme() {
        assert!(HomeNetworkKey::new(1, 1, &[7; 32]).is_ok());
        assert!(HomeNetworkKey::new(1, 1, &[7; 33]).is_err());
        assert!(
            HomeNetworkKey::new(1, 2, &[7; 33]).is_err(),
            "07… is no compressed point"
        );
        assert!(HomeNetworkKey::new(1, 3, &[7; 32]).is_err());
        assert!(HomeNetworkKey::new(256, 1, &[7; 32]).is_err());
        let a = HomeNetworkKey::new(1, 1, &[7; 32]).unwrap();
        assert!(HomeNetworkKeys::new(&[a, a, a]).is_err());
        assert_eq!(
            HomeNetworkKeys::new(&[a])
                .unwrap()
                .iter()
                .collect::<Vec<_>>(),
            [&a]
        );
    }
}
