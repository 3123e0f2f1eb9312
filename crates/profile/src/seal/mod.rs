//! Seals profiles and signs commands for one device, on the operator's side.

pub(crate) mod command;
mod headers;
pub(crate) mod payload;
mod statement;

use hpke::rand_core::CryptoRng;
use hpke::{OpModeS, Serializable, setup_sender_with_rng};
use minicbor::data::Tag;
use p256::ecdsa::SigningKey;

use crate::cbor::encode;
use crate::cose::{Kind, sign1};
use crate::package::{
    Addressing, Aead, EK, ENCAPSULATED_LENGTH, Headers, INFO, Kdf, Kem, TAG_ENCRYPT0,
};
use crate::{Command, DeviceId, IssuerKey, Profile, SealingPublicKey, SealingStatement, Validity};

/// Why a profile was not sealed, or a command not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The sequence is 0. Devices start from 0 and accept only higher ones.
    #[error("expected a sequence from 1 on, got 0")]
    SequenceZero,
}

/// Seals `profile` for the device of a verified statement.
///
/// `sequence` must be higher than in every package and command that this issuer made for this
/// device before.
///
/// # Errors
/// The sequence is 0.
pub fn seal(
    profile: &Profile,
    statement: &SealingStatement,
    issuer: &SigningKey,
    sequence: u64,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    if sequence == 0 {
        return Err(SealError::SequenceZero);
    }
    let addressing = Addressing {
        device: statement.device(),
        sealing_key: statement.sealing_key().id(),
        issuer: IssuerKey::from(*issuer.verifying_key()).id(),
        sequence,
    };
    let payload = payload::write(&addressing, profile);
    let encrypted = encrypt0(&addressing, statement.sealing_key(), &payload, rng);
    let headers = addressing.headers();
    Ok(sign1(headers.kind, &headers.write(), &encrypted, issuer))
}

/// Signs a command to a device.
///
/// `sequence` must be higher than in every package and command that this issuer made for this
/// device before.
///
/// # Errors
/// The sequence is 0.
pub fn sign_command(
    command: &Command,
    validity: &Validity,
    device: DeviceId,
    issuer: &SigningKey,
    sequence: u64,
) -> Result<Vec<u8>, SealError> {
    if sequence == 0 {
        return Err(SealError::SequenceZero);
    }
    let headers = Headers {
        kind: Kind::Command,
        issuer: IssuerKey::from(*issuer.verifying_key()).id(),
        device,
        sequence,
    };
    let payload = command::write(command, validity);
    Ok(sign1(headers.kind, &headers.write(), &payload, issuer))
}

/// `16([protected, {EK: encapsulated key}, ciphertext])`
pub(crate) fn encrypt0(
    addressing: &Addressing,
    sealing_key: &SealingPublicKey,
    payload: &[u8],
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let (encapsulated, mut context) =
        setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &sealing_key.expand(), INFO, rng)
            .expect("encapsulation to a checked X-Wing key can't fail");
    let ciphertext = context
        .seal(payload, &addressing.associated_data())
        .expect("the first message of a context is below its limit");
    encode(ENCAPSULATED_LENGTH + ciphertext.len() + 128, |e| {
        e.tag(Tag::new(TAG_ENCRYPT0))?
            .array(3)?
            .bytes(&addressing.encryption_headers())?;
        e.map(1)?
            .i64(EK)?
            .bytes(&encapsulated.to_bytes())?
            .bytes(&ciphertext)?
            .ok()
    })
}
