//! The common part of SenML JSON and SenML CBOR: records with names relative to a base (RFC 8428).

use super::format::ContentError;
use super::tree::{Scalar, Tree};
use crate::path::Path;
use crate::value::Value;

/// One record. Its base name applies to it and to the following ones, wherever it is in the map.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) base_name: Option<String>,
    pub(super) name: Option<String>,
    pub(super) value: Option<Scalar<'a>>,
}

/// Puts the records into the tree.
pub(super) fn resolve(tree: &mut Tree<'_>, records: Vec<Record<'_>>) -> Result<(), ContentError> {
    const NAME: ContentError = ContentError::Syntax {
        expected: "SenML names that are paths of resources",
    };
    if let Path::Instance(_, instance) = tree.target {
        tree.touch(instance);
    }
    let mut base = String::new();
    for Record {
        base_name,
        name,
        value,
    } in records
    {
        if let Some(base_name) = base_name {
            base = base_name;
        }
        let name = base.clone() + name.as_deref().unwrap_or_default();
        tree.put(Path::parse(&name).ok_or(NAME)?, value)?;
    }
    Ok(())
}

/// The names of the values at and below `target`: the base name, and each name relative to it.
pub(super) fn names<'a>(
    target: Path,
    leaves: &'a [(Path, &'a Value)],
) -> (String, impl Iterator<Item = (String, &'a Value)>) {
    let alone = matches!(leaves, [(path, _)] if *path == target);
    let base = if alone || target == Path::Root {
        target.to_string()
    } else {
        format!("{target}/")
    };
    let skip = base.len();
    (
        base,
        leaves
            .iter()
            .map(move |(path, value)| (path.to_string()[skip..].to_owned(), *value)),
    )
}
