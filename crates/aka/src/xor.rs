//! The test algorithm of TS 34.108 §8.1.2, for test SIMs: it protects nothing.
//!
//! RES of one challenge is all of K ⊕ RAND, so whoever sees one authentication has K. It exists for
//! test networks and test equipment that support nothing else.

use zeroize::Zeroizing;

use crate::{Ak, AlgorithmSet, Amf, AuthenticationOutput, Ck, Ik, K, Mac, Rand, Res, Sqn};

/// The XOR test algorithm for one subscriber. Never use it for a real subscription.
pub struct Xor {
    k: Zeroizing<u128>,
}

impl Xor {
    /// Prepares the functions of the test subscriber with this K.
    pub fn new(k: &K) -> Self {
        Self {
            k: Zeroizing::new(u128::from_be_bytes(*k.as_bytes())),
        }
    }

    /// XDOUT = K ⊕ RAND.
    fn xdout(&self, rand: &Rand) -> Zeroizing<u128> {
        Zeroizing::new(*self.k ^ u128::from_be_bytes(*rand.as_bytes()))
    }
}

impl AlgorithmSet for Xor {
    /// XDOUT\[0..63\] ⊕ CDOUT, where CDOUT = SQN ‖ AMF.
    fn f1(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        let cdout = sqn.value() << 16 | u64::from(u16::from_be_bytes(*amf.as_bytes()));
        Mac::new(((*self.xdout(rand) >> 64) as u64 ^ cdout).to_be_bytes())
    }

    /// The same as f1.
    fn f1_star(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        self.f1(rand, sqn, amf)
    }

    /// RES is XDOUT, CK and IK are XDOUT rotated by one and by two octets, and AK is bits 24 to 71
    /// of XDOUT.
    fn f2345(&self, rand: &Rand) -> AuthenticationOutput {
        let xdout = self.xdout(rand);
        AuthenticationOutput {
            res: Res::new(&xdout.to_be_bytes()).expect("sixteen octets are a RES"),
            ck: Ck::new(xdout.rotate_left(8).to_be_bytes()),
            ik: Ik::new(xdout.rotate_left(16).to_be_bytes()),
            ak: self.f5_star(rand),
        }
    }

    /// The same as f5.
    fn f5_star(&self, rand: &Rand) -> Ak {
        let [_, _, _, a0, a1, a2, a3, a4, a5, ..] = self.xdout(rand).to_be_bytes();
        Ak::new([a0, a1, a2, a3, a4, a5])
    }
}
