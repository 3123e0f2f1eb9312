//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use softsim_profile::{Command, DeviceId, FieldError, Iccid};

const STATUS: &str = "\
Exit status: 0 done; 1 something is wrong with a file or an argument; 2 usage; 74 output failed;
141 whoever read the output has gone";

/// Seals subscription profiles and signs commands, each for one device.
///
/// K stands in the profile file only: it is never an argument, and never printed. Files with K or a
/// private key must be their owner's alone (chmod 600).
#[derive(Parser)]
#[command(name = "softsim-issuer", version, after_help = STATUS)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Make the operator's signing key (mode 0600) and the public key that devices trust.
    Keygen(Keygen),
    /// Seal a profile for the device that signed a sealing statement.
    Seal(Seal),
    /// Sign a command to a device; it travels as a sealed profile does, and reaches only profiles
    /// that this operator installed.
    #[command(subcommand)]
    Command(Order),
}

#[derive(Args)]
pub(crate) struct Keygen {
    /// A directory, for issuer.pem and issuer.pub.pem, or the private key's file; nothing is
    /// overwritten.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which device it is for, and how that is known: by --device-ca, or by --device.
#[derive(Args)]
pub(crate) struct Device {
    /// The device certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificates of the factory's authority, PEM or DER: the device certificate must chain
    /// to one of them.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) device_ca: Option<PathBuf>,
    /// The device id, 64 hexadecimal digits, as it was read from the device itself (softsimctl
    /// status): SHA-256 of the device key's SubjectPublicKeyInfo. It takes the place of
    /// --device-ca.
    #[arg(long, value_name = "ID", value_parser = device_id)]
    pub(crate) device: Option<DeviceId>,
}

/// How each package and command is signed, and where it goes.
#[derive(Args)]
pub(crate) struct Signed {
    /// The operator's signing key, as `keygen` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Higher than in every earlier package and command of this operator for this device.
    #[arg(long, value_name = "N")]
    pub(crate) sequence: u64,
    /// The first second in which it may be taken, since 1970.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) not_before: Option<u64>,
    /// The last second in which it may be taken, since 1970.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) not_after: Option<u64>,
    /// Where it goes.
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
    /// Seal what only a laboratory may have, too: keys of zeros, the XOR algorithm, numbers that
    /// no network gives out. softsim-keyd takes it only with its own --allow-test-profiles.
    #[arg(long)]
    pub(crate) allow_test_profiles: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a device is told to do.
#[derive(Subcommand)]
pub(crate) enum Order {
    /// Use a profile of this operator, and no longer the one that was used.
    Enable(Named),
    /// Use a profile of this operator no longer, also where it is the only one.
    Disable(Named),
    /// Delete a disabled profile of this operator.
    Delete(Named),
    /// Make another sealing key: what was sealed to the one before can't be opened any more. Then
    /// `softsimctl enrol` writes the new sealing statement.
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
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Order {
    /// The command itself, and to whom it goes.
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
}
