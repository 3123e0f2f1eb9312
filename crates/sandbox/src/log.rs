//! Log lines on standard error that never make the process wait.

use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::poll;
use crate::text::is_plain;

/// The longest line in octets, with its level and newline. It is below PIPE_BUF, so that lines are
/// never mixed.
const LINE: usize = 1024;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Writes `<level>text\n` (the levels of syslog, 0 to 7, as the journal reads them) with one
/// write(2).
///
/// A slow reader must not hold up an authentication: if the descriptor can't take the line at once,
/// the line is dropped and counted. Text beyond 1 KiB is cut off, and characters that aren't plain
/// become `?`, so that one call writes one line. The function allocates nothing.
pub fn line(level: u8, text: impl fmt::Display) {
    let mut line = Line {
        octets: [0; LINE],
        length: 3,
    };
    line.octets[..3].copy_from_slice(&[b'<', b'0' + level.min(7), b'>']);
    // Text that doesn't fit is cut off.
    let (Ok(()) | Err(fmt::Error)) = write!(line, "{text}");
    line.octets[line.length] = b'\n';
    if !write_now(&line.octets[..=line.length]) {
        drop_line();
    }
}

/// A line under construction, which always has room for its newline.
struct Line {
    octets: [u8; LINE],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let shown = if is_plain(character) { character } else { '?' };
            let end = self.length + shown.len_utf8();
            if end >= LINE {
                return Err(fmt::Error);
            }
            shown.encode_utf8(&mut self.octets[self.length..end]);
            self.length = end;
        }
        Ok(())
    }
}

/// Counts a line that the caller drops because there are too many of its kind.
pub fn drop_line() {
    DROPPED.fetch_add(1, Relaxed);
}

/// The number of lines that were dropped so far.
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Writes a line if that won't block. Making the descriptor non-blocking would change it for every
/// process that shares it, so this polls first. A pipe that polls as writable has room for PIPE_BUF
/// octets.
fn write_now(line: &[u8]) -> bool {
    if !poll::writable_now(libc::STDERR_FILENO) {
        return false;
    }
    // SAFETY: the kernel reads `len` octets from a slice borrowed for the whole call.
    let written = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
    written == line.len() as isize
}
