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
//! identity_privacy = "conservative"          # or strict; where absent: as the host says
//! ```
//!
//! Field names may be in upper or lower case, and vendors' names (`Ki`, `OPC`) work, too.
//!
//! OPc and TOPc are derived from OP and TOP here, so that OP and TOP, which all subscriptions
//! share, stay with the operator. An error names the field and never shows the value of a key.

use std::collections::BTreeMap;

use softsim_aka::{Amf, Credentials, K, K256, Milenage, Op, Opc, Sqn, Top, Topc, Tuak, TuakKey};
use softsim_profile::{
    Algorithm, FieldError, HomeNetworkKey, HomeNetworkKeys, Iccid, PrivacyDemand, Profile,
    RoutingIndicator, SqnScheme, imsi, tuak_parameters,
};
use softsim_usim::SqnParameters;
use toml::{Table, Value};
use zeroize::Zeroizing;

/// The names of the fields.
const FIELDS: [&str; 17] = [
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
    "routing_indicator",
    "home_network_keys",
    "identity_privacy",
];

/// Vendors' names of fields.
const ALIASES: [(&str, &str); 2] = [("ki", "k"), ("mnc_len", "mnc_length")];

/// The lengths of keys in error messages.
const DIGITS_32: &str = "32 hexadecimal digits";
const DIGITS_64: &str = "64 hexadecimal digits";

/// Why a file isn't a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TomlError {
    /// It isn't TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no such field.
    #[error("{field}: expected one of {}, got an unknown field", FIELDS.join(", "))]
    Unknown {
        /// Its name.
        field: String,
    },
    /// A field occurs twice, under two of its names.
    #[error("{field}: expected one value, got two, as {} and as {}", .names[0], .names[1])]
    Twice {
        /// The field.
        field: &'static str,
        /// The names that it has in the file.
        names: [String; 2],
    },
    /// A field is missing.
    #[error("{field}: expected a value, got none")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// OPc and OP, or TOPc and TOP, are both given, although one follows from the other.
    #[error("{derived}, {underived}: expected one of the two, got both")]
    Both {
        /// The derived field.
        derived: &'static str,
        /// The field that it is derived from.
        underived: &'static str,
    },
    /// The algorithm doesn't use a field.
    #[error("{field}: expected no such field with {algorithm}, got one")]
    Stray {
        /// The field's name.
        field: String,
        /// The algorithm.
        algorithm: &'static str,
    },
    /// A field's value is invalid.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Parses a profile file. Fields that the file doesn't have get their defaults, for example no home
/// network key. The command line sets the validity, and the consent to give out raw CK and IK.
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
    let routing_indicator = match fields.text("routing_indicator")? {
        Some(digits) => RoutingIndicator::new(&digits)?,
        None => RoutingIndicator::default(),
    };
    let home_network_keys = fields.home_network_keys()?;
    let identity_privacy = match fields.text("identity_privacy")? {
        Some(name) => Some(PrivacyDemand::from_name(&name)?),
        None => None,
    };
    fields.end(algorithm)?;
    Ok(Profile {
        iccid,
        imsi,
        credentials,
        amf,
        sqn,
        routing_indicator,
        home_network_keys,
        supplicant_consent: false,
        validity: Default::default(),
        identity_privacy,
    })
}

/// The fields that haven't been read yet. Values are moved out, so that keys are wiped after their
/// use.
struct Fields(Table);

impl Fields {
    /// Renames each field to its own name, whatever it is called in the file.
    fn new(table: Table) -> Result<Self, TomlError> {
        let mut named = Table::new();
        let mut names = BTreeMap::new();
        for (name, value) in table {
            let field = field_of(&name).ok_or_else(|| TomlError::Unknown {
                field: name.clone(),
            })?;
            if let Some(other) = names.insert(field, name.clone()) {
                let names = [other, name];
                return Err(TomlError::Twice { field, names });
            }
            named.insert(field.to_owned(), value);
        }
        Ok(Self(named))
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

    /// The keys that a SUCI is encrypted to: `[{ id = 27, scheme = "A", key = "…" }]`, the
    /// preferred one first.
    fn home_network_keys(&mut self) -> Result<HomeNetworkKeys, TomlError> {
        const FIELD: &str = "home_network_keys";
        let entries = match self.0.remove(FIELD) {
            None => return Ok(HomeNetworkKeys::default()),
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                return Err(FieldError::new(FIELD, "a list of tables", other.type_str()).into());
            }
        };
        let keys: Vec<_> = entries
            .iter()
            .map(|entry| {
                home_network_key(entry).ok_or_else(|| {
                    let expected =
                        "tables of id (an integer), scheme (\"A\" or \"B\") and key (hexadecimal)";
                    FieldError::new(FIELD, expected, "another entry")
                })?
            })
            .collect::<Result<_, FieldError>>()?;
        Ok(HomeNetworkKeys::new(&keys)?)
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

    /// Reads one of two fields, of which the first is derived from the second.
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

    /// Refuses remaining fields, which the algorithm doesn't use.
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

/// The field that a name stands for: in upper or lower case, with or without separators between its
/// words, or as vendors call it.
fn field_of(name: &str) -> Option<&'static str> {
    let plain = |name: &str| -> String {
        (name.chars())
            .filter(|sign| !matches!(sign, '_' | '-' | ' '))
            .map(|sign| sign.to_ascii_lowercase())
            .collect()
    };
    let own = FIELDS.into_iter().map(|field| (field, field));
    let mut all = own.chain(ALIASES);
    all.find(|(known, _)| plain(known) == plain(name))
        .map(|(_, field)| field)
}

/// Parses one entry; none if it doesn't have the shape of one.
fn home_network_key(entry: &Value) -> Option<Result<HomeNetworkKey, FieldError>> {
    let entry = entry.as_table().filter(|entry| entry.len() == 3)?;
    let id = u64::try_from(entry.get("id")?.as_integer()?).ok()?;
    let scheme = match entry.get("scheme")?.as_str()? {
        "A" => 1,
        "B" => 2,
        _ => return None,
    };
    let key = hex::decode(entry.get("key")?.as_str()?).ok()?;
    Some(HomeNetworkKey::new(id, scheme, &key))
}

/// OPc or TOPc, or the field that it is derived from.
enum Either {
    Derived(Zeroizing<String>),
    Underived(Zeroizing<String>),
}

/// Parses hexadecimal digits in lower or upper case. An error states the length, not the digits.
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

/// Converts an error of the parser. Its own text would quote the line, which may hold K.
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
mod tests;
