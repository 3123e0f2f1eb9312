//! The log: one line an event, of plain characters only, whatever a server sent.

use std::io::{self, Write};

use softsim_sandbox::text::Plain;
use tracing_subscriber::EnvFilter;

/// Starts the log on standard error. `RUST_LOG` selects the events.
pub fn begin() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_writer(|| Lines(io::stderr()))
        .with_ansi(false)
        .with_env_filter(filter)
        .init();
}

/// Writes each event as one line. The subscriber passes an event in one piece, with its newline.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        // netd goes on if nobody reads its log; on an error, the subscriber would panic.
        let _ = self.0.write_all(format!("{}\n", Plain(line)).as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    /// The octets that were written, for a subscriber that wants a writer for each event.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_plain_line_whatever_its_fields_hold() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || Lines(writer.clone()))
            .with_ansi(false)
            .finish();
        let hostile = "\x1b]0;x\x07\n<0>kernel: forged\u{9b}2J\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(reason = %hostile, named = hostile, debug = ?hostile, "message {hostile}");
            tracing::info!("next");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines
                .iter()
                .all(|line| line.chars().all(softsim_sandbox::text::is_plain))
        );
        assert!(lines[0].contains("forged") && lines[1].contains("next"));
    }
}
