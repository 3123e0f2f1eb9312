//! Single values in binary form, as in TLV (LwM2M Core §7.4.5, Appendix C).

use crate::value::{Kind, Value};

pub(super) fn value(kind: Kind, octets: &[u8]) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::Text(std::str::from_utf8(octets).ok()?.to_owned()),
        Kind::Opaque => Value::Opaque(octets.to_vec()),
        Kind::Boolean => match octets {
            [0] => Value::Boolean(false),
            [1] => Value::Boolean(true),
            _ => return None,
        },
        Kind::Integer | Kind::Time => Value::Integer(match *octets {
            [a] => i64::from(i8::from_be_bytes([a])),
            [a, b] => i64::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return None,
        }),
    })
}

pub(super) fn encode(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.as_bytes().to_vec(),
        Value::Opaque(octets) => octets.clone(),
        Value::Boolean(boolean) => vec![u8::from(*boolean)],
        Value::Integer(integer) => shortest(*integer),
    }
}

/// An integer in one, two, four or eight octets.
fn shortest(integer: i64) -> Vec<u8> {
    if let Ok(short) = i8::try_from(integer) {
        short.to_be_bytes().to_vec()
    } else if let Ok(short) = i16::try_from(integer) {
        short.to_be_bytes().to_vec()
    } else if let Ok(short) = i32::try_from(integer) {
        short.to_be_bytes().to_vec()
    } else {
        integer.to_be_bytes().to_vec()
    }
}
