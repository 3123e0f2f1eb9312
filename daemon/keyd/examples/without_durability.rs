//! The key process on a vault that it reads and never writes: what a request costs without
//! durability.
//!
//!     without_durability STATE NETWORK-SOCKET
//!
//! Confined and scrubbed as `softsim-keyd` is; the vault must have been made with
//! `--development-key`. It is for the benchmark: a SIM that forgets its sequence numbers accepts a
//! challenge twice.

#![no_main]
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use softsim_keyd::roles::{self, PerRole};
use softsim_keyd::users::Users;
use softsim_keyd::vault::{FileStorage, Kek, Storage, Vault};
use softsim_keyd::{Keyd, Service, serve};
use softsim_keyd_proto::{Enforcement, IdentityPrivacy, KekSource, KeyMemory, Overwrites, Role};
use softsim_sandbox::notify::{Notify, Watchdog};
use softsim_sandbox::seqpacket::Listener;
use softsim_sandbox::{Args, clock, landlock, log, process, seccomp};

softsim_sandbox::secret_main!(stack = 128 << 10, heap = 16 << 20, run);

fn run(mut args: Args) -> ! {
    let mut path = || {
        let path = args.next().expect("STATE NETWORK-SOCKET");
        Path::new(OsStr::from_bytes(path))
    };
    let storage = FileStorage::open(path()).expect("a vault to open");
    let storage = Forgetful(storage.expect("a vault"));
    let listener = Listener::bind(path(), 0o600).expect("a socket");
    let uid = process::uid();
    let notify = Notify::from_env().expect("no service manager");

    let abi = landlock::restrict(&[]).expect("landlock");
    let vault = Vault::open(storage, &Kek::development()).expect("a good vault");
    seccomp::install(seccomp::Filter::Keyd).expect("seccomp");
    let service = Service {
        enforcement: Enforcement {
            landlock_abi: abi.number() as u8,
            seccomp_calls: seccomp::Filter::Keyd.calls().len() as u8,
            key_memory: KeyMemory::SecretMemory,
            kek_source: KekSource::Development,
            overwrites: Overwrites::InPlace,
            identity_privacy: IdentityPrivacy::Conservative,
            identity_patience: 600,
            supplicant: true,
            test_profiles: false,
        },
        policies: roles::COMPILED,
        users: Users {
            uids: PerRole::from_fn(|_| vec![uid]),
            ..Users::default()
        },
        afs: Vec::new(),
        realtime: clock::realtime,
    };
    let error = serve::serve(
        &mut Keyd::new(vault, service),
        &[(Role::Network, listener)],
        &mut Watchdog::from(notify),
    );
    log::line(3, error);
    process::exit(74)
}

/// A file that takes what is written and keeps nothing of it.
struct Forgetful(FileStorage);

impl Storage for Forgetful {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, octets: &[u8], _offset: u64) -> io::Result<usize> {
        Ok(octets.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
