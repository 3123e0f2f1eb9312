//! The commands that the key process answers on its admin socket.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use softsim_client::keyd::{Connection, Error};
use softsim_client::netd::{Command, Event, Report, Status as NetdStatus};
use softsim_client::paths::Sockets;
use softsim_client::proto::requests::{
    AddTrustAnchor, CertificateRequest, Commit, Delete, DeviceCertificate, Disable, Enable,
    ForgetIdentities, GenerateDeviceKey, RemoveTrustAnchor, SealingStatement, SetDeviceCertificate,
    SetTimeBack, Stage, Status,
};
use softsim_client::proto::{
    Enforcement, IdentityPrivacy, IdentityStatus, Overwrites, ProfileInfo, ProfileState, Refusal,
    Staged, StatusAnswer, Times,
};
use softsim_client::time;
use softsim_sandbox::exit_status::SOFTWARE;

use crate::args::Enrol;
use crate::certificate::Judged;
use crate::failure::Failure;
use crate::output::Output;
use crate::verdict::{self, Verdict};
use crate::{files, text};

/// Shows a verdict, and the status of each daemon or why there is none. Returns the verdict's exit
/// status.
pub fn status(sockets: &Sockets, output: &mut Output<'_>) -> Result<u8, Failure> {
    let keyd = keyd_status(sockets);
    let netd = netd_status(sockets);
    let findings = verdict::of_daemons(keyd.as_ref().ok(), netd.as_ref().ok());
    let verdict = Verdict::of(findings);
    let value = status_json(&verdict, keyd.as_ref(), netd.as_ref());
    output.result(&value, || {
        let mut text = vec![verdict.text()];
        match &keyd {
            Ok(keyd) => text.extend(keyd_text(keyd)),
            Err(failure) => line(&mut text, "keyd", failure.in_a_line()),
        }
        match &netd {
            Ok(netd) => netd_text(netd, &mut text),
            Err(failure) => line(&mut text, "netd", failure.in_a_line()),
        }
        text
    })?;
    Ok(verdict.exit_status())
}

/// The status for programs.
pub(crate) fn status_json(
    verdict: &Verdict,
    keyd: Result<&KeydStatus, &Failure>,
    netd: Result<&NetdStatus, &Failure>,
) -> Value {
    json!({
        "verdict": verdict.json(),
        "keyd": keyd.ok().map(keyd_json),
        "keyd_error": keyd.err().map(|failure| &failure.message),
        "netd": netd.ok(),
        "netd_error": netd.err().map(|failure| &failure.message),
    })
}

/// What keyd tells of itself, and of the device certificate if it has one.
pub(crate) struct KeydStatus {
    pub(crate) answer: StatusAnswer,
    pub(crate) certificate: Option<Judged>,
}

pub(crate) fn keyd_status(sockets: &Sockets) -> Result<KeydStatus, Failure> {
    ask_status(&mut Connection::connect(&sockets.admin)?)
}

fn ask_status(keyd: &mut Connection) -> Result<KeydStatus, Failure> {
    let answer = keyd.call(&Status {})?;
    let certificate = match answer.certified {
        true => {
            let der = keyd.call(&DeviceCertificate {})?.der;
            Some(Judged::new(&der, answer.times))
        }
        false => None,
    };
    Ok(KeydStatus {
        answer,
        certificate,
    })
}

pub(crate) fn netd_status(sockets: &Sockets) -> Result<NetdStatus, Failure> {
    let mut control = crate::netd::send(sockets, None, &Command::Status {})?;
    match control.next().transpose()? {
        Some(Event::Done {
            report: Report::Status(status),
        }) => Ok(status),
        Some(Event::Failed { failure, reason }) => {
            Err(Failure::new(crate::failure::status_of(failure), reason))
        }
        _ => Err(Failure::from(softsim_client::netd::Error::Closed)),
    }
}

