//! Content formats: between octets and the values of the object tree (LwM2M Core §7.4).

mod cbor;
mod json;
pub(crate) mod link;
mod senml;
mod text;
mod tlv;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::objects::Object;
use crate::path::Path;
use crate::value::{Instances, Kind, Resource, Value};

/// A content format, by its CoAP number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ContentFormat {
    /// text/plain: one value.
    Text = 0,
    /// application/link-format: Discover and Register.
    Link = 40,
    /// application/octet-stream: one opaque value.
    Opaque = 42,
    /// application/cbor: one value.
    Cbor = 60,
    /// application/senml+json.
    SenmlJson = 110,
    /// application/senml+cbor.
    SenmlCbor = 112,
    /// TLV under the number it had before its registration.
    OldTlv = 1542,
    /// application/vnd.oma.lwm2m+tlv.
    Tlv = 11542,
}

impl ContentFormat {
    /// The format with this number.
    pub fn from_id(id: u16) -> Option<ContentFormat> {
        use ContentFormat::*;
        [Text, Link, Opaque, Cbor, SenmlJson, SenmlCbor, OldTlv, Tlv]
            .into_iter()
            .find(|format| format.id() == id)
    }

    /// The number in Content-Format and Accept options.
    pub fn id(self) -> u16 {
        self as u16
    }
}

/// Why a payload is not a value for its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// The format can't be written to this target.
    Format {
        /// The format that came.
        got: ContentFormat,
        /// What it was to be written to.
        target: Path,
    },
    /// The payload doesn't have the syntax of its format.
    Syntax {
        /// What was expected.
        expected: &'static str,
    },
    /// Something is named that lies outside what is written to, or isn't a resource.
    Outside {
        /// What is written to.
        target: Path,
        /// What is named.
        got: Path,
    },
    /// A value of another type was expected.
    Kind {
        /// Where.
        path: Path,
        /// The type.
        expected: Kind,
    },
    /// Resource instances where there is a single value, or the reverse.
    Multiplicity {
        /// Where.
        path: Path,
    },
    /// The same resource twice.
    Duplicate {
        /// Which.
        path: Path,
    },
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentError::Format { got, target } => {
                write!(f, "expected a format that holds {target}, got {}", got.id())
            }
            ContentError::Syntax { expected } => write!(f, "expected {expected}"),
            ContentError::Outside { target, got } => {
                write!(f, "expected resources of {target}, got {got}")
            }
            ContentError::Kind { path, expected } => write!(f, "expected {expected} in {path}"),
            ContentError::Multiplicity { path } => {
                write!(
                    f,
                    "expected {path} with as many values as its definition has"
                )
            }
            ContentError::Duplicate { path } => write!(f, "expected {path} once"),
        }
    }
}

impl std::error::Error for ContentError {}

/// Reads a payload that is written to `target`, which lies in `object`.
///
/// Resources that the object doesn't define are passed over (LwM2M Core §6.3.3), anything else
/// that is out of place is an error.
pub fn decode(
    format: ContentFormat,
    object: &Object,
    target: Path,
    payload: &[u8],
) -> Result<Instances, ContentError> {
    let mut tree = Tree {
        object,
        target,
        instances: Instances::new(),
    };
    match format {
        ContentFormat::Tlv | ContentFormat::OldTlv => tlv::decode(&mut tree, payload)?,
        ContentFormat::SenmlCbor => senml::resolve(&mut tree, cbor::records(payload)?)?,
        ContentFormat::SenmlJson => senml::resolve(&mut tree, json::records(payload)?)?,
        ContentFormat::Text => tree.put_alone(format, Scalar::Plain(text::utf8(payload)?))?,
        ContentFormat::Opaque => tree.put_alone(format, Scalar::Opaque(payload.into()))?,
        ContentFormat::Cbor => tree.put_alone(format, cbor::single(payload)?)?,
        ContentFormat::Link => {
            return Err(ContentError::Format {
                got: format,
                target,
            });
        }
    }
    Ok(tree.instances)
}

/// Writes what lies at `target` in the instances of its object; none if the format can't express
/// it.
pub fn encode(format: ContentFormat, target: Path, instances: &Instances) -> Option<Vec<u8>> {
    let leaves = leaves(target, instances);
    let alone = match leaves.as_slice() {
        [(path, value)] if *path == target => Some(*value),
        _ => None,
    };
    match format {
        ContentFormat::Tlv | ContentFormat::OldTlv => tlv::encode(target, instances),
        ContentFormat::SenmlCbor => Some(cbor::pack(target, &leaves)),
        ContentFormat::SenmlJson => Some(json::pack(target, &leaves)),
        ContentFormat::Text => alone.map(|value| text::encode(value).into_bytes()),
        ContentFormat::Cbor => alone.map(cbor::encode_single),
        ContentFormat::Opaque => match alone? {
            Value::Opaque(octets) => Some(octets.clone()),
            _ => None,
        },
        ContentFormat::Link => None,
    }
}

