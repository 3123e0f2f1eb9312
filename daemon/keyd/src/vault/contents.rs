//! What the records hold, and its fixed layout inside a record.

use softsim_aka::{Amf, K, Opc, Sqn};
use softsim_profile::{
    Algorithm, HomeNetworkKey, HomeNetworkKeys, Iccid, IssuerId, IssuerKey, Profile,
    RoutingIndicator, SqnScheme, Validity, imsi,
};
use softsim_usim::{SqnParameters, SqnState, Tombstone};
use std::fmt;
use zeroize::Zeroizing;

use super::{layout::Table, record};

/// Names a transaction; netd keeps its accounts under the same name.
pub type Txid = [u8; 16];

/// How many issuers' sequences are kept.
pub(super) const MAX_ISSUERS: usize = 16;

/// How many trust anchors there may be.
pub const MAX_TRUST_ANCHORS: usize = 8;

/// The longest device certificate, in octets.
pub const MAX_CERTIFICATE: usize = 2048;

/// The private keys that keyd makes for itself.
pub struct DeviceKeys {
    /// The P-256 scalar of the device key.
    pub device: Zeroizing<[u8; 32]>,
    /// The seed of the sealing key.
    pub sealing: Zeroizing<[u8; 32]>,
    /// The P-256 scalar of the application key.
    pub application: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKeys([redacted])")
    }
}

/// An installed profile.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredProfile {
    /// The subscription.
    pub profile: Profile,
    /// Who sealed it.
    pub issuer: IssuerId,
    /// The sequence of its package.
    pub sequence: u64,
    /// Whether it answers challenges.
    pub enabled: bool,
    /// Which sequence numbers were used.
    pub sqn: SqnState,
}

/// What a deleted profile leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Burial {
    pub(super) tombstone: Tombstone,
    pub(super) sqn: SqnState,
}

/// The device's own.
#[derive(Debug, Default)]
pub(super) struct Device {
    pub(super) keys: Option<DeviceKeys>,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) trust_anchors: Vec<IssuerKey>,
}

/// What transactions change beside profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) transaction: Option<Txid>,
    pub(super) time: u64,
    pub(super) sequences: Vec<(IssuerId, u64)>,
}

/// Authenticated contents that aren't what this program writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What one table's records hold.
pub(super) trait Contents: Sized {
    const TABLE: Table;
    fn write(&self, to: &mut Writer);
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The contents of a record.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer(Zeroizing::new(Vec::with_capacity(
            Self::TABLE.record_length(),
        )));
        self.write(&mut writer);
        debug_assert!(writer.0.len() <= Self::TABLE.record_length() - record::OVERHEAD);
        writer.0
    }

    /// Takes the contents of a record; behind them are only zeros.
    fn decode(contents: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(contents);
        let value = Self::read(&mut reader)?;
        if reader.0.iter().all(|octet| *octet == 0) {
            Ok(value)
        } else {
            Err(Malformed)
        }
    }
}

/// An absent record is a single zero.
impl<T: Contents> Contents for Option<Box<T>> {
    const TABLE: Table = T::TABLE;

    fn write(&self, to: &mut Writer) {
        to.flag(self.is_some());
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(if from.flag()? {
            Some(Box::new(T::read(from)?))
        } else {
            None
        })
    }
}

impl Contents for Ledger {
    const TABLE: Table = Table::Ledger;

    fn write(&self, to: &mut Writer) {
        to.optional(self.transaction.as_ref());
        to.number(self.time);
        to.octet(self.sequences.len() as u8);
        for (issuer, sequence) in &self.sequences {
            to.octets(issuer.as_bytes());
            to.number(*sequence);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let transaction = from.optional()?;
        let time = from.number()?;
        let count = from.count(MAX_ISSUERS)?;
        let sequence = |_| Ok::<_, Malformed>((IssuerId(from.array()?), from.number()?));
        let sequences = (0..count).map(sequence).collect::<Result<_, _>>()?;
        Ok(Self {
            transaction,
            time,
            sequences,
        })
    }
}

impl Contents for Device {
    const TABLE: Table = Table::Device;

    fn write(&self, to: &mut Writer) {
        to.flag(self.keys.is_some());
        if let Some(keys) = &self.keys {
            to.octets(keys.device.as_slice());
            to.octets(keys.sealing.as_slice());
            to.octets(keys.application.as_slice());
        }
        let certificate = self.certificate.as_deref().unwrap_or_default();
        to.octets(&(certificate.len() as u16).to_be_bytes());
        to.octets(certificate);
        to.octet(self.trust_anchors.len() as u8);
        for anchor in &self.trust_anchors {
            to.octets(&anchor.to_sec1());
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let keys = if from.flag()? {
            Some(DeviceKeys {
                device: Zeroizing::new(from.array()?),
                sealing: Zeroizing::new(from.array()?),
                application: Zeroizing::new(from.array()?),
            })
        } else {
            None
        };
        let length = usize::from(u16::from_be_bytes(from.array()?));
        if length > MAX_CERTIFICATE {
            return Err(Malformed);
        }
        let certificate =
            Some(from.take(length)?.to_vec()).filter(|certificate| !certificate.is_empty());
        let count = from.count(MAX_TRUST_ANCHORS)?;
        let anchor =
            |_| IssuerKey::from_sec1(from.take(IssuerKey::SEC1_LENGTH)?).map_err(|_| Malformed);
        let trust_anchors = (0..count).map(anchor).collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            certificate,
            trust_anchors,
        })
    }
}

