//! The encrypted payload: one CBOR map with all the keys 1 to 22, in order, and 23 if the profile
//! demands a policy.
//!
//! | keys | contents |
//! |---|---|
//! | 1 to 4 | device id, sealing key id, issuer, sequence: as outside |
//! | 5 to 7 | ICCID, IMSI, length of the MNC |
//! | 8 | algorithm: 1 Milenage, 2 TUAK, 3 XOR |
//! | 9 | K: 16 octets, or 32 with TUAK |
//! | 10 | OPc or TOPc; null with XOR, and where 21 stands for it |
//! | 11 | AMF |
//! | 12 to 15 | SQN: floor, length of IND, Δ, L or null |
//! | 16 and 17 | routing indicator, home network public keys: arrays of identifier, scheme and key |
//! | 18 | whether raw CK and IK may leave to a supplicant |
//! | 19 and 20 | validity: not before, not after, or null |
//! | 21 | OP or TOP, for the device to derive 10 from and forget; else null |
//! | 22 | TUAK: an array of the length of RES in bits and the iterations of Keccak; else null |
//! | 23 | the policy that identities have at least: 1 conservative, 2 strict; absent for none |

use core::convert::Infallible;

use minicbor::Encoder;
use minicbor::encode::Error;
use softsim_aka::{Credentials, TuakParameters};

use crate::{Algorithm, Profile};

/// The number of fields that every profile has.
pub(crate) const FIELDS: u64 = 22;

/// The number of those that belong to the profile: all but the first four.
#[cfg(feature = "open")]
pub(crate) const PROFILE_FIELDS: u64 = 18;

/// The number of fields that only some profiles have.
pub(crate) fn further_fields(profile: &Profile) -> u64 {
    profile.identity_privacy.is_some().into()
}

/// The capacity of the buffer, in octets; no payload is longer.
pub(crate) const CAPACITY: usize = 512;

/// Writes the fields of a profile, which are those from the fifth on.
pub(crate) fn write_profile(
    e: &mut Encoder<Vec<u8>>,
    profile: &Profile,
) -> Result<(), Error<Infallible>> {
    let sqn = profile.sqn.parameters();
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
    // A profile holds OPc or TOPc, so that OP and TOP stay with the operator.
    e.u8(21)?.null()?;
    match &profile.credentials {
        Credentials::Tuak { parameters, .. } => {
            let TuakParameters { res, iterations } = parameters;
            e.u8(22)?.array(2)?.u8(res.bits())?.u8(iterations.get())?
        }
        Credentials::Milenage { .. } | Credentials::Xor { .. } => e.u8(22)?.null()?,
    };
    if let Some(demand) = profile.identity_privacy {
        e.u8(23)?.u8(demand as u8)?;
    }
    Ok(())
}
