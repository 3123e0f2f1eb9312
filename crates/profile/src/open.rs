//! Opens a sealed package: the device's half, where every octet is hostile until the last check has passed.

use hpke::{Deserializable, OpModeR, setup_receiver};
use zeroize::Zeroizing;

use crate::{
    DeviceId, IssuerId, IssuerKey, MAX_PACKAGE, Now, PackageError, Profile, SealingKey,
    SealingKeyId, ShapeError, Verdict,
    cbor::Reader,
    cose::{ALG, ES256, EnvelopeError, KID, Sign1},
    package::{
        Addressing, Aead, DEVICE, EK, ENCAPSULATED_LENGTH, HPKE_XWING, Kdf, Kem, LABEL, SEQUENCE,
        TAG_ENCRYPT0,
    },
    payload,
};

/// What a package must match.
pub struct Expected<'a> {
    /// This device.
    pub device: DeviceId,
    /// The operators whose packages are opened.
    pub trust_anchors: &'a [IssuerKey],
    /// The last sequence taken from an issuer, 0 for none.
    pub last_sequence: &'a dyn Fn(&IssuerId) -> u64,
    /// What is known of the present.
    pub now: Now,
}

/// An accepted package.
#[derive(Debug)]
pub struct Opened {
    /// The subscription.
    pub profile: Profile,
    /// Who sealed it.
    pub issuer: IssuerId,
    /// Its sequence, to be stored with the profile.
    pub sequence: u64,
    /// Whether the validity could be judged: [`Verdict::Valid`] or [`Verdict::TimeUnknown`].
    pub verdict: Verdict,
}

/// Opens a package.
///
/// Checked in this order: length, format, shape, issuer, signature, device, sealing key, sequence,
/// ciphertext, the payload's shape, its agreement with the headers, its fields, validity.
///
/// # Errors
/// The first check that failed.
pub fn open(
    package: &[u8],
    sealing_key: &SealingKey,
    expected: &Expected<'_>,
) -> Result<Opened, PackageError> {
    if package.len() > MAX_PACKAGE {
        return Err(PackageError::TooLong {
            came: package.len(),
        });
    }
    let signed = Sign1::read("package", package)?;
    let headers = SignatureHeaders::read(signed.protected)?;
    let encrypted = Encrypt0::read(signed.payload)?;

    verify(&signed, &headers, expected)?;
    let addressing = check_addressing(&headers, &encrypted, sealing_key, expected)?;

    let payload = encrypted.decrypt(sealing_key, &addressing)?;
    let profile = payload::read(&payload, &addressing)?;
    let verdict = check_validity(&profile, expected.now)?;
    Ok(Opened {
        profile,
        issuer: addressing.issuer,
        sequence: addressing.sequence,
        verdict,
    })
}

fn verify(
    signed: &Sign1<'_>,
    headers: &SignatureHeaders,
    expected: &Expected<'_>,
) -> Result<(), PackageError> {
    let issuer = expected
        .trust_anchors
        .iter()
        .find(|anchor| anchor.id() == headers.issuer)
        .ok_or(PackageError::UnknownIssuer {
            came: headers.issuer,
        })?;
    if signed.verify(LABEL, issuer.key()) {
        Ok(())
    } else {
        Err(PackageError::Signature {
            issuer: issuer.id(),
        })
    }
}

fn check_addressing(
    headers: &SignatureHeaders,
    encrypted: &Encrypt0<'_>,
    sealing_key: &SealingKey,
    expected: &Expected<'_>,
) -> Result<Addressing, PackageError> {
    if headers.device != expected.device {
        return Err(PackageError::Device {
            expected: expected.device,
            came: headers.device,
        });
    }
    let own = sealing_key.public().id();
    if encrypted.sealing_key != own {
        return Err(PackageError::SealingKey {
            expected: own,
            came: encrypted.sealing_key,
        });
    }
    let last = (expected.last_sequence)(&headers.issuer);
    if headers.sequence <= last {
        return Err(PackageError::Sequence {
            last,
            came: headers.sequence,
        });
    }
    Ok(Addressing {
        device: headers.device,
        sealing_key: own,
        issuer: headers.issuer,
        sequence: headers.sequence,
    })
}

