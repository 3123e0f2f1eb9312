//! The device's own keys: generated in keyd, certified by the factory, used for handshakes.

use core::fmt;

use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use sha2::{Digest, Sha256};
use softsim_keyd_proto::requests::{
    AddTrustAnchor, CertificateRequest, DeviceCertificate, GenerateDeviceKey, RemoveTrustAnchor,
    SealingStatement, SetDeviceCertificate, SignHandshake,
};
use softsim_keyd_proto::{
    CertificateAnswer, Counters, DeviceKeyAnswer, Refusal, SealingStatementAnswer, SignatureAnswer,
};
use softsim_profile::{DeviceId, IssuerKey, SealingKey, SealingKeyId};
use softsim_sandbox::random::SystemRng;
use zeroize::Zeroizing;

use crate::event::Event;
use crate::refusal::refusal_of;
use crate::vault::{DeviceKeys, Vault};
use crate::{certificate, handshake};

/// The stored keys, ready for use, and their ids.
pub(crate) struct Keys {
    pub(crate) device: SigningKey,
    pub(crate) sealing: SealingKey,
    pub(crate) application: SigningKey,
    pub(crate) device_id: DeviceId,
    pub(crate) sealing_key_id: SealingKeyId,
}

impl Keys {
    /// Expands the keys of the vault, which stores only valid ones.
    pub(crate) fn from_stored(stored: &DeviceKeys) -> Self {
        let expand = |scalar: &[u8; 32]| {
            SigningKey::from_slice(scalar).expect("the vault authenticates what it stored")
        };
        let device = expand(&stored.device);
        let sealing = SealingKey::from_bytes(*stored.sealing);
        Self {
            device_id: DeviceId::of(device.verifying_key()),
            sealing_key_id: sealing.public().id(),
            application: expand(&stored.application),
            device,
            sealing,
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, [redacted])", self.device_id)
    }
}

/// Returns the device's keys, or a refusal if they haven't been generated.
pub(crate) fn made(keys: &Option<Keys>) -> Result<&Keys, Refusal> {
    keys.as_ref().ok_or(Refusal::NoDeviceKey)
}

pub(crate) fn generate_device_key(
    keys: &mut Option<Keys>,
    vault: &mut Vault,
    _: GenerateDeviceKey,
) -> Result<DeviceKeyAnswer, Refusal> {
    if keys.is_some() {
        return Err(Refusal::DeviceKeyExists);
    }
    let generated = DeviceKeys {
        device: scalar(),
        sealing: Zeroizing::new(*SealingKey::generate(&mut SystemRng).as_bytes()),
        application: scalar(),
    };
    let made = Keys::from_stored(&generated);
    vault.set_device_keys(generated).map_err(refusal_of)?;
    Event::KeysMade {
        device: &made.device_id,
    }
    .log();
    let device_id = made.device_id.0;
    *keys = Some(made);
    Ok(DeviceKeyAnswer { device_id })
}

pub(crate) fn certificate_request(
    keys: &Keys,
    _: CertificateRequest,
) -> Result<CertificateAnswer, Refusal> {
    let name = keys.device_id.to_string();
    let sign = |info: &[u8]| signature(&keys.device, &[info]);
    let der = certificate::request(&name, &spki(&keys.device), sign);
    Ok(CertificateAnswer { der })
}

pub(crate) fn set_device_certificate(
    keys: &Keys,
    vault: &mut Vault,
    request: SetDeviceCertificate<'_>,
) -> Result<(), Refusal> {
    let certified =
        certificate::subject_public_key(request.certificate).map_err(|_| Refusal::Field {
            name: "certificate".to_owned(),
            expected: "an X.509 certificate of version 3, DER".to_owned(),
            got: "other octets".to_owned(),
        })?;
    if certified != spki(&keys.device) {
        return Err(Refusal::CertificateKey);
    }
    vault
        .set_certificate(request.certificate)
        .map_err(refusal_of)?;
    Event::Certified.log();
    Ok(())
}

pub(crate) fn device_certificate(
    vault: &Vault,
    _: DeviceCertificate,
) -> Result<CertificateAnswer, Refusal> {
    let der = stored_certificate(vault)?.to_vec();
    Ok(CertificateAnswer { der })
}

pub(crate) fn sign_handshake(
    keys: &Keys,
    vault: &Vault,
    counters: &mut Counters,
    request: SignHandshake<'_>,
) -> Result<SignatureAnswer, Refusal> {
    if let Err(fault) = handshake::check(request.transcript, stored_certificate(vault)?) {
        Event::Handshake(fault).log();
        return Err(Refusal::Handshake(fault));
    }
    counters.handshakes_signed += 1;
    Ok(SignatureAnswer {
        signature: signature(&keys.device, &[request.transcript]),
    })
}

pub(crate) fn sealing_statement(
    keys: &Keys,
    _: SealingStatement,
) -> Result<SealingStatementAnswer, Refusal> {
    Ok(SealingStatementAnswer {
        statement: softsim_profile::SealingStatement::sign(&keys.sealing.public(), &keys.device),
    })
}

pub(crate) fn add_trust_anchor(
    vault: &mut Vault,
    request: AddTrustAnchor<'_>,
) -> Result<(), Refusal> {
    let issuer = issuer_key(request.issuer)?;
    let id = issuer.id();
    vault.add_trust_anchor(issuer).map_err(refusal_of)?;
    Event::TrustAnchor { issuer: &id }.log();
    Ok(())
}

pub(crate) fn remove_trust_anchor(
    vault: &mut Vault,
    request: RemoveTrustAnchor<'_>,
) -> Result<(), Refusal> {
    let issuer = issuer_key(request.issuer)?;
    vault.remove_trust_anchor(&issuer).map_err(refusal_of)?;
    Event::Distrusted {
        issuer: &issuer.id(),
    }
    .log();
    Ok(())
}

fn stored_certificate(vault: &Vault) -> Result<&[u8], Refusal> {
    vault.certificate().ok_or(Refusal::NoDeviceCertificate)
}

/// The public key of an issuer that a request names.
fn issuer_key(spki: &[u8]) -> Result<IssuerKey, Refusal> {
    IssuerKey::from_spki(spki).map_err(|error| Refusal::Field {
        name: "issuer".to_owned(),
        expected: error.expected.to_owned(),
        got: format!("{} other octets", error.length),
    })
}

/// ECDSA with SHA-256 over the parts, in DER. The nonce is that of RFC 6979, with additional
/// randomness.
pub(crate) fn signature(key: &SigningKey, parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    let signature: DerSignature = key
        .sign_prehash_with_rng(&mut SystemRng, &digest.finalize())
        .expect("a digest of 32 octets is long enough, and the generator can't fail");
    signature.as_bytes().to_vec()
}

/// SubjectPublicKeyInfo of a key's public half, DER.
pub(crate) fn spki(key: &SigningKey) -> Vec<u8> {
    IssuerKey::from(*key.verifying_key()).to_spki().to_vec()
}

fn scalar() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(
        SigningKey::generate_from_rng(&mut SystemRng)
            .to_bytes()
            .into(),
    )
}
