//! Authentication vectors (TS 33.102 §6.3.2) and resynchronisation (TS 33.102 §6.3.5).

use softsim_aka::{
    AlgorithmSet, Amf, AuthenticationOutput, Autn, Auts, Credentials, Functions, K, Opc, Rand, Sqn,
    SqnXorAk,
};

/// Milenage's credentials.
pub fn milenage(k: [u8; 16], opc: [u8; 16]) -> Credentials {
    Credentials::Milenage {
        k: K::new(k),
        opc: Opc::new(opc),
    }
}

/// An authentication vector, with the values that the SIM derives from it.
pub struct Vector {
    /// RES, CK, IK and AK.
    pub output: AuthenticationOutput,
    /// SQN ⊕ AK, with which AUTN begins.
    pub sqn_xor_ak: SqnXorAk,
    /// AUTN.
    pub autn: Autn,
}

impl Vector {
    /// Makes the vector of this RAND and SQN.
    pub fn new(algorithm: &Functions, rand: &Rand, sqn: Sqn, amf: Amf) -> Self {
        let output = algorithm.f2345(rand);
        let sqn_xor_ak = output.ak.conceal(sqn);
        let autn = Autn::from_parts(sqn_xor_ak, amf, &algorithm.f1(rand, sqn, amf));
        Self {
            output,
            sqn_xor_ak,
            autn,
        }
    }
}

/// The SIM's highest SQN, if AUTS is valid.
pub fn sqn_ms(algorithm: &Functions, rand: &Rand, auts: [u8; 14]) -> Option<Sqn> {
    let auts = Auts::new(auts);
    let sqn = algorithm.f5_star(rand).reveal(auts.sqn_xor_ak());
    let genuine = algorithm.f1_star(rand, sqn, Amf::RESYNCHRONISATION) == auts.mac_s();
    genuine.then_some(sqn)
}
