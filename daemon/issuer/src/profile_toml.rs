//! The profile file: TOML with the subscription's fields, keys in hexadecimal.
//!
//! ```toml
//! iccid = "89882110000001234567"
//! imsi = "001010000000001"
//! mnc_length = 2
//! algorithm = "milenage"                     # or tuak; or xor, which protects nothing
//! k = "465b5ce8b199b49faa5f0a2ee238a6bc"     # with tuak also 64 digits
//! opc = "cd63cb71954a9f4e48a5994e37a02baf"   # or op; with tuak topc or top, of 64 digits
//! amf = "8000"                               # where absent: 8000
//! sqn = "000000000000"                       # the SIM's floor; where absent: 0
//! ind_bits = 5                               # where absent: 5
//! res_bits = 64                              # with tuak: 32, 64 or 128; where absent: 64
//! keccak_iterations = 1                      # with tuak: 1 to 255; where absent: 1
//! ```
//!
//! OPc and TOPc are derived from OP and TOP here, so that what all subscriptions share stays with the operator.
//! An error names the field and never shows the value of a key.

use std::fmt;

use softsim_aka::{Amf, Credentials, K, K256, Milenage, Op, Opc, Sqn, Top, Topc, Tuak, TuakKey};
use softsim_profile::{Algorithm, FieldError, Iccid, Profile, SqnScheme, imsi, tuak_parameters};
use softsim_usim::SqnParameters;
use toml::{Table, Value};
use zeroize::Zeroizing;

/// The fields there are.
const FIELDS: [&str; 14] = [
    "iccid",
    "imsi",
    "mnc_length",
    "algorithm",
    "k",
    "opc",
    "op",
    "topc",
    "top",
    "res_bits",
    "keccak_iterations",
    "amf",
    "sqn",
    "ind_bits",
];

/// How errors call the lengths of keys.
const DIGITS_32: &str = "32 hexadecimal digits";
const DIGITS_64: &str = "64 hexadecimal digits";

