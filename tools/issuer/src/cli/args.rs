//! The command line, for clap.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use softsim_keyd_proto::time;
use softsim_profile::{Command, DeviceId, FieldError, Iccid};
use softsim_sandbox::exit_status;

/// The statuses that softsim-issuer ends with.
const STATUSES: &[u8] = &[
    0,
    exit_status::USAGE,
    exit_status::DATA,
    exit_status::NO_INPUT,
    exit_status::SYSTEM,
    exit_status::CANNOT_CREATE,
    exit_status::IO,
    exit_status::READER_GONE,
];

/// Seals subscription profiles and signs commands, each for one device.
///
/// K is in the profile file only: it is never an argument, and never printed. Only their owner may
/// read files with K or a private key (chmod 600).
#[derive(Parser)]
#[command(name = "softsim-issuer", version, after_help = exit_status::help(STATUSES))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Generate the operator's signing key (mode 0600) and the public key that devices trust.
    Keygen(Keygen),
    /// Seal a profile for the device that signed a sealing statement.
    Seal(Seal),
    /// Sign a command for a device. It travels like a sealed profile, and applies only to profiles
    /// that this operator installed.
    #[command(subcommand)]
    Command(Order),
}

impl Task {
    /// Whether the result, or the failure, is to be JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Keygen(args) => args.json,
            Self::Seal(args) => args.json,
            Self::Command(order) => order.parts().1.json,
        }
    }
}

#[derive(Args)]
pub(crate) struct Keygen {
    /// A directory for issuer.pem and issuer.pub.pem, or the file for the private key. Nothing is
    /// overwritten.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: PathBuf,
    /// Print JSON: the result, or one object on standard error if it fails.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The device, which is authenticated by --device-ca or by --device.
#[derive(Args)]
pub(crate) struct Device {
    /// The device certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificates of the factory's authority, PEM or DER. The device certificate must chain
    /// to one of them.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) device_ca: Option<PathBuf>,
    /// The device id, 64 hexadecimal digits, as read from the device itself (softsimctl status):
    /// SHA-256 of the device key's SubjectPublicKeyInfo. It replaces --device-ca.
    #[arg(long, value_name = "ID", value_parser = device_id)]
    pub(crate) device: Option<DeviceId>,
}

/// How a package or command is signed, and where it is written.
#[derive(Args)]
pub(crate) struct Signed {
    /// The operator's signing key, as `keygen` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// A number higher than in every earlier package and command of this operator for this device.
    #[arg(long, value_name = "N")]
    pub(crate) sequence: u64,
    /// The first second in which a device may accept it: seconds since 1970, or
    /// YYYY-MM-DDTHH:MM:SSZ.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) not_before: Option<u64>,
    /// The last second in which a device may accept it.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) not_after: Option<u64>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Seal {
    /// The profile, TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: PathBuf,
    #[command(flatten)]
    pub(crate) device: Device,
    /// The sealing statement, as `softsimctl enrol` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: PathBuf,
    #[command(flatten)]
    pub(crate) signed: Signed,
    /// Allow the device to give raw CK and IK to an unmodified supplicant.
    #[arg(long)]
    pub(crate) supplicant_consent: bool,
    /// Also seal profiles that only a laboratory may have: with keys of zeros, the XOR algorithm,
    /// or numbers that no network assigns. softsim-keyd accepts them only with its own
    /// --allow-test-profiles.
    #[arg(long)]
    pub(crate) allow_test_profiles: bool,
    /// Print JSON: the result, or one object on standard error if it fails.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the device has to do.
#[derive(Subcommand)]
pub(crate) enum Order {
    /// Use a profile of this operator, instead of the one that is in use.
    Enable(Named),
    /// Stop using a profile of this operator, even if it is the only one.
    Disable(Named),
    /// Delete a disabled profile of this operator.
    Delete(Named),
    /// Generate another sealing key. The device can then no longer open what was sealed to the
    /// previous one; `softsimctl enrol` writes the new sealing statement.
    RotateSealingKey(Addressed),
}

#[derive(Args)]
pub(crate) struct Named {
    /// The profile's ICCID.
    #[arg(value_parser = iccid)]
    pub(crate) iccid: Iccid,
    #[command(flatten)]
    pub(crate) addressed: Addressed,
}

#[derive(Args)]
pub(crate) struct Addressed {
    #[command(flatten)]
    pub(crate) device: Device,
    #[command(flatten)]
    pub(crate) signed: Signed,
    /// Print JSON: the result, or one object on standard error if it fails.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Order {
    /// The command itself, and its device and signature.
    pub(crate) fn parts(&self) -> (Command, &Addressed) {
        match self {
            Self::Enable(to) => (Command::Enable(to.iccid), &to.addressed),
            Self::Disable(to) => (Command::Disable(to.iccid), &to.addressed),
            Self::Delete(to) => (Command::Delete(to.iccid), &to.addressed),
            Self::RotateSealingKey(addressed) => (Command::RotateSealingKey, addressed),
        }
    }
}

fn iccid(digits: &str) -> Result<Iccid, FieldError> {
    Iccid::new(digits)
}

fn device_id(digits: &str) -> Result<DeviceId, String> {
    let mut id = [0; 32];
    hex::decode_to_slice(digits, &mut id)
        .map_err(|_| "expected 64 hexadecimal digits".to_owned())?;
    Ok(DeviceId(id))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_and_the_completions_are_of_this_command_line() {
        softsim_testkit::manual::assert_generated(Cli::command(), "softsimctl(1), softsim-keyd(8)");
    }
}
