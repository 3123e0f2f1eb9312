//! The two pseudo-random functions: PRF' of EAP-AKA', and the generator of FIPS 186-2 that EAP-AKA
//! uses.

use hmac::{Hmac, KeyInit, Mac};
use sha1::block_api::compress;
use sha2::Sha256;
use zeroize::Zeroizing;

/// PRF'(K, S) = T1 ‖ T2 ‖ …, where Tn = HMAC-SHA-256(K, Tn-1 ‖ S ‖ n) (RFC 9048 §3.4.1). `s` holds
/// S in parts.
pub(super) fn prf_prime<const N: usize>(key: &[u8], s: [&[u8]; N], output: &mut [u8]) {
    let keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    let mut previous = Zeroizing::new([0; 32]);
    for (chunk, n) in output.chunks_mut(32).zip(1u8..) {
        let mut hmac = keyed.clone();
        if n > 1 {
            hmac.update(previous.as_slice());
        }
        s.iter().for_each(|part| hmac.update(part));
        hmac.update(&[n]);
        *previous = hmac.finalize().into_bytes().into();
        chunk.copy_from_slice(&previous[..chunk.len()]);
    }
}

/// The constant t of FIPS 186-2, with which G starts: SHA-1's initial state.
const T: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

/// The generator of FIPS 186-2 with change notice 1, without XSEED and without mod q (RFC 4186
/// Appendix B, to which RFC 4187 §7 refers): w = G(t, XKEY), then XKEY = (1 + XKEY + w) mod 2^160,
/// over and over.
pub(super) fn fips186_2(xkey: &[u8; 20], output: &mut [u8]) {
    let mut xkey = Zeroizing::new(*xkey);
    for chunk in output.chunks_mut(20) {
        let w = g(&xkey);
        add_with_one(&mut xkey, &w);
        chunk.copy_from_slice(&w[..chunk.len()]);
    }
}

/// G(t, c): SHA-1's compression function on c and zeros up to a block, without SHA-1's padding.
fn g(c: &[u8; 20]) -> Zeroizing<[u8; 20]> {
    let mut block = Zeroizing::new([[0; 64]; 1]);
    block[0][..20].copy_from_slice(c);
    let mut state = Zeroizing::new(T);
    compress(&mut state, block.as_slice());
    let mut w = Zeroizing::new([0; 20]);
    for (octets, word) in w.chunks_exact_mut(4).zip(state.iter()) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    w
}

/// a = (1 + a + b) mod 2^160.
fn add_with_one(a: &mut [u8; 20], b: &[u8; 20]) {
    let mut carry = 1;
    for (a, b) in a.iter_mut().zip(b).rev() {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        *a = sum as u8;
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_carries_through_every_octet_and_drops_what_exceeds_160_bits() {
        let mut a = [0xff; 20];
        add_with_one(&mut a, &[0; 20]);
        assert_eq!(a, [0; 20]);
        let mut a = [0xff; 20];
        add_with_one(&mut a, &[0xff; 20]);
        assert_eq!(a, [0xff; 20]);
    }
}
