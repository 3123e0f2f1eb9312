//! What a client is told of a change that the vault refused.

use softsim_keyd_proto::{PackageFault, Refusal};

use crate::event::Event;
use crate::vault::CommitError;

/// The refusal for a change that the vault didn't accept. Logs a failure of the storage.
pub(crate) fn refusal_of(error: CommitError) -> Refusal {
    match error {
        CommitError::Full { what, capacity } => Refusal::StoreFull { what, capacity },
        CommitError::Quota { issuer, limit } => Refusal::Quota {
            issuer: issuer.0,
            limit,
        },
        CommitError::NoRoomForOperator { expected, got } => {
            Refusal::NoRoomForOperator { expected, got }
        }
        CommitError::UnknownSlot => Refusal::UnknownProfile,
        CommitError::UnknownAccount(got) => Refusal::UnknownAccount { got },
        CommitError::NoKeys => Refusal::NoDeviceKey,
        CommitError::KeysExist => Refusal::DeviceKeyExists,
        CommitError::Storage(reason) => {
            Event::Storage(&reason).log();
            Refusal::Storage
        }
        CommitError::SequenceNotRising { last, got } => {
            Refusal::Package(PackageFault::Sequence { last, got })
        }
        CommitError::DuplicateKey => Refusal::Package(PackageFault::Field {
            name: "k".to_owned(),
            expected: "a key that no other profile has".to_owned(),
            got: "that of an installed one".to_owned(),
        }),
        CommitError::TooLong { limit, got } => Refusal::Field {
            name: "certificate".to_owned(),
            expected: format!("at most {limit} octets"),
            got: format!("{got} octets"),
        },
    }
}
