//! The values of the Software SIM object, which the application sets.

use std::fmt;

use softsim_coap::Code;

use crate::value::{Instance, Resource, Value};

/// Profile State (resource 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    /// No profile.
    #[default]
    Empty = 0,
    /// A package was received, but not opened yet.
    Received = 2,
    /// A profile is installed, but not in use.
    Disabled = 3,
    /// The profile is in use.
    Enabled = 4,
    /// The profile was deleted.
    Deleted = 6,
    /// See Last Result.
    Failed = 7,
}

/// Last Result (resource 11): the outcome of a package or a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the object definition")]
pub enum SimResult {
    #[default]
    None = 0,
    Success = 1,
    EnvelopeMalformed = 2,
    UnknownSealingKey = 3,
    EnvelopeAuthenticationFailed = 4,
    IssuerNotTrusted = 5,
    OldSequence = 6,
    WrongDevice = 7,
    UnsupportedAlgorithm = 8,
    NoSpace = 9,
    StorageError = 10,
    NotInThisState = 12,
    Internal = 255,
}

/// AKA Algorithm (resources 18 and 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the object definition")]
pub enum Algorithm {
    Milenage = 1,
    Tuak = 2,
    Xor = 3,
}

/// One profile slot: an instance of the Software SIM object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimState {
    /// Profile State.
    pub state: SlotState,
    /// ICCID of the installed profile, 18 to 20 digits.
    pub iccid: Option<String>,
    /// Last Result.
    pub last_result: SimResult,
    /// Last Result Detail, which holds neither a key nor an IMSI.
    pub last_result_detail: Option<String>,
    /// The sealing statement: the key that packages are sealed to, signed by the device key
    /// (COSE_Sign1). The object never shows the key without that signature.
    pub sealing_statement: Option<Vec<u8>>,
    /// The highest package sequence accepted.
    pub accepted_sequence: Option<u64>,
    /// The installed profile's algorithm set.
    pub algorithm: Option<Algorithm>,
    /// The algorithm sets that the key process offers.
    pub supported: Vec<Algorithm>,
    /// Successful AKA runs.
    pub authentications: Option<u64>,
    /// MAC failures, synchronisation failures and refused runs.
    pub failures: Option<u64>,
    /// SHA-256 of each trusted issuer key.
    pub trust_anchors: Vec<[u8; 32]>,
}

impl SimState {
    /// Envelope Format 1: COSE_Sign1 around COSE_Encrypt0.
    const ENVELOPE_FORMATS: [i64; 1] = [1];

    pub(crate) fn instance(&self) -> Instance {
        let mut instance = Instance::default()
            .with(0, self.state as i64)
            .with_all(4, Self::ENVELOPE_FORMATS)
            .with(11, self.last_result as i64)
            .with_all(19, self.supported.iter().map(|algorithm| *algorithm as i64))
            .with(22, false)
            .with_all(24, self.trust_anchors.iter().map(|digest| digest.to_vec()));
        let mut put = |id, value: Option<Value>| {
            if let Some(value) = value {
                instance.0.insert(id, Resource::Single(value));
            }
        };
        put(1, self.iccid.as_deref().map(Value::from));
        put(12, self.last_result_detail.as_deref().map(Value::from));
        put(14, self.sealing_statement.clone().map(Value::from));
        put(17, self.accepted_sequence.map(counter));
        put(
            18,
            self.algorithm
                .map(|algorithm| Value::Integer(algorithm as i64)),
        );
        put(20, self.authentications.map(counter));
        put(21, self.failures.map(counter));
        instance
    }
}

/// Converts a counter. LwM2M integers are signed, and a counter stops at the largest.
fn counter(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

impl SimResult {
    /// The response code for a Write of a package with this result.
    pub(crate) fn code(self) -> Code {
        match self {
            SimResult::NoSpace | SimResult::StorageError | SimResult::Internal => {
                Code::INTERNAL_SERVER_ERROR
            }
            SimResult::NotInThisState => Code::METHOD_NOT_ALLOWED,
            _ => Code::BAD_REQUEST,
        }
    }
}

impl fmt::Display for SimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SimResult::None => "no result",
            SimResult::Success => "success",
            SimResult::EnvelopeMalformed => "envelope malformed",
            SimResult::UnknownSealingKey => "unknown sealing key",
            SimResult::EnvelopeAuthenticationFailed => "authentication of envelope failed",
            SimResult::IssuerNotTrusted => "issuer not trusted",
            SimResult::OldSequence => "replayed or older sequence",
            SimResult::WrongDevice => "wrong device binding",
            SimResult::UnsupportedAlgorithm => "unsupported algorithm",
            SimResult::NoSpace => "no space",
            SimResult::StorageError => "storage error",
            SimResult::NotInThisState => "not in this state",
            SimResult::Internal => "internal error",
        })
    }
}
