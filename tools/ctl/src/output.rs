//! Prints results as lines for people, or as JSON. It is the only place that writes to a terminal.
//!
//! Servers choose some of the texts. This module escapes every character that isn't plain, in both
//! forms, so that such a text can't move the cursor, rename a window, reverse the direction of text
//! or begin a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use softsim_sandbox::text::{Plain, is_plain};

/// The version of `docs/softsimctl.schema.json`, which each object carries.
const VERSION: u32 = 1;

/// An object with the version of its shape.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    object: &'a T,
}

/// Standard output or standard error, in the requested form.
pub struct Output<'a> {
    writer: Box<dyn Write + 'a>,
    json: bool,
}

impl<'a> Output<'a> {
    /// Writes to `writer`.
    pub fn new(writer: impl Write + 'a, json: bool) -> Self {
        Self {
            writer: Box::new(writer),
            json,
        }
    }

    /// Prints one result: the value, which is an object, as a line of JSON, or the lines of text,
    /// which contain no newlines.
    pub fn result<L: AsRef<str>>(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> Vec<L>,
    ) -> io::Result<()> {
        if self.json {
            let mut serializer = Serializer::with_formatter(&mut self.writer, PlainJson);
            let object = Versioned {
                version: VERSION,
                object: value,
            };
            object.serialize(&mut serializer)?;
            self.writer.write_all(b"\n")?;
        } else {
            for line in text() {
                writeln!(self.writer, "{}", Plain(line.as_ref()))?;
            }
        }
        self.writer.flush()
    }
}

/// Formats JSON in one line of plain characters only. JSON itself requires only C0 to be escaped
/// (RFC 8259 §7).
struct PlainJson;

impl Formatter for PlainJson {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if is_plain(character) {
                write!(writer, "{character}")?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    const HOSTILE: &str = "\x1b]0;x\x07\n\u{9b}2J\u{7f}\u{202e}\u{e0041} doesn't \"§\"";

    fn written(json: bool) -> String {
        let mut octets = Vec::new();
        Output::new(&mut octets, json)
            .result(&json!({ "text": HOSTILE }), || vec![HOSTILE, "next"])
            .unwrap();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn a_line_of_text_stays_a_line_and_plain() {
        assert_eq!(
            written(false),
            "\\u{1b}]0;x\\u{7}\\n\\u{9b}2J\\u{7f}\\u{202e}\\u{e0041} doesn't \"§\"\nnext\n"
        );
    }

    #[test]
    fn json_is_plain_and_still_says_the_same() {
        let line = written(true);
        let line = line.strip_suffix('\n').unwrap();
        assert!(line.chars().all(is_plain), "{line}");
        let said: Value = serde_json::from_str(line).unwrap();
        assert_eq!(said, json!({ "version": 1, "text": HOSTILE }));
    }
}
