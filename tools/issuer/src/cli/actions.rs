//! The commands.

use std::path::Path;

use rustls_pki_types::UnixTime;
use serde_json::json;
use softsim_issuer::{
    DeviceCertificate, IssuerSigningKey, Signed, command_for, may_be_sealed, profile_toml,
    seal_for_device,
};
use softsim_profile::{Command, DeviceId, Finding, Validity};

use super::args::{self, Addressed, Keygen, Seal};
use super::files::{create_new, read, read_secret, write};
use super::output::{Failure, Report};

pub(crate) fn keygen(args: &Keygen) -> Result<Report, Failure> {
    let private = if args.out.is_dir() {
        args.out.join("issuer.pem")
    } else {
        args.out.clone()
    };
    let public = private.with_extension("pub.pem");
    let key = IssuerSigningKey::generate();
    create_new(&private, 0o600, key.to_pem().as_bytes())?;
    create_new(&public, 0o644, key.public_pem().as_bytes())?;
    Ok(Report {
        lines: format!(
            "issuer {}\nprivate key {}\npublic key {}",
            key.id(),
            private.display(),
            public.display()
        ),
        value: json!({
            "issuer": key.id().to_string(),
            "private_key": private.display().to_string(),
            "public_key": public.display().to_string(),
        }),
    })
}

pub(crate) fn seal(args: &Seal) -> Result<Report, Failure> {
    let about = |error: &dyn std::fmt::Display| Failure::about(&args.profile, error);
    let mut profile =
        profile_toml::parse(&read_secret(&args.profile)?).map_err(|error| about(&error))?;
    profile.validity = validity(&args.signed)?;
    profile.supplicant_consent = args.supplicant_consent;
    let warnings =
        may_be_sealed(&profile, args.allow_test_profiles).map_err(|error| about(&error))?;

    let Some(certificate) = certificate(&args.device)? else {
        return Err(Failure::usage(
            "expected --certificate: its key signed the sealing statement",
        ));
    };
    let sealed = seal_for_device(
        &profile,
        &certificate,
        &read(&args.statement)?,
        &issuer(&args.signed)?,
        args.signed.sequence,
    )
    .map_err(failed)?;
    write(&args.signed.out, &sealed.signed.octets)?;

    let (iccid, sealing_key) = (profile.iccid.as_str(), sealed.sealing_key);
    let mut report = report(&args.device, &args.signed, &sealed.signed);
    report.lines = format!(
        "profile {iccid}\nsealing key {sealing_key}\n{}",
        report.lines
    );
    report.value["iccid"] = iccid.into();
    report.value["sealing_key"] = sealing_key.to_string().into();
    Ok(with_warnings(report, &warnings))
}

pub(crate) fn command(command: &Command, to: &Addressed) -> Result<Report, Failure> {
    let certificate = certificate(&to.device)?;
    let certified = certificate.map(|certificate| certificate.device());
    let device = (certified.or(to.device.device))
        .ok_or_else(|| Failure::usage("expected --certificate with --device-ca"))?;
    let signed = command_for(
        command,
        &validity(&to.signed)?,
        device,
        &issuer(&to.signed)?,
        to.signed.sequence,
    )
    .map_err(failed)?;
    write(&to.signed.out, &signed.octets)?;

    let mut report = report(&to.device, &to.signed, &signed);
    report.lines = format!("command {command}\n{}", report.lines);
    report.value["command"] = command.to_string().into();
    Ok(report)
}

/// Reads the device certificate, if one is named. It must chain to the given authority, or be that
/// of the given device, or both. Without authority and device, it is refused, because whoever
/// delivered the certificate could have substituted another.
fn certificate(device: &args::Device) -> Result<Option<DeviceCertificate>, Failure> {
    if device.device_ca.is_none() && device.device.is_none() {
        return Err(Failure::usage(
            "expected --device-ca, the authority of devices, or --device, the id that the device itself shows: without \
             them, whoever delivered certificate and statement could read what is sealed",
        ));
    }
    let Some(path) = &device.certificate else {
        return Ok(None);
    };
    let certificate =
        DeviceCertificate::parse(&read(path)?).map_err(|error| Failure::about(path, error))?;
    if let Some(authorities) = &device.device_ca {
        certificate
            .verify(&read(authorities)?, UnixTime::now())
            .map_err(|error| Failure::about(path, error))?;
    }
    if let Some(expected) = device.device {
        same_device(path, expected, certificate.device())?;
    }
    Ok(Some(certificate))
}

fn failed(error: softsim_issuer::Error) -> Failure {
    match error {
        // The sequence on the command line.
        softsim_issuer::Error::Seal(error) => Failure::usage(error),
        softsim_issuer::Error::Statement(_) => Failure::new(error),
    }
}

fn same_device(path: &Path, expected: DeviceId, got: DeviceId) -> Result<(), Failure> {
    match expected == got {
        true => Ok(()),
        false => Err(Failure::about(
            path,
            format!("expected the certificate of device {expected}, got that of {got}"),
        )),
    }
}

fn validity(signed: &args::Signed) -> Result<Validity, Failure> {
    Validity::new(signed.not_before, signed.not_after).map_err(Failure::usage)
}

fn issuer(signed: &args::Signed) -> Result<IssuerSigningKey, Failure> {
    IssuerSigningKey::from_pem(&read_secret(&signed.key)?)
        .map_err(|error| Failure::about(&signed.key, error))
}

/// The common part of the reports on packages and commands.
fn report(device: &args::Device, args: &args::Signed, signed: &Signed) -> Report {
    let Signed {
        octets,
        device: id,
        issuer,
        sequence,
    } = signed;
    let out = args.out.display().to_string();
    let by_authority = device.device_ca.is_some();
    let vouched = if by_authority {
        "its certificate was issued by the given authority"
    } else {
        "its id was given"
    };
    Report {
        lines: format!(
            "device {id}: {vouched}\nissuer {issuer}\nsequence {sequence}\npackage {out}, {} octets",
            octets.len(),
        ),
        value: json!({
            "device": id.to_string(),
            "certificate_verified": by_authority,
            "issuer": issuer.to_string(),
            "sequence": sequence,
            "package": out,
            "length": octets.len(),
        }),
    }
}

fn with_warnings(mut report: Report, warnings: &[Finding]) -> Report {
    let texts: Vec<_> = (warnings.iter())
        .map(|finding| finding.error.to_string())
        .collect();
    for text in &texts {
        report.lines.push_str("\nwarning: ");
        report.lines.push_str(text);
    }
    report.value["warnings"] = texts.into();
    report
}