/// Why a file is no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TomlError {
    /// It is no TOML.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no such field.
    Unknown {
        /// Its name.
        field: String,
    },
    /// A field is missing.
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// OPc and OP, or TOPc and TOP, are both there, and one follows from the other.
    Both {
        /// What follows.
        derived: &'static str,
        /// What it follows from.
        underived: &'static str,
    },
    /// The algorithm has no use for a field.
    Stray {
        /// The field's name.
        field: String,
        /// The algorithm.
        algorithm: &'static str,
    },
    /// A field's value isn't one of its own.
    Field(FieldError),
}

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, message } => write!(f, "line {line}: {message}"),
            Self::Unknown { field } => {
                write!(
                    f,
                    "{field}: expected one of {}, came an unknown field",
                    FIELDS.join(", ")
                )
            }
            Self::Missing { field } => write!(f, "{field}: expected a value, came none"),
            Self::Both { derived, underived } => {
                write!(
                    f,
                    "{derived}, {underived}: expected one of the two, came both"
                )
            }
            Self::Stray { field, algorithm } => {
                write!(
                    f,
                    "{field}: expected no such field with {algorithm}, came one"
                )
            }
            Self::Field(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TomlError {}

impl From<FieldError> for TomlError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

/// Reads a profile file. What the file doesn't tell has the defaults of the profile: no validity, no
/// home network key, no consent to give raw CK and IK out.
///
/// # Errors
/// See [`TomlError`].
pub fn parse(text: &str) -> Result<Profile, TomlError> {
    let mut fields = Fields::new(text.parse().map_err(|error| syntax(text, &error))?)?;
    let iccid = Iccid::new(&fields.required("iccid")?)?;
    let digits = fields.required("imsi")?;
    let imsi = imsi(
        &digits,
        fields.number("mnc_length")?.ok_or(TomlError::Missing {
            field: "mnc_length",
        })?,
    )?;
    let algorithm = Algorithm::from_name(&fields.required("algorithm")?)?;
    let credentials = fields.credentials(algorithm)?;
    let amf = match fields.text("amf")? {
        Some(amf) => Amf::new(hex("amf", "4 hexadecimal digits", &amf)?),
        None => Amf::new([0x80, 0]),
    };
    let sqn = fields.sqn()?;
    fields.end(algorithm)?;
    Ok(Profile {
        iccid,
        imsi,
        credentials,
        amf,
        sqn,
        routing_indicator: Default::default(),
        home_network_keys: Default::default(),
        supplicant_consent: false,
        validity: Default::default(),
    })
}

/// The fields that haven't been read yet. Values are moved out, so that keys are wiped behind their use.
struct Fields(Table);

impl Fields {
    fn new(table: Table) -> Result<Self, TomlError> {
        match table.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            Some(field) => Err(TomlError::Unknown {
                field: field.clone(),
            }),
            None => Ok(Self(table)),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<Option<Zeroizing<String>>, TomlError> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text))),
            Some(other) => Err(FieldError::new(field, "a string", other.type_str()).into()),
        }
    }

    fn required(&mut self, field: &'static str) -> Result<Zeroizing<String>, TomlError> {
        self.text(field)?.ok_or(TomlError::Missing { field })
    }

    fn number(&mut self, field: &'static str) -> Result<Option<u64>, TomlError> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Integer(number)) => match u64::try_from(number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(FieldError::new(field, "0 or more", number.to_string()).into()),
            },
            Some(other) => Err(FieldError::new(field, "an integer", other.type_str()).into()),
        }
    }

    fn credentials(&mut self, algorithm: Algorithm) -> Result<Credentials, TomlError> {
        let digits = self.required("k")?;
        let k = || hex("k", DIGITS_32, &digits).map(K::new);
        Ok(match algorithm {
            Algorithm::Milenage => {
                let k = k()?;
                let opc = match self.either("opc", "op", "opc or op")? {
                    Either::Derived(opc) => Opc::new(hex("opc", DIGITS_32, &opc)?),
                    Either::Underived(op) => {
                        Milenage::opc(&k, &Op::new(hex("op", DIGITS_32, &op)?))
                    }
                };
                Credentials::Milenage { k, opc }
            }
            Algorithm::Tuak => {
                let k = match digits.len() {
                    64 => TuakKey::K256(K256::new(hex("k", DIGITS_64, &digits)?)),
                    _ => TuakKey::K(K::new(hex("k", "32 or 64 hexadecimal digits", &digits)?)),
                };
                let parameters = tuak_parameters(
                    self.number("res_bits")?.unwrap_or(64),
                    self.number("keccak_iterations")?.unwrap_or(1),
                )?;
                let topc = match self.either("topc", "top", "topc or top")? {
                    Either::Derived(topc) => Topc::new(hex("topc", DIGITS_64, &topc)?),
                    Either::Underived(top) => {
                        let top = Top::new(hex("top", DIGITS_64, &top)?);
                        Tuak::topc(&k, &top, parameters.iterations)
                    }
                };
                Credentials::Tuak {
                    k,
                    topc,
                    parameters,
                }
            }
            Algorithm::Xor => Credentials::Xor { k: k()? },
        })
    }

    /// One of two fields, the first of which follows from the second.
    fn either(
        &mut self,
        derived: &'static str,
        underived: &'static str,
        field: &'static str,
    ) -> Result<Either, TomlError> {
        match (self.text(derived)?, self.text(underived)?) {
            (Some(text), None) => Ok(Either::Derived(text)),
            (None, Some(text)) => Ok(Either::Underived(text)),
            (None, None) => Err(TomlError::Missing { field }),
            (Some(_), Some(_)) => Err(TomlError::Both { derived, underived }),
        }
    }

    /// Nothing is left that the algorithm has no use for.
    fn end(self, algorithm: Algorithm) -> Result<(), TomlError> {
        match self.0.keys().next() {
            Some(field) => Err(TomlError::Stray {
                field: field.clone(),
                algorithm: algorithm.name(),
            }),
            None => Ok(()),
        }
    }

    /// The floor, in hexadecimal or as an integer, and the length of IND.
    fn sqn(&mut self) -> Result<SqnScheme, TomlError> {
        let floor = if self.0.get("sqn").is_some_and(Value::is_integer) {
            let number = self.number("sqn")?.unwrap_or_default();
            Sqn::new(number)
                .ok_or_else(|| FieldError::new("sqn", "a number below 2^48", number.to_string()))?
        } else {
            match self.text("sqn")? {
                Some(sqn) => Sqn::from_bytes(hex("sqn", "12 hexadecimal digits", &sqn)?),
                None => Sqn::default(),
            }
        };
        let mut parameters = SqnParameters::default();
        if let Some(bits) = self.number("ind_bits")? {
            parameters.ind_bits = u8::try_from(bits)
                .map_err(|_| FieldError::new("ind_bits", "0 to 5", bits.to_string()))?;
        }
        Ok(SqnScheme::new(floor, parameters)?)
    }
}

