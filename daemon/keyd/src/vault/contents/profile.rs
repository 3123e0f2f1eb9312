//! An installed profile: the subscription and how it came here.

use softsim_aka::{Amf, Credentials, K, K256, Opc, Sqn, Topc, TuakKey};
use softsim_profile::{
    Algorithm, HomeNetworkKey, HomeNetworkKeys, Iccid, IssuerId, Profile, RoutingIndicator,
    SqnScheme, Validity, imsi, tuak_parameters,
};
use softsim_usim::SqnState;

use super::{Contents, Malformed, Reader, Sequence, Table, Writer};

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
    /// What its K is found by.
    pub(in super::super) fingerprint: u64,
    /// The first generation of its sequence numbers: those before it are of another profile.
    pub(in super::super) first_sequence: u64,
    /// Its sequence numbers, from a record of their own.
    pub(in super::super) used: Sequence,
}

impl StoredProfile {
    /// Which sequence numbers were used.
    pub fn sqn(&self) -> SqnState {
        self.used
            .state(self.profile.sqn.parameters())
            .expect("checked when the two records were read")
    }
}

impl Contents for StoredProfile {
    const TABLE: Table = Table::Profile;

    fn write(&self, to: &mut Writer) {
        to.flag(self.enabled);
        to.octets(self.issuer.as_bytes());
        to.number(self.sequence);
        to.number(self.fingerprint);
        to.number(self.first_sequence);
        to.profile(&self.profile);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            enabled: from.flag()?,
            issuer: IssuerId(from.array()?),
            sequence: from.number()?,
            fingerprint: from.number()?,
            first_sequence: from.number()?,
            profile: from.profile()?,
            used: Sequence::EMPTY,
        })
    }
}

impl Writer {
    fn profile(&mut self, profile: &Profile) {
        self.digits(profile.iccid.as_str());
        self.digits(profile.imsi.digits());
        self.octet(profile.imsi.mnc_length() as u8);
        self.credentials(&profile.credentials);
        self.octets(profile.amf.as_bytes());
        self.octets(&profile.sqn.floor().to_bytes());
        self.sqn_parameters(profile.sqn.parameters());
        self.digits(profile.routing_indicator.as_str());
        self.octet(profile.home_network_keys.len() as u8);
        for key in profile.home_network_keys.iter() {
            self.octets(&[key.id(), key.scheme() as u8, key.as_bytes().len() as u8]);
            self.octets(key.as_bytes());
        }
        self.flag(profile.supplicant_consent);
        self.optional(profile.validity.not_before().map(u64::to_be_bytes).as_ref());
        self.optional(profile.validity.not_after().map(u64::to_be_bytes).as_ref());
    }
}

impl Writer {
    fn credentials(&mut self, credentials: &Credentials) {
        self.octet(Algorithm::of(credentials).number());
        match credentials {
            Credentials::Milenage { k, opc } => {
                self.octets(k.as_bytes());
                self.octets(opc.as_bytes());
            }
            Credentials::Tuak {
                k,
                topc,
                parameters,
            } => {
                self.octet(k.as_bytes().len() as u8);
                self.octets(k.as_bytes());
                self.octets(topc.as_bytes());
                self.octets(&[parameters.res.bits(), parameters.iterations.get()]);
            }
            Credentials::Xor { k } => self.octets(k.as_bytes()),
        }
    }
}

impl Reader<'_> {
    fn credentials(&mut self) -> Result<Credentials, Malformed> {
        Ok(match Algorithm::from_number(self.octet()?.into())? {
            Algorithm::Milenage => Credentials::Milenage {
                k: K::new(self.array()?),
                opc: Opc::new(self.array()?),
            },
            Algorithm::Tuak => Credentials::Tuak {
                k: match self.octet()? {
                    16 => TuakKey::K(K::new(self.array()?)),
                    32 => TuakKey::K256(K256::new(self.array()?)),
                    _ => return Err(Malformed),
                },
                topc: Topc::new(self.array()?),
                parameters: tuak_parameters(self.octet()?.into(), self.octet()?.into())?,
            },
            Algorithm::Xor => Credentials::Xor {
                k: K::new(self.array()?),
            },
        })
    }

    fn profile(&mut self) -> Result<Profile, Malformed> {
        let iccid = Iccid::new(self.digits()?)?;
        let digits = self.digits()?;
        let imsi = imsi(digits, self.octet()?.into())?;
        let credentials = self.credentials()?;
        let amf = Amf::new(self.array()?);
        let floor = Sqn::from_bytes(self.array()?);
        Ok(Profile {
            iccid,
            imsi,
            credentials,
            amf,
            sqn: SqnScheme::new(floor, self.sqn_parameters()?)?,
            routing_indicator: RoutingIndicator::new(self.digits()?)?,
            home_network_keys: self.home_network_keys()?,
            supplicant_consent: self.flag()?,
            validity: Validity::new(
                self.optional()?.map(u64::from_be_bytes),
                self.optional()?.map(u64::from_be_bytes),
            )?,
        })
    }

    fn home_network_keys(&mut self) -> Result<HomeNetworkKeys, Malformed> {
        let mut keys = Vec::new();
        for _ in 0..self.few(HomeNetworkKeys::MAX)? {
            let [id, scheme, length] = self.array()?;
            keys.push(HomeNetworkKey::stored(
                id.into(),
                scheme.into(),
                self.take(length.into())?,
            )?);
        }
        Ok(HomeNetworkKeys::new(&keys)?)
    }
}