fn keyd_json(status: &KeydStatus) -> Value {
    let KeydStatus {
        answer: status,
        certificate,
    } = status;
    let Enforcement {
        landlock_abi,
        seccomp_calls,
        key_memory,
        kek_source,
        overwrites,
        identity_privacy,
        identity_patience,
        supplicant,
        test_profiles,
    } = &status.enforcement;
    json!({
        "landlock_abi": landlock_abi,
        "seccomp_calls": seccomp_calls,
        "key_memory": key_memory.to_string(),
        "kek_source": kek_source.to_string(),
        "overwrites": overwrites.to_string(),
        "identity_privacy": identity_privacy.to_string(),
        "identity_patience": identity_patience,
        "supplicant": supplicant,
        "test_profiles": test_profiles,
        "device_id": status.device_id.map(hex::encode),
        "sealing_key_id": status.sealing_key_id.map(hex::encode),
        "certified": status.certified,
        "certificate": certificate.as_ref().map(Judged::json),
        "trust_anchors": status.trust_anchors,
        "profiles": status.profiles,
        "profile": status.profile.as_ref().map(profile_json),
        "capacity": status.capacity,
        "anchor": status.anchor,
        "committed": status.committed.map(hex::encode),
        "accounts": status.accounts.map(hex::encode),
        "counters": status.counters,
        "identities": status.identities.map(identities_json),
        "times": times_json(&status.times),
    })
}

fn times_json(times: &Times) -> Value {
    let Times { clock, built, kept } = times;
    json!({
        "clock": clock,
        "built": built,
        "kept": kept,
        "known": times.are_known(),
        "now": times.now(),
        "by": judged_by(times),
    })
}

/// The time that validity is judged by.
fn judged_by(times: &Times) -> &'static str {
    match times.are_known() {
        true => "clock",
        false if times.kept > times.built => "kept",
        false => "built",
    }
}

fn identities_json(identities: IdentityStatus) -> Value {
    let IdentityStatus {
        privacy,
        pseudonyms,
        quarters,
        shown,
    } = identities;
    json!({
        "privacy": privacy.to_string(),
        "pseudonyms": pseudonyms,
        "quarters": quarters,
        "shown": shown,
    })
}

pub(crate) fn line(text: &mut Vec<String>, name: &str, value: impl std::fmt::Display) {
    text.push(format!("{name:<16} {value}"));
}

