//! Milenage, the algorithm set of TS 35.206 over AES-128.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Ak, AlgorithmSet, Amf, AuthenticationOutput, Ck, Ik, K, Mac, Op, Opc, Rand, Res, Sqn};

/// The rotations r1 to r5, in bits, and the constants c1 to c5 (TS 35.206 §4.1).
const R: [u32; 5] = [64, 0, 32, 64, 96];
const C: [u128; 5] = [0, 1, 2, 4, 8];

/// Milenage for one subscriber: OPc, and the key schedule of K, which is computed once.
///
/// Blocks are big-endian 128-bit numbers, so that the rotations and constants read as in TS 35.206.
pub struct Milenage {
    kernel: Aes128,
    opc: u128,
}

impl Milenage {
    /// Prepares the functions of the subscriber with this K and OPc.
    pub fn new(k: &K, opc: &Opc) -> Self {
        Self {
            kernel: Aes128::new(k.as_bytes().into()),
            opc: u128::from_be_bytes(*opc.as_bytes()),
        }
    }

    /// OPc = OP ⊕ E_K(OP) (TS 35.206 §4.1).
    pub fn opc(k: &K, op: &Op) -> Opc {
        let op = Zeroizing::new(u128::from_be_bytes(*op.as_bytes()));
        let [encrypted] = encrypt(&Aes128::new(k.as_bytes().into()), [*op]);
        Opc::new((encrypted ^ *op).to_be_bytes())
    }

    /// TEMP = E_K(RAND ⊕ OPc).
    fn temp(&self, rand: &Rand) -> Zeroizing<u128> {
        let [temp] = encrypt(
            &self.kernel,
            [u128::from_be_bytes(*rand.as_bytes()) ^ self.opc],
        );
        Zeroizing::new(temp)
    }

    /// OUT1 = E_K(TEMP ⊕ rot(IN1 ⊕ OPc, r1) ⊕ c1) ⊕ OPc, where IN1 is SQN ‖ AMF twice: f1 and f1*
    /// side by side.
    fn out1(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Zeroizing<u128> {
        let half = u128::from(sqn.value()) << 16 | u128::from(u16::from_be_bytes(*amf.as_bytes()));
        let in1 = half << 64 | half;
        let temp = self.temp(rand);
        let [out] = encrypt(
            &self.kernel,
            [*temp ^ (in1 ^ self.opc).rotate_left(R[0]) ^ C[0]],
        );
        Zeroizing::new(out ^ self.opc)
    }

    /// OUTn = E_K(rot(TEMP ⊕ OPc, rn) ⊕ cn) ⊕ OPc for n from 2 on, as many as asked for.
    fn out<const N: usize>(&self, rand: &Rand, first: usize) -> Zeroizing<[u128; N]> {
        let temp = self.temp(rand);
        let mut out = Zeroizing::new([0; N]);
        for (out, n) in out.iter_mut().zip(first - 1..) {
            *out = (*temp ^ self.opc).rotate_left(R[n]) ^ C[n];
        }
        *out = encrypt(&self.kernel, *out);
        out.iter_mut().for_each(|out| *out ^= self.opc);
        out
    }
}

impl AlgorithmSet for Milenage {
    fn f1(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        Mac::new(((*self.out1(rand, sqn, amf) >> 64) as u64).to_be_bytes())
    }

    fn f1_star(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        Mac::new((*self.out1(rand, sqn, amf) as u64).to_be_bytes())
    }

    fn f2345(&self, rand: &Rand) -> AuthenticationOutput {
        let out = self.out::<3>(rand, 2);
        let [out2, out3, out4] = *out;
        let res = Res::new(&(out2 as u64).to_be_bytes()).expect("eight octets are a RES");
        AuthenticationOutput {
            res,
            ck: Ck::new(out3.to_be_bytes()),
            ik: Ik::new(out4.to_be_bytes()),
            ak: first_48_bits(out2),
        }
    }

    fn f5_star(&self, rand: &Rand) -> Ak {
        let out = self.out::<1>(rand, 5);
        first_48_bits(out[0])
    }
}

impl Drop for Milenage {
    fn drop(&mut self) {
        self.opc.zeroize();
    }
}

/// The round keys are wiped by `aes`, OPc above.
impl ZeroizeOnDrop for Milenage {}

fn first_48_bits(out: u128) -> Ak {
    let [a0, a1, a2, a3, a4, a5, ..] = out.to_be_bytes();
    Ak::new([a0, a1, a2, a3, a4, a5])
}

/// E_K on independent blocks at once, which lets the cipher overlap them.
fn encrypt<const N: usize>(kernel: &Aes128, blocks: [u128; N]) -> [u128; N] {
    let mut octets = Zeroizing::new(blocks.map(u128::to_be_bytes));
    kernel.encrypt_blocks(Array::cast_slice_from_core_mut(octets.as_mut_slice()));
    octets.map(u128::from_be_bytes)
}
