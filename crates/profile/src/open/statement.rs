//! Signs the sealing statement, the only envelope that a device makes.

use p256::ecdsa::SigningKey;

use crate::cbor::encode;
use crate::cose::{ALG, CONTENT_TYPE, ES256, KID, Kind, sign1};
use crate::{DeviceId, SealingPublicKey, SealingStatement};

impl SealingStatement {
    /// Signs the statement of the device that holds `device_key`.
    pub fn sign(sealing_key: &SealingPublicKey, device_key: &SigningKey) -> Vec<u8> {
        let device = DeviceId::of(device_key.verifying_key());
        let payload = encode(SealingPublicKey::LENGTH + 64, |e| {
            e.map(2)?
                .u8(1)?
                .bytes(&device.0)?
                .u8(2)?
                .bytes(sealing_key.as_bytes())?
                .ok()
        });
        sign1(Kind::Statement, &headers(&device), &payload, device_key)
    }
}

fn headers(device: &DeviceId) -> Vec<u8> {
    encode(128, |e| {
        e.map(3)?.i64(ALG)?.i64(ES256)?;
        e.i64(CONTENT_TYPE)?.str(Kind::Statement.content_type())?;
        e.i64(KID)?.bytes(&device.0)?.ok()
    })
}
