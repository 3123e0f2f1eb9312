//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const ENVIRONMENT: &str = "\
Environment:
  SOFTSIM_ADMIN_SOCKET  admin socket of softsim-keyd [default: /run/softsim/admin.sock]
  SOFTSIM_NETD_SOCKET   control socket of softsim-netd [default: /run/softsim/netd.sock]

Exit status: 0 done; 64 usage; 65 bad data; 66 no such file; 69 a daemon or server can't be reached;
70 internal; 73 can't create a file; 74 output failed; 75 try again; 76 protocol broken; 77 refused";

/// Administers the software SIM of this gateway.
#[derive(Debug, Parser)]
#[command(name = "softsimctl", version, after_help = ENVIRONMENT)]
pub struct Arguments {
    /// Print JSON: one object, or one a line where a command reports as it goes; a failure on standard error.
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
    /// Make the device's keys and take out what the factory and the operator need, or put in what they give.
    Enrol(Enrol),
    /// The installed profiles.
    Profile {
        /// What to do with them.
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// Run the LwM2M bootstrap now, and register with the server it names.
    Bootstrap,
    /// Run one EAP-AKA' authentication against a RADIUS server, as an access point's supplicant would.
    EapTest(EapTest),
}

/// Without `--certificate` and `--trust-issuer`: makes the keys if there are none, and writes
/// `device.csr` (PEM) and `sealing-statement.cose`.
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
    /// Stop using it; the last enabled one is kept.
    Disable {
        /// Its ICCID.
        iccid: String,
    },
    /// Delete a disabled one; its sequence numbers are kept, so that they can't be rewound.
    Delete {
        /// Its ICCID.
        iccid: String,
    },
    /// Install a sealed package, as `softsim-issuer seal` wrote it.
    Install {
        /// The package.
        #[arg(value_name = "FILE")]
        package: PathBuf,
    },
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
