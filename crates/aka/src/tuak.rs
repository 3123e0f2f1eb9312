//! TUAK, the algorithm set of TS 35.231 over the permutation Keccak-f\[1600\].
//!
//! IN and OUT of the permutation are 25 lanes of 64 bits. Where TS 35.231 §6 writes IN\[i\] =
//! X\[n\] .. X\[0\], a field is a big-endian number spread over lanes, its least significant 64
//! bits in the first of them:
//!
//! | lanes | of IN | of OUT |
//! |---|---|---|
//! | 0 to 3 | TOPc, or TOP | MAC, RES or TOPc |
//! | 4 | ALGONAME ‖ INSTANCE | CK, up to lane 7 |
//! | 5 and 6 | RAND | |
//! | 7 | SQN ‖ AMF in f1 and f1* | |
//! | 8 to 11 | K | IK |
//! | 12 | 11111, the first bits of the padding | AK |
//! | 16 | the last bit of the padding | |

use core::num::NonZeroU8;

use keccak::Keccak;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{
    Ak, AlgorithmSet, Amf, AuthenticationOutput, Ck, Ik, K, K256, Mac, Rand, Res, Sqn, Top, Topc,
};

/// ALGONAME in the upper seven octets of lane 4, INSTANCE in the lowest.
const ALGONAME: u64 = u64::from_be_bytes(*b"TUAK1.0\0");

/// The bits 768 to 772 and 1087 of IN.
const PADDING: [(usize, u64); 2] = [(12, 0b11111), (16, 1 << 63)];

/// INSTANCE\[0\] and INSTANCE\[1\], the two highest bits: which function this is (TS 35.231 §6.2 to
/// §6.8).
const F1: u8 = 0x00;
const F2345: u8 = 0x40;
const F1_STAR: u8 = 0x80;
const F5_STAR: u8 = 0xc0;

/// INSTANCE\[7\], the lowest bit: K has 256 bits.
const LONG_K: u8 = 0x01;

/// The subscriber key of TUAK.
#[derive(Debug)]
pub enum TuakKey {
    /// Of 128 bits.
    K(K),
    /// Of 256 bits.
    K256(K256),
}

impl TuakKey {
    /// The key's octets: 16 or 32.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::K(k) => k.as_bytes(),
            Self::K256(k) => k.as_bytes(),
        }
    }

    fn instance(&self) -> u8 {
        match self {
            Self::K(_) => 0,
            Self::K256(_) => LONG_K,
        }
    }
}

impl ConstantTimeEq for TuakKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.as_bytes().ct_eq(other.as_bytes())
    }
}

/// Takes constant time for keys of one length.
impl PartialEq for TuakKey {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for TuakKey {}

/// The lengths of RES that both TUAK and AKA support. TUAK's 256 bits are more than AT_RES can
/// carry (TS 33.102 §6.3.7, RFC 4187 §10.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResLength {
    /// 4 octets.
    Bits32,
    /// 8 octets.
    #[default]
    Bits64,
    /// 16 octets.
    Bits128,
}

impl ResLength {
    /// The length with this many bits.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            32 => Some(Self::Bits32),
            64 => Some(Self::Bits64),
            128 => Some(Self::Bits128),
            _ => None,
        }
    }

    /// The length in bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 64,
            Self::Bits128 => 128,
        }
    }

    const fn octets(self) -> usize {
        self.bits() as usize / 8
    }
}

/// The parameters of TUAK that an operator chooses. AKA fixes the other lengths: 64 bits of MAC in
/// AUTN and AUTS, 128 bits of CK and IK (TS 33.102 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuakParameters {
    /// Length of RES.
    pub res: ResLength,
    /// How often the permutation is applied, including for TOPc.
    pub iterations: NonZeroU8,
}

/// 64 bits of RES, and one iteration.
impl Default for TuakParameters {
    fn default() -> Self {
        Self {
            res: ResLength::default(),
            iterations: NonZeroU8::MIN,
        }
    }
}

/// TUAK for one subscriber: the parts of IN that are the same for every RAND.
pub struct Tuak {
    subscriber: Lanes,
    parameters: TuakParameters,
}

impl Tuak {
    /// Prepares the functions of the subscriber with this K and TOPc.
    pub fn new(k: &TuakKey, topc: &Topc, parameters: TuakParameters) -> Self {
        Self {
            subscriber: lanes(topc.as_bytes(), k),
            parameters,
        }
    }

