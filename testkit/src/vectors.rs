//! The files of `tests/vectors/`: JSON, with octets in hexadecimal.

use std::fs;

use serde_json::Value;

/// Reads a whole file.
pub fn text(file: &str) -> String {
    let path = format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads the cases of a file.
pub fn cases(file: &str) -> Vec<Value> {
    let json: Value = serde_json::from_str(&text(file)).unwrap();
    json["cases"].as_array().unwrap().clone()
}

/// Decodes the octets of a value.
pub fn octets(value: &Value) -> Vec<u8> {
    let digits = value.as_str();
    hex::decode(digits.unwrap_or_else(|| panic!("expected octets, got {value}"))).unwrap()
}

/// Decodes exactly `N` octets.
pub fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    let octets = octets(value);
    let length = octets.len();
    (octets.try_into()).unwrap_or_else(|_| panic!("expected {N} octets, got {length}"))
}
