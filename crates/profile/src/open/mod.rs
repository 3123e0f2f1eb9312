//! Opens a sealed package on the device. It treats every octet as hostile until the last check has
//! passed.

mod command;
mod credentials;
pub(crate) mod fault;
mod headers;
pub(crate) mod payload;
mod statement;

use hpke::{Deserializable, OpModeR, setup_receiver};
use softsim_keyd_proto::PackageFault;
use zeroize::Zeroizing;

use self::fault::too_long;
use crate::cbor::Reader;
use crate::cose::{ALG, KID, Kind, Sign1};
use crate::package::{
    Addressing, Aead, EK, ENCAPSULATED_LENGTH, HPKE_XWING, Headers, INFO, Kdf, Kem, TAG_ENCRYPT0,
};
use crate::{
    Command, DeviceId, FieldError, IssuerId, IssuerKey, MAX_PACKAGE, Now, Profile, SealingKey,
    SealingKeyId, ShapeError, Validity, Verdict,
};

/// How far a sequence may rise at once, so that a mistake of an operator can't use up all of them.
/// Nanoseconds since 1970 fit.
const MAX_RISE: u64 = 1 << 62;

/// The values that a package must match.
pub struct Expected<'a> {
    /// This device.
    pub device: DeviceId,
    /// The operators whose packages this device opens.
    pub trust_anchors: &'a [IssuerKey],
    /// The last sequence that was accepted from an issuer, 0 for none.
    pub last_sequence: &'a dyn Fn(&IssuerId) -> u64,
    /// What is known of the present.
    pub now: Now,
}

/// The contents of an accepted package.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Contents {
    /// A profile to install.
    Profile(Profile),
    /// A command to carry out.
    Command(Command),
}

/// An accepted package.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The profile or the command.
    pub contents: Contents,
    /// Who signed it.
    pub issuer: IssuerId,
    /// Its sequence, which must be stored together with its effect.
    pub sequence: u64,
    /// When it may be accepted.
    pub validity: Validity,
    /// Whether the validity could be checked: [`Verdict::Valid`] or [`Verdict::TimeUnknown`].
    pub verdict: Verdict,
}

/// Opens a package: a sealed profile or a signed command.
///
/// The checks come in this order: length, format, shape, issuer, signature, device, sealing key (of
/// a profile), sequence, ciphertext (of a profile), the payload's shape, its agreement with the
/// headers, its fields, validity. The payload of a command is in clear, so its shape and fields are
/// checked together with the shape of the rest.
///
/// # Errors
/// The first check that failed.
pub fn open(
    package: &[u8],
    sealing_key: &SealingKey,
    expected: &Expected<'_>,
) -> Result<Opened, PackageFault> {
    if package.len() > MAX_PACKAGE {
        return Err(too_long(package.len()));
    }
    let signed = Sign1::read("package", package)?;
    let headers = Headers::read(signed.protected)?;
    let payload = Payload::read(headers.kind, signed.payload)?;

    verify(&signed, &headers, expected)?;
    check_device(&headers, expected)?;
    let (contents, validity) = match payload {
        Payload::Encrypted(encrypted) => {
            let addressing = encrypted.addressing(&headers, sealing_key)?;
            check_sequence(&headers, expected)?;
            let payload = encrypted.decrypt(sealing_key, &addressing)?;
            let profile = payload::read(&payload, &addressing)?;
            let validity = profile.validity;
            (Contents::Profile(profile), validity)
        }
        Payload::Command(command, validity) => {
            check_sequence(&headers, expected)?;
            (Contents::Command(command), validity)
        }
    };
    Ok(Opened {
        contents,
        issuer: headers.issuer,
        sequence: headers.sequence,
        validity,
        verdict: check_validity(&validity, expected.now)?,
    })
}

fn verify(
    signed: &Sign1<'_>,
    headers: &Headers,
    expected: &Expected<'_>,
) -> Result<(), PackageFault> {
    let issuer = expected
        .trust_anchors
        .iter()
        .find(|anchor| anchor.id() == headers.issuer)
        .ok_or(PackageFault::UnknownIssuer {
            got: headers.issuer.0,
        })?;
    if signed.verify(headers.kind, issuer.key()) {
        Ok(())
    } else {
        Err(PackageFault::Signature)
    }
}

fn check_device(headers: &Headers, expected: &Expected<'_>) -> Result<(), PackageFault> {
    if headers.device == expected.device {
        return Ok(());
    }
    Err(PackageFault::Device {
        expected: expected.device.0,
        got: headers.device.0,
    })
}

fn check_sequence(headers: &Headers, expected: &Expected<'_>) -> Result<(), PackageFault> {
    let (last, got) = ((expected.last_sequence)(&headers.issuer), headers.sequence);
    match got.checked_sub(last) {
        None | Some(0) => Err(PackageFault::Sequence { last, got }),
        Some(rise) if rise > MAX_RISE => Err(FieldError::new(
            "sequence",
            "at most 2^62 above the last one",
            got.to_string(),
        )
        .into()),
        Some(_) => Ok(()),
    }
}

fn check_validity(validity: &Validity, now: Now) -> Result<Verdict, PackageFault> {
    match validity.judge(now) {
        verdict @ (Verdict::Valid | Verdict::TimeUnknown) => Ok(verdict),
        Verdict::NotYetValid => Err(PackageFault::Validity {
            not_before: validity.not_before().unwrap_or_default(),
            not_after: u64::MAX,
            now: now.at_least(),
        }),
        Verdict::Expired => Err(PackageFault::Validity {
            not_before: 0,
            not_after: validity.not_after().unwrap_or_default(),
            now: now.at_least(),
        }),
    }
}

impl Opened {
    /// Checks its validity again, because time may have passed since it was opened.
    ///
    /// # Errors
    /// It isn't valid yet, or no longer valid.
    pub fn check_validity(&self, now: Now) -> Result<Verdict, PackageFault> {
        check_validity(&self.validity, now)
    }
}

/// The payload that an operator signed, as far as it is in clear.
enum Payload<'a> {
    Encrypted(Encrypt0<'a>),
    Command(Command, Validity),
}

impl<'a> Payload<'a> {
    fn read(kind: Kind, octets: &'a [u8]) -> Result<Self, PackageFault> {
        match kind {
            Kind::Command => {
                let (command, validity) = command::read(octets)?;
                Ok(Self::Command(command, validity))
            }
            // The headers can't be those of a statement.
            Kind::Profile | Kind::Statement => Ok(Self::Encrypted(Encrypt0::read(octets)?)),
        }
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

    /// The device and issuer of the package, if it is encrypted to this key.
    fn addressing(
        &self,
        headers: &Headers,
        sealing_key: &SealingKey,
    ) -> Result<Addressing, PackageFault> {
        let own = sealing_key.public().id();
        if self.sealing_key != own {
            return Err(PackageFault::SealingKey {
                expected: own.0,
                got: self.sealing_key.0,
            });
        }
        Ok(Addressing {
            device: headers.device,
            sealing_key: own,
            issuer: headers.issuer,
            sequence: headers.sequence,
        })
    }

    fn decrypt(
        &self,
        key: &SealingKey,
        addressing: &Addressing,
    ) -> Result<Zeroizing<Vec<u8>>, PackageFault> {
        let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(self.encapsulated)
            .map_err(|_| PackageFault::Decryption)?;
        setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &key.expand(), &encapsulated, INFO)
            .and_then(|mut context| context.open(self.ciphertext, &addressing.associated_data()))
            .map(Zeroizing::new)
            .map_err(|_| PackageFault::Decryption)
    }
}
