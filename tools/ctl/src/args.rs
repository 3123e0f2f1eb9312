//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use softsim_sandbox::exit_status;

const ENVIRONMENT: &str = "\
Environment:
  SOFTSIM_ADMIN_SOCKET         admin socket of softsim-keyd [default: /run/softsim/admin.sock]
  SOFTSIM_NETD_SOCKET          control socket of softsim-netd [default: /run/softsim/netd.sock]
  SOFTSIM_NETD_MONITOR_SOCKET  its monitor socket, for those who may not open the control socket and only look
                               [default: /run/softsim/netd-monitor.sock]

";

/// The statuses that softsimctl ends with.
const STATUSES: &[u8] = &[
    0,
    exit_status::DEGRADED,
    exit_status::NOT_READY,
    exit_status::USAGE,
    exit_status::DATA,
    exit_status::NO_INPUT,
    exit_status::UNAVAILABLE,
    exit_status::SOFTWARE,
    exit_status::SYSTEM,
    exit_status::CANNOT_CREATE,
    exit_status::IO,
    exit_status::TEMPORARY,
    exit_status::PROTOCOL,
    exit_status::REFUSED,
    exit_status::CONFIGURATION,
    exit_status::READER_GONE,
];

fn after_help() -> String {
    format!("{ENVIRONMENT}{}", exit_status::help(STATUSES))
}

