//! The value of AT_ENCR_DATA: AES-128 in CBC mode, padded to whole blocks by AT_PADDING (RFC 4187
//! §10.12).

use aes::Aes128;
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use cbc::{Decryptor, Encryptor};

use crate::{Iv, KEncr};

/// The error for data that aren't one or more whole blocks of 16 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encrypted data: expected one or more blocks of 16 octets, got {length} octets")]
pub struct NotWholeBlocks {
    /// The length of the data in octets.
    pub length: usize,
}

/// Encrypts attributes in place.
///
/// # Errors
/// [`NotWholeBlocks`]; nothing is changed then.
pub fn encrypt(k_encr: &KEncr, iv: &Iv, attributes: &mut [u8]) -> Result<(), NotWholeBlocks> {
    let blocks = blocks(attributes)?;
    let mut cbc = Encryptor::<Aes128>::new(k_encr.as_bytes().into(), iv.as_bytes().into());
    blocks.iter_mut().for_each(|block| cbc.encrypt_block(block));
    Ok(())
}

/// Decrypts the value of AT_ENCR_DATA in place. Only AT_MAC shows whether the result is genuine.
///
/// # Errors
/// [`NotWholeBlocks`]; nothing is changed then.
pub fn decrypt(k_encr: &KEncr, iv: &Iv, data: &mut [u8]) -> Result<(), NotWholeBlocks> {
    let blocks = blocks(data)?;
    let mut cbc = Decryptor::<Aes128>::new(k_encr.as_bytes().into(), iv.as_bytes().into());
    blocks.iter_mut().for_each(|block| cbc.decrypt_block(block));
    Ok(())
}

fn blocks(data: &mut [u8]) -> Result<&mut [aes::Block], NotWholeBlocks> {
    let length = data.len();
    match Array::slice_as_chunks_mut(data) {
        (blocks, []) if !blocks.is_empty() => Ok(blocks),
        _ => Err(NotWholeBlocks { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two blocks of F.2.1 and F.2.2 in NIST SP 800-38A.
    #[test]
    fn cbc_is_that_of_sp_800_38a() {
        let k_encr = KEncr::new([
            0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf,
            0x4f, 0x3c,
        ]);
        let iv = Iv::new(core::array::from_fn(|at| at as u8));
        let plain = [
            0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93,
            0x17, 0x2a, 0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac,
            0x45, 0xaf, 0x8e, 0x51,
        ];
        let mut data = plain;
        assert_eq!(encrypt(&k_encr, &iv, &mut data), Ok(()));
        assert_eq!(
            data,
            [
                0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46, 0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9,
                0x19, 0x7d, 0x50, 0x86, 0xcb, 0x9b, 0x50, 0x72, 0x19, 0xee, 0x95, 0xdb, 0x11, 0x3a,
                0x91, 0x76, 0x78, 0xb2,
            ]
        );
        assert_eq!(decrypt(&k_encr, &iv, &mut data), Ok(()));
        assert_eq!(data, plain);
    }

    #[test]
    fn only_whole_blocks_are_encrypted_data() {
        let (k_encr, iv) = (KEncr::new([1; 16]), Iv::new([2; 16]));
        for length in [0, 1, 15, 17, 33] {
            let mut data = [7; 33];
            let error = decrypt(&k_encr, &iv, &mut data[..length]);
            assert_eq!(error, Err(NotWholeBlocks { length }));
            assert_eq!(encrypt(&k_encr, &iv, &mut data[..length]), error);
            assert_eq!(data, [7; 33]);
        }
    }
}
