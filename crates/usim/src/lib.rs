//! The USIM application: AUTN check, SQN array, resynchronisation, identities and their
//! concealment.
//!
//! An authentication has two phases. In between, the caller may verify the packet that carried
//! AUTN, so that the sequence number is used up only if both checks succeed:
//!
//! 1. [`SqnState::check`] verifies MAC-A, then the separation bit, then the freshness of SQN, and
//!    computes RES, CK and IK. It changes nothing.
//! 2. [`SqnState::accept`] marks the sequence number as used. Write the state to stable storage
//!    before RES leaves.
//!
//! An [`Imsi`] builds the identities of its subscriber: permanent, anonymous, SUCI and A-KID.
//!
//! The crate doesn't allocate.
#![no_std]

mod authenticate;
pub mod ecies;
mod identity;
mod nai;
mod sqn;
mod suci;
mod tombstone;

pub use authenticate::{AuthenticationFailure, SeparationBit, Verified};
pub use identity::{BadImsi, Imsi, MncLength};
pub use nai::{BadRoutingIndicator, IdentityPrefix, Nai, Realm};
pub use sqn::{AlreadyUsed, BadSqnState, DEFAULT_DELTA, MAX_IND_BITS, SqnParameters, SqnState};
pub use suci::{HomeNetworkKey, SuciError};
pub use tombstone::Tombstone;
