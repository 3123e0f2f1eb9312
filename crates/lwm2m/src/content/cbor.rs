//! SenML CBOR (RFC 8428 §6), and single values in CBOR.

use std::convert::Infallible;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::format::ContentError;
use super::senml::{Record, names};
use super::tree::Scalar;
use crate::path::Path;
use crate::value::Value;

/// The labels of RFC 8428 Table 4 that this module uses; it ignores times and units.
mod label {
    pub(super) const BASE_SUM: i64 = -6;
    pub(super) const BASE_VALUE: i64 = -5;
    pub(super) const BASE_NAME: i64 = -2;
    pub(super) const NAME: i64 = 0;
    pub(super) const VALUE: i64 = 2;
    pub(super) const STRING_VALUE: i64 = 3;
    pub(super) const BOOLEAN_VALUE: i64 = 4;
    pub(super) const SUM: i64 = 5;
    pub(super) const DATA_VALUE: i64 = 8;
}

const SHAPE: ContentError = ContentError::Syntax {
    expected: "a SenML pack: a CBOR array of maps",
};
const VALUE: ContentError = ContentError::Syntax {
    expected: "a number, string, boolean or byte string in CBOR",
};

impl From<minicbor::decode::Error> for ContentError {
    fn from(_: minicbor::decode::Error) -> ContentError {
        SHAPE
    }
}

pub(super) fn records(payload: &[u8]) -> Result<Vec<Record<'_>>, ContentError> {
    let mut decoder = Decoder::new(payload);
    let mut records = Vec::new();
    let mut left = decoder.array()?;
    while more(&mut decoder, &mut left)? {
        records.push(record(&mut decoder)?);
    }
    at_end(&decoder)?;
    Ok(records)
}

/// Whether another item of an array or map follows; both may be of indefinite length.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, ContentError> {
    match left {
        Some(0) => Ok(false),
        Some(count) => {
            *count -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn record<'a>(decoder: &mut Decoder<'a>) -> Result<Record<'a>, ContentError> {
    let mut record = Record::default();
    let mut left = decoder.map()?;
    while more(decoder, &mut left)? {
        if decoder.datatype()? == Type::String {
            // RFC 8428 §4.4: a reader must understand every label that ends in an underscore.
            if decoder.str()?.ends_with('_') {
                return Err(ContentError::Syntax {
                    expected: "SenML without must-understand extensions",
                });
            }
            decoder.skip()?;
            continue;
        }
        match decoder.i64()? {
            label::BASE_NAME => once(&mut record.base_name, decoder.str()?.to_owned())?,
            label::NAME => once(&mut record.name, decoder.str()?.to_owned())?,
            label::VALUE => once(&mut record.value, number(decoder)?)?,
            label::STRING_VALUE => once(&mut record.value, Scalar::Text(decoder.str()?.into()))?,
            label::BOOLEAN_VALUE => once(&mut record.value, Scalar::Boolean(decoder.bool()?))?,
            label::DATA_VALUE => once(&mut record.value, Scalar::Opaque(decoder.bytes()?.into()))?,
            label::BASE_SUM | label::BASE_VALUE | label::SUM => {
                return Err(ContentError::Syntax {
                    expected: "SenML without sums and base values",
                });
            }
            _ => decoder.skip()?,
        }
    }
    Ok(record)
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), ContentError> {
    if field.replace(value).is_some() {
        return Err(ContentError::Syntax {
            expected: "one name and one value in a SenML record",
        });
    }
    Ok(())
}

fn number<'a>(decoder: &mut Decoder<'_>) -> Result<Scalar<'a>, ContentError> {
    match decoder.datatype()? {
        Type::F16 | Type::F32 | Type::F64 => Ok(Scalar::Float(decoder.f64()?)),
        _ => Ok(Scalar::Integer(decoder.i64().map_err(|_| VALUE)?)),
    }
}

fn at_end(decoder: &Decoder<'_>) -> Result<(), ContentError> {
    if decoder.position() == decoder.input().len() {
        Ok(())
    } else {
        Err(ContentError::Syntax {
            expected: "nothing behind the CBOR item",
        })
    }
}

/// One value in CBOR.
pub(super) fn single(payload: &[u8]) -> Result<Scalar<'_>, ContentError> {
    let mut decoder = Decoder::new(payload);
    let scalar = match decoder.datatype()? {
        Type::String => Scalar::Text(decoder.str()?.into()),
        Type::Bytes => Scalar::Opaque(decoder.bytes()?.into()),
        Type::Bool => Scalar::Boolean(decoder.bool()?),
        _ => number(&mut decoder)?,
    };
    at_end(&decoder)?;
    Ok(scalar)
}

pub(super) fn encode_single(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    put_value(&mut encoder, value).expect(INFALLIBLE);
    encoder.into_writer()
}

pub(super) fn pack(target: Path, leaves: &[(Path, &Value)]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    put_pack(&mut encoder, target, leaves).expect(INFALLIBLE);
    encoder.into_writer()
}

const INFALLIBLE: &str = "minicbor fails only where its writer does, and a vector doesn't";

type Written = Result<(), minicbor::encode::Error<Infallible>>;

fn put_pack(encoder: &mut Encoder<Vec<u8>>, target: Path, leaves: &[(Path, &Value)]) -> Written {
    let (base, names) = names(target, leaves);
    let mut base = Some(base);
    encoder.array(leaves.len() as u64)?;
    for (name, value) in names {
        let base = base.take();
        encoder.map(1 + u64::from(base.is_some()) + u64::from(!name.is_empty()))?;
        if let Some(base) = base {
            encoder.i64(label::BASE_NAME)?.str(&base)?;
        }
        if !name.is_empty() {
            encoder.i64(label::NAME)?.str(&name)?;
        }
        encoder.i64(match value {
            Value::Integer(_) => label::VALUE,
            Value::Text(_) => label::STRING_VALUE,
            Value::Boolean(_) => label::BOOLEAN_VALUE,
            Value::Opaque(_) => label::DATA_VALUE,
        })?;
        put_value(encoder, value)?;
    }
    Ok(())
}

fn put_value(encoder: &mut Encoder<Vec<u8>>, value: &Value) -> Written {
    match value {
        Value::Integer(integer) => encoder.i64(*integer)?,
        Value::Text(text) => encoder.str(text)?,
        Value::Boolean(boolean) => encoder.bool(*boolean)?,
        Value::Opaque(octets) => encoder.bytes(octets)?,
    };
    Ok(())
}
