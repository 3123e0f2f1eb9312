//! Writes the payload of a package, which is then encrypted.

use softsim_aka::{Credentials, TuakParameters};
use zeroize::Zeroizing;

use crate::cbor::encode;
use crate::package::Addressing;
use crate::payload::FIELDS;
use crate::{Algorithm, Profile};

/// Room for the longest payload.
const CAPACITY: usize = 512;

/// Writes the payload of a package.
pub(crate) fn write(addressing: &Addressing, profile: &Profile) -> Zeroizing<Vec<u8>> {
    let sqn = profile.sqn.parameters();
    let payload = encode(CAPACITY, |e| {
        e.map(FIELDS)?;
        e.u8(1)?.bytes(&addressing.device.0)?;
        e.u8(2)?.bytes(&addressing.sealing_key.0)?;
        e.u8(3)?.bytes(&addressing.issuer.0)?;
        e.u8(4)?.u64(addressing.sequence)?;
        e.u8(5)?.str(profile.iccid.as_str())?;
        e.u8(6)?.str(profile.imsi.digits())?;
        e.u8(7)?.u8(profile.imsi.mnc_length() as u8)?;
        e.u8(8)?.u8(Algorithm::of(&profile.credentials).number())?;
        e.u8(9)?.bytes(profile.credentials.k())?;
        match &profile.credentials {
            Credentials::Milenage { opc, .. } => e.u8(10)?.bytes(opc.as_bytes())?,
            Credentials::Tuak { topc, .. } => e.u8(10)?.bytes(topc.as_bytes())?,
            Credentials::Xor { .. } => e.u8(10)?.null()?,
        };
        e.u8(11)?.bytes(profile.amf.as_bytes())?;
        e.u8(12)?.u64(profile.sqn.floor().value())?;
        e.u8(13)?.u8(sqn.ind_bits)?;
        e.u8(14)?.u64(sqn.delta)?;
        e.u8(15)?.encode(sqn.l)?;
        e.u8(16)?.str(profile.routing_indicator.as_str())?;
        e.u8(17)?.array(profile.home_network_keys.len() as u64)?;
        for key in profile.home_network_keys.iter() {
            e.array(3)?
                .u8(key.id())?
                .u8(key.scheme() as u8)?
                .bytes(key.as_bytes())?;
        }
        e.u8(18)?.bool(profile.supplicant_consent)?;
        e.u8(19)?.encode(profile.validity.not_before())?;
        e.u8(20)?.encode(profile.validity.not_after())?;
        // OP and TOP stay with the operator: a profile holds OPc or TOPc.
        e.u8(21)?.null()?;
        match &profile.credentials {
            Credentials::Tuak { parameters, .. } => {
                let TuakParameters { res, iterations } = parameters;
                e.u8(22)?.array(2)?.u8(res.bits())?.u8(iterations.get())?
            }
            Credentials::Milenage { .. } | Credentials::Xor { .. } => e.u8(22)?.null()?,
        }
        .ok()
    });
    Zeroizing::new(payload)
}
