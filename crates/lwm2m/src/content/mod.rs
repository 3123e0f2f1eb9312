//! Content formats, which encode values of the object tree as octets (LwM2M Core §7.4).

mod binary;
mod cbor;
mod format;
mod json;
pub(crate) mod link;
mod senml;
mod text;
mod tlv;
mod tree;

pub use self::format::{ContentError, ContentFormat};
use self::tree::{Scalar, Tree, leaves};
use crate::objects::Object;
use crate::path::Path;
use crate::value::{Instances, Value};

/// Decodes a payload that is written to `target`, which is in `object`.
///
/// It ignores resources that the object doesn't define (LwM2M Core §6.3.3). Anything else that
/// doesn't fit the target is an error.
pub fn decode(
    format: ContentFormat,
    object: &Object,
    target: Path,
    payload: &[u8],
) -> Result<Instances, ContentError> {
    let mut tree = Tree::new(object, target);
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
    Ok(tree.into_instances())
}

/// Encodes the values at `target`, out of the instances of its object; none if the format can't
/// express them.
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
