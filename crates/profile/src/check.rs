//! What a profile may be: the rules that sealing, installing and every other look at a profile
//! share.
//!
//! The types of [`Profile`] keep out what can't be written down at all. What can be, and yet makes
//! a subscription that never works, or one whose keys everybody knows, is found here.

use softsim_aka::agreement::{BadPublicKey, Group, PrivateKey};
use softsim_aka::{Credentials, Sqn};
use softsim_usim::{Imsi, MncLength};

use crate::{Algorithm, FieldError, Iccid, Profile, ProtectionScheme};

/// Every SIM has room for this many authentications at least: one each second for 34,000 years.
const ENOUGH_SEQS: u64 = 1 << 40;

/// How much speaks against a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and may not be what was meant.
    Warning,
    /// Only a laboratory may want it.
    Laboratory,
    /// It can't work.
    Useless,
}

/// A rule that a profile breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The field, what was expected, and what it is; of a secret, never its value.
    pub error: FieldError,
}

/// Holds a profile against the rules; what breaks none has no finding.
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

/// What was found so far.
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

    /// No SUCI is encrypted to a key with which every agreement gives zero (RFC 7748 §6.1).
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
            // ITU-T E.118 has 19 digits at most; some who give out 20 end them with a Luhn digit.
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

/// How long the MNCs of a country are.
enum MncLengths {
    Two,
    Three,
    Both,
}

/// How long the MNCs under an MCC are, as they have been assigned (ITU-T E.212). Where a country
/// has given out both lengths, both are right; so they are in the test network 001 and the private
/// network 999.
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
