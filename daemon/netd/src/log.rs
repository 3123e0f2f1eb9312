//! The log: one line an event, of plain characters only, whatever a server sent.

use std::io::{self, Write};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use softsim_sandbox::log;
use softsim_sandbox::text::Plain;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// Which events the log has: those of a level, and of the levels before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Detail {
    /// What netd can't do.
    Error,
    /// What somebody should know.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// What happens, in detail.
    Debug,
    /// Everything.
    Trace,
}

/// What changes the filter of the log.
static CHANGE: OnceLock<Box<dyn Fn(Detail) + Send + Sync>> = OnceLock::new();

/// Starts the log on standard error. `RUST_LOG` selects the events, if it is set. In the journal,
/// which keeps the time of each line, a line begins with its level as the journal reads it;
/// elsewhere, with the time and the level in a word.
pub fn begin() {
    let (filter, handle) = reload::Layer::new(filter(Detail::default()));
    // There is one log.
    let _ = CHANGE.set(Box::new(move |detail| {
        // It fails only without a log.
        let _ = handle.reload(self::filter(detail));
    }));
    let log = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_ansi(false);
    match log::is_the_journals() {
        true => log
            .with(
                lines
                    .with_writer(Journal(io::stderr))
                    .without_time()
                    .with_level(false),
            )
            .init(),
        false => log
            .with(lines.with_writer(|| Lines("", io::stderr())))
            .init(),
    }
}

/// Changes the detail of the log, unless `RUST_LOG` selects the events.
pub(crate) fn set_detail(detail: Detail) {
    if let Some(change) = CHANGE.get() {
        change(detail);
    }
}

fn filter(detail: Detail) -> EnvFilter {
    let level = match detail {
        Detail::Error => Level::ERROR,
        Detail::Warn => Level::WARN,
        Detail::Info => Level::INFO,
        Detail::Debug => Level::DEBUG,
        Detail::Trace => Level::TRACE,
    };
    EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy()
}

/// Makes writers whose lines begin with the level of their event.
struct Journal<M>(M);

impl<'a, M: Fn() -> W, W: Write> MakeWriter<'a> for Journal<M> {
    type Writer = Lines<W>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines("", self.0())
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        Lines(level(*event.level()), self.0())
    }
}

/// A level of syslog, as the journal reads it at the beginning of a line (sd-daemon(3)).
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Writes each event as one line that begins so. The subscriber passes an event in one piece, with
/// its newline.
struct Lines<W>(&'static str, W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        // netd goes on if nobody reads its log; on an error, the subscriber would panic.
        let _ = self
            .1
            .write_all(format!("{}{}\n", self.0, Plain(line)).as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
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
            .with_writer(move || Lines("", writer.clone()))
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

    #[test]
    fn the_journal_gets_the_level_of_each_event_first() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Journal(move || writer.clone()))
            .with_ansi(false)
            .without_time()
            .with_level(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("broken");
            tracing::warn!("doubtful\n<0>kernel: forged");
            tracing::info!("usual");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let levels: Vec<_> = text.lines().map(|line| &line[..3]).collect();
        assert_eq!(levels, ["<3>", "<4>", "<6>"], "{text}");
    }
}
