//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const ENVIRONMENT: &str = "\
Environment:
  SOFTSIM_ADMIN_SOCKET  admin socket of softsim-keyd [default: /run/softsim/admin.sock]
  SOFTSIM_NETD_SOCKET   control socket of softsim-netd [default: /run/softsim/netd.sock]

Exit status: 0 done; 64 usage; 65 bad data; 66 no such file; 69 a daemon or server can't be reached;
70 internal; 73 can't create a file; 74 output failed; 75 try again; 76 protocol broken; 77 refused;
141 whoever read the output has gone";

/// Administers the software SIM of this gateway.
#[derive(Debug, Parser)]
#[command(name = "softsimctl", version, after_help = ENVIRONMENT)]
pub struct Arguments {
    /// Print JSON: one object, or one a line where a command reports as it goes; a failure on
    /// standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is enforced, the profiles and where management stands.
    Status,
    /// Make the device's keys and take out what the factory and the operator need, or put in what
    /// they give.
    Enrol(Enrol),
    /// The installed profiles.
    Profile {
        /// What to do with them.
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// The key of softsim-keyd's vault.
    Vault {
        /// What to do with it.
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// The accounts with LwM2M servers.
    Accounts {
        /// What to do with them.
        #[command(subcommand)]
        command: AccountsCommand,
    },
    /// Run the LwM2M bootstrap now, and register with the server it names.
    Bootstrap,
    /// Run one EAP-AKA' authentication against a RADIUS server, as an access point's supplicant
    /// would.
    EapTest(EapTest),
    /// The ways into a network that softsim-netd keeps open.
    Access {
        /// What to do with them.
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// The identities that a network gave.
    Identity {
        /// What to do with them.
        #[command(subcommand)]
        command: IdentityCommand,
    },
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// Forget them, deregister where the servers answer, and bootstrap anew: due after softsim-netd
    /// was taken over, which may have written accounts of its own.
    Reset,
}

/// What to do with accesses.
#[derive(Clone, Debug, Subcommand)]
pub enum AccessCommand {
    /// Show where they stand.
    Status {
        /// Only this one.
        name: Option<String>,
    },
    /// Authenticate now, and show each message; fails unless all of them are authorised at the end.
    Connect {
        /// Only this one.
        name: Option<String>,
    },
    /// Log off, and stay so until `connect` or the next start of softsim-netd.
    Disconnect {
        /// Only this one.
        name: Option<String>,
    },
    /// Show each message and each change of state, until interrupted.
    Watch {
        /// Only this one.
        name: Option<String>,
    },
}

/// What to do with identities.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Forget the pseudonym and the identity for fast re-authentication: the way out where the
    /// network has lost them and the permanent identity is withheld.
    Forget {
        /// Of this profile [default: the enabled one].
        iccid: Option<String>,
    },
}

/// Without `--certificate`, `--trust-issuer` and `--distrust-issuer`: makes the keys if there are
/// none, and writes `device.csr` (PEM) and `sealing-statement.cose`.
#[derive(Debug, Args)]
pub struct Enrol {
    /// Where to write the two files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Store this device certificate (PEM or DER); it must be for the device key.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Open the packages of the operator with this public key (PEM or DER); may be repeated.
    #[arg(long, value_name = "FILE")]
    pub trust_issuer: Vec<PathBuf>,
    /// Open no more packages of the operator with this public key; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub distrust_issuer: Vec<PathBuf>,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List them.
    List,
    /// Use this one, and no longer the one that was used.
    Enable {
        /// Its ICCID.
        iccid: String,
    },
    /// Stop using it, also where it is the only one.
    Disable {
        /// Its ICCID.
        iccid: String,
    },
    /// Delete a disabled one; its sequence numbers are kept, so that they can't be rewound.
    Delete {
        /// Its ICCID.
        iccid: String,
    },
    /// Install a sealed package or carry out a signed command, as `softsim-issuer` wrote it.
    Install {
        /// The package.
        #[arg(value_name = "FILE")]
        package: PathBuf,
    },
}

/// What to do with the vault's key.
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Make the parameters and the salt that turn a passphrase into a key (Argon2id).
    InitPassphrase(InitPassphrase),
    /// Run softsim-keyd (with --kek-stdin) under the key of a passphrase.
    Unlock(Unlock),
    /// Put the vault under another key, with a new data key; softsim-keyd must not be running.
    Rekey(Rekey),
}

/// None of it is secret, and none of it can be lost: without the salt, the passphrase opens
/// nothing.
#[derive(Debug, Args)]
pub struct InitPassphrase {
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub parameters: PathBuf,
    /// Memory that a guess takes, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub memory_mib: u32,
    /// Passes over that memory.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub passes: u32,
    /// Lanes of that memory.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub lanes: u32,
}

/// Asks on the terminal where no file is named.
#[derive(Debug, Args)]
pub struct Unlock {
    /// What init-passphrase wrote.
    #[arg(long, value_name = "FILE")]
    pub parameters: PathBuf,
    /// A file with the passphrase that others can't read; a newline at its end is not part of it.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The program to become, which reads the key from standard input.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// The new vault is written beside the old one and takes its name when it is whole.
#[derive(Debug, Args)]
pub struct Rekey {
    /// The state directory of softsim-keyd.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The key that it is under.
    #[command(flatten)]
    pub old: OldKek,
    /// The key that it shall be under.
    #[command(flatten)]
    pub new: NewKek,
    /// Make room for this many profiles at the same time.
    #[arg(long, value_name = "N")]
    pub capacity: Option<u32>,
    /// The program that does it [default: softsim-keyd beside this one, or on the search path].
    #[arg(long, value_name = "PROGRAM")]
    pub keyd: Option<PathBuf>,
}

/// The key that the vault is under.
#[derive(Debug, Args)]
pub struct OldKek {
    /// It is in this file.
    #[arg(long, value_name = "FILE", group = "old")]
    pub kek_file: Option<PathBuf>,
    /// It is this credential of systemd.
    #[arg(long, value_name = "NAME", group = "old")]
    pub kek_credential: Option<String>,
    /// It is the key for development.
    #[arg(long, group = "old")]
    pub development_key: bool,
    /// It comes from a passphrase and these parameters.
    #[arg(long, value_name = "FILE", group = "old", required_unless_present_any = ["kek_file", "kek_credential", "development_key"])]
    pub parameters: Option<PathBuf>,
    /// The passphrase is in this file.
    #[arg(long, value_name = "FILE", requires = "parameters")]
    pub passphrase_file: Option<PathBuf>,
}

/// The key that the vault shall be under.
#[derive(Debug, Args)]
pub struct NewKek {
    /// It is in this file.
    #[arg(long, value_name = "FILE", group = "new")]
    pub new_kek_file: Option<PathBuf>,
    /// It is this credential of systemd.
    #[arg(long, value_name = "NAME", group = "new")]
    pub new_kek_credential: Option<String>,
    /// It is the key for development.
    #[arg(long, group = "new")]
    pub new_development_key: bool,
    /// It comes from a passphrase and these parameters.
    #[arg(long, value_name = "FILE", group = "new", required_unless_present_any = ["new_kek_file", "new_kek_credential", "new_development_key"])]
    pub new_parameters: Option<PathBuf>,
    /// The passphrase is in this file.
    #[arg(long, value_name = "FILE", requires = "new_parameters")]
    pub new_passphrase_file: Option<PathBuf>,
}

/// Where a passphrase comes from.
#[derive(Debug)]
pub enum PassphraseSource {
    /// A file that others can't read.
    File(PathBuf),
    /// The terminal, which shows nothing of it.
    Terminal,
}

/// Succeeds only on EAP-Success after a verified challenge, with the MSK equal to the MS-MPPE keys
/// wherever the server sends them.
#[derive(Debug, Args)]
pub struct EapTest {
    /// The RADIUS server.
    #[arg(long, value_name = "HOST:PORT")]
    pub radius: String,
    /// A file with the secret shared with it; a newline at its end is not part of the secret.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// The identity to show in place of the profile's.
    #[arg(long, value_name = "NAI")]
    pub identity: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
