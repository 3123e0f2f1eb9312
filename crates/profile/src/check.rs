//! The rules for profiles, which sealing and installing share.
//!
//! The types of [`Profile`] exclude values that can't be encoded. These rules find values that can
//! be encoded, but make a subscription that never works or whose keys are publicly known.

use softsim_aka::agreement::{BadPublicKey, Group, PrivateKey};
use softsim_aka::{Credentials, Sqn};
use softsim_usim::{Imsi, MncLength};

use crate::{Algorithm, FieldError, Iccid, Profile, ProtectionScheme};

/// The least number of authentications that a SIM must have room for: one each second for 34,000
/// years.
const ENOUGH_SEQS: u64 = 1 << 40;

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The profile works, but may not be what was meant.
    Warning,
    /// Only a laboratory may want the profile.
    Laboratory,
    /// The profile can't work.
    Useless,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How severe it is.
    pub severity: Severity,
    /// The field, what was expected, and what it is; never the value of a secret.
    pub error: FieldError,
}

/// Checks a profile against the rules. The result is empty if it violates none.
pub fn check(profile: &Profile) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    findings.keys(&profile.credentials);
    findings.room_for_seqs(profile);
    findings.home_network_keys(profile);
    findings.iccid(&profile.iccid);
    findings.imsi(&profile.imsi);
    if !profile.amf.separation_bit() {
        findings.add(
            Severity::Warning,
            "amf",
            "the separation bit to be 1, without which no vector serves EAP-AKA' (TS 33.102 Annex H)",
            "0",
        );
    }
    findings.0
}

/// The findings so far.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        field: &'static str,
        expected: &'static str,
        got: impl Into<String>,
    ) {
        let error = FieldError::new(field, expected, got);
        self.0.push(Finding { severity, error });
    }

    fn keys(&mut self, credentials: &Credentials) {
        const RANDOM: &str = "random octets";
        let algorithm = Algorithm::of(credentials);
        if algorithm.protects_nothing() {
            let expected = "one that protects K";
            self.add(
                Severity::Laboratory,
                "algorithm",
                expected,
                algorithm.name(),
            );
        }
        let k = credentials.k();
        let (name, derived): (_, &[u8]) = match credentials {
            Credentials::Milenage { opc, .. } => ("opc", opc.as_bytes()),
            Credentials::Tuak { topc, .. } => ("topc", topc.as_bytes()),
            Credentials::Xor { .. } => ("opc", &[]),
        };
        if is_zero(k) {
            self.add(Severity::Laboratory, "k", RANDOM, "zeros only");
        }
        if !derived.is_empty() && is_zero(derived) {
            self.add(Severity::Laboratory, name, RANDOM, "zeros only");
        }
        if is_equal(k, derived) {
            self.add(Severity::Laboratory, name, "another value than k's", "k's");
        }
    }

    fn room_for_seqs(&mut self, profile: &Profile) {
        let ind_bits = profile.sqn.parameters().ind_bits;
        let [last, floor] = [Sqn::MAX, profile.sqn.floor()].map(|sqn| sqn.value() >> ind_bits);
        let left = last - floor;
        if left < ENOUGH_SEQS {
            self.add(
                Severity::Useless,
                "sqn",
                "a floor above which 2^40 values of SEQ are left",
                format!("one that leaves {left}"),
            );
        }
    }

    /// Checks that no home network key has a small order, with which every key agreement gives zero
    /// (RFC 7748 §6.1).
    fn home_network_keys(&mut self, profile: &Profile) {
        for key in profile.home_network_keys.iter() {
            let group = match key.scheme() {
                ProtectionScheme::A => Group::X25519,
                ProtectionScheme::B => Group::P256,
            };
            let ours = PrivateKey::from_octets(group, &[1; 32])
                .expect("every scalar of X25519 is a key, and this one is below P-256's order");
            if let Err(error) = ours.agree(key.as_bytes()) {
                self.add(
                    Severity::Useless,
                    "home_network_keys",
                    "keys that a SUCI can be encrypted to",
                    match error {
                        BadPublicKey::NotContributory => "a point of small order",
                        BadPublicKey::Length { .. } | BadPublicKey::NotAPoint => "no point",
                    },
                );
            }
        }
    }

    fn iccid(&mut self, iccid: &Iccid) {
        let (digits, last) = iccid.as_str().split_at(iccid.as_str().len() - 1);
        let right = Iccid::check_digit(digits).to_string();
        if last == right {
            return;
        }
        let got = format!("{last} in place of {right}");
        match iccid.as_str().len() {
            // ITU-T E.118 allows at most 19 digits. Some issuers of 20 digits end them with a Luhn
            // digit.
            20 => self.add(Severity::Warning, "iccid", "a Luhn digit at the end", got),
            _ => self.add(
                Severity::Laboratory,
                "iccid",
                "a Luhn digit at the end (ITU-T E.118)",
                got,
            ),
        }
    }

    fn imsi(&mut self, imsi: &Imsi) {
        let length = imsi.digits().len();
        if length != 15 {
            self.add(
                Severity::Laboratory,
                "imsi",
                "15 digits",
                format!("{length}"),
            );
        }
        let expected = match (mnc_lengths(imsi.mcc()), imsi.mnc_length()) {
            (MncLengths::Two, MncLength::Three) => "2 with this MCC (ITU-T E.212)",
            (MncLengths::Three, MncLength::Two) => "3 with this MCC (ITU-T E.212)",
            _ => return,
        };
        let got = format!("{}", imsi.mnc_length() as u8);
        self.add(Severity::Laboratory, "mnc_length", expected, got);
    }
}

/// The lengths of the MNCs of a country.
enum MncLengths {
    Two,
    Three,
    Both,
}

/// The lengths of the MNCs under an MCC, as they have been assigned (ITU-T E.212). If a country has
/// assigned both lengths, both are right. The test network 001 and the private network 999 have
/// both, too.
fn mnc_lengths(mcc: &str) -> MncLengths {
    match mcc {
        "302" | "310" | "311" | "312" | "313" | "314" | "315" | "316" | "330" | "334" | "338"
        | "342" | "344" | "346" | "348" | "352" | "354" | "356" | "358" | "360" | "365" | "366"
        | "376" | "708" | "722" | "732" | "750" => MncLengths::Three,
        "001" | "208" | "240" | "350" | "362" | "364" | "374" | "404" | "405" | "441" | "467"
        | "502" | "706" | "710" | "714" | "730" | "738" | "748" | "999" => MncLengths::Both,
        _ => MncLengths::Two,
    }
}

fn is_zero(octets: &[u8]) -> bool {
    octets.iter().fold(0, |all, octet| all | octet) == 0
}

/// Compares secrets without a branch on their octets.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