impl Contents for StoredProfile {
    const TABLE: Table = Table::Profile;

    fn write(&self, to: &mut Writer) {
        let profile = &self.profile;
        to.flag(self.enabled);
        to.octets(self.issuer.as_bytes());
        to.number(self.sequence);
        to.digits(profile.iccid.as_str());
        to.digits(profile.imsi.digits());
        to.octet(profile.imsi.mnc_length() as u8);
        to.octet(profile.algorithm.number());
        to.octets(profile.k.as_bytes());
        to.octets(profile.opc.as_bytes());
        to.octets(profile.amf.as_bytes());
        to.octets(&profile.sqn.floor().to_bytes());
        to.sqn_parameters(profile.sqn.parameters());
        to.octets(&self.sqn.to_bytes());
        to.digits(profile.routing_indicator.as_str());
        to.octet(profile.home_network_keys.len() as u8);
        for key in profile.home_network_keys.iter() {
            to.octets(&[key.id(), key.scheme() as u8, key.as_bytes().len() as u8]);
            to.octets(key.as_bytes());
        }
        to.flag(profile.supplicant_consent);
        to.optional(profile.validity.not_before().map(u64::to_be_bytes).as_ref());
        to.optional(profile.validity.not_after().map(u64::to_be_bytes).as_ref());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let enabled = from.flag()?;
        let issuer = IssuerId(from.array()?);
        let sequence = from.number()?;
        let iccid = Iccid::new(from.digits()?)?;
        let digits = from.digits()?;
        let imsi = imsi(digits, from.octet()?.into())?;
        let algorithm = Algorithm::from_number(from.octet()?.into())?;
        let (k, opc, amf) = (
            K::new(from.array()?),
            Opc::new(from.array()?),
            Amf::new(from.array()?),
        );
        let floor = Sqn::from_bytes(from.array()?);
        let parameters = from.sqn_parameters()?;
        let sqn = SqnState::from_bytes(parameters, &from.array()?).map_err(|_| Malformed)?;
        let profile = Profile {
            iccid,
            imsi,
            algorithm,
            k,
            opc,
            amf,
            sqn: SqnScheme::new(floor, parameters)?,
            routing_indicator: RoutingIndicator::new(from.digits()?)?,
            home_network_keys: from.home_network_keys()?,
            supplicant_consent: from.flag()?,
            validity: Validity::new(
                from.optional()?.map(u64::from_be_bytes),
                from.optional()?.map(u64::from_be_bytes),
            )?,
        };
        Ok(Self {
            profile,
            issuer,
            sequence,
            enabled,
            sqn,
        })
    }
}

impl Contents for Burial {
    const TABLE: Table = Table::Tombstone;

    fn write(&self, to: &mut Writer) {
        to.octets(self.tombstone.as_bytes());
        to.sqn_parameters(self.sqn.parameters());
        to.octets(&self.sqn.to_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let tombstone = Tombstone::new(from.array()?);
        let parameters = from.sqn_parameters()?;
        let sqn = SqnState::from_bytes(parameters, &from.array()?).map_err(|_| Malformed)?;
        Ok(Self { tombstone, sqn })
    }
}

impl From<softsim_profile::FieldError> for Malformed {
    fn from(_: softsim_profile::FieldError) -> Self {
        Self
    }
}

/// Writes fields one after the other.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    fn octet(&mut self, octet: u8) {
        self.octets(&[octet]);
    }

    fn flag(&mut self, flag: bool) {
        self.octet(flag.into());
    }

    fn number(&mut self, number: u64) {
        self.octets(&number.to_be_bytes());
    }

    fn digits(&mut self, digits: &str) {
        self.octet(digits.len() as u8);
        self.octets(digits.as_bytes());
    }

    fn optional<const N: usize>(&mut self, value: Option<&[u8; N]>) {
        self.flag(value.is_some());
        self.octets(value.map_or(&[], <[u8; N]>::as_slice));
    }

    fn sqn_parameters(&mut self, parameters: SqnParameters) {
        self.octet(parameters.ind_bits);
        self.number(parameters.delta);
        self.optional(parameters.l.map(u64::to_be_bytes).as_ref());
    }
}

/// Reads fields one after the other.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn octet(&mut self) -> Result<u8, Malformed> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn count(&mut self, limit: usize) -> Result<usize, Malformed> {
        Some(usize::from(self.octet()?))
            .filter(|count| *count <= limit)
            .ok_or(Malformed)
    }

    fn digits(&mut self) -> Result<&'a str, Malformed> {
        let length = self.octet()?;
        std::str::from_utf8(self.take(length.into())?).map_err(|_| Malformed)
    }

    fn optional<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Malformed> {
        Ok(if self.flag()? {
            Some(self.array()?)
        } else {
            None
        })
    }

    fn sqn_parameters(&mut self) -> Result<SqnParameters, Malformed> {
        Ok(SqnParameters {
            ind_bits: self.octet()?,
            delta: self.number()?,
            l: self.optional()?.map(u64::from_be_bytes),
        })
    }

    fn home_network_keys(&mut self) -> Result<HomeNetworkKeys, Malformed> {
        let mut keys = Vec::new();
        for _ in 0..self.count(HomeNetworkKeys::MAX)? {
            let [id, scheme, length] = self.array()?;
            keys.push(HomeNetworkKey::new(
                id.into(),
                scheme.into(),
                self.take(length.into())?,
            )?);
        }
        Ok(HomeNetworkKeys::new(&keys)?)
    }
}
