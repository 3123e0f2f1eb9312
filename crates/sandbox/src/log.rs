//! Log lines on standard error that never make the process wait.

use std::fmt::{self, Write};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::{env, io};

use crate::poll;
use crate::text::is_plain;

/// The longest line in octets, with its level and newline. It is below PIPE_BUF, so that lines are
/// never mixed.
const LINE: usize = 1024;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Whether each line begins with its level.
static LEVELS: AtomicBool = AtomicBool::new(false);

/// Gives each line its level if standard error goes to the journal, which reads it there. People
/// and files get lines without. Call it once, before the process is confined; before, lines have no
/// level.
pub fn begin() {
    LEVELS.store(is_the_journals(), Relaxed);
}

/// Whether standard error goes to the journal: JOURNAL_STREAM has its device and inode
/// (systemd.exec(5)). The variable alone says nothing, since whoever started this process may have
/// been given it and have redirected standard error.
pub fn is_the_journals() -> bool {
    let Some(stream) = env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let error = io::stderr().as_fd().try_clone_to_owned();
    let metadata = error.and_then(|error| File::from(error).metadata());
    metadata.is_ok_and(|file| stream == *format!("{}:{}", file.dev(), file.ino()))
}

/// Writes `text\n` with one write(2), or `<level>text\n` if [`begin`] has found the journal: the
/// levels of syslog, 0 to 7.
///
/// A slow reader must not hold up an authentication: if the descriptor can't take the line at once,
/// the line is dropped and counted. Text beyond 1 KiB is cut off, and characters that aren't plain
/// become `?`, so that one call writes one line. The function allocates nothing.
pub fn line(level: u8, text: impl fmt::Display) {
    let mut line = Line {
        octets: [0; LINE],
        length: 0,
    };
    let begun = match LEVELS.load(Relaxed) {
        true => write!(line, "<{}>", level.min(7)),
        false => Ok(()),
    };
    // Text that doesn't fit is cut off.
    let (Ok(()) | Err(fmt::Error)) = begun.and_then(|()| write!(line, "{text}"));
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
