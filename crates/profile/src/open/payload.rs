//! Reads the decrypted payload of a package.

use softsim_aka::{Amf, Sqn, TuakParameters};
use softsim_keyd_proto::PackageFault;
use softsim_usim::SqnParameters;
use zeroize::Zeroizing;

use super::credentials::{Unchecked, octets};
use super::fault::mismatch;
use crate::cbor::{Reader, encode};
use crate::credentials::tuak_parameters;
use crate::package::Addressing;
use crate::payload::{CAPACITY, FIELDS, PROFILE_FIELDS, further_fields, write_profile};
use crate::profile::imsi;
use crate::{
    Algorithm, FieldError, HomeNetworkKey, HomeNetworkKeys, Iccid, PrivacyDemand, Profile,
    RoutingIndicator, SqnScheme, Validity,
};

/// Reads the payload, whose first fields must equal those of the headers (`outside`).
pub(crate) fn read(payload: &[u8], outside: &Addressing) -> Result<Profile, PackageFault> {
    let mut fields = Fields(Reader::new("payload", payload));
    let fields_given = fields.0.map_of(FIELDS..=FIELDS + 1, "a map of 22 or 23")?;
    fields.equal(1, "device id", &outside.device.0)?;
    fields.equal(2, "sealing key id", &outside.sealing_key.0)?;
    fields.equal(3, "issuer", &outside.issuer.0)?;
    if fields.at(4)?.uint("a sequence")? != outside.sequence {
        return Err(mismatch("sequence"));
    }
    fields.profile(HomeNetworkKey::new, fields_given > FIELDS)
}

impl Profile {
    /// Encodes the profile for storage: one CBOR map of the fields of a package's payload from the
    /// fifth on. The storage must authenticate the octets.
    pub fn to_stored(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(encode(CAPACITY, |e| {
            write_profile(e.map(PROFILE_FIELDS + further_fields(self))?, self)
        }))
    }

    /// Decodes what [`Profile::to_stored`] encoded. It doesn't check again that a home network key
    /// is a point of its curve, because that takes longer than all the other checks together.
    ///
    /// # Errors
    /// [`PackageFault`] if the map has another form or a field is invalid.
    pub fn from_stored(octets: &[u8]) -> Result<Self, PackageFault> {
        let mut fields = Fields(Reader::new("stored profile", octets));
        let lengths = PROFILE_FIELDS..=PROFILE_FIELDS + 1;
        let given = fields.0.map_of(lengths, "a map of 18 or 19")?;
        fields.profile(HomeNetworkKey::stored, given > PROFILE_FIELDS)
    }
}

/// Makes a home network key from its identifier, its scheme and its octets.
type TakeKey = fn(u64, u64, &[u8]) -> Result<HomeNetworkKey, FieldError>;

/// The fields of a payload, read in the order of their keys.
struct Fields<'b>(Reader<'b>);

impl<'b> Fields<'b> {
    /// The reader, after the key of the next field.
    fn at(&mut self, key: i64) -> Result<&mut Reader<'b>, PackageFault> {
        self.0.exactly(key, "the key of the next field")?;
        Ok(&mut self.0)
    }

    fn equal(
        &mut self,
        key: i64,
        field: &'static str,
        outside: &[u8; 32],
    ) -> Result<(), PackageFault> {
        let inside: &[u8; 32] = self.at(key)?.array_of("an id of 32 octets")?;
        if inside == outside {
            Ok(())
        } else {
            Err(mismatch(field))
        }
    }

    /// The fields of a profile, up to the end; the last one if it demands a policy.
    fn profile(mut self, key: TakeKey, demands: bool) -> Result<Profile, PackageFault> {
        let iccid = Iccid::new(self.at(5)?.text("an ICCID")?)?;
        let digits = self.at(6)?.text("an IMSI")?;
        let imsi = imsi(digits, self.at(7)?.uint("the length of the MNC")?)?;
        let algorithm = Algorithm::from_number(self.at(8)?.uint("an algorithm")?)?;
        let k = self.at(9)?.bytes("octets")?;
        let derived = self.at(10)?.optional_bytes("octets or null")?;
        let amf = Amf::new(octets("amf", "2 octets", self.at(11)?.bytes("octets")?)?);
        let sqn = self.sqn_scheme()?;
        let routing_indicator = RoutingIndicator::new(self.at(16)?.text("a routing indicator")?)?;
        let home_network_keys = self.home_network_keys(key)?;
        let supplicant_consent = self.at(18)?.bool("a consent")?;
        let validity = Validity::new(
            self.at(19)?.optional_uint("a time or null")?,
            self.at(20)?.optional_uint("a time or null")?,
        )?;
        let credentials = Unchecked {
            algorithm,
            k,
            derived,
            underived: self.at(21)?.optional_bytes("octets or null")?,
            tuak: self.tuak_parameters()?,
        };
        let identity_privacy = match demands {
            true => Some(PrivacyDemand::from_number(self.at(23)?.uint("a policy")?)?),
            false => None,
        };
        self.0.end()?;
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
            identity_privacy,
        })
    }

    fn sqn_scheme(&mut self) -> Result<SqnScheme, PackageFault> {
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

    fn tuak_parameters(&mut self) -> Result<Option<TuakParameters>, PackageFault> {
        let reader = self.at(22)?;
        if reader.null() {
            return Ok(None);
        }
        reader.array_exactly(2, "an array of 2 or null")?;
        let res_bits = reader.uint("the length of RES")?;
        let iterations = reader.uint("the iterations of Keccak")?;
        Ok(Some(tuak_parameters(res_bits, iterations)?))
    }

    fn home_network_keys(&mut self, key: TakeKey) -> Result<HomeNetworkKeys, PackageFault> {
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
            keys.push(key(id, scheme, reader.bytes("a public key")?)?);
        }
        Ok(HomeNetworkKeys::new(&keys)?)
    }
}
