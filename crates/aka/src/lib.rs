//! The 3GPP algorithm sets f1 to f5* and the key schedules of EAP-AKA, EAP-AKA' and 5G, as pure
//! functions.
//!
//! The functions don't allocate, keep state, read a clock or generate random numbers: keys and
//! octets go in, keys and octets come out. One authentication takes this path through the crate:
//!
//! ```text
//! RAND --AlgorithmSet::f2345--> RES, CK, IK, AK                      (TS 33.102 §6.3.3)
//! RAND, SQN, AMF --AlgorithmSet::f1--> MAC-A, compared by the USIM   (TS 33.102 §6.3.3)
//! CK, IK --kdf::ck_ik_prime--> CK', IK'                              (TS 33.402 A.2)
//! CK', IK' --eap::AkaPrimeKeys::derive--> K_encr, K_aut, K_re, MSK   (RFC 9048 §3.3)
//! CK, IK --eap::AkaKeys::derive--> MK, K_encr, K_aut, MSK            (RFC 4187 §7)
//! K_aut --eap::MacKey::at_mac--> AT_MAC                              (RFC 4187 §10.15)
//! CK', IK' --eap::emsk, fiveg::k_ausf--> K_AUSF                      (TS 33.501 §6.1.3.1)
//! ```
//!
//! Every type that holds a secret prints as `[redacted]`, compares in constant time, and wipes
//! itself on drop.
#![no_std]

pub mod agreement;
mod credentials;
pub mod eap;
pub mod fiveg;
pub mod kdf;
mod milenage;
mod tuak;
mod types;
mod xor;

pub use credentials::{Credentials, Functions};
pub use milenage::Milenage;
pub use tuak::{ResLength, Tuak, TuakKey, TuakParameters};
pub use types::{
    ATid, Ak, Amf, Autn, Auts, Ck, CkPrime, Emsk, Ik, IkPrime, Iv, K, K256, KAf, KAkma, KAusf,
    KAut, KAut128, KEncr, KRe, KSeaf, Mac, Mk, Msk, NonceS, Op, Opc, Rand, Res, SharedSecret, Sqn,
    SqnXorAk, Top, Topc, WrongLength,
};
pub use xor::Xor;

/// The outputs of f2 to f5 for one RAND.
#[derive(Debug)]
pub struct AuthenticationOutput {
    /// f2: the answer to the challenge.
    pub res: Res,
    /// f3: the cipher key.
    pub ck: Ck,
    /// f4: the integrity key.
    pub ik: Ik,
    /// f5: the anonymity key that conceals SQN in AUTN.
    pub ak: Ak,
}

/// The authentication and key generation functions of one subscriber (TS 33.102 §6.3.3, TS 33.105
/// §5.1).
pub trait AlgorithmSet {
    /// f1: MAC-A of an AUTN (XMAC-A at the USIM).
    fn f1(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac;

    /// f1*: MAC-S of an AUTS (XMAC-S at the AuC).
    fn f1_star(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac;

    /// f2, f3, f4 and f5.
    fn f2345(&self, rand: &Rand) -> AuthenticationOutput;

    /// f5*: the anonymity key that conceals SQN_MS in AUTS.
    fn f5_star(&self, rand: &Rand) -> Ak;
}
