//! K and what goes with it: which algorithm set it is for, and OPc or TOPc, or what these follow
//! from.

use core::num::NonZeroU8;

use softsim_aka::{
    Credentials, K, K256, Milenage, Op, Opc, ResLength, Top, Topc, Tuak, TuakKey, TuakParameters,
};

use crate::FieldError;

/// What f1 to f5* are.
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

    /// The algorithm set that these credentials are for.
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
    /// No algorithm has it.
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
    /// No algorithm has it.
    pub fn from_number(number: u64) -> Result<Self, FieldError> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| u64::from(one.number()) == number)
            .ok_or_else(|| {
                let expected = "1 (milenage), 2 (tuak) or 3 (xor)";
                FieldError::new("algorithm", expected, number.to_string())
            })
    }

    /// Whether it is for test networks only.
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

/// Credentials as a payload has them, before it is known that the parts fit each other.
pub(crate) struct Unchecked<'b> {
    pub(crate) algorithm: Algorithm,
    pub(crate) k: &'b [u8],
    /// OPc or TOPc.
    pub(crate) derived: Option<&'b [u8]>,
    /// OP or TOP, where the operator leaves the derivation to the device.
    pub(crate) underived: Option<&'b [u8]>,
    pub(crate) tuak: Option<TuakParameters>,
}

impl Unchecked<'_> {
    /// Derives OPc or TOPc where it has to be; OP and TOP are not kept.
    pub(crate) fn check(self) -> Result<Credentials, FieldError> {
        if self.algorithm != Algorithm::Tuak && self.tuak.is_some() {
            return Err(FieldError::new("tuak", "parameters with tuak only", "some"));
        }
        match self.algorithm {
            Algorithm::Milenage => self.milenage(),
            Algorithm::Tuak => self.tuak(),
            Algorithm::Xor => self.xor(),
        }
    }

    fn milenage(self) -> Result<Credentials, FieldError> {
        let k = K::new(octets("k", "16 octets", self.k)?);
        let opc = match (self.derived, self.underived) {
            (Some(opc), None) => Opc::new(octets("opc", "16 octets", opc)?),
            (None, Some(op)) => Milenage::opc(&k, &Op::new(octets("op", "16 octets", op)?)),
            (None, None) => return Err(FieldError::new("opc", "it, or op", "neither")),
            (Some(_), Some(_)) => return Err(FieldError::new("opc", "it, or op", "both")),
        };
        Ok(Credentials::Milenage { k, opc })
    }

    fn tuak(self) -> Result<Credentials, FieldError> {
        let parameters = self
            .tuak
            .ok_or_else(|| FieldError::new("tuak", "parameters with tuak", "none"))?;
        let k = match self.k.len() {
            32 => TuakKey::K256(K256::new(octets("k", "32 octets", self.k)?)),
            _ => TuakKey::K(K::new(octets("k", "16 or 32 octets", self.k)?)),
        };
        let topc = match (self.derived, self.underived) {
            (Some(topc), None) => Topc::new(octets("topc", "32 octets", topc)?),
            (None, Some(top)) => {
                let top = Top::new(octets("top", "32 octets", top)?);
                Tuak::topc(&k, &top, parameters.iterations)
            }
            (None, None) => return Err(FieldError::new("topc", "it, or top", "neither")),
            (Some(_), Some(_)) => return Err(FieldError::new("topc", "it, or top", "both")),
        };
        Ok(Credentials::Tuak {
            k,
            topc,
            parameters,
        })
    }

    fn xor(self) -> Result<Credentials, FieldError> {
        if self.derived.is_some() || self.underived.is_some() {
            return Err(FieldError::new("opc", "none with xor", "one"));
        }
        Ok(Credentials::Xor {
            k: K::new(octets("k", "16 octets", self.k)?),
        })
    }
}

/// Octets of one length; an error tells the length that came, and nothing of the octets.
pub(crate) fn octets<const N: usize>(
    field: &'static str,
    expected: &'static str,
    octets: &[u8],
) -> Result<[u8; N], FieldError> {
    octets
        .try_into()
        .map_err(|_| FieldError::new(field, expected, format!("{} octets", octets.len())))
}
