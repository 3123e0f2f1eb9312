//! The algorithm set of a profile's K, and the parameters of TUAK.

use core::num::NonZeroU8;

use softsim_aka::{Credentials, ResLength, TuakParameters};

use crate::FieldError;

/// The algorithm set f1 to f5*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// TS 35.206.
    Milenage = 1,
    /// TS 35.231.
    Tuak = 2,
    /// The test algorithm of TS 34.108 §8.1.2, which protects nothing.
    Xor = 3,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Milenage, Self::Tuak, Self::Xor];

    /// The algorithm set of these credentials.
    pub const fn of(credentials: &Credentials) -> Self {
        match credentials {
            Credentials::Milenage { .. } => Self::Milenage,
            Credentials::Tuak { .. } => Self::Tuak,
            Credentials::Xor { .. } => Self::Xor,
        }
    }

    /// The algorithm's name in files and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milenage => "milenage",
            Self::Tuak => "tuak",
            Self::Xor => "xor",
        }
    }

    /// The algorithm with this name.
    ///
    /// # Errors
    /// No algorithm has this name or number.
    pub fn from_name(name: &str) -> Result<Self, FieldError> {
        let named = Self::ALL.into_iter().find(|one| one.name() == name);
        named.ok_or_else(|| FieldError::new("algorithm", "milenage, tuak or xor", name))
    }

    /// The algorithm's number in packages.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The algorithm with this number.
    ///
    /// # Errors
    /// No algorithm has this name or number.
    pub fn from_number(number: u64) -> Result<Self, FieldError> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| u64::from(one.number()) == number)
            .ok_or_else(|| {
                let expected = "1 (milenage), 2 (tuak) or 3 (xor)";
                FieldError::new("algorithm", expected, number.to_string())
            })
    }

    /// Whether it protects nothing, and is for test networks only.
    pub const fn protects_nothing(self) -> bool {
        matches!(self, Self::Xor)
    }
}

/// Takes the length of RES in bits, and how often TUAK's permutation is applied.
///
/// # Errors
/// A length that TUAK or AKA doesn't have, or not 1 to 255 times.
pub fn tuak_parameters(res_bits: u64, iterations: u64) -> Result<TuakParameters, FieldError> {
    let res = ResLength::from_bits(res_bits)
        .ok_or_else(|| FieldError::new("res_bits", "32, 64 or 128", res_bits.to_string()))?;
    let iterations = u8::try_from(iterations)
        .ok()
        .and_then(NonZeroU8::new)
        .ok_or_else(|| FieldError::new("keccak_iterations", "1 to 255", iterations.to_string()))?;
    Ok(TuakParameters { res, iterations })
}
