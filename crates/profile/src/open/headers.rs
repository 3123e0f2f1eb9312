//! Reads the headers of an operator's envelope.

use crate::cbor::Reader;
use crate::cose::{ALG, CONTENT_TYPE, ES256, KID, Kind};
use crate::package::{DEVICE, Headers, SEQUENCE};
use crate::{DeviceId, IssuerId, ShapeError};

impl Headers {
    pub(crate) fn read(octets: &[u8]) -> Result<Self, ShapeError> {
        let mut reader = Reader::new("signature headers", octets);
        reader.map(5, "a map of 5")?;
        reader.exactly(ALG, "alg")?;
        reader.exactly(ES256, "ES256")?;
        reader.exactly(CONTENT_TYPE, "the label of the content type")?;
        let kind = reader.one_of(
            [Kind::Profile, Kind::Command],
            |kind| kind.content_type(),
            "the content type of a sealed profile or of a command",
        )?;
        reader.exactly(KID, "kid")?;
        let issuer = IssuerId(*reader.array_of("an issuer of 32 octets")?);
        reader.exactly(DEVICE, "the label of the device id")?;
        let device = DeviceId(*reader.array_of("a device id of 32 octets")?);
        reader.exactly(SEQUENCE, "the label of the sequence")?;
        let sequence = reader.uint("a sequence")?;
        reader.end()?;
        Ok(Self {
            kind,
            issuer,
            device,
            sequence,
        })
    }
}
