//! The CoRE Link Format (RFC 6690), which Register, Discover and Bootstrap-Discover use.

use std::fmt::{Display, Write};

/// A list of links under construction.
#[derive(Debug, Default)]
pub(crate) struct Links(String);

impl Links {
    /// Begins a link; the attributes that follow belong to it.
    pub(crate) fn link(&mut self, target: impl Display) -> &mut Links {
        let comma = if self.0.is_empty() { "" } else { "," };
        self.append(format_args!("{comma}<{target}>"))
    }

    /// Adds an attribute with a token or number as its value.
    pub(crate) fn attribute(&mut self, name: &str, value: impl Display) -> &mut Links {
        self.append(format_args!(";{name}={value}"))
    }

    /// Adds an attribute with a quoted string as its value.
    pub(crate) fn quoted(&mut self, name: &str, value: &str) -> &mut Links {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        self.append(format_args!(";{name}=\"{escaped}\""))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn append(&mut self, text: std::fmt::Arguments<'_>) -> &mut Links {
        self.0
            .write_fmt(text)
            .expect("writing to a string can't fail");
        self
    }
}
