//! The device's own record: its keys, its certificate and whom it trusts.

use std::fmt;

use softsim_profile::IssuerKey;
use zeroize::Zeroizing;

use super::{Contents, Malformed, Reader, Table, Writer};

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

/// The device's own.
#[derive(Debug, Default)]
pub(in super::super) struct Device {
    pub(in super::super) keys: Option<DeviceKeys>,
    pub(in super::super) certificate: Option<Vec<u8>>,
    pub(in super::super) trust_anchors: Vec<IssuerKey>,
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
        let count = from.few(MAX_TRUST_ANCHORS)?;
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
