//! A home network in a box for the demo and the tests.

pub mod pki;
