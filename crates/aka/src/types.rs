//! The names of the specifications as types. A type fixes the length of its value; a secret isn't
//! printed, and is wiped on drop.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The error for octets that don't have the length of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected} octets, got {found}")]
pub struct WrongLength {
    /// The field's name.
    pub field: &'static str,
    /// The field's length in octets.
    pub expected: &'static str,
    /// The length of the octets.
    pub found: usize,
}

/// The common functions of secret and public fields of a fixed length.
macro_rules! octets {
    ($name:ident, $length:literal) => {
        impl $name {
            /// Length in octets.
            pub const LENGTH: usize = $length;

            /// Takes the field from its octets.
            pub const fn new(octets: [u8; $length]) -> Self {
                Self(octets)
            }

            /// The field's octets.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = WrongLength;

            fn try_from(octets: &[u8]) -> Result<Self, WrongLength> {
                match octets.try_into() {
                    Ok(octets) => Ok(Self(octets)),
                    Err(_) => Err(WrongLength {
                        field: stringify!($name),
                        expected: stringify!($length),
                        found: octets.len(),
                    }),
                }
            }
        }
    };
}

macro_rules! secret {
    ($($(#[$doc:meta])* $name:ident($length:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; $length]);

        octets!($name, $length);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl ConstantTimeEq for $name {
            fn ct_eq(&self, other: &Self) -> Choice {
                self.0.ct_eq(&other.0)
            }
        }

        /// Takes constant time.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.ct_eq(other).into()
            }
        }

        impl Eq for $name {}
    )*};
}

macro_rules! public {
    ($($(#[$doc:meta])* $name:ident($length:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name([u8; $length]);

        octets!($name, $length);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
                f.write_str(")")
            }
        }
    )*};
}

secret! {
    /// The subscriber key, of 128 bits.
    K(16);
    /// A subscriber key of 256 bits, which only TUAK supports.
    K256(32);
    /// The operator variant algorithm configuration field of Milenage.
    Op(16);
    /// OP as encrypted under one K.
    Opc(16);
    /// The operator variant algorithm configuration field of TUAK.
    Top(32);
    /// TOP as derived for one K.
    Topc(32);
    /// The cipher key.
    Ck(16);
    /// The integrity key.
    Ik(16);
    /// The anonymity key.
    Ak(6);
    /// MAC-A or MAC-S. A computed MAC can replace the key for one AUTN or AUTS, so it is treated as
    /// a secret.
    Mac(8);
    /// The cipher key bound to an access network.
    CkPrime(16);
    /// The integrity key bound to an access network.
    IkPrime(16);
    /// EAP-AKA: the master key, which is also the root of fast re-authentications.
    Mk(20);
    /// Encrypts AT_ENCR_DATA.
    KEncr(16);
    /// EAP-AKA': authenticates messages through AT_MAC.
    KAut(32);
    /// EAP-AKA: authenticates messages through AT_MAC.
    KAut128(16);
    /// EAP-AKA': the root of fast re-authentications.
    KRe(32);
    /// The secret that both sides of an ephemeral key agreement compute.
    SharedSecret(32);
    /// The master session key of RFC 3748.
    Msk(64);
    /// The extended master session key of RFC 3748.
    Emsk(64);
    /// The key that peer and home network share after a 5G authentication.
    KAusf(32);
    /// The anchor key of a serving network.
    KSeaf(32);
    /// The anchor key of applications.
    KAkma(32);
    /// The key of one application.
    KAf(32);
}

public! {
    /// The random challenge.
    Rand(16);
    /// The authentication token: SQN ⊕ AK ‖ AMF ‖ MAC-A (TS 33.102 §6.3.2).
    Autn(16);
    /// The resynchronisation token: SQN_MS ⊕ AK* ‖ MAC-S (TS 33.102 §6.3.3).
    Auts(14);
    /// The authentication management field.
    Amf(2);
    /// A sequence number, concealed by the anonymity key.
    SqnXorAk(6);
    /// The server's nonce of a fast re-authentication.
    NonceS(16);
    /// The initialisation vector of AT_ENCR_DATA, as AT_IV carries it.
    Iv(16);
    /// A temporary identifier of K_AKMA, which doesn't reveal the subscriber.
    ATid(32);
}

impl Ak {
    /// SQN ⊕ AK.
    pub fn conceal(&self, sqn: Sqn) -> SqnXorAk {
        SqnXorAk(self.xor(sqn.to_bytes()))
    }

    /// Recovers SQN from SQN ⊕ AK.
    pub fn reveal(&self, concealed: SqnXorAk) -> Sqn {
        Sqn::from_bytes(self.xor(concealed.0))
    }

    fn xor(&self, mut octets: [u8; 6]) -> [u8; 6] {
        for (octet, key) in octets.iter_mut().zip(self.0) {
            *octet ^= key;
        }
        octets
    }
}

impl Autn {
    /// Joins the three parts.
    pub fn from_parts(concealed: SqnXorAk, amf: Amf, mac_a: &Mac) -> Self {
        let mut octets = [0; 16];
        octets[..6].copy_from_slice(&concealed.0);
        octets[6..8].copy_from_slice(&amf.0);
        octets[8..].copy_from_slice(&mac_a.0);
        Self(octets)
    }

    /// SQN ⊕ AK.
    pub fn sqn_xor_ak(&self) -> SqnXorAk {
        let [s0, s1, s2, s3, s4, s5, ..] = self.0;
        SqnXorAk([s0, s1, s2, s3, s4, s5])
    }

