//! The USIM application: AUTN check, SQN array and resynchronisation.
//!
//! An authentication has two phases, so that the caller may verify the packet that carried AUTN in between, and the
//! sequence number is used up only when both hold:
//!
//! 1. [`SqnState::check`] verifies MAC-A, then the separation bit, then the freshness of SQN, and computes RES, CK
//!    and IK. It changes nothing.
//! 2. [`SqnState::accept`] marks the sequence number as used. Write the state to stable storage before RES leaves.
//!
//! Nothing here allocates.
#![no_std]

mod authenticate;
mod identity;
mod sqn;
mod tombstone;

pub use authenticate::{AuthenticationFailure, SeparationBit, Verified};
pub use identity::{BadImsi, IdentityPrefix, Imsi, MncLength, Nai};
pub use sqn::{AlreadyUsed, BadSqnState, DEFAULT_DELTA, MAX_IND_BITS, SqnParameters, SqnState};
pub use tombstone::Tombstone;
