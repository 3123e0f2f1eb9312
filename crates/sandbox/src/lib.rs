//! Secret memory, process entry, confinement and raw I/O: the interfaces of Linux that need unsafe
//! code.
//!
//! The daemons and tools link this crate. The daemons and their helper processes confine themselves
//! with [`landlock`] and [`seccomp`]; [`child`] is for look-ups of names. The key process uses most
//! of the rest:
//!
//! * [`secret_main!`] replaces Rust's `main` by one that runs on a stack and a heap which no other
//!   process can read ([`memory`]);
//! * [`process`], [`inherited`], [`notify`] prepare it, [`landlock`] and [`seccomp`] confine it;
//! * [`seqpacket`], [`poll`], [`random`], [`clock`] and [`log`] are for its work afterwards, and
//!   make only system calls that `policies/seccomp/keyd.json` allows.
//!
//! [`passing`] is how netd gets descriptors from the one process that opens them for it.
//! [`regular_file`] opens files without waiting for anybody, and [`secret_file`] those with keys;
//! [`passwd`] and [`peer`] are for the users and groups that settings name and that connect;
//! [`file_system`] says what becomes of octets that were written over, [`text`] is for programs
//! that write a log or to a terminal, [`tally`] counts what a log would otherwise repeat, and
//! [`exit_status`] is the table of exit statuses.
//!
//! The public interface is safe. The crate supports Linux on x86-64 and AArch64 only.

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("softsim-sandbox knows Linux on x86-64 and AArch64 only");

pub mod child;
pub mod clock;
pub mod exit_status;
pub mod file_system;
pub mod inherited;
pub mod landlock;
pub mod log;
pub mod memory;
pub mod notify;
pub mod passing;
pub mod passwd;
pub mod peer;
pub mod poll;
pub mod process;
pub mod random;
pub mod regular_file;
pub mod seccomp;
pub mod secret_file;
pub mod seqpacket;
pub mod sys;
pub mod tally;
pub mod text;

#[doc(hidden)]
pub mod entry;
mod socket;

pub use entry::Args;
