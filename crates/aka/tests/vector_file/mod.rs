//! Reading the files of `tests/vectors/`, for tests inside the crate, which has no std, and outside
//! of it.

#[allow(unused_extern_crates, reason = "only the crate has no std")]
extern crate std;

use std::format;
use std::vec::Vec;

use serde_json::Value;

pub(crate) fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().unwrap().clone()
}

pub(crate) fn octets(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(case[field].as_str().unwrap_or_else(|| panic!("no {field}"))).unwrap()
}

pub(crate) fn fixed<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    octets(case, field).try_into().unwrap()
}