    /// AMF.
    pub fn amf(&self) -> Amf {
        Amf([self.0[6], self.0[7]])
    }

    /// MAC-A.
    pub fn mac_a(&self) -> Mac {
        let [.., m0, m1, m2, m3, m4, m5, m6, m7] = self.0;
        Mac([m0, m1, m2, m3, m4, m5, m6, m7])
    }
}

impl Auts {
    /// Joins the two parts.
    pub fn from_parts(concealed: SqnXorAk, mac_s: &Mac) -> Self {
        let mut octets = [0; 14];
        octets[..6].copy_from_slice(&concealed.0);
        octets[6..].copy_from_slice(&mac_s.0);
        Self(octets)
    }

    /// SQN_MS ⊕ AK*.
    pub fn sqn_xor_ak(&self) -> SqnXorAk {
        let [s0, s1, s2, s3, s4, s5, ..] = self.0;
        SqnXorAk([s0, s1, s2, s3, s4, s5])
    }

    /// MAC-S.
    pub fn mac_s(&self) -> Mac {
        let [.., m0, m1, m2, m3, m4, m5, m6, m7] = self.0;
        Mac([m0, m1, m2, m3, m4, m5, m6, m7])
    }
}

impl Amf {
    /// AMF* of a resynchronisation: all zeros (TS 33.102 §6.3.3).
    pub const RESYNCHRONISATION: Self = Self([0; 2]);

    /// Bit 0, the most significant one. It says that the vector is for a use beyond UMTS, such as
    /// EAP-AKA' (TS 33.102 Annex H).
    pub fn separation_bit(self) -> bool {
        self.0[0] & 0x80 != 0
    }
}

/// A sequence number: 48 bits, SEQ ‖ IND.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sqn(u64);

impl Sqn {
    /// The highest sequence number, 2^48 - 1.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// Takes a number below 2^48.
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// Takes the six octets of the wire.
    pub const fn from_bytes(octets: [u8; 6]) -> Self {
        let [s0, s1, s2, s3, s4, s5] = octets;
        Self(u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]))
    }

    /// The six octets of the wire.
    pub const fn to_bytes(self) -> [u8; 6] {
        let [_, _, s0, s1, s2, s3, s4, s5] = self.0.to_be_bytes();
        [s0, s1, s2, s3, s4, s5]
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// The answer to a challenge: 4 to 16 octets, depending on the algorithm set.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Res {
    octets: [u8; 16],
    length: u8,
}

impl Res {
    /// Takes 4 to 16 octets.
    ///
    /// # Errors
    /// Any other length (TS 33.102 §6.3.7: RES has 32 to 128 bits).
    pub fn new(res: &[u8]) -> Result<Self, WrongLength> {
        let mut octets = [0; 16];
        match octets.get_mut(..res.len()) {
            Some(place) if res.len() >= 4 => place.copy_from_slice(res),
            _ => {
                return Err(WrongLength {
                    field: "Res",
                    expected: "4 to 16",
                    found: res.len(),
                });
            }
        }
        Ok(Self {
            octets,
            length: res.len() as u8,
        })
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Length in bits, as AT_RES carries it (RFC 4187 §10.8).
    pub fn bits(&self) -> u16 {
        u16::from(self.length) * 8
    }
}

impl fmt::Debug for Res {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Res([redacted])")
    }
}

/// Takes constant time for values of one length.
impl PartialEq for Res {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Res {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn a_secret_prints_as_redacted() {
        assert_eq!(format!("{:?}", K::new([0x5a; 16])), "K([redacted])");
        assert_eq!(
            format!("{:?}", Res::new(&[0x5a; 8]).unwrap()),
            "Res([redacted])"
        );
        assert_eq!(format!("{:?}", Amf::new([0x80, 0x0a])), "Amf(800a)");
    }

    #[test]
    fn a_wrong_length_says_what_was_expected_and_what_came() {
        let error = K::try_from(&[0; 15][..]).unwrap_err();
        assert_eq!(format!("{error}"), "K: expected 16 octets, got 15");
        let error = Res::new(&[0; 17]).unwrap_err();
        assert_eq!(format!("{error}"), "Res: expected 4 to 16 octets, got 17");
        assert_eq!(Res::new(&[0; 3]).unwrap_err().found, 3);
    }

    #[test]
    fn secrets_are_equal_only_when_every_octet_is() {
        assert_eq!(Mac::new([7; 8]), Mac::new([7; 8]));
        assert_ne!(Mac::new([7; 8]), Mac::new([7, 7, 7, 7, 7, 7, 7, 6]));
        assert_ne!(Res::new(&[1; 8]).unwrap(), Res::new(&[1; 4]).unwrap());
    }

    #[test]
    fn a_sequence_number_has_48_bits() {
        assert_eq!(Sqn::new(1 << 48), None);
        let sqn = Sqn::from_bytes([0x16, 0xf3, 0xb3, 0xf7, 0x0f, 0xc2]);
        assert_eq!(sqn.value(), 0x16f3_b3f7_0fc2);
        assert_eq!(
            Sqn::new(sqn.value()).unwrap().to_bytes(),
            [0x16, 0xf3, 0xb3, 0xf7, 0x0f, 0xc2]
        );
    }

    #[test]
    fn the_separation_bit_is_the_most_significant_one() {
        assert!(Amf::new([0x80, 0]).separation_bit());
        assert!(!Amf::new([0x7f, 0xff]).separation_bit());
    }
}