/// Judges a profile's validity anew, as time may have passed since it was opened.
///
/// # Errors
/// It is not valid yet, or no longer.
pub fn check_validity(profile: &Profile, now: Now) -> Result<Verdict, PackageError> {
    let validity = profile.validity;
    match validity.judge(now) {
        verdict @ (Verdict::Valid | Verdict::TimeUnknown) => Ok(verdict),
        Verdict::NotYetValid => Err(PackageError::NotYetValid {
            not_before: validity.not_before().unwrap_or_default(),
            now,
        }),
        Verdict::Expired => Err(PackageError::Expired {
            not_after: validity.not_after().unwrap_or_default(),
            now,
        }),
    }
}

/// The protected headers of the signature.
struct SignatureHeaders {
    issuer: IssuerId,
    device: DeviceId,
    sequence: u64,
}

impl SignatureHeaders {
    fn read(octets: &[u8]) -> Result<Self, ShapeError> {
        let mut reader = Reader::new("signature headers", octets);
        reader.map(4, "a map of 4")?;
        reader.exactly(ALG, "alg")?;
        reader.exactly(ES256, "ES256")?;
        reader.exactly(KID, "kid")?;
        let issuer = IssuerId(*reader.array_of("an issuer of 32 octets")?);
        reader.exactly(DEVICE, "the label of the device id")?;
        let device = DeviceId(*reader.array_of("a device id of 32 octets")?);
        reader.exactly(SEQUENCE, "the label of the sequence")?;
        let sequence = reader.uint("a sequence")?;
        reader.end()?;
        Ok(Self {
            issuer,
            device,
            sequence,
        })
    }
}

/// `16([protected, {EK: encapsulated key}, ciphertext])`
struct Encrypt0<'a> {
    sealing_key: SealingKeyId,
    encapsulated: &'a [u8; ENCAPSULATED_LENGTH],
    ciphertext: &'a [u8],
}

impl<'a> Encrypt0<'a> {
    fn read(octets: &'a [u8]) -> Result<Self, ShapeError> {
        let mut reader = Reader::new("ciphertext", octets);
        reader.tag(TAG_ENCRYPT0, "the tag of COSE_Encrypt0")?;
        reader.array_exactly(3, "an array of 3")?;
        let protected = reader.bytes("protected headers")?;
        reader.map(1, "one unprotected header")?;
        reader.exactly(EK, "ek")?;
        let encapsulated = reader.array_of("an encapsulated key of 1120 octets")?;
        let ciphertext = reader.bytes("a ciphertext")?;
        reader.end()?;

        let mut reader = Reader::new("ciphertext headers", protected);
        reader.map(2, "a map of 2")?;
        reader.exactly(ALG, "alg")?;
        reader.exactly(HPKE_XWING, "HPKE with X-Wing, HKDF-SHA256 and AES-256-GCM")?;
        reader.exactly(KID, "kid")?;
        let sealing_key = SealingKeyId(*reader.array_of("a sealing key id of 32 octets")?);
        reader.end()?;
        Ok(Self {
            sealing_key,
            encapsulated,
            ciphertext,
        })
    }

    fn decrypt(
        &self,
        key: &SealingKey,
        addressing: &Addressing,
    ) -> Result<Zeroizing<Vec<u8>>, PackageError> {
        let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(self.encapsulated)
            .map_err(|_| PackageError::Decryption)?;
        setup_receiver::<Aead, Kdf, Kem>(
            &OpModeR::Base,
            &key.expand(),
            &encapsulated,
            LABEL.as_bytes(),
        )
        .and_then(|mut context| context.open(self.ciphertext, &addressing.associated_data()))
        .map(Zeroizing::new)
        .map_err(|_| PackageError::Decryption)
    }
}

impl From<EnvelopeError> for PackageError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Format(came) => Self::Format { came },
            EnvelopeError::Trailing(count) => Self::Trailing { count },
            EnvelopeError::Shape(error) => Self::Shape(error),
        }
    }
}