fn keyd_text(status: &KeydStatus) -> Vec<String> {
    let KeydStatus {
        answer: status,
        certificate,
    } = status;
    let mut text = Vec::new();
    let enforcement = &status.enforcement;
    match enforcement.landlock_abi {
        0 => line(&mut text, "landlock", "off"),
        abi => line(&mut text, "landlock", format_args!("ABI {abi}")),
    }
    match enforcement.seccomp_calls {
        0 => line(&mut text, "seccomp", "off"),
        calls => line(&mut text, "seccomp", format_args!("{calls} system calls")),
    }
    line(&mut text, "key memory", enforcement.key_memory);
    line(&mut text, "files under", enforcement.kek_source);
    match enforcement.overwrites {
        Overwrites::InPlace => line(&mut text, "overwrites", Overwrites::InPlace),
        overwrites => line(
            &mut text,
            "overwrites",
            format_args!("{overwrites}: the medium may keep old keys"),
        ),
    }
    let privacy = status.identities.map(|identities| identities.privacy);
    let privacy = privacy.unwrap_or(enforcement.identity_privacy);
    match privacy {
        IdentityPrivacy::Patient => {
            let seconds = enforcement.identity_patience;
            line(
                &mut text,
                "identity privacy",
                format_args!("{privacy} ({seconds} s)"),
            );
        }
        privacy => line(&mut text, "identity privacy", privacy),
    }
    if enforcement.supplicant {
        line(
            &mut text,
            "supplicant",
            "served: CK and IK of profiles that consent leave softsim-keyd",
        );
    }
    if enforcement.test_profiles {
        line(
            &mut text,
            "test profiles",
            "accepted: profiles that only a laboratory may have, such as those with XOR",
        );
    }
    match status.device_id {
        Some(id) => line(&mut text, "device id", hex::encode(id)),
        None => line(
            &mut text,
            "device id",
            "none: softsimctl enrol makes the device key",
        ),
    }
    match certificate {
        Some(certificate) => {
            line(&mut text, "certificate", certificate.text());
            let issuer = certificate.issuer().into_iter();
            issuer.for_each(|issuer| line(&mut text, "issued by", issuer));
        }
        None => line(
            &mut text,
            "certificate",
            "none: softsimctl enrol --certificate stores it",
        ),
    }
    line(&mut text, "trust anchors", status.trust_anchors);
    line(
        &mut text,
        "profiles",
        format_args!("{} of {}", status.profiles, status.capacity),
    );
    text.extend(profiles_text(status.profile.as_slice()));
    match status.anchor {
        Some(epoch) => line(&mut text, "rollback anchor", format_args!("epoch {epoch}")),
        None => line(
            &mut text,
            "rollback anchor",
            "none: an old copy of the vault would not be noticed",
        ),
    }
    // keyd gives administrators its counters.
    let counters = status.counters.unwrap_or_default();
    line(&mut text, "time", now_text(&status.times));
    if counters.times_set_back > 0 {
        line(
            &mut text,
            "kept time",
            format_args!("set back {} times", counters.times_set_back),
        );
    }
    line(
        &mut text,
        "authentications",
        format_args!(
            "{} (AUTN refused {}, synchronised {}, AT_MAC refused {})",
            counters.authentications,
            counters.autn_rejected,
            counters.synchronisation_failures,
            counters.packet_mac_rejected
        ),
    );
    line(
        &mut text,
        "of them",
        format_args!(
            "{} with forward secrecy; and {} fast re-authentications",
            counters.forward_secret, counters.reauthentications
        ),
    );
    line(
        &mut text,
        "IMSI in clear",
        format_args!(
            "given {} times, withheld {} times",
            counters.permanent_identities, counters.identities_withheld
        ),
    );
    if let Some(identities) = status.identities {
        line(
            &mut text,
            "pseudonyms",
            format_args!(
                "{} known, refused {} times",
                identities.pseudonyms, counters.pseudonyms_refused
            ),
        );
        if identities.privacy == IdentityPrivacy::Patient {
            line(
                &mut text,
                "patience",
                format_args!(
                    "{} of 4 quarters over; IMSI shown {} times since the network last proved itself",
                    identities.quarters, identities.shown
                ),
            );
        }
    }
    if enforcement.supplicant || counters.raw_keys > 0 {
        line(
            &mut text,
            "raw CK and IK",
            format_args!("given {} times", counters.raw_keys),
        );
    }
    line(&mut text, "handshakes", counters.handshakes_signed);
    line(
        &mut text,
        "refused users",
        format_args!("{} connections", counters.refused_users),
    );
    text
}

fn now_text(times: &Times) -> String {
    let now = time::utc(times.now());
    match judged_by(times) {
        "clock" => format!("{now}, by the clock"),
        "kept" => format!("unknown, at least {now}, the kept time"),
        _ => format!("unknown, at least {now}, the build"),
    }
}

/// Shows the times that validity is judged by.
pub fn time(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    let times = Connection::connect(&sockets.admin)?.call(&Status {})?.times;
    output.result(&times_json(&times), || {
        let mut text = Vec::new();
        for (name, seconds) in [
            ("clock", times.clock),
            ("build", times.built),
            ("kept time", times.kept),
        ] {
            let shown = match (name, seconds) {
                ("kept time", 0) => "none".to_owned(),
                _ => format!("{} ({seconds})", time::utc(seconds)),
            };
            line(&mut text, name, shown);
        }
        line(&mut text, "time", now_text(&times));
        text
    })?;
    Ok(())
}

/// Sets the kept time back.
pub fn set_time_back(
    sockets: &Sockets,
    seconds: u64,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    Connection::connect(&sockets.admin)?.call(&SetTimeBack { seconds })?;
    done(output, "time_set_back", time::utc(seconds))
}

fn netd_text(status: &NetdStatus, text: &mut Vec<String>) {
    line(
        text,
        "netd",
        format_args!(
            "{}, serving for {} s, endpoint {}, landlock ABI {}, {} system calls",
            status.release,
            status.uptime,
            status.endpoint.as_deref().unwrap_or("unknown"),
            status.landlock_abi,
            status.seccomp_calls
        ),
    );
    if let Some(reason) = &status.keyd_lost {
        line(text, "keyd", format_args!("lost: {reason}"));
    }
    if let Some(fault) = &status.accounts_fault {
        line(text, "accounts", fault);
    }
    line(text, "management", text::management(&status.management));
    for access in &status.accesses {
        line(text, "access", text::access(access));
    }
}

