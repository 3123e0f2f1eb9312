//! The secrets that a subscriber and the home network share: K and the operator's field, with their
//! algorithm set.

use subtle::ConstantTimeEq;

use crate::{
    Ak, AlgorithmSet, Amf, AuthenticationOutput, K, Mac, Milenage, Opc, Rand, Sqn, Topc, Tuak,
    TuakKey, TuakParameters, Xor,
};

/// The secrets of one subscription, with its algorithm set.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    /// For [`Milenage`].
    Milenage {
        /// The subscriber key.
        k: K,
        /// OP as encrypted under K.
        opc: Opc,
    },
    /// For [`Tuak`].
    Tuak {
        /// The subscriber key.
        k: TuakKey,
        /// TOP as derived for K.
        topc: Topc,
        /// The parameters that the operator chose.
        parameters: TuakParameters,
    },
    /// For [`Xor`], which protects nothing.
    Xor {
        /// The subscriber key.
        k: K,
    },
}

impl Credentials {
    /// The octets of K: 16, or 32 if TUAK has a key of 256 bits.
    pub fn k(&self) -> &[u8] {
        match self {
            Self::Milenage { k, .. } | Self::Xor { k } => k.as_bytes(),
            Self::Tuak { k, .. } => k.as_bytes(),
        }
    }

    /// Whether both have the same K, regardless of the algorithm set. Takes constant time for keys
    /// of one length.
    pub fn same_k(&self, other: &Self) -> bool {
        self.k().ct_eq(other.k()).into()
    }

    /// The functions f1 to f5* of the subscription.
    pub fn functions(&self) -> Functions {
        match self {
            Self::Milenage { k, opc } => Functions::Milenage(Milenage::new(k, opc)),
            Self::Tuak {
                k,
                topc,
                parameters,
            } => Functions::Tuak(Tuak::new(k, topc, *parameters)),
            Self::Xor { k } => Functions::Xor(Xor::new(k)),
        }
    }
}

/// The functions of one subscription, of any algorithm set.
pub enum Functions {
    /// TS 35.206.
    Milenage(Milenage),
    /// TS 35.231.
    Tuak(Tuak),
    /// TS 34.108 §8.1.2.
    Xor(Xor),
}

/// Passes one call on to the algorithm set.
macro_rules! on {
    ($self:ident, $set:ident => $call:expr) => {
        match $self {
            Functions::Milenage($set) => $call,
            Functions::Tuak($set) => $call,
            Functions::Xor($set) => $call,
        }
    };
}

impl AlgorithmSet for Functions {
    fn f1(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        on!(self, set => set.f1(rand, sqn, amf))
    }

    fn f1_star(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        on!(self, set => set.f1_star(rand, sqn, amf))
    }

    fn f2345(&self, rand: &Rand) -> AuthenticationOutput {
        on!(self, set => set.f2345(rand))
    }

    fn f5_star(&self, rand: &Rand) -> Ak {
        on!(self, set => set.f5_star(rand))
    }
}
