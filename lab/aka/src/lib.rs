//! The home network's side of AKA, for the lab's servers and for the tests of keyd.
//!
//! keyd's tests need vectors and keys, but none of the lab's servers: these bring features into
//! shared crates that keyd's benchmarks must not measure.

mod agreement;
mod keys;
mod vector;

pub use agreement::Agreement;
pub use keys::{Derived, Keys};
pub use vector::{AuthenticationVector, sqn_ms};