/// Administers the software SIM of this gateway.
#[derive(Debug, Parser)]
#[command(name = "softsimctl", version, after_help = after_help())]
pub struct Arguments {
    /// Print JSON: one object, or one object a line if a command reports its progress. A failure,
    /// also that of a wrong command line, is one object on standard error, and on no other stream:
    /// `error`, `hint` and `status`. Each object has a `version`; docs/softsimctl.schema.json
    /// describes its fields.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub enum Command {
    /// Show whether the gateway can authenticate, what is enforced, the profiles and the state of
    /// management.
    Status,
    /// Examine what the daemons need: the kernel, users, files, sockets, the clock, interfaces,
    /// servers, certificates and their configuration. Each finding says what to change. Run it as
    /// root: what can't be examined is told as such.
    Doctor(Doctor),
    /// Generate the device's keys and write the files that the factory and the operator need, or
    /// store what they return.
    Enrol(Enrol),
    /// The installed profiles.
    Profile {
        /// What to do with them.
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// Show the clock, the build and the kept time, and which of them softsim-keyd and softsim-netd
    /// judge validity by.
    Time {
        /// What to do with the kept time.
        #[command(subcommand)]
        command: Option<TimeCommand>,
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
    Bootstrap(Limit),
    /// Run one EAP-AKA' authentication with a RADIUS server, in an access point's place.
    EapTest(EapTest),
    /// The accesses to networks that softsim-netd keeps up.
    Access {
        /// What to do with them.
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// Show the present states of softsim-netd, and then everything that happens, until
    /// interrupted.
    Events,
    /// Wait until an access is authorised.
    Wait(Wait),
    /// The identities that a network assigned.
    Identity {
        /// What to do with them.
        #[command(subcommand)]
        command: IdentityCommand,
    },
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// Deregister from the servers that answer, forget the accounts, and bootstrap again. Use it
    /// after somebody may have taken over softsim-netd and written accounts of their own.
    Reset,
}

/// What to do with accesses.
#[derive(Clone, Debug, Subcommand)]
pub enum AccessCommand {
    /// Show the state of the accesses.
    Status {
        /// Only this one.
        name: Option<String>,
    },
    /// Authenticate now, and show each message. It fails unless all accesses are authorised at the
    /// end.
    Connect {
        /// Only this one.
        name: Option<String>,
        /// How long to wait.
        #[command(flatten)]
        limit: Limit,
    },
    /// Log off, until `connect` or the next start of softsim-netd.
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

/// How long a command may take.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Limit {
    /// Wait this long at most, and say what happened last [default: as long as softsim-netd
    /// tries].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
}

impl Limit {
    /// The time, if there is a limit.
    pub fn duration(self) -> Option<Duration> {
        self.timeout
            .map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// It also waits for a softsim-netd that isn't there yet, and says what it waits for.
#[derive(Debug, Args)]
pub struct Wait {
    /// For this one [default: for every access that begins by itself].
    #[arg(long, value_name = "NAME")]
    pub access: Option<String>,
    /// Wait this long at most [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
}

/// What to do with identities.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Forget the pseudonym and the re-authentication identity. Use it if the network has lost them
    /// and the permanent identity is withheld.
    Forget {
        /// Of this profile [default: the enabled one].
        iccid: Option<String>,
    },
}

/// What to do with the kept time.
#[derive(Debug, Subcommand)]
pub enum TimeCommand {
    /// Set it back, for example after an operator signed a package that begins too late. Packages
    /// and certificates that ended since then become valid again.
    SetBack {
        /// The time to keep instead, not before the build: seconds since 1970, or
        /// YYYY-MM-DDTHH:MM:SSZ.
        #[arg(value_parser = softsim_client::time::parse)]
        time: u64,
    },
}

/// It changes nothing, and shows no secret.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also write the findings, the status of both daemons, versions, the configuration, the state
    /// of the units and the end of their log to this file, which must not exist yet: for whoever
    /// helps. It holds no secret and no identity of the subscriber.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// The configuration of softsim-netd, which that program checks itself.
    #[arg(long, value_name = "FILE", default_value = "/etc/softsim/netd.toml")]
    pub config: PathBuf,
}

/// Without `--certificate`, `--trust-issuer` and `--distrust-issuer`, it generates the keys if
/// there are none, and writes `device.csr` (PEM) and `sealing-statement.cose`. Do so again at any
/// time to renew the certificate: the request is for the same key.
#[derive(Debug, Args)]
pub struct Enrol {
    /// Where to write the two files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Store this device certificate (PEM or DER); it must be for the device key. It replaces the
    /// stored one, and softsim-netd uses it from its next handshake on: no registration ends.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Store the certificate even if it ends before the stored one.
    #[arg(long, requires = "certificate")]
    pub force: bool,
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
    /// Use this profile, instead of the one that is in use.
    Enable {
        /// Its ICCID.
        iccid: String,
    },
    /// Stop using this profile, even if it is the only one.
    Disable {
        /// Its ICCID.
        iccid: String,
    },
    /// Delete a disabled profile. Its sequence numbers are kept, so that they can't be rewound.
    Delete {
        /// Its ICCID.
        iccid: String,
    },
    /// Install a sealed package, or carry out a signed command, that `softsim-issuer` wrote.
    Install {
        /// The package.
        #[arg(value_name = "FILE")]
        package: PathBuf,
    },
}

/// What to do with the vault's key.
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Create the parameters and the salt with which a key is derived from a passphrase (Argon2id).
    InitPassphrase(InitPassphrase),
    /// Run softsim-keyd (with --kek-stdin) with the key of a passphrase.
    Unlock(Unlock),
    /// Encrypt the vault under another key, with a new data key. softsim-keyd must not be running.
    Rekey(Rekey),
    /// Take a vault as it is that its anchor refuses, while softsim-keyd is stopped.
    Accept(Accept),
}

/// The parameters aren't secret, but must not be lost: without the salt, the passphrase opens
/// nothing.
#[derive(Debug, Args)]
pub struct InitPassphrase {
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub parameters: PathBuf,
    /// The memory that a guess takes, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(19..=4096))]
    pub memory_mib: u32,
    /// The number of passes over that memory.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub passes: u32,
    /// The number of lanes of that memory.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub lanes: u32,
}

/// It asks for the passphrase on the terminal, unless a file is named.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The file that init-passphrase wrote.
    #[arg(long, value_name = "FILE")]
    pub parameters: PathBuf,
    /// A file with the passphrase that others can't read; a newline at its end is not part of it.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The program to execute, which reads the key from standard input.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// The new vault is written beside the old one, and replaces it when it is complete.
#[derive(Debug, Args)]
pub struct Rekey {
    /// The state directory of softsim-keyd.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The present key.
    #[command(flatten)]
    pub old: OldKek,
    /// The new key.
    #[command(flatten)]
    pub new: NewKek,
    /// Make room for this many profiles at the same time.
    #[arg(long, value_name = "N")]
    pub capacity: Option<u32>,
    /// The anchor, if there is one: it must not refuse the vault.
    #[command(flatten)]
    pub anchor: Anchor,
    /// The key process's program [default: softsim-keyd beside this one, or on the search path].
    #[arg(long, value_name = "PROGRAM")]
    pub keyd: Option<PathBuf>,
}

/// What was used, deleted or distrusted since this copy of the vault was made comes back. Rekey the
/// vault afterwards.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("an anchor").args(["anchor_file", "anchor_socket"]).required(true)))]
pub struct Accept {
    /// The state directory of softsim-keyd.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The key.
    #[command(flatten)]
    pub old: OldKek,
    /// The anchor.
    #[command(flatten)]
    pub anchor: Anchor,
    /// The key process's program [default: softsim-keyd beside this one, or on the search path].
    #[arg(long, value_name = "PROGRAM")]
    pub keyd: Option<PathBuf>,
}

/// The vault's anchor.
#[derive(Debug, Args)]
pub struct Anchor {
    /// The vault's epoch is in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "anchor_socket")]
    pub anchor_file: Option<PathBuf>,
    /// The vault's epoch is in a TPM, which softsim-anchord keeps behind this socket.
    #[arg(long, value_name = "PATH")]
    pub anchor_socket: Option<PathBuf>,
}

/// The present key of the vault.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("the present key").args(["kek_file", "kek_credential", "development_key", "parameters"]).required(true)))]
pub struct OldKek {
    /// The key is in this file.
    #[arg(long, value_name = "FILE")]
    pub kek_file: Option<PathBuf>,
    /// The key is this credential of systemd.
    #[arg(long, value_name = "NAME")]
    pub kek_credential: Option<String>,
    /// The key is the development key.
    #[arg(long)]
    pub development_key: bool,
    /// The key is derived from a passphrase with these parameters.
    #[arg(long, value_name = "FILE")]
    pub parameters: Option<PathBuf>,
    /// The passphrase is in this file.
    #[arg(long, value_name = "FILE", requires = "parameters")]
    pub passphrase_file: Option<PathBuf>,
}

/// The new key of the vault.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("the new key").args(["new_kek_file", "new_kek_credential", "new_development_key", "new_parameters"]).required(true)))]
pub struct NewKek {
    /// The key is in this file.
    #[arg(long, value_name = "FILE")]
    pub new_kek_file: Option<PathBuf>,
    /// The key is this credential of systemd.
    #[arg(long, value_name = "NAME")]
    pub new_kek_credential: Option<String>,
    /// The key is the development key.
    #[arg(long)]
    pub new_development_key: bool,
    /// The key is derived from a passphrase with these parameters.
    #[arg(long, value_name = "FILE")]
    pub new_parameters: Option<PathBuf>,
    /// The passphrase is in this file.
    #[arg(long, value_name = "FILE", requires = "new_parameters")]
    pub new_passphrase_file: Option<PathBuf>,
}

/// The source of a passphrase.
#[derive(Debug)]
pub enum PassphraseSource {
    /// A file that others can't read.
    File(PathBuf),
    /// The terminal, which doesn't show it.
    Terminal,
}

/// It succeeds only on EAP-Success after a verified challenge and, if the server sends MS-MPPE
/// keys, only if they equal the MSK.
#[derive(Debug, Args)]
pub struct EapTest {
    /// The RADIUS server.
    #[arg(long, value_name = "HOST:PORT")]
    pub radius: String,
    /// A file with the shared secret. A newline at its end is not part of the secret.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// The identity to show instead of the profile's.
    #[arg(long, value_name = "NAI")]
    pub identity: Option<String>,
    /// How long to wait.
    #[command(flatten)]
    pub limit: Limit,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_manual_and_the_completions_are_of_this_command_line() {
        softsim_testkit::manual::assert_generated(
            Arguments::command(),
            "softsim-keyd(8), softsim-netd(8), softsim-issuer(1), softsim-netd.toml(5)",
        );
    }
}
