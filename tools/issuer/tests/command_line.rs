//! Compares the command line with transcripts: `$` starts a command, the lines after it are its
//! output, and `status` is its exit status if it isn't 0. `[id]` stands for 64 hexadecimal digits,
//! `[n]` for a number.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey;
use rcgen::{CertificateParams, Issuer, KeyPair};
use softsim_issuer::IssuerSigningKey;
use softsim_profile::{
    Contents, DeviceId, Expected, IssuerKey, Now, SealingKey, SealingStatement, Verdict, open,
};

const PROFILE: &str = r#"iccid = "8988211000000000011"
imsi = "001010000000001"
mnc_length = 2
algorithm = "milenage"
k = "465b5ce8b199b49faa5f0a2ee238a6bc"
opc = "cd63cb71954a9f4e48a5994e37a02baf"
amf = "8000"
sqn = "000000000020"
ind_bits = 5
"#;

const K: &str = "465b5ce8";

/// A device that generated its own keys.
struct Device {
    key: SigningKey,
    sealing_key: SealingKey,
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (
        params.self_signed(&key).unwrap().pem(),
        Issuer::new(params, key),
    )
}

/// Fills a directory with an operator's files, some of them tampered with.
fn workplace(directory: &Path) -> Device {
    let write = |name: &str, contents: &[u8]| fs::write(directory.join(name), contents).unwrap();
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);

    let (ca, issuer) = authority();
    write("ca.pem", ca.as_bytes());
    write("other-ca.pem", authority().0.as_bytes());
    let key_pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new())
        .unwrap()
        .signed_by(&key_pair, &issuer)
        .unwrap();
    write("device.pem", certificate.pem().as_bytes());
    write("device.der", certificate.der());

    let key = SigningKey::from_pkcs8_der(&key_pair.serialize_der()).unwrap();
    let other = SigningKey::from_pkcs8_der(&KeyPair::generate().unwrap().serialize_der()).unwrap();
    let sealing_key = SealingKey::generate(&mut rng);
    let foreign = SealingKey::generate(&mut rng).public();
    let statement = SealingStatement::sign(&sealing_key.public(), &key);
    write("device.statement", &statement);
    write("other.statement", &SealingStatement::sign(&foreign, &other));
    write("bare.key", foreign.as_bytes());
    write(
        "substituted.statement",
        &substitute(
            &statement,
            sealing_key.public().as_bytes(),
            foreign.as_bytes(),
        ),
    );

    // The files that an attacker between device and operator substitutes.
    let relay = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&relay)
        .unwrap();
    write("relay.pem", certificate.pem().as_bytes());
    let relay = SigningKey::from_pkcs8_der(&relay.serialize_der()).unwrap();
    write("relay.statement", &SealingStatement::sign(&foreign, &relay));

    let secret = |name: &str, contents: &str| {
        write(name, contents.as_bytes());
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(directory.join(name), private).unwrap();
    };
    let k = "465b5ce8b199b49faa5f0a2ee238a6bc";
    secret("profile.toml", PROFILE);
    secret("short-k.toml", &PROFILE.replace("a6bc\"", "a6\""));
    secret("unknown-field.toml", &format!("{PROFILE}kc = 5\n"));
    secret("zero-k.toml", &PROFILE.replace(k, &"0".repeat(32)));
    let dead = PROFILE.replace("000000000020", "ffffffffffff");
    secret("dead-sqn.toml", &dead);
    let no_separation = PROFILE.replace("\"8000\"", "\"0000\"");
    secret("no-separation.toml", &no_separation);
    let public = IssuerSigningKey::generate();
    secret("public-as-private.pem", &public.public_pem());
    for (name, contents) in [("open.toml", PROFILE), ("open.pem", &*public.to_pem())] {
        write(name, contents.as_bytes());
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(directory.join(name), readable).unwrap();
    }
    Device { key, sealing_key }
}

/// Replaces one octet string by another.
fn substitute(octets: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = octets
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    [&octets[..at], to, &octets[at + from.len()..]].concat()
}

fn run(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_softsim-issuer"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap()
}

/// A command's output and exit status, in the form of a transcript.
fn transcribe(output: &Output) -> String {
    let mut text = String::from_utf8(output.stdout.clone()).unwrap();
    text.push_str(std::str::from_utf8(&output.stderr).unwrap());
    if !output.status.success() {
        text.push_str(&format!("status {}\n", output.status.code().unwrap()));
    }
    text.trim_end().to_owned()
}

