//! What is encrypted: one CBOR map whose keys 1 to 22 all stand there, in order.
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

use softsim_aka::{Amf, Credentials, Sqn, TuakParameters};
use softsim_usim::SqnParameters;
use zeroize::Zeroizing;

use crate::cbor::{Reader, encode};
use crate::credentials::{Unchecked, octets, tuak_parameters};
use crate::package::Addressing;
use crate::profile::imsi;
use crate::{
    Algorithm, FieldError, HomeNetworkKey, HomeNetworkKeys, Iccid, PackageError, Profile,
    RoutingIndicator, SqnScheme, Validity,
};

/// Room for the longest payload.
const CAPACITY: usize = 512;

/// How many fields there are.
const FIELDS: u64 = 22;

/// Writes the payload of a package.
#[cfg(feature = "seal")]
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
        // OP and TOP are the operator's: this issuer derives OPc and TOPc before they travel.
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

/// Reads the payload of a package that is addressed like this outside.
#[cfg(feature = "open")]
pub(crate) fn read(payload: &[u8], outside: &Addressing) -> Result<Profile, PackageError> {
    let mut fields = Fields(Reader::new("payload", payload));
    fields.0.map(FIELDS, "a map of 22")?;
    fields.equal(1, "device id", &outside.device.0)?;
    fields.equal(2, "sealing key id", &outside.sealing_key.0)?;
    fields.equal(3, "issuer", &outside.issuer.0)?;
    if fields.at(4)?.uint("a sequence")? != outside.sequence {
        return Err(PackageError::Mismatch { field: "sequence" });
    }
    let iccid = Iccid::new(fields.at(5)?.text("an ICCID")?)?;
    let digits = fields.at(6)?.text("an IMSI")?;
    let imsi = imsi(digits, fields.at(7)?.uint("the length of the MNC")?)?;
    let algorithm = Algorithm::from_number(fields.at(8)?.uint("an algorithm")?)?;
    let k = fields.at(9)?.bytes("octets")?;
    let derived = fields.at(10)?.optional_bytes("octets or null")?;
    let amf = Amf::new(octets("amf", "2 octets", fields.at(11)?.bytes("octets")?)?);
    let sqn = fields.sqn_scheme()?;
    let routing_indicator = RoutingIndicator::new(fields.at(16)?.text("a routing indicator")?)?;
    let home_network_keys = fields.home_network_keys()?;
    let supplicant_consent = fields.at(18)?.bool("a consent")?;
    let validity = Validity::new(
        fields.at(19)?.optional_uint("a time or null")?,
        fields.at(20)?.optional_uint("a time or null")?,
    )?;
    let credentials = Unchecked {
        algorithm,
        k,
        derived,
        underived: fields.at(21)?.optional_bytes("octets or null")?,
        tuak: fields.tuak_parameters()?,
    };
    fields.0.end()?;
    Ok(Profile {
        iccid,
        imsi,
        credentials: credentials.check()?,
        amf,
        sqn,
        routing_indicator,
        home_network_keys,
        supplicant_consent,
        validity,
    })
}

/// The fields of a payload, read in the order of their keys.
#[cfg(feature = "open")]
struct Fields<'b>(Reader<'b>);

#[cfg(feature = "open")]
impl<'b> Fields<'b> {
    /// The reader, behind the key of the next field.
    fn at(&mut self, key: i64) -> Result<&mut Reader<'b>, PackageError> {
        self.0.exactly(key, "the key of the next field")?;
        Ok(&mut self.0)
    }

    fn equal(
        &mut self,
        key: i64,
        field: &'static str,
        outside: &[u8; 32],
    ) -> Result<(), PackageError> {
        let inside: &[u8; 32] = self.at(key)?.array_of("an id of 32 octets")?;
        if inside == outside {
            Ok(())
        } else {
            Err(PackageError::Mismatch { field })
        }
    }

    fn sqn_scheme(&mut self) -> Result<SqnScheme, PackageError> {
        let floor = self.at(12)?.uint("an SQN")?;
        let floor = Sqn::new(floor)
            .ok_or_else(|| FieldError::new("sqn", "a number below 2^48", floor.to_string()))?;
        let ind_bits = self.at(13)?.uint("the length of IND")?;
        let ind_bits = u8::try_from(ind_bits)
            .map_err(|_| FieldError::new("ind_bits", "0 to 5", ind_bits.to_string()))?;
        let delta = self.at(14)?.uint("a difference")?;
        let l = self.at(15)?.optional_uint("a limit or null")?;
        Ok(SqnScheme::new(floor, SqnParameters { ind_bits, delta, l })?)
    }

    fn tuak_parameters(&mut self) -> Result<Option<TuakParameters>, PackageError> {
        let reader = self.at(22)?;
        if reader.null() {
            return Ok(None);
        }
        reader.array_exactly(2, "an array of 2 or null")?;
        let res_bits = reader.uint("the length of RES")?;
        let iterations = reader.uint("the iterations of Keccak")?;
        Ok(Some(tuak_parameters(res_bits, iterations)?))
    }

    fn home_network_keys(&mut self) -> Result<HomeNetworkKeys, PackageError> {
        let reader = self.at(17)?;
        let count = reader.array("home network keys")?;
        if count > HomeNetworkKeys::MAX as u64 {
            return Err(
                FieldError::new("home_network_keys", "at most 2 keys", count.to_string()).into(),
            );
        }
        let mut keys = Vec::with_capacity(HomeNetworkKeys::MAX);
        for _ in 0..count {
            reader.array_exactly(3, "an array of 3")?;
            let id = reader.uint("a key identifier")?;
            let scheme = reader.uint("a scheme")?;
            keys.push(HomeNetworkKey::new(
                id,
                scheme,
                reader.bytes("a public key")?,
            )?);
        }
        Ok(HomeNetworkKeys::new(&keys)?)
    }
}
