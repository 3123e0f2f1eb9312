//! Secret memory, process entry, confinement and raw I/O: what takes unsafe code to ask of Linux.
//!
//! Both daemons link this crate, and nothing else of it is shared between them but
//! [`landlock`] and [`seccomp`]; [`child`] is the network daemon's. The key process is built on the
//! whole of it:
//!
//! * [`secret_main!`] replaces Rust's `main` by one that runs on a stack and a heap which no other
//!   process can read ([`memory`]);
//! * [`process`], [`inherited`], [`notify`] prepare it, [`landlock`] and [`seccomp`] confine it;
//! * [`seqpacket`], [`poll`], [`random`], [`clock`] and [`log`] are what it does afterwards, each
//!   with exactly the system calls that `policies/seccomp/keyd.json` allows.
//!
//! [`text`] is for whatever writes a log or to a terminal.
//!
//! The public interface is safe. Linux on x86-64 and AArch64 only.

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("softsim-sandbox knows Linux on x86-64 and AArch64 only");

pub mod child;
pub mod clock;
pub mod inherited;
pub mod landlock;
pub mod log;
pub mod memory;
pub mod notify;
pub mod poll;
pub mod process;
pub mod random;
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