/// Makes keyd forget the identities that a network assigned.
pub fn forget_identities(
    sockets: &Sockets,
    iccid: Option<&str>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut keyd = Connection::connect(&sockets.admin)?;
    keyd.call(&ForgetIdentities { iccid })?;
    let profile = match iccid {
        Some(iccid) => iccid.to_owned(),
        // Without a name, it was that of the enabled profile.
        None => match keyd.call(&Status {})?.profile {
            Some(profile) => profile.iccid,
            None => "the enabled profile".into(),
        },
    };
    done(output, "identities_forgotten", profile)
}

/// Writes the files that the factory and the operator need, or stores what they return.
pub fn enrol(sockets: &Sockets, enrol: &Enrol, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut keyd = Connection::connect(&sockets.admin)?;
    let nothing_given = enrol.certificate.is_none()
        && enrol.trust_issuer.is_empty()
        && enrol.distrust_issuer.is_empty();
    if nothing_given {
        return take_out(&mut keyd, &enrol.directory, output);
    }
    if let Some(path) = &enrol.certificate {
        store_certificate(&mut keyd, path, enrol.force, output)?;
    }
    for path in &enrol.trust_issuer {
        let issuer = files::read_der(path, "PUBLIC KEY")?;
        keyd.call(&AddTrustAnchor { issuer: &issuer })?;
        done(output, "issuer_trusted", path.display())?;
    }
    for path in &enrol.distrust_issuer {
        let issuer = files::read_der(path, "PUBLIC KEY")?;
        keyd.call(&RemoveTrustAnchor { issuer: &issuer })?;
        done(output, "issuer_distrusted", path.display())?;
    }
    Ok(())
}

/// Stores a device certificate, in place of the stored one if there is one, and says what its dates
/// mean. Handshakes use it from the next one on; sessions that exist go on.
fn store_certificate(
    keyd: &mut Connection,
    path: &Path,
    force: bool,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let certificate = files::read_der(path, "CERTIFICATE")?;
    let status = ask_status(keyd)?;
    let judged = Judged::new(&certificate, status.answer.times);
    judged.refuse_expired(path)?;
    let stored = status.certificate;
    if let Some(stored) = stored.as_ref().filter(|_| !force) {
        judged.refuse_earlier_end(path, stored)?;
    }
    keyd.call(&SetDeviceCertificate {
        certificate: &certificate,
    })?;
    let warning = judged.warning().map(|warning| format!("it {warning}"));
    let value = json!({
        "done": "certificate_stored",
        "of": path,
        "certificate": judged.json(),
        "replaced": stored.as_ref().map(Judged::json),
        "warning": warning,
    });
    output.result(&value, || {
        let replaced = stored
            .iter()
            .map(|stored| format!("before: {}", stored.text()));
        let warning = warning.iter().map(|warning| format!("warning: {warning}"));
        [
            format!("certificate stored {}", path.display()),
            judged.text(),
        ]
        .into_iter()
        .chain(replaced)
        .chain(warning)
        .collect()
    })?;
    Ok(())
}

fn take_out(
    keyd: &mut Connection,
    directory: &Path,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    match keyd.call(&GenerateDeviceKey {}) {
        Ok(_) | Err(Error::Refused(Refusal::DeviceKeyExists)) => {}
        Err(error) => return Err(error.into()),
    }
    let status = keyd.call(&Status {})?;
    let device_id = status
        .device_id
        .map(hex::encode)
        .ok_or_else(|| Failure::new(SOFTWARE, "softsim-keyd has no device key after making one"))?;
    let request = keyd.call(&CertificateRequest {})?.der;
    let statement = keyd.call(&SealingStatement {})?.statement;
    let request_path = directory.join("device.csr");
    let statement_path = directory.join("sealing-statement.cose");
    let pem = files::to_pem("CERTIFICATE REQUEST", &request)?;
    files::write(&request_path, pem.as_bytes())?;
    files::write(&statement_path, &statement)?;
    let value = json!({
        "device_id": device_id,
        "certificate_request": request_path,
        "sealing_statement": statement_path,
    });
    output.result(&value, || {
        let mut text = Vec::new();
        line(&mut text, "device id", &device_id);
        line(&mut text, "for the factory", request_path.display());
        line(&mut text, "for the operator", statement_path.display());
        text
    })?;
    Ok(())
}

