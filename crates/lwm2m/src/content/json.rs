//! SenML JSON (RFC 8428 §5).

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Number};

use super::format::ContentError;
use super::senml::{self, names};
use super::tree::Scalar;
use crate::path::Path;
use crate::value::Value;

#[derive(Deserialize)]
struct Record {
    bn: Option<String>,
    n: Option<String>,
    v: Option<Number>,
    vs: Option<String>,
    vb: Option<bool>,
    vd: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

pub(super) fn records(payload: &[u8]) -> Result<Vec<senml::Record<'static>>, ContentError> {
    let records: Vec<Record> =
        serde_json::from_slice(payload).map_err(|_| ContentError::Syntax {
            expected: "a SenML pack: a JSON array of objects",
        })?;
    records.into_iter().map(Record::resolve).collect()
}

impl Record {
    fn resolve(self) -> Result<senml::Record<'static>, ContentError> {
        // RFC 8428 §4.4: a reader must understand every label that ends in an underscore. LwM2M
        // doesn't use sums and base values.
        let foreign =
            |key: &String| key.ends_with('_') || matches!(key.as_str(), "s" | "bs" | "bv");
        if self.others.keys().any(foreign) {
            return Err(ContentError::Syntax {
                expected: "SenML without sums, base values and extensions",
            });
        }
        let mut values = [
            self.v.map(number).transpose()?,
            self.vs.map(|text| Scalar::Text(text.into())),
            self.vb.map(Scalar::Boolean),
            self.vd.map(data).transpose()?,
        ]
        .into_iter()
        .flatten();
        let value = values.next();
        if values.next().is_some() {
            return Err(ContentError::Syntax {
                expected: "one value in a SenML record",
            });
        }
        Ok(senml::Record {
            base_name: self.bn,
            name: self.n,
            value,
        })
    }
}

fn number(number: Number) -> Result<Scalar<'static>, ContentError> {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => Ok(Scalar::Integer(integer)),
        (None, Some(float)) => Ok(Scalar::Float(float)),
        (None, None) => Err(ContentError::Syntax {
            expected: "a number of 64 bits",
        }),
    }
}

fn data(text: String) -> Result<Scalar<'static>, ContentError> {
    let octets = Base64UrlUnpadded::decode_vec(&text).map_err(|_| ContentError::Syntax {
        expected: "base64url without padding",
    })?;
    Ok(Scalar::Opaque(octets.into()))
}

pub(super) fn pack(target: Path, leaves: &[(Path, &Value)]) -> Vec<u8> {
    let (base, names) = names(target, leaves);
    let mut base = Some(base);
    let records = names.map(|(name, value)| {
        let mut record = Map::new();
        if let Some(base) = base.take() {
            record.insert("bn".to_owned(), base.into());
        }
        if !name.is_empty() {
            record.insert("n".to_owned(), name.into());
        }
        let (key, value) = match value {
            Value::Integer(integer) => ("v", (*integer).into()),
            Value::Text(text) => ("vs", text.as_str().into()),
            Value::Boolean(boolean) => ("vb", (*boolean).into()),
            Value::Opaque(octets) => ("vd", Base64UrlUnpadded::encode_string(octets).into()),
        };
        record.insert(key.to_owned(), value);
        serde_json::Value::Object(record)
    });
    serde_json::Value::Array(records.collect())
        .to_string()
        .into_bytes()
}