/// Whether a text matches a line with `[id]` and `[n]`.
fn matches(expected: &str, got: &str) -> bool {
    let Some(open) = expected.find('[') else {
        return expected == got;
    };
    let (before, rest) = expected.split_at(open);
    let Some(got) = got.strip_prefix(before) else {
        return false;
    };
    let (digits, rest) = if let Some(rest) = rest.strip_prefix("[id]") {
        let digits = got
            .bytes()
            .take_while(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
            .count();
        if digits != 64 {
            return false;
        }
        (digits, rest)
    } else if let Some(rest) = rest.strip_prefix("[n]") {
        (got.bytes().take_while(u8::is_ascii_digit).count(), rest)
    } else {
        return rest == got;
    };
    digits > 0 && matches(rest, &got[digits..])
}

fn play(transcript: &str) {
    let directory = tempfile::tempdir().unwrap();
    let device = workplace(directory.path());
    let device = DeviceId::of(device.key.verifying_key()).to_string();
    for block in transcript
        .split("\n\n")
        .filter(|block| block.trim_start().starts_with("$ "))
    {
        let (command, expected) = block.trim().split_once('\n').unwrap();
        let got = transcribe(&run(
            directory.path(),
            &(command.strip_prefix("$ softsim-issuer ").unwrap()).replace("DEVICE", &device),
        ));
        assert!(
            matches(expected, &got),
            "{command}\nexpected:\n{expected}\ncame:\n{got}"
        );
        assert!(
            !got.contains(K) && !got.contains("PRIVATE KEY"),
            "{command}"
        );
    }
    assert!(!directory.path().join("refused").exists());
}

#[test]
fn keygen_writes_two_files_and_prints_no_key() {
    play(include_str!("transcripts/keygen.txt"));
}

#[test]
fn seal_takes_only_what_the_device_signed() {
    play(include_str!("transcripts/seal.txt"));
}

#[test]
fn a_command_is_signed_for_a_device_that_somebody_vouches_for() {
    play(include_str!("transcripts/command.txt"));
}

#[test]
fn the_private_key_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    assert!(run(directory.path(), "keygen --out .").status.success());
    let mode = |name| {
        fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("issuer.pem"), 0o600);
    assert_eq!(mode("issuer.pub.pem") & 0o600, 0o600);
}

#[test]
fn the_device_opens_what_was_sealed_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let device = workplace(directory.path());
    assert!(run(directory.path(), "keygen --out .").status.success());
    let sealed = run(
        directory.path(),
        "seal --profile profile.toml --certificate device.pem --device-ca ca.pem --statement device.statement --key issuer.pem \
         --sequence 7 --not-after 2000000000 --supplicant-consent --out package",
    );
    assert_eq!(sealed.status.code(), Some(0));

    let read = |name| fs::read(directory.path().join(name)).unwrap();
    let issuer =
        SigningKey::from_pkcs8_pem(&String::from_utf8(read("issuer.pem")).unwrap()).unwrap();
    let opened = open(
        &read("package"),
        &device.sealing_key,
        &Expected {
            device: DeviceId::of(device.key.verifying_key()),
            trust_anchors: &[IssuerKey::from(*issuer.verifying_key())],
            last_sequence: &|_| 6,
            now: Now::Known(1_900_000_000),
        },
    )
    .unwrap();
    assert_eq!((opened.sequence, opened.verdict), (7, Verdict::Valid));
    let Contents::Profile(profile) = opened.contents else {
        panic!("a command");
    };
    assert_eq!(profile.imsi.digits(), "001010000000001");
    assert_eq!(profile.sqn.floor().value(), 0x20);
    assert!(profile.supplicant_consent);
    assert_eq!(profile.credentials.k()[..4], [0x46, 0x5b, 0x5c, 0xe8]);
}

#[test]
fn a_failure_is_one_object_if_the_command_asks_for_json() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, status, reason) in [
        (
            "keygen --out missing/issuer.pem --json",
            73,
            "missing/issuer.pem: No such file or directory (os error 2)",
        ),
        ("keygn --json", 64, "unrecognized subcommand 'keygn'"),
        (
            "command rotate-sealing-key --key k --sequence 1 --not-before 2026-12-01 --out o --json",
            64,
            "invalid value '2026-12-01' for '--not-before <TIME>': expected seconds since 1970, or \
             YYYY-MM-DDTHH:MM:SSZ, got \"2026-12-01\"",
        ),
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments}");
        assert!(output.stdout.is_empty(), "{arguments}");
        let text = String::from_utf8(output.stderr).unwrap();
        let failure: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(failure["error"], reason);
        assert_eq!(failure["status"], status);
    }
}

#[test]
fn keys_are_no_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let help = run(directory.path(), "seal --help");
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--profile"), "{help}");
    assert!(
        ["--k ", "--k=", "--opc", "--op "]
            .iter()
            .all(|option| !help.contains(option)),
        "{help}"
    );
}
