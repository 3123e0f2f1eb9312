//! The TLV format (LwM2M Core §7.4.5).

use super::binary;
use super::format::ContentError;
use super::tree::{Scalar, Tree};
use crate::path::Path;
use crate::value::{Instance, Instances, Resource};

/// The kind of an entry: bits 7 and 6 of its type octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Level {
    ObjectInstance = 0b00,
    ResourceInstance = 0b01,
    MultipleResource = 0b10,
    Resource = 0b11,
}

struct Entry<'a> {
    level: Level,
    id: u16,
    value: &'a [u8],
}

const TRUNCATED: ContentError = ContentError::Syntax {
    expected: "as many octets as the TLV entry announces",
};

/// Splits off the next entry; none at the end.
fn next_entry<'a>(rest: &mut &'a [u8]) -> Option<Result<Entry<'a>, ContentError>> {
    let (&first, tail) = rest.split_first()?;
    *rest = tail;
    Some(read_entry(first, rest))
}

fn read_entry<'a>(first: u8, rest: &mut &'a [u8]) -> Result<Entry<'a>, ContentError> {
    let level = match first >> 6 {
        0b00 => Level::ObjectInstance,
        0b01 => Level::ResourceInstance,
        0b10 => Level::MultipleResource,
        _ => Level::Resource,
    };
    let id = uint(take(rest, if first & 0x20 == 0 { 1 } else { 2 })?) as u16;
    if id == u16::MAX {
        return Err(ContentError::Syntax {
            expected: "an id below 65535 in the TLV entry",
        });
    }
    let length = match first >> 3 & 3 {
        0 => usize::from(first & 7),
        octets => uint(take(rest, usize::from(octets))?),
    };
    Ok(Entry {
        level,
        id,
        value: take(rest, length)?,
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], ContentError> {
    let (taken, tail) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    *rest = tail;
    Ok(taken)
}

fn uint(octets: &[u8]) -> usize {
    octets
        .iter()
        .fold(0, |sum, &octet| sum << 8 | usize::from(octet))
}

fn entries(mut payload: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, ContentError>> {
    std::iter::from_fn(move || next_entry(&mut payload))
}

pub(super) fn decode(tree: &mut Tree<'_>, payload: &[u8]) -> Result<(), ContentError> {
    let Some(object) = tree.target.object() else {
        return Err(ContentError::Outside {
            target: tree.target,
            got: tree.target,
        });
    };
    // A write to an instance creates it, even without a resource.
    if let Path::Instance(_, instance) = tree.target {
        tree.touch(instance);
    }
    for entry in entries(payload) {
        let Entry { level, id, value } = entry?;
        match (level, tree.target) {
            (Level::ObjectInstance, _) => decode_instance(tree, Path::Instance(object, id), value)?,
            (Level::Resource | Level::MultipleResource, target) => {
                // The id may be left out if the object can only have one instance.
                let only = (!tree.object.multiple).then_some(0);
                let Some(instance) = target.instance().or(only) else {
                    return Err(ContentError::Syntax {
                        expected: "TLV entries of object instances",
                    });
                };
                decode_resource(tree, instance, level, id, value)?;
            }
            (
                Level::ResourceInstance,
                Path::Resource(_, i, r) | Path::ResourceInstance(_, i, r, _),
            ) => {
                tree.put(
                    Path::ResourceInstance(object, i, r, id),
                    Some(Scalar::Raw(value)),
                )?;
            }
            (Level::ResourceInstance, _) => {
                return Err(ContentError::Syntax {
                    expected: "TLV entries of resources",
                });
            }
        }
    }
    Ok(())
}

fn decode_instance(tree: &mut Tree<'_>, path: Path, value: &[u8]) -> Result<(), ContentError> {
    let (Some(instance), true) = (path.instance(), tree.target.contains(path)) else {
        return Err(ContentError::Outside {
            target: tree.target,
            got: path,
        });
    };
    tree.touch(instance);
    for entry in entries(value) {
        let Entry { level, id, value } = entry?;
        decode_resource(tree, instance, level, id, value)?;
    }
    Ok(())
}

fn decode_resource(
    tree: &mut Tree<'_>,
    instance: u16,
    level: Level,
    resource: u16,
    value: &[u8],
) -> Result<(), ContentError> {
    let object = tree.object.id;
    let path = Path::Resource(object, instance, resource);
    match level {
        Level::Resource => tree.put(path, Some(Scalar::Raw(value))),
        Level::MultipleResource if !tree.target.contains(path) => Err(ContentError::Outside {
            target: tree.target,
            got: path,
        }),
        Level::MultipleResource => {
            tree.put_none(path)?;
            for entry in entries(value) {
                let Entry { level, id, value } = entry?;
                if level != Level::ResourceInstance {
                    return Err(ContentError::Syntax {
                        expected: "TLV entries of resource instances",
                    });
                }
                tree.put(
                    Path::ResourceInstance(object, instance, resource, id),
                    Some(Scalar::Raw(value)),
                )?;
            }
            Ok(())
        }
        Level::ObjectInstance | Level::ResourceInstance => Err(ContentError::Syntax {
            expected: "TLV entries of resources",
        }),
    }
}

pub(super) fn encode(target: Path, instances: &Instances) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match target {
        Path::Root => return None,
        Path::Object(_) => {
            for (&id, instance) in instances {
                put(&mut out, Level::ObjectInstance, id, &resources(instance));
            }
        }
        Path::Instance(_, instance) => out = resources(instances.get(&instance)?),
        Path::Resource(_, instance, resource) => {
            put_resource(
                &mut out,
                resource,
                instances.get(&instance)?.0.get(&resource)?,
            );
        }
        Path::ResourceInstance(_, instance, resource, leaf) => {
            let Resource::Multiple(values) = instances.get(&instance)?.0.get(&resource)? else {
                return None;
            };
            put(
                &mut out,
                Level::ResourceInstance,
                leaf,
                &binary::encode(values.get(&leaf)?),
            );
        }
    }
    Some(out)
}

fn resources(instance: &Instance) -> Vec<u8> {
    let mut out = Vec::new();
    instance
        .0
        .iter()
        .for_each(|(&id, resource)| put_resource(&mut out, id, resource));
    out
}

fn put_resource(out: &mut Vec<u8>, id: u16, resource: &Resource) {
    match resource {
        Resource::Single(value) => put(out, Level::Resource, id, &binary::encode(value)),
        Resource::Multiple(values) => {
            let mut inner = Vec::new();
            values.iter().for_each(|(&id, value)| {
                put(
                    &mut inner,
                    Level::ResourceInstance,
                    id,
                    &binary::encode(value),
                )
            });
            put(out, Level::MultipleResource, id, &inner);
        }
    }
}

fn put(out: &mut Vec<u8>, level: Level, id: u16, value: &[u8]) {
    let long_id = id > 0xff;
    let length = (value.len() as u32).to_be_bytes();
    // A length below 8 is in the type octet; a longer one takes one to three octets of its own.
    let length_octets = match value.len() {
        0..8 => 0,
        8..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ => 3,
    };
    let short_length = if length_octets == 0 { length[3] } else { 0 };
    out.push(
        (level as u8) << 6 | u8::from(long_id) << 5 | (length_octets as u8) << 3 | short_length,
    );
    out.extend_from_slice(&id.to_be_bytes()[if long_id { 0 } else { 1 }..]);
    out.extend_from_slice(&length[4 - length_octets..]);
    out.extend_from_slice(value);
}
