//! The objects that the client supports: their resources, the types, and the operations that
//! servers may perform.

use crate::value::{Instance, Kind};

/// The operations that a management server may perform on a resource. The bootstrap server may
/// write any resource of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// None: only the bootstrap server uses the resource.
    None,
    /// Read and Observe.
    Read,
    /// Write.
    Write,
    /// Read, Observe and Write.
    ReadWrite,
    /// Execute.
    Execute,
}

impl Operations {
    /// Whether Read is among them.
    pub fn readable(self) -> bool {
        matches!(self, Operations::Read | Operations::ReadWrite)
    }

    /// Whether Write is among them.
    pub fn writable(self) -> bool {
        matches!(self, Operations::Write | Operations::ReadWrite)
    }
}

/// The definition of a resource.
#[derive(Clone, Copy, Debug)]
pub struct ResourceDefinition {
    /// The resource id.
    pub id: u16,
    /// The type of its values.
    pub kind: Kind,
    /// The operations that a management server may perform on it.
    pub operations: Operations,
    /// Whether it has resource instances.
    pub multiple: bool,
}

/// The definition of an object: the resources that this client supports.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// The object id.
    pub id: u16,
    /// Whether there may be several instances.
    pub multiple: bool,
    /// The resources, by id.
    pub resources: &'static [ResourceDefinition],
}

impl Object {
    /// The definition of a resource.
    pub fn resource(&self, id: u16) -> Option<&'static ResourceDefinition> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

const fn single(id: u16, kind: Kind, operations: Operations) -> ResourceDefinition {
    ResourceDefinition {
        id,
        kind,
        operations,
        multiple: false,
    }
}

const fn several(id: u16, kind: Kind, operations: Operations) -> ResourceDefinition {
    ResourceDefinition {
        id,
        kind,
        operations,
        multiple: true,
    }
}

use Kind::{Boolean, Integer, Opaque, Text};
use Operations::{Execute, None as Nobody, Read, ReadWrite, Write};

/// LwM2M Security (0), without SMS and OSCORE. No management server sees it.
pub const SECURITY: Object = Object {
    id: 0,
    multiple: true,
    resources: &[
        single(0, Text, Nobody),      // LwM2M Server URI
        single(1, Boolean, Nobody),   // Bootstrap-Server
        single(2, Integer, Nobody),   // Security Mode
        single(3, Opaque, Nobody),    // Public Key or Identity
        single(4, Opaque, Nobody),    // Server Public Key
        single(5, Opaque, Nobody),    // Secret Key
        single(10, Integer, Nobody),  // Short Server ID
        single(11, Integer, Nobody),  // Client Hold Off Time
        single(12, Integer, Nobody),  // Bootstrap-Server Account Timeout
        single(13, Integer, Nobody),  // Matching Type
        single(14, Text, Nobody),     // SNI
        single(15, Integer, Nobody),  // Certificate Usage
        several(16, Integer, Nobody), // DTLS/TLS Ciphersuite
    ],
};

/// LwM2M Server (1).
pub const SERVER: Object = Object {
    id: 1,
    multiple: true,
    resources: &[
        single(0, Integer, Read),       // Short Server ID
        single(1, Integer, ReadWrite),  // Lifetime
        single(2, Integer, ReadWrite),  // Default Minimum Period
        single(3, Integer, ReadWrite),  // Default Maximum Period
        single(5, Integer, ReadWrite),  // Disable Timeout
        single(6, Boolean, ReadWrite),  // Notification Storing When Disabled or Offline
        single(7, Text, ReadWrite),     // Binding
        single(8, Opaque, Execute),     // Registration Update Trigger
        single(13, Integer, Nobody),    // Registration Priority Order
        single(14, Integer, Nobody),    // Initial Registration Delay Timer
        single(15, Boolean, Nobody),    // Registration Failure Block
        single(16, Boolean, Nobody),    // Bootstrap on Registration Failure
        single(17, Integer, Nobody),    // Communication Retry Count
        single(18, Integer, Nobody),    // Communication Retry Timer
        single(19, Integer, Nobody),    // Communication Sequence Delay Timer
        single(20, Integer, Nobody),    // Communication Sequence Retry Count
        single(22, Text, ReadWrite),    // Preferred Transport
        single(23, Boolean, ReadWrite), // Mute Send
    ],
};

/// Device (3), with the resources that this gateway can answer truthfully. There is no Reboot,
/// because a SIM doesn't reboot its host.
pub const DEVICE: Object = Object {
    id: 3,
    multiple: false,
    resources: &[
        single(0, Text, Read),      // Manufacturer
        single(1, Text, Read),      // Model Number
        single(2, Text, Read),      // Serial Number
        several(11, Integer, Read), // Error Code
        single(16, Text, Read),     // Supported Binding and Modes
        single(19, Text, Read),     // Software Version
    ],
};

/// Software SIM, under the first id of the vendor range unless configured otherwise.
pub const SIM: Object = Object {
    id: 26241,
    multiple: true,
    resources: &[
        single(0, Integer, Read),   // Profile State
        single(1, Text, Read),      // ICCID
        single(3, Opaque, Write),   // Sealed Profile Package
        several(4, Integer, Read),  // Envelope Format
        single(11, Integer, Read),  // Last Result
        single(12, Text, Read),     // Last Result Detail
        single(14, Opaque, Read),   // Sealing Key Attestation: the sealing statement
        single(17, Integer, Read),  // Accepted Sequence
        single(18, Integer, Read),  // AKA Algorithm
        several(19, Integer, Read), // AKA Algorithms Supported
        single(20, Integer, Read),  // Authentications Served
        single(21, Integer, Read),  // Authentication Failures
        single(22, Boolean, Read),  // Plain Profile Allowed
        several(24, Opaque, Read),  // Issuer Trust Anchors Digest
    ],
};

/// The resource of [`SIM`] that takes a sealed package.
pub(crate) const SIM_PACKAGE: u16 = 3;

/// The values of the Device object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Resource 0.
    pub manufacturer: String,
    /// Resource 1.
    pub model: Option<String>,
    /// Resource 2.
    pub serial: Option<String>,
    /// Resource 19.
    pub software_version: String,
}

impl Default for Device {
    fn default() -> Device {
        Device {
            manufacturer: "softsim".to_owned(),
            model: None,
            serial: None,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Device {
    pub(crate) fn instance(&self) -> Instance {
        let mut instance = Instance::default()
            .with(0, self.manufacturer.as_str())
            .with_all(11, [0_i64])
            .with(16, "U")
            .with(19, self.software_version.as_str());
        for (id, text) in [(1, &self.model), (2, &self.serial)] {
            if let Some(text) = text {
                instance = instance.with(id, text.as_str());
            }
        }
        instance
    }
}
