//! Compares what softsimctl prints with `docs/softsimctl.schema.json`.
//!
//! The schema lets a reader of version 1 accept fields that come later. The tests don't: each field
//! that is printed must be in it. Only the keywords that it has are known here; another one fails.

use std::process::Output;

use serde_json::{Map, Value};

/// The schema, in the order of its file.
fn schema() -> Value {
    let text = include_str!("../../../../docs/softsimctl.schema.json");
    serde_json::from_str(text).unwrap()
}

/// Asserts that each line of both streams is an object that the schema describes, and returns the
/// names of their definitions.
pub(crate) fn describes(output: &Output) -> Vec<String> {
    let lines = [&output.stdout[..], &output.stderr].concat();
    let lines = String::from_utf8(lines).unwrap();
    lines
        .lines()
        .map(|line| {
            let value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            definition_of(&value)
        })
        .collect()
}

/// The name of the only definition that describes an object.
fn definition_of(value: &Value) -> String {
    let schema = schema();
    let names = names(&schema);
    let of = |name: &String| fault(&schema, &schema["$defs"][name], value, "").is_none();
    let fit: Vec<_> = names.iter().filter(|name| of(name)).collect();
    match &fit[..] {
        [name] => (*name).clone(),
        _ => {
            let faults = names.iter().map(|name| {
                let fault = fault(&schema, &schema["$defs"][name], value, "");
                format!("{name}: {}", fault.unwrap_or("it fits".into()))
            });
            let faults: Vec<_> = faults.collect();
            panic!(
                "expected one definition for {value}:\n{}",
                faults.join("\n")
            )
        }
    }
}

/// The names of the definitions of whole objects.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn whole() -> Vec<String> {
    names(&schema())
}

fn names(schema: &Value) -> Vec<String> {
    let alternatives = schema["anyOf"].as_array().unwrap().iter();
    let names = alternatives.map(|of| name_of(of["$ref"].as_str().unwrap()));
    names.map(str::to_owned).collect()
}

fn name_of(reference: &str) -> &str {
    reference.strip_prefix("#/$defs/").unwrap()
}

/// What of a value the schema doesn't describe, and where.
fn fault(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let keywords = schema.as_object().unwrap();
    keywords.iter().find_map(|(keyword, expected)| {
        let wrong = || Some(format!("{at}: expected {keyword} {expected}, got {value}"));
        match &**keyword {
            "description" | "required" => None,
            "$ref" => {
                let definition = &root["$defs"][name_of(expected.as_str().unwrap())];
                fault(root, definition, value, at)
            }
            "type" => (!has_type(value, expected)).then(wrong).flatten(),
            "const" => (value != expected).then(wrong).flatten(),
            "enum" => {
                let among = expected.as_array().unwrap().contains(value);
                (!among).then(wrong).flatten()
            }
            "anyOf" => {
                let mut any = expected.as_array().unwrap().iter();
                let fits = any.any(|schema| fault(root, schema, value, at).is_none());
                (!fits).then(wrong).flatten()
            }
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.find_map(|item| fault(root, expected, item, at))
            }
            "properties" => object_fault(root, keywords, value.as_object()?, at),
            other => panic!("{at}: the keyword {other} is unknown"),
        }
    })
}

fn object_fault(
    root: &Value,
    keywords: &Map<String, Value>,
    object: &Map<String, Value>,
    at: &str,
) -> Option<String> {
    let required = keywords["required"].as_array().unwrap().iter();
    let mut missing = required.filter(|name| !object.contains_key(name.as_str().unwrap()));
    if let Some(name) = missing.next() {
        return Some(format!("{at}: {name} is missing"));
    }
    object.iter().find_map(|(name, value)| {
        let at = format!("{at}/{name}");
        match keywords["properties"].get(name) {
            Some(schema) => fault(root, schema, value, &at),
            None => Some(format!("{at} isn't in the schema")),
        }
    })
}

fn has_type(value: &Value, expected: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is unknown"),
    };
    match expected {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        name => is(name.as_str().unwrap()),
    }
}
