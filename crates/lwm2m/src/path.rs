//! Paths in the object tree: `/object/instance/resource/resource instance`.

use std::fmt;

/// A node of the object tree (LwM2M Core §7.2). Ids go up to 65534; 65535 is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// `/`
    Root,
    /// `/object`
    Object(u16),
    /// `/object/instance`
    Instance(u16, u16),
    /// `/object/instance/resource`
    Resource(u16, u16, u16),
    /// `/object/instance/resource/resource instance`
    ResourceInstance(u16, u16, u16, u16),
}

impl Path {
    /// The path of Uri-Path segments; none if one isn't an id in decimal without leading zeros, or
    /// if there are more than four.
    pub fn from_segments<S: AsRef<str>>(segments: &[S]) -> Option<Path> {
        let mut ids = [0; 4];
        if segments.len() > ids.len() {
            return None;
        }
        for (id, segment) in ids.iter_mut().zip(segments) {
            *id = parse_id(segment.as_ref())?;
        }
        let [object, instance, resource, leaf] = ids;
        Some(match segments.len() {
            0 => Path::Root,
            1 => Path::Object(object),
            2 => Path::Instance(object, instance),
            3 => Path::Resource(object, instance, resource),
            _ => Path::ResourceInstance(object, instance, resource, leaf),
        })
    }

    /// The path of a text like `/3/0/1`.
    pub fn parse(text: &str) -> Option<Path> {
        let rest = text.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(Path::Root);
        }
        Path::from_segments(&rest.split('/').collect::<Vec<_>>())
    }

    /// The object id, unless this is the root.
    pub fn object(self) -> Option<u16> {
        self.ids().first().copied()
    }

    /// The instance id, where the path names one.
    pub fn instance(self) -> Option<u16> {
        self.ids().get(1).copied()
    }

    /// The resource id, where the path names one.
    pub fn resource(self) -> Option<u16> {
        self.ids().get(2).copied()
    }

    /// The resource instance id, where the path names one.
    pub fn resource_instance(self) -> Option<u16> {
        self.ids().get(3).copied()
    }

    /// Whether `other` is this node or below it.
    pub fn contains(self, other: Path) -> bool {
        other.ids().starts_with(&self.ids())
    }

    fn ids(self) -> Vec<u16> {
        match self {
            Path::Root => vec![],
            Path::Object(o) => vec![o],
            Path::Instance(o, i) => vec![o, i],
            Path::Resource(o, i, r) => vec![o, i, r],
            Path::ResourceInstance(o, i, r, n) => vec![o, i, r, n],
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.ids();
        if ids.is_empty() {
            return f.write_str("/");
        }
        ids.iter().try_for_each(|id| write!(f, "/{id}"))
    }
}

fn parse_id(text: &str) -> Option<u16> {
    let decimal = text.bytes().all(|octet| octet.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    let id = text.parse().ok().filter(|_| decimal && canonical)?;
    (id != u16::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_they_are_read() {
        for text in ["/", "/3", "/3/0", "/3/0/1", "/65534/65534/65534/65534"] {
            assert_eq!(
                Path::parse(text).map(|path| path.to_string()),
                Some(text.to_owned())
            );
        }
    }

    #[test]
    fn ids_are_decimal_without_leading_zeros_and_below_65535() {
        for text in [
            "",
            "3",
            "/3/",
            "//",
            "/03",
            "/+3",
            "/-1",
            "/x",
            "/65535",
            "/70000",
            "/1/2/3/4/5",
            "/ 1",
        ] {
            assert_eq!(Path::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_node_contains_itself_and_what_is_below_it() {
        let instance = Path::Instance(3, 0);
        assert!(instance.contains(Path::Resource(3, 0, 1)) && instance.contains(instance));
        assert!(!instance.contains(Path::Object(3)) && !instance.contains(Path::Resource(3, 1, 1)));
        assert!(Path::Root.contains(instance));
    }
}
