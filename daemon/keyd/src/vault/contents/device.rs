//! The device's own record: its keys, its certificate and whom it trusts.

use std::fmt;

use softsim_profile::IssuerKey;
use zeroize::Zeroizing;

use crate::vault::file::{Contents, Field, Malformed, Reader, Table, Writer, fields};

/// The greatest number of trust anchors.
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

fields!(DeviceKeys {
    device,
    sealing,
    application
});

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKeys([redacted])")
    }
}

impl Field for IssuerKey {
    fn write(&self, to: &mut Writer) {
        self.to_sec1().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let octets = <[u8; Self::SEC1_LENGTH]>::read(from)?;
        Self::from_sec1(&octets).map_err(|_| Malformed)
    }
}

/// The device's own record.
#[derive(Debug, Default)]
pub(in super::super) struct Device {
    pub(in super::super) keys: Option<DeviceKeys>,
    pub(in super::super) certificate: Option<Box<[u8]>>,
    pub(in super::super) trust_anchors: Vec<IssuerKey>,
}

fields!(Device {
    keys,
    certificate,
    trust_anchors
});

impl Contents for Device {
    const TABLE: Table = Table::DEVICE;

    fn is_possible(&self) -> bool {
        let certificate = self.certificate.as_deref().unwrap_or_default();
        self.trust_anchors.len() <= MAX_TRUST_ANCHORS && certificate.len() <= MAX_CERTIFICATE
    }
}
