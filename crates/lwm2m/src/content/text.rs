//! Single values in plain text (LwM2M Core §7.4.1, Appendix C).

use base64ct::{Base64, Encoding};

use super::format::ContentError;
use crate::value::{Kind, Value};

pub(super) fn utf8(payload: &[u8]) -> Result<&str, ContentError> {
    std::str::from_utf8(payload).map_err(|_| ContentError::Syntax {
        expected: "UTF-8 text",
    })
}

pub(super) fn value(kind: Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Integer | Kind::Time => {
            Value::Integer(text.parse().ok().filter(|_| !text.starts_with('+'))?)
        }
        Kind::Boolean => match text {
            "0" => Value::Boolean(false),
            "1" => Value::Boolean(true),
            _ => return None,
        },
        Kind::Opaque => Value::Opaque(Base64::decode_vec(text).ok()?),
    })
}

pub(super) fn encode(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(integer) => integer.to_string(),
        Value::Boolean(boolean) => u8::from(*boolean).to_string(),
        Value::Opaque(octets) => Base64::encode_string(octets),
    }
}
