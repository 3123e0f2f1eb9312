//! Writes the headers of an operator's envelope.

use crate::cbor::encode;
use crate::cose::{ALG, CONTENT_TYPE, ES256, KID, Kind};
use crate::package::{Addressing, DEVICE, Headers, SEQUENCE};

impl Headers {
    pub(crate) fn write(&self) -> Vec<u8> {
        encode(192, |e| {
            e.map(5)?.i64(ALG)?.i64(ES256)?;
            e.i64(CONTENT_TYPE)?.str(self.kind.content_type())?;
            e.i64(KID)?.bytes(&self.issuer.0)?;
            e.i64(DEVICE)?.bytes(&self.device.0)?;
            e.i64(SEQUENCE)?.u64(self.sequence)?.ok()
        })
    }
}

impl Addressing {
    /// The headers of the package's signature.
    pub(crate) fn headers(&self) -> Headers {
        Headers {
            kind: Kind::Profile,
            issuer: self.issuer,
            device: self.device,
            sequence: self.sequence,
        }
    }
}
