//! Builds credentials from a payload's fields.

use softsim_aka::{
    Credentials, K, K256, Milenage, Op, Opc, Top, Topc, Tuak, TuakKey, TuakParameters,
};

use crate::{Algorithm, FieldError};

/// The credentials of a payload, before it is checked that the parts fit each other.
pub(crate) struct Unchecked<'b> {
    pub(crate) algorithm: Algorithm,
    pub(crate) k: &'b [u8],
    /// OPc or TOPc.
    pub(crate) derived: Option<&'b [u8]>,
    /// OP or TOP, if the operator leaves the derivation to the device.
    pub(crate) underived: Option<&'b [u8]>,
    pub(crate) tuak: Option<TuakParameters>,
}

impl Unchecked<'_> {
    /// Derives OPc or TOPc if needed. OP and TOP aren't kept.
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

/// Converts octets that must have one length. An error states their length, but not their values.
pub(crate) fn octets<const N: usize>(
    field: &'static str,
    expected: &'static str,
    octets: &[u8],
) -> Result<[u8; N], FieldError> {
    octets
        .try_into()
        .map_err(|_| FieldError::new(field, expected, format!("{} octets", octets.len())))
}
