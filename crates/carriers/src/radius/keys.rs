//! The MSK that a server sends: MS-MPPE-Recv-Key and MS-MPPE-Send-Key (RFC 2548 §2.4).

use std::fmt;

use md5::{Digest, Md5};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::Error;
use super::numbers::AttributeType;
use super::packet::Packet;
use super::secret::Secret;

const MICROSOFT: [u8; 4] = 311u32.to_be_bytes();
const SEND_KEY: u8 = 16;
const RECV_KEY: u8 = 17;
/// The length of one key in octets, which is half of an MSK.
const KEY: usize = 32;
/// The length in octets of the length octet and the key, padded to blocks of MD5.
const PADDED: usize = 48;

/// A master session key of 64 octets, as the server sent it. It stays in one place in memory,
/// whoever owns it, and is wiped there on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Msk(Box<[u8; 64]>);

impl Msk {
    /// Wraps the octets of an MSK.
    pub fn new(octets: [u8; 64]) -> Self {
        Msk(Box::new(octets))
    }

    /// The octets.
    pub fn expose(&self) -> &[u8; 64] {
        &self.0
    }

    /// Decrypts the MSK of an Access-Accept: MS-MPPE-Recv-Key ‖ MS-MPPE-Send-Key. `None` if the
    /// server sent none.
    pub(super) fn from_accept(
        accept: &Packet<'_>,
        secret: &Secret,
        request_authenticator: &[u8; 16],
    ) -> Result<Option<Self>, Error> {
        let value = |kind| vendor_value(accept, kind);
        match (value(RECV_KEY), value(SEND_KEY)) {
            (None, None) => Ok(None),
            (Some(recv), Some(send)) => {
                let mut msk = Msk::new([0; 64]);
                let (first, second) = msk.0.split_at_mut(KEY);
                decrypt(recv, secret, request_authenticator, first)?;
                decrypt(send, secret, request_authenticator, second)?;
                Ok(Some(msk))
            }
            _ => Err(Error::MppeKey),
        }
    }

    /// Builds the values of the two Vendor-Specific attributes that carry the MSK. `salt` must be
    /// unique within a packet. This function sets its highest bit, and uses the next salt for the
    /// second key.
    pub(super) fn vendor_attributes(
        &self,
        secret: &Secret,
        request_authenticator: &[u8; 16],
        salt: u16,
    ) -> [Vec<u8>; 2] {
        let (recv, send) = self.0.split_at(KEY);
        [
            (RECV_KEY, recv, salt),
            (SEND_KEY, send, salt.wrapping_add(1)),
        ]
        .map(|(kind, key, salt)| {
            let salt = (salt | 0x8000).to_be_bytes();
            let mut plain = Zeroizing::new([0; PADDED]);
            plain[0] = KEY as u8;
            plain[1..=KEY].copy_from_slice(key);
            let cipher = encrypt(&plain, secret, request_authenticator, salt);
            let length = (2 + salt.len() + cipher.len()) as u8;
            [&MICROSOFT[..], &[kind, length], &salt, &cipher].concat()
        })
    }
}

impl fmt::Debug for Msk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Msk([redacted])")
    }
}

/// The salt and ciphertext of one of Microsoft's attributes. One Vendor-Specific attribute may hold
/// several (RFC 2865 §5.26).
fn vendor_value<'a>(packet: &Packet<'a>, wanted: u8) -> Option<&'a [u8]> {
    packet
        .values(AttributeType::VENDOR_SPECIFIC)
        .find_map(|value| {
            let mut rest = value.strip_prefix(&MICROSOFT)?;
            while let &[kind, length, ..] = rest {
                let (whole, next) = rest.split_at_checked(usize::from(length))?;
                let value = whole.get(2..)?;
                if kind == wanted {
                    return Some(value);
                }
                rest = next;
            }
            None
        })
}

/// One block of key stream: MD5 of the secret and what comes before the block.
fn stream(secret: &Secret, before: [&[u8]; 2]) -> Zeroizing<[u8; 16]> {
    let hash = Md5::new()
        .chain_update(secret.expose())
        .chain_update(before[0])
        .chain_update(before[1]);
    Zeroizing::new(hash.finalize().into())
}

fn encrypt(
    plain: &[u8; PADDED],
    secret: &Secret,
    request_authenticator: &[u8; 16],
    salt: [u8; 2],
) -> [u8; PADDED] {
    let mut cipher = [0; PADDED];
    let mut mask = stream(secret, [request_authenticator, &salt]);
    for (out, plain) in cipher.chunks_exact_mut(16).zip(plain.chunks_exact(16)) {
        for ((out, plain), mask) in out.iter_mut().zip(plain).zip(&*mask) {
            *out = plain ^ mask;
        }
        mask = stream(secret, [out, &[]]);
    }
    cipher
}

/// Decrypts one key into its half of the MSK.
fn decrypt(
    value: &[u8],
    secret: &Secret,
    request_authenticator: &[u8; 16],
    key: &mut [u8],
) -> Result<(), Error> {
    let (salt, cipher) = value.split_first_chunk::<2>().ok_or(Error::MppeKey)?;
    let cipher: &[u8; PADDED] = cipher.try_into().map_err(|_| Error::MppeKey)?;
    let mut plain = Zeroizing::new([0; PADDED]);
    let mut mask = stream(secret, [request_authenticator, salt]);
    for (out, cipher) in plain.chunks_exact_mut(16).zip(cipher.chunks_exact(16)) {
        for ((out, cipher), mask) in out.iter_mut().zip(cipher).zip(&*mask) {
            *out = cipher ^ mask;
        }
        mask = stream(secret, [cipher, &[]]);
    }
    match (salt[0] & 0x80, plain[0]) {
        (0x80, length) if usize::from(length) == KEY => {
            key.copy_from_slice(&plain[1..=KEY]);
            Ok(())
        }
        _ => Err(Error::MppeKey),
    }
}