/// OPc or TOPc, or what it follows from.
enum Either {
    Derived(Zeroizing<String>),
    Underived(Zeroizing<String>),
}

/// Octets out of hexadecimal digits in lower or upper case; an error tells the length, not the digits.
fn hex<const N: usize>(
    field: &'static str,
    expected: &'static str,
    digits: &str,
) -> Result<[u8; N], FieldError> {
    let mut octets = [0; N];
    if digits.len() != 2 * N {
        return Err(FieldError::new(
            field,
            expected,
            format!("{} characters", digits.chars().count()),
        ));
    }
    hex::decode_to_slice(digits, &mut octets).map_err(|_| {
        FieldError::new(field, expected, "a character that is no hexadecimal digit")
    })?;
    Ok(octets)
}

/// The parser's own text would quote the line, which may hold K.
fn syntax(text: &str, error: &toml::de::Error) -> TomlError {
    let offset = error.span().map_or(0, |span| span.start);
    let line = 1 + text
        .bytes()
        .take(offset)
        .filter(|octet| *octet == b'\n')
        .count();
    TomlError::Syntax {
        line,
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use softsim_aka::ResLength;

    const PROFILE: &str = r#"
iccid = "89882110000001234567"
imsi = "001010000000001"
mnc_length = 2
algorithm = "milenage"
k = "465b5ce8b199b49faa5f0a2ee238a6bc"
opc = "cd63cb71954a9f4e48a5994e37a02baf"
amf = "b9b9"
sqn = "ff9bb4d0b607"
ind_bits = 5
"#;

    fn error(from: &str, to: &str) -> String {
        assert!(PROFILE.contains(from), "{from}");
        parse(&PROFILE.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn every_field_arrives() {
        let profile = parse(PROFILE).unwrap();
        assert_eq!(profile.iccid.as_str(), "89882110000001234567");
        assert_eq!(
            (profile.imsi.digits(), profile.imsi.mnc_length() as u8),
            ("001010000000001", 2)
        );
        let Credentials::Milenage { k, opc } = &profile.credentials else {
            panic!("{:?}", profile.credentials)
        };
        assert_eq!(k.as_bytes()[..2], [0x46, 0x5b]);
        assert_eq!(opc.as_bytes()[..2], [0xcd, 0x63]);
        assert_eq!(profile.amf, Amf::new([0xb9, 0xb9]));
        assert_eq!(profile.sqn.floor().value(), 0xff9b_b4d0_b607);
        assert_eq!(profile.sqn.parameters(), SqnParameters::default());
    }

    #[test]
    fn hexadecimal_digits_have_any_case() {
        let upper: String = PROFILE
            .lines()
            .map(|line| match line.split_once(" = \"") {
                Some((name @ ("k" | "opc" | "amf" | "sqn"), value)) => {
                    format!("{name} = \"{}\n", value.to_uppercase())
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert!(upper.contains("465B5CE8"));
        assert_eq!(parse(&upper).unwrap(), parse(PROFILE).unwrap());
    }

    /// TS 35.208 §4.3, test set 1.
    #[test]
    fn op_stands_for_the_opc_that_follows_from_it() {
        let with_op = PROFILE.replace(
            "opc = \"cd63cb71954a9f4e48a5994e37a02baf\"",
            "op = \"cdc202d5123e20f62b6d676ac72cb318\"",
        );
        assert_eq!(parse(&with_op).unwrap(), parse(PROFILE).unwrap());
    }

    /// The profile with other credentials.
    fn with(credentials: &str) -> String {
        let (front, back) = PROFILE.split_once("algorithm").unwrap();
        format!(
            "{front}{credentials}\n{}",
            &back[back.find("amf").unwrap()..]
        )
    }

    const TUAK: &str = "algorithm = \"tuak\"
k = \"abababababababababababababababab\"
topc = \"bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff\"";

    #[test]
    fn tuak_has_a_key_of_either_length_and_parameters_of_its_own() {
        let profile = parse(&with(TUAK)).unwrap();
        let Credentials::Tuak { k, parameters, .. } = &profile.credentials else {
            panic!("{:?}", profile.credentials)
        };
        assert_eq!(k.as_bytes(), [0xab; 16]);
        assert_eq!(
            (parameters.res, parameters.iterations.get()),
            (ResLength::Bits64, 1)
        );

        let long = TUAK.replace("abab", "abababab");
        let text = with(&format!("{long}\nres_bits = 128\nkeccak_iterations = 2"));
        let profile = parse(&text).unwrap();
        let Credentials::Tuak { k, parameters, .. } = &profile.credentials else {
            panic!("{:?}", profile.credentials)
        };
        assert_eq!(k.as_bytes(), [0xab; 32]);
        assert_eq!(
            (parameters.res, parameters.iterations.get()),
            (ResLength::Bits128, 2)
        );
    }

    /// TS 35.233 §6.3, test set 1.
    #[test]
    fn top_stands_for_the_topc_that_follows_from_it() {
        let (k, _) = TUAK.rsplit_once('\n').unwrap();
        let with_top = format!("{k}\ntop = \"{}\"", "55".repeat(32));
        assert_eq!(
            parse(&with(&with_top)).unwrap(),
            parse(&with(TUAK)).unwrap()
        );
    }

    #[test]
    fn xor_has_a_key_and_nothing_else() {
        let xor = "algorithm = \"xor\"\nk = \"465b5ce8b199b49faa5f0a2ee238a6bc\"";
        let profile = parse(&with(xor)).unwrap();
        assert_eq!(profile.credentials.k()[..2], [0x46, 0x5b]);
        assert_eq!(Algorithm::of(&profile.credentials), Algorithm::Xor);
    }

    #[test]
    fn what_does_not_fit_the_algorithm_is_named() {
        let long_k = "abab".repeat(16);
        for (credentials, text) in [
            (
                format!("{TUAK}\nopc = \"00\""),
                "opc: expected no such field with tuak, came one",
            ),
            (
                TUAK.replace("tuak", "milenage"),
                "opc or op: expected a value, came none",
            ),
            (
                format!("algorithm = \"milenage\"\nk = \"{long_k}\""),
                "k: expected 32 hexadecimal digits, came 64 characters",
            ),
            (
                TUAK.replace("abababab", "abab"),
                "k: expected 32 or 64 hexadecimal digits, came 16 characters",
            ),
            (
                TUAK.replace("bd04", ""),
                "topc: expected 64 hexadecimal digits, came 60 characters",
            ),
            (
                format!("{TUAK}\nkeccak_iterations = 0"),
                "keccak_iterations: expected 1 to 255, came 0",
            ),
            (
                format!("{TUAK}\nres_bits = 256"),
                "res_bits: expected 32, 64 or 128, came 256",
            ),
            (
                format!("{TUAK}\ntop = \"00\""),
                "topc, top: expected one of the two, came both",
            ),
            (
                TUAK.replace("tuak", "xor"),
                "topc: expected no such field with xor, came one",
            ),
        ] {
            assert_eq!(parse(&with(&credentials)).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn absent_optional_fields_have_their_defaults() {
        let short = PROFILE
            .replace("amf = \"b9b9\"\n", "")
            .replace("sqn = \"ff9bb4d0b607\"\n", "")
            .replace("ind_bits = 5\n", "");
        let profile = parse(&short).unwrap();
        assert_eq!(profile.amf, Amf::new([0x80, 0]));
        assert_eq!(profile.sqn.floor(), Sqn::default());
        assert_eq!(profile.sqn.parameters().ind_bits, 5);
    }

    #[test]
    fn sqn_may_be_an_integer() {
        let profile = parse(&PROFILE.replace("\"ff9bb4d0b607\"", "32")).unwrap();
        assert_eq!(profile.sqn.floor().value(), 32);
        assert_eq!(
            error("\"ff9bb4d0b607\"", "281474976710656"),
            "sqn: expected a number below 2^48, came 281474976710656"
        );
    }

    #[test]
    fn a_wrong_length_names_the_field_and_hides_the_value() {
        for (from, to, text) in [
            (
                "465b5ce8",
                "465b5ce",
                "k: expected 32 hexadecimal digits, came 31 characters",
            ),
            (
                "465b5ce8",
                "465b5ce8aa",
                "k: expected 32 hexadecimal digits, came 34 characters",
            ),
            (
                "465b5ce8",
                "465b5cex",
                "k: expected 32 hexadecimal digits, came a character that is no hexadecimal digit",
            ),
            (
                "cd63cb71",
                "cd63",
                "opc: expected 32 hexadecimal digits, came 28 characters",
            ),
            (
                "\"b9b9\"",
                "\"b9b\"",
                "amf: expected 4 hexadecimal digits, came 3 characters",
            ),
            (
                "ff9bb4d0b607",
                "ff",
                "sqn: expected 12 hexadecimal digits, came 2 characters",
            ),
            (
                "89882110000001234567",
                "8988",
                "iccid: expected 18 to 20 digits, came 4 characters",
            ),
        ] {
            assert_eq!(error(from, to), text);
        }
        assert_eq!(
            error("001010000000001", "0010100000000011"),
            "imsi: expected MCC, MNC and MSIN, at most 15 digits, came 16 characters"
        );
    }

    #[test]
    fn a_wrong_type_names_the_field_and_hides_the_value() {
        assert_eq!(
            error("\"465b5ce8b199b49faa5f0a2ee238a6bc\"", "4655"),
            "k: expected a string, came integer"
        );
        assert_eq!(
            error("mnc_length = 2", "mnc_length = \"2\""),
            "mnc_length: expected an integer, came string"
        );
        assert_eq!(
            error("mnc_length = 2", "mnc_length = 4"),
            "mnc_length: expected 2 or 3, came 4"
        );
        assert_eq!(
            error("ind_bits = 5", "ind_bits = 6"),
            "ind_bits: expected 0 to 5, came 6"
        );
        assert_eq!(
            error("ind_bits = 5", "ind_bits = 300"),
            "ind_bits: expected 0 to 5, came 300"
        );
        assert_eq!(
            error("ind_bits = 5", "ind_bits = -1"),
            "ind_bits: expected 0 or more, came -1"
        );
        assert_eq!(
            error("\"milenage\"", "\"comp128\""),
            "algorithm: expected milenage, tuak or xor, came comp128"
        );
    }

    #[test]
    fn an_unknown_field_is_named() {
        assert!(
            error("ind_bits = 5", "indbits = 5")
                .starts_with("indbits: expected one of iccid, imsi,")
        );
        assert!(error("ind_bits = 5", "[table]\nk = 1").starts_with("table: "));
        assert!(
            error("imsi =", "imsii =").starts_with("imsii: "),
            "rather than that imsi is missing"
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        for field in ["iccid", "imsi", "mnc_length", "algorithm", "k"] {
            let without: String = PROFILE
                .lines()
                .filter(|line| !line.starts_with(&format!("{field} ")))
                .map(|l| format!("{l}\n"))
                .collect();
            assert_eq!(
                parse(&without).unwrap_err().to_string(),
                format!("{field}: expected a value, came none")
            );
        }
        assert_eq!(
            error("opc = \"cd63cb71954a9f4e48a5994e37a02baf\"\n", ""),
            "opc or op: expected a value, came none"
        );
    }

    #[test]
    fn opc_and_op_exclude_each_other() {
        assert_eq!(
            error("amf =", "op = \"00\"\namf ="),
            "opc, op: expected one of the two, came both"
        );
    }

    #[test]
    fn a_syntax_error_tells_the_line_and_not_its_text() {
        let text = error(
            "k = \"465b5ce8b199b49faa5f0a2ee238a6bc\"",
            "k = \"465b5ce8b199b49faa5f0a2ee238a6bc",
        );
        assert!(text.starts_with("line 6: "), "{text}");
        assert!(!text.contains("465b"), "{text}");
    }
}
