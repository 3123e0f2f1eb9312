//! Writes the payload of a package, which is then encrypted.

use zeroize::Zeroizing;

use crate::Profile;
use crate::cbor::encode;
use crate::package::Addressing;
use crate::payload::{CAPACITY, FIELDS, further_fields, write_profile};

/// Writes the payload of a package.
pub(crate) fn write(addressing: &Addressing, profile: &Profile) -> Zeroizing<Vec<u8>> {
    let payload = encode(CAPACITY, |e| {
        e.map(FIELDS + further_fields(profile))?;
        e.u8(1)?.bytes(&addressing.device.0)?;
        e.u8(2)?.bytes(&addressing.sealing_key.0)?;
        e.u8(3)?.bytes(&addressing.issuer.0)?;
        e.u8(4)?.u64(addressing.sequence)?;
        write_profile(e, profile)
    });
    Zeroizing::new(payload)
}