/// A value as a format spells it, before the resource's definition gives it its type.
#[derive(Clone, Debug, PartialEq)]
enum Scalar<'a> {
    /// TLV: the definition says how to read the octets.
    Raw(&'a [u8]),
    /// Plain text: the same.
    Plain(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(Cow<'a, str>),
    Opaque(Cow<'a, [u8]>),
}

impl Scalar<'_> {
    fn to_value(&self, kind: Kind) -> Option<Value> {
        Some(match (kind, self) {
            (_, Scalar::Raw(octets)) => tlv::value(kind, octets)?,
            (_, Scalar::Plain(text)) => text::value(kind, text)?,
            (Kind::Integer | Kind::Time, Scalar::Integer(integer)) => Value::Integer(*integer),
            (Kind::Integer | Kind::Time, Scalar::Float(float)) => Value::Integer(integral(*float)?),
            (Kind::Boolean, Scalar::Boolean(boolean)) => Value::Boolean(*boolean),
            (Kind::Text, Scalar::Text(text)) => Value::Text(text.to_string()),
            (Kind::Opaque, Scalar::Opaque(octets)) => Value::Opaque(octets.to_vec()),
            _ => return None,
        })
    }
}

/// The integer that a floating-point number stands for, within what it can stand for exactly.
fn integral(float: f64) -> Option<i64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

/// What is being read: every format puts its values in here, so that they are all judged alike.
struct Tree<'a> {
    object: &'a Object,
    target: Path,
    instances: Instances,
}

impl Tree<'_> {
    /// An instance exists, whether or not a resource of it follows.
    fn touch(&mut self, instance: u16) {
        self.instances.entry(instance).or_default();
    }

    /// The value of a format that holds just one.
    fn put_alone(&mut self, format: ContentFormat, scalar: Scalar<'_>) -> Result<(), ContentError> {
        if self.target.resource().is_none() {
            return Err(ContentError::Format {
                got: format,
                target: self.target,
            });
        }
        self.put(self.target, Some(scalar))
    }

    fn put(&mut self, path: Path, scalar: Option<Scalar<'_>>) -> Result<(), ContentError> {
        let (Some(instance), Some(resource), true) =
            (path.instance(), path.resource(), self.target.contains(path))
        else {
            return Err(ContentError::Outside {
                target: self.target,
                got: path,
            });
        };
        self.touch(instance);
        let Some(definition) = self.object.resource(resource) else {
            return Ok(());
        };
        if definition.multiple != path.resource_instance().is_some() {
            return Err(ContentError::Multiplicity { path });
        }
        let kind = definition.kind;
        let value = scalar.and_then(|scalar| scalar.to_value(kind));
        let value = value.ok_or(ContentError::Kind {
            path,
            expected: kind,
        })?;
        self.insert(path, instance, resource, value)
    }

    fn insert(
        &mut self,
        path: Path,
        instance: u16,
        resource: u16,
        value: Value,
    ) -> Result<(), ContentError> {
        let resources = &mut self.instances.entry(instance).or_default().0;
        let before = match path.resource_instance() {
            None => resources
                .insert(resource, Resource::Single(value))
                .is_some(),
            Some(leaf) => {
                let slot = resources
                    .entry(resource)
                    .or_insert_with(|| Resource::Multiple(BTreeMap::new()));
                match slot {
                    Resource::Multiple(values) => values.insert(leaf, value).is_some(),
                    Resource::Single(_) => true,
                }
            }
        };
        if before {
            Err(ContentError::Duplicate { path })
        } else {
            Ok(())
        }
    }

    /// A multiple-instance resource without instances.
    fn put_none(&mut self, path: Path) -> Result<(), ContentError> {
        let (Some(instance), Some(resource)) = (path.instance(), path.resource()) else {
            return Err(ContentError::Outside {
                target: self.target,
                got: path,
            });
        };
        self.touch(instance);
        match self.object.resource(resource) {
            Some(definition) if !definition.multiple => Err(ContentError::Multiplicity { path }),
            Some(_) => {
                let resources = &mut self.instances.entry(instance).or_default().0;
                let before = resources.insert(resource, Resource::Multiple(BTreeMap::new()));
                if before.is_some() {
                    Err(ContentError::Duplicate { path })
                } else {
                    Ok(())
                }
            }
            None => Ok(()),
        }
    }
}

/// The values at and below `target`, in order.
fn leaves(target: Path, instances: &Instances) -> Vec<(Path, &Value)> {
    let Some(object) = target.object() else {
        return Vec::new();
    };
    let mut leaves = Vec::new();
    for (&instance, resources) in instances {
        for (&resource, content) in &resources.0 {
            match content {
                Resource::Single(value) => {
                    leaves.push((Path::Resource(object, instance, resource), value))
                }
                Resource::Multiple(values) => leaves.extend(values.iter().map(|(&leaf, value)| {
                    (
                        Path::ResourceInstance(object, instance, resource, leaf),
                        value,
                    )
                })),
            }
        }
    }
    leaves.retain(|(path, _)| target.contains(*path));
    leaves
}
