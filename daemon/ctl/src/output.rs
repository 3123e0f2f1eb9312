//! Results as lines for people, or as JSON.

use std::io::{self, Write};

use serde::Serialize;

/// Standard output, in the form that was asked for.
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

    /// One result: the value as a line of JSON, or the text, whose lines end in newlines.
    pub fn result(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.writer, value)?;
            self.writer.write_all(b"\n")?;
        } else {
            self.writer.write_all(text().as_bytes())?;
        }
        self.writer.flush()
    }
}
