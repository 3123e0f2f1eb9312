//! keyd from outside: octets in, octets out, and a vault on a medium that can fail.
#![allow(clippy::unwrap_used, clippy::panic)]

mod accounts_digest;
mod algorithms;
mod applications;
mod authentication;
mod changes;
mod commands;
mod confirmation;
mod device;
mod handshake;
mod hostile;
mod identities;
mod lockout;
mod methods;
mod patience;
mod policy;
mod provisioning;
mod psk;
mod reauthentication;
mod support;
mod times;
mod transcripts;
mod walk_in_process;
