//! Authentication vectors (TS 33.102 §6.3.2) and resynchronisation (TS 33.102 §6.3.5).

use softsim_aka::{AlgorithmSet, Amf, Autn, Auts, Ck, Functions, Ik, Rand, Res, Sqn};

use crate::Agreement;

/// One authentication vector: a challenge, and the right SIM's results.
#[derive(Debug)]
pub struct AuthenticationVector {
    /// The challenge.
    pub rand: Rand,
    /// The proof that it comes from the home network.
    pub autn: Autn,
    /// The answer to expect.
    pub xres: Res,
    /// The cipher key.
    pub ck: Ck,
    /// The integrity key.
    pub ik: Ik,
}

impl AuthenticationVector {
    /// Makes the vector of this RAND and SQN.
    pub fn new(functions: &Functions, rand: Rand, sqn: Sqn, amf: Amf) -> Self {
        let output = functions.f2345(&rand);
        let mac_a = functions.f1(&rand, sqn, amf);
        Self {
            rand,
            autn: Autn::from_parts(output.ak.conceal(sqn), amf, &mac_a),
            xres: output.res,
            ck: output.ck,
            ik: output.ik,
        }
    }

    /// The inputs of the key derivation, without forward secrecy.
    pub fn agreement<'a>(&'a self, network_name: &'a [u8], identity: &'a [u8]) -> Agreement<'a> {
        Agreement {
            ck: &self.ck,
            ik: &self.ik,
            sqn_xor_ak: self.autn.sqn_xor_ak(),
            network_name,
            identity,
            shared_secret: None,
        }
    }
}

/// The SIM's highest SQN, if AUTS was made with this K and RAND.
pub fn sqn_ms(functions: &Functions, rand: &Rand, auts: &Auts) -> Option<Sqn> {
    let sqn = functions.f5_star(rand).reveal(auts.sqn_xor_ak());
    let mac_s = functions.f1_star(rand, sqn, Amf::RESYNCHRONISATION);
    (mac_s == auts.mac_s()).then_some(sqn)
}
