//! IMSI (TS 23.003 §2.2).

use core::fmt;

/// An IMSI: MCC, MNC and MSIN, together at most 15 decimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Imsi {
    digits: [u8; 15],
    length: u8,
    mnc_length: MncLength,
}

/// How many digits of an IMSI are the MNC. The digits themselves don't show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MncLength {
    /// Two digits, as in most of the world.
    Two = 2,
    /// Three digits, as in North America.
    Three = 3,
}

/// Why digits aren't an IMSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadImsi {
    /// There isn't at least one digit of MSIN after MCC and MNC, or there are more than 15 digits.
    #[error("IMSI: expected MCC, MNC, MSIN and at most 15 digits, got {0}")]
    Length(usize),
    /// A character isn't a decimal digit.
    #[error("IMSI: expected decimal digits, got another character at {at}")]
    NotADigit {
        /// Its position, from 0.
        at: usize,
    },
    /// The length of the MNC isn't two or three digits.
    #[error("MNC: expected 2 or 3 digits, got {0}")]
    MncLength(u8),
}

impl TryFrom<u8> for MncLength {
    type Error = BadImsi;

    fn try_from(digits: u8) -> Result<Self, BadImsi> {
        match digits {
            2 => Ok(Self::Two),
            3 => Ok(Self::Three),
            other => Err(BadImsi::MncLength(other)),
        }
    }
}

impl Imsi {
    /// Takes the digits in ASCII.
    ///
    /// # Errors
    /// [`BadImsi`] if there are too few or too many, or if they aren't digits.
    pub fn new(digits: &[u8], mnc_length: MncLength) -> Result<Self, BadImsi> {
        let mut place = [b'0'; 15];
        match place.get_mut(..digits.len()) {
            Some(place) if digits.len() > 3 + usize::from(mnc_length as u8) => {
                place.copy_from_slice(digits);
            }
            _ => return Err(BadImsi::Length(digits.len())),
        }
        match digits.iter().position(|digit| !digit.is_ascii_digit()) {
            Some(at) => Err(BadImsi::NotADigit { at }),
            None => Ok(Self {
                digits: place,
                length: digits.len() as u8,
                mnc_length,
            }),
        }
    }

    /// All digits, in ASCII.
    pub fn digits(&self) -> &str {
        core::str::from_utf8(&self.digits[..usize::from(self.length)]).expect("digits are ASCII")
    }

    /// The mobile country code: three digits.
    pub fn mcc(&self) -> &str {
        &self.digits()[..3]
    }

    /// The mobile network code: two or three digits.
    pub fn mnc(&self) -> &str {
        &self.digits()[3..3 + usize::from(self.mnc_length as u8)]
    }

    /// How many digits the MNC has.
    pub fn mnc_length(&self) -> MncLength {
        self.mnc_length
    }

    /// The subscriber's number in the home network.
    pub fn msin(&self) -> &str {
        &self.digits()[3 + usize::from(self.mnc_length as u8)..]
    }
}

/// Prints the home network only: an IMSI identifies a person, and logs are passed around.
impl fmt::Debug for Imsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imsi({}-{}-[redacted])", self.mcc(), self.mnc())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn an_imsi_has_an_msin_and_at_most_15_digits() {
        let new = |digits: &str| Imsi::new(digits.as_bytes(), MncLength::Two);
        assert_eq!(new("00101"), Err(BadImsi::Length(5)));
        assert_eq!(new("0010100000000000"), Err(BadImsi::Length(16)));
        assert_eq!(new("00101x"), Err(BadImsi::NotADigit { at: 5 }));
        let shortest = new("001012").unwrap();
        assert_eq!(
            (shortest.mcc(), shortest.mnc(), shortest.msin()),
            ("001", "01", "2")
        );
        assert_eq!(
            Imsi::new(b"310410", MncLength::Three),
            Err(BadImsi::Length(6))
        );
        assert_eq!(MncLength::try_from(4), Err(BadImsi::MncLength(4)));
    }

    #[test]
    fn debug_of_an_imsi_redacts_it() {
        let imsi = Imsi::new(b"001010123456789", MncLength::Two).unwrap();
        assert_eq!(format!("{imsi:?}"), "Imsi(001-01-[redacted])");
    }
}
