//! The form between all formats and the instances: values at paths, each checked against its
//! resource's definition.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::format::{ContentError, ContentFormat};
use super::{binary, text};
use crate::objects::Object;
use crate::path::Path;
use crate::value::{Instances, Kind, Resource, Value};

/// A value as it appears in a format, before the resource's definition determines its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
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
            (_, Scalar::Raw(octets)) => binary::value(kind, octets)?,
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

/// The integer that equals a floating-point number, if the number is within the exact range.
fn integral(float: f64) -> Option<i64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

/// The values that were read so far. Every format adds its values here, so that the same checks
/// apply to all.
pub(super) struct Tree<'a> {
    pub(super) object: &'a Object,
    pub(super) target: Path,
    instances: Instances,
}

impl<'a> Tree<'a> {
    /// Begins the decoding of a write to `target`, which is in `object`.
    pub(super) fn new(object: &'a Object, target: Path) -> Tree<'a> {
        Tree {
            object,
            target,
            instances: Instances::new(),
        }
    }

    /// All instances that were read.
    pub(super) fn into_instances(self) -> Instances {
        self.instances
    }

    /// Notes that an instance exists, whether or not a resource of it follows.
    pub(super) fn touch(&mut self, instance: u16) {
        self.instances.entry(instance).or_default();
    }

    /// Adds the value of a format that holds only one.
    pub(super) fn put_alone(
        &mut self,
        format: ContentFormat,
        scalar: Scalar<'_>,
    ) -> Result<(), ContentError> {
        if self.target.resource().is_none() {
            return Err(ContentError::Format {
                got: format,
                target: self.target,
            });
        }
        self.put(self.target, Some(scalar))
    }

    pub(super) fn put(
        &mut self,
        path: Path,
        scalar: Option<Scalar<'_>>,
    ) -> Result<(), ContentError> {
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

    /// Adds a multiple-instance resource without instances.
    pub(super) fn put_none(&mut self, path: Path) -> Result<(), ContentError> {
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
pub(super) fn leaves(target: Path, instances: &Instances) -> Vec<(Path, &Value)> {
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
