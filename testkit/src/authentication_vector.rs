//! Authentication vectors (TS 33.102 §6.3.2), and the way back into step (TS 33.102 §6.3.5).

use softsim_aka::{
    AlgorithmSet, Amf, AuthenticationOutput, Autn, Auts, Functions, Rand, Sqn, SqnXorAk,
};

/// A challenge, and what the right SIM makes of it.
pub struct Vector {
    /// RES, CK, IK and AK.
    pub output: AuthenticationOutput,
    /// The front of AUTN.
    pub sqn_xor_ak: SqnXorAk,
    /// AUTN.
    pub autn: Autn,
}

impl Vector {
    /// The vector of this RAND and SQN.
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

/// The highest SQN of the SIM, if AUTS is its own.
pub fn sqn_ms(algorithm: &Functions, rand: &Rand, auts: [u8; 14]) -> Option<Sqn> {
    let auts = Auts::new(auts);
    let sqn = algorithm.f5_star(rand).reveal(auts.sqn_xor_ak());
    let genuine = algorithm.f1_star(rand, sqn, Amf::RESYNCHRONISATION) == auts.mac_s();
    genuine.then_some(sqn)
}
