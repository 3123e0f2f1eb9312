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
//!
//! A challenge of the home network, and the same challenge once more:
//!
//! ```
//! use softsim_aka::{AlgorithmSet, Amf, Autn, K, Milenage, Op, Rand, Sqn};
//! use softsim_usim::{AuthenticationFailure, SeparationBit, SqnParameters, SqnState};
//!
//! let k = K::new([0x46; 16]);
//! let milenage = Milenage::new(&k, &Milenage::opc(&k, &Op::new([0xcd; 16])));
//!
//! // AUTN = SQN ⊕ AK ‖ AMF ‖ MAC-A (TS 33.102 §6.3.2), as the home network makes it.
//! let (rand, amf) = (Rand::new([0x23; 16]), Amf::new([0x80, 0]));
//! let sqn = Sqn::new(0x20).unwrap();
//! let ak = milenage.f2345(&rand).ak;
//! let mut autn = [0; 16];
//! autn[..6].copy_from_slice(ak.conceal(sqn).as_bytes());
//! autn[6..8].copy_from_slice(amf.as_bytes());
//! autn[8..].copy_from_slice(milenage.f1(&rand, sqn, amf).as_bytes());
//! let autn = Autn::new(autn);
//!
//! let parameters = SqnParameters { ind_bits: 5, delta: 1 << 28, l: None };
//! let mut state = SqnState::new(parameters, Sqn::new(0).unwrap()).unwrap();
//! let verified = state.check(&milenage, &rand, &autn, SeparationBit::Required).unwrap();
//! state.accept(&verified).unwrap();
//! assert_eq!(verified.res, milenage.f2345(&rand).res);
//!
//! let repeated = state.check(&milenage, &rand, &autn, SeparationBit::Required);
//! assert!(matches!(repeated, Err(AuthenticationFailure::SyncFailure(_))));
//! ```
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
