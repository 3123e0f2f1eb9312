//! Resource values, and the instances that hold them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The data types of LwM2M Core Appendix C that our objects use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A signed integer of up to 64 bits.
    Integer,
    /// Seconds since 1970.
    Time,
    /// True or false.
    Boolean,
    /// Octets.
    Opaque,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Text => "a string",
            Kind::Integer => "an integer",
            Kind::Time => "a time",
            Kind::Boolean => "a boolean",
            Kind::Opaque => "opaque octets",
        })
    }
}

/// One value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer, or a time in seconds since 1970.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// Opaque octets.
    Opaque(Vec<u8>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Integer(integer) => write!(f, "{integer}"),
            Value::Boolean(boolean) => write!(f, "{boolean}"),
            Value::Opaque(octets) => write!(f, "{} octets", octets.len()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Value {
        Value::Integer(integer)
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Value {
        Value::Boolean(boolean)
    }
}

impl From<Vec<u8>> for Value {
    fn from(octets: Vec<u8>) -> Value {
        Value::Opaque(octets)
    }
}

/// A resource: one value, or values under resource instance ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// A single-instance resource.
    Single(Value),
    /// A multiple-instance resource.
    Multiple(BTreeMap<u16, Value>),
}

/// An object instance: its resources by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance(pub BTreeMap<u16, Resource>);

/// The instances of one object by id.
pub type Instances = BTreeMap<u16, Instance>;

impl Instance {
    /// With one more single-instance resource.
    #[must_use]
    pub fn with(mut self, resource: u16, value: impl Into<Value>) -> Instance {
        self.0.insert(resource, Resource::Single(value.into()));
        self
    }

    /// With one more multiple-instance resource, numbered from 0; without it if there are no
    /// values.
    #[must_use]
    pub fn with_all<V: Into<Value>>(
        mut self,
        resource: u16,
        values: impl IntoIterator<Item = V>,
    ) -> Instance {
        let values: BTreeMap<_, _> = (0..).zip(values.into_iter().map(Into::into)).collect();
        if !values.is_empty() {
            self.0.insert(resource, Resource::Multiple(values));
        }
        self
    }

    /// The value of a single-instance resource.
    pub fn single(&self, resource: u16) -> Option<&Value> {
        match self.0.get(&resource)? {
            Resource::Single(value) => Some(value),
            Resource::Multiple(_) => None,
        }
    }

    /// The string in a single-instance resource.
    pub fn text(&self, resource: u16) -> Option<&str> {
        match self.single(resource)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer in a single-instance resource.
    pub fn integer(&self, resource: u16) -> Option<i64> {
        match self.single(resource)? {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// The boolean in a single-instance resource.
    pub fn boolean(&self, resource: u16) -> Option<bool> {
        match self.single(resource)? {
            Value::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    /// The octets in a single-instance resource.
    pub fn opaque(&self, resource: u16) -> Option<&[u8]> {
        match self.single(resource)? {
            Value::Opaque(octets) => Some(octets),
            _ => None,
        }
    }
}