    /// Derives TOPc from TOP and K (TS 35.231 §6.1).
    pub fn topc(k: &TuakKey, top: &Top, iterations: NonZeroU8) -> Topc {
        let mut lanes = lanes(top.as_bytes(), k);
        permute(&mut lanes, iterations);
        Topc::new(*field(&lanes[..4]))
    }

    /// Computes OUT from RAND; f1 and f1* also use SQN and AMF.
    fn out(&self, instance: u8, rand: &Rand, sqn_amf: u64) -> Lanes {
        let mut lanes = self.subscriber.clone();
        lanes[4] |= u64::from(instance);
        place(&mut lanes[5..7], rand.as_bytes());
        lanes[7] = sqn_amf;
        permute(&mut lanes, self.parameters.iterations);
        lanes
    }

    /// f1 or f1* (TS 35.231 §6.2 and §6.3) with a MAC of 8, 16 or 32 octets.
    fn mac<const LENGTH: usize>(
        &self,
        function: u8,
        rand: &Rand,
        sqn: Sqn,
        amf: Amf,
    ) -> Zeroizing<[u8; LENGTH]> {
        let sqn_amf = sqn.value() << 16 | u64::from(u16::from_be_bytes(*amf.as_bytes()));
        let out = self.out(function | length(LENGTH), rand, sqn_amf);
        field(&out[..4])
    }
}

impl AlgorithmSet for Tuak {
    fn f1(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        Mac::new(*self.mac(F1, rand, sqn, amf))
    }

    fn f1_star(&self, rand: &Rand, sqn: Sqn, amf: Amf) -> Mac {
        Mac::new(*self.mac(F1_STAR, rand, sqn, amf))
    }

    /// TS 35.231 §6.4 to §6.7, with CK and IK of 128 bits.
    fn f2345(&self, rand: &Rand) -> AuthenticationOutput {
        let octets = self.parameters.res.octets();
        let out = self.out(F2345 | length(octets), rand, 0);
        let res: Zeroizing<[u8; 16]> = field(&out[..4]);
        AuthenticationOutput {
            res: Res::new(&res[16 - octets..]).expect("a length of RES is one that Res takes"),
            ck: Ck::new(*field(&out[4..])),
            ik: Ik::new(*field(&out[8..])),
            ak: Ak::new(*field(&out[12..])),
        }
    }

    /// TS 35.231 §6.8.
    fn f5_star(&self, rand: &Rand) -> Ak {
        let out = self.out(F5_STAR, rand, 0);
        Ak::new(*field(&out[12..]))
    }
}

/// The lanes are wiped by their own type.
impl ZeroizeOnDrop for Tuak {}

/// IN or OUT.
type Lanes = Zeroizing<[u64; 25]>;

/// IN with TOP or TOPc, K and the padding; RAND, SQN and AMF are zero.
fn lanes(top_or_topc: &[u8; 32], k: &TuakKey) -> Lanes {
    let mut lanes = Zeroizing::new([0; 25]);
    place(&mut lanes[..4], top_or_topc);
    lanes[4] = ALGONAME | u64::from(k.instance());
    place(&mut lanes[8..12], k.as_bytes());
    for (lane, bits) in PADDING {
        lanes[lane] = bits;
    }
    lanes
}

/// INSTANCE\[2\] to INSTANCE\[4\] for a MAC or RES. These bits are its length in octets, but 000
/// for 4 octets.
const fn length(octets: usize) -> u8 {
    octets as u8 & 0x38
}

/// Applies Π as often as the operator chose.
fn permute(lanes: &mut [u64; 25], iterations: NonZeroU8) {
    Keccak::new().with_f1600(|f1600| (0..iterations.get()).for_each(|_| f1600(lanes)));
}

/// Writes a field to the lanes. Lanes beyond its length stay zero.
fn place(lanes: &mut [u64], field: &[u8]) {
    for (lane, octets) in lanes.iter_mut().zip(field.rchunks(8)) {
        *lane = octets
            .iter()
            .fold(0, |number, octet| number << 8 | u64::from(*octet));
    }
}

/// Reads a field from the lanes.
fn field<const LENGTH: usize>(lanes: &[u64]) -> Zeroizing<[u8; LENGTH]> {
    let mut field = Zeroizing::new([0; LENGTH]);
    for (octets, lane) in field.rchunks_mut(8).zip(lanes) {
        octets.copy_from_slice(&lane.to_be_bytes()[8 - octets.len()..]);
    }
    field
}

#[cfg(test)]
mod tests;