/// Lists the installed profiles.
pub fn list(sockets: &Sockets, output: &mut Output<'_>) -> Result<(), Failure> {
    let profiles = Connection::connect(&sockets.admin)?.profiles()?;
    output.result(
        &json!({ "profiles": profiles.iter().map(profile_json).collect::<Vec<_>>() }),
        || match profiles.is_empty() {
            true => vec!["no profiles".into()],
            false => profiles_text(&profiles),
        },
    )?;
    Ok(())
}

fn profile_json(profile: &ProfileInfo) -> Value {
    json!({
        "iccid": profile.iccid,
        "state": profile.state.to_string(),
        "algorithm": profile.algorithm,
        "autn_mac_rejected": profile.autn_mac_rejected,
    })
}

fn profiles_text(profiles: &[ProfileInfo]) -> Vec<String> {
    profiles.iter().fold(Vec::new(), |mut text, profile| {
        let ProfileInfo {
            iccid,
            state,
            algorithm,
            autn_mac_rejected,
        } = profile;
        let refused = match autn_mac_rejected {
            0 => String::new(),
            times => format!(
                "  MAC-A of AUTN wrong {times} times: compare K and OPc with the operator's"
            ),
        };
        let state = state.to_string();
        line(
            &mut text,
            "",
            format_args!("{iccid:<20} {state:<8} {algorithm}{refused}"),
        );
        text
    })
}

/// Enables a profile.
pub fn enable(sockets: &Sockets, iccid: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    Connection::connect(&sockets.admin)?.call(&Enable { iccid })?;
    done(output, "enabled", iccid)
}

/// Disables a profile.
pub fn disable(sockets: &Sockets, iccid: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    Connection::connect(&sockets.admin)?.call(&Disable { iccid })?;
    done(output, "disabled", iccid)
}

/// Deletes a profile.
pub fn delete(sockets: &Sockets, iccid: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    Connection::connect(&sockets.admin)?.call(&Delete { iccid })?;
    done(output, "deleted", iccid)
}

/// Installs a sealed package, or carries out a signed command, in its own transaction.
pub fn install(sockets: &Sockets, package: &Path, output: &mut Output<'_>) -> Result<(), Failure> {
    let package = files::read(package)?;
    let mut txid = [0; 16];
    getrandom::fill(&mut txid)
        .map_err(|error| Failure::new(SOFTWARE, format!("random numbers: {error}")))?;
    let mut keyd = Connection::connect(&sockets.admin)?;
    let staged = keyd.call(&Stage {
        txid,
        package: Some(&package),
    })?;
    keyd.call(&Commit::new(txid))?;
    match staged.staged {
        Some(Staged::Installed { iccid }) => {
            let mut profiles = keyd.profiles()?.into_iter();
            let profile = profiles.find(|profile| profile.iccid == iccid);
            installed(output, &iccid, profile.map(|profile| profile.state))
        }
        Some(staged) => carried_out(output, &staged),
        None => done(output, "installed", ""),
    }
}

/// Reports that a profile is installed, and whether it is in use.
fn installed(
    output: &mut Output<'_>,
    iccid: &str,
    state: Option<ProfileState>,
) -> Result<(), Failure> {
    let state = state.map(|state| state.to_string());
    let value = json!({ "done": "installed", "of": iccid, "state": state });
    output.result(&value, || {
        let state = state.map_or_else(String::new, |state| format!(", {state}"));
        vec![format!("installed {iccid}{state}")]
    })?;
    Ok(())
}

/// Reports what a package did.
fn carried_out(output: &mut Output<'_>, staged: &Staged) -> Result<(), Failure> {
    match staged.parts() {
        (became, Some(iccid)) => done(output, became, iccid),
        (became, None) => done(
            output,
            &became.replace(' ', "_"),
            "softsimctl enrol writes the new statement",
        ),
    }
}

fn done(output: &mut Output<'_>, what: &str, of: impl std::fmt::Display) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Done<'a> {
        done: &'a str,
        of: String,
    }
    let value = Done {
        done: what,
        of: of.to_string(),
    };
    output.result(&value, || {
        vec![format!("{} {}", what.replace('_', " "), value.of)]
    })?;
    Ok(())
}
