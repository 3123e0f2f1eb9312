//! Keeps the rollback anchor of the key process in a counter of a TPM.
//!
//! The key process raises the anchor with each epoch of its vault, and refuses a vault that is
//! behind it: so an old copy of the whole file that was put back is noticed. The counter is a
//! non-volatile index of the TPM, which the TPM itself can only raise, even for root. The key
//! process has no business with devices; this program has no other.
//!
//! ```text
//!   softsim-keyd --- SOCK_SEQPACKET, two requests ---> serve ---> counter ---> tpm ---> /dev/tpmrm0
//! ```
//!
//! `tpm` writes commands and parses what the TPM answers, strictly; `transport` carries them and
//! repeats those that the TPM wants to see again; `counter` finds, defines, reads and raises the
//! one index.

pub mod args;
pub mod counter;
pub mod serve;
pub mod tpm;
pub mod transport;
