//! `softsim-issuer`: makes the operator's key, and seals profiles for devices.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use softsim_issuer::{DeviceCertificate, IssuerSigningKey, Sealed, profile_toml, seal_for_device};
use softsim_profile::Validity;
use zeroize::Zeroizing;

/// Seals subscription profiles, each for one device.
///
/// K stands in the profile file only: it is never an argument, and never printed.
#[derive(Parser)]
#[command(name = "softsim-issuer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the operator's signing key (mode 0600) and the public key that devices trust.
    Keygen(Keygen),
    /// Seal a profile for the device that signed a sealing statement.
    Seal(Seal),
}

#[derive(Args)]
struct Keygen {
    /// A directory, for issuer.pem and issuer.pub.pem, or the private key's file; nothing is overwritten.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Seal {
    /// The profile, TOML.
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// The device certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Certificates of the authorities that may have issued it, PEM or DER; without them, whoever runs this
    /// vouches for the certificate.
    #[arg(long, value_name = "FILE")]
    device_ca: Option<PathBuf>,
    /// The sealing statement, as `softsimctl enrol` writes it.
    #[arg(long, value_name = "FILE")]
    statement: PathBuf,
    /// The operator's signing key, as `keygen` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Higher than in every earlier package of this operator for this device.
    #[arg(long, value_name = "N")]
    sequence: u64,
    /// The first second in which the package may be opened, since 1970.
    #[arg(long, value_name = "SECONDS")]
    not_before: Option<u64>,
    /// The last second in which the package may be opened, since 1970.
    #[arg(long, value_name = "SECONDS")]
    not_after: Option<u64>,
    /// Allow the device to give raw CK and IK to an unmodified supplicant.
    #[arg(long)]
    supplicant_consent: bool,
    /// Where the package goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What went wrong, with the file or argument it is about.
struct Failure(String);

fn main() -> ExitCode {
    let (result, as_json) = match Cli::parse().command {
        Command::Keygen(args) => (keygen(&args), args.json),
        Command::Seal(args) => (seal(&args), args.json),
    };
    match result {
        Ok((line, value)) => {
            println!("{}", if as_json { value.to_string() } else { line });
            ExitCode::SUCCESS
        }
        Err(Failure(text)) => {
            eprintln!("softsim-issuer: {text}");
            ExitCode::FAILURE
        }
    }
}

fn keygen(args: &Keygen) -> Result<(String, Value), Failure> {
    let private = if args.out.is_dir() {
        args.out.join("issuer.pem")
    } else {
        args.out.clone()
    };
    let public = private.with_extension("pub.pem");
    let key = IssuerSigningKey::generate();
    create_new(&private, 0o600, key.to_pem().as_bytes())?;
    create_new(&public, 0o644, key.public_pem().as_bytes())?;
    Ok((
        format!(
            "issuer {}\nprivate key {}\npublic key {}",
            key.id(),
            private.display(),
            public.display()
        ),
        json!({
            "issuer": key.id().to_string(),
            "private_key": private.display().to_string(),
            "public_key": public.display().to_string(),
        }),
    ))
}

fn seal(args: &Seal) -> Result<(String, Value), Failure> {
    let mut profile = profile_toml::parse(&read_secret(&args.profile)?)
        .map_err(|error| about(&args.profile, error))?;
    profile.validity = Validity::new(args.not_before, args.not_after)
        .map_err(|error| Failure(error.to_string()))?;
    profile.supplicant_consent = args.supplicant_consent;

    let certificate = DeviceCertificate::parse(&read(&args.certificate)?)
        .map_err(|error| about(&args.certificate, error))?;
    if let Some(authorities) = &args.device_ca {
        certificate
            .verify(&read(authorities)?, UnixTime::now())
            .map_err(|error| about(&args.certificate, error))?;
    }
    let issuer = IssuerSigningKey::from_pem(&read_secret(&args.key)?)
        .map_err(|error| about(&args.key, error))?;
    let sealed = seal_for_device(
        &profile,
        &certificate,
        &read(&args.statement)?,
        &issuer,
        args.sequence,
    )
    .map_err(|error| Failure(error.to_string()))?;
    fs::write(&args.out, &sealed.package).map_err(|error| about(&args.out, error))?;
    Ok(report(args, profile.iccid.as_str(), &sealed))
}

fn report(args: &Seal, iccid: &str, sealed: &Sealed) -> (String, Value) {
    let Sealed {
        package,
        device,
        sealing_key,
        issuer,
        sequence,
    } = sealed;
    let verified = args.device_ca.is_some();
    let vouched = if verified {
        "issued by a given authority"
    } else {
        "taken as given"
    };
    (
        format!(
            "profile {iccid}\ndevice {device}\ncertificate {vouched}\nsealing key {sealing_key}\nissuer {issuer}\n\
             sequence {sequence}\npackage {}, {} octets",
            args.out.display(),
            package.len(),
        ),
        json!({
            "iccid": iccid,
            "device": device.to_string(),
            "certificate_verified": verified,
            "sealing_key": sealing_key.to_string(),
            "issuer": issuer.to_string(),
            "sequence": sequence,
            "package": args.out.display().to_string(),
            "length": package.len(),
        }),
    )
}

/// Creates a file with these permissions from its first moment; an existing one is an error.
fn create_new(path: &Path, mode: u32, contents: &[u8]) -> Result<(), Failure> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    created
        .and_then(|mut file| file.write_all(contents))
        .map_err(|error| about(path, error))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| about(path, error))
}

/// Reads a text with a secret, which is wiped behind its use.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut octets = Zeroizing::new(read(path)?);
    match String::from_utf8(std::mem::take(&mut *octets)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(about(path, io::Error::from(io::ErrorKind::InvalidData)))
        }
    }
}

fn about(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure(format!("{}: {error}", path.display()))
}
