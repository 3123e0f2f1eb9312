//! Reads a passphrase from the terminal, without showing it.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use softsim_sandbox::exit_status::{DATA, NO_INPUT};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest passphrase, in octets. A vector of this capacity doesn't move, and leaves no copy
/// behind.
const MAX: usize = 1024;

/// Asks on the terminal of this process, even if its standard input is redirected.
pub(super) fn ask(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(NO_INPUT, format!("the terminal: {error}"))
            .advise("--passphrase-file takes it from a file")
    };
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(failed)?;
    let quiet = Quiet::on(&terminal).map_err(failed)?;
    write!(&terminal, "{prompt}: ").map_err(failed)?;
    let line = read_line(&mut &terminal).map_err(failed);
    drop(quiet);
    writeln!(&terminal).map_err(failed)?;
    match line? {
        Some(line) if !line.is_empty() => Ok(line),
        _ => Err(Failure::new(DATA, "expected a passphrase, got none")),
    }
}

/// Reads a line; none if the user interrupts it.
fn read_line(input: &mut impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const BACKSPACE: u8 = 0x08;
    const KILL: u8 = 0x15;
    const DELETE: u8 = 0x7f;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX));
    let mut key = [0];
    loop {
        if input.read(&mut key)? == 0 {
            return Ok(None);
        }
        match key[0] {
            INTERRUPT => return Ok(None),
            b'\n' | b'\r' | END => return Ok(Some(line)),
            BACKSPACE | DELETE => {
                line.pop();
            }
            KILL => line.clear(),
            _ if line.len() == MAX => return Ok(None),
            typed => line.push(typed),
        }
    }
}

/// A terminal without echo and signals, until this is dropped.
struct Quiet<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn on(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn typed(keys: &[u8]) -> Option<Vec<u8>> {
        read_line(&mut &*keys).unwrap().map(|line| line.to_vec())
    }

    #[test]
    fn a_line_can_be_corrected_and_broken_off() {
        assert_eq!(typed(b"horse\n"), Some(b"horse".to_vec()));
        assert_eq!(typed(b"hox\x7frse\r"), Some(b"horse".to_vec()));
        assert_eq!(typed(b"wrong\x15horse\n"), Some(b"horse".to_vec()));
        assert_eq!(typed(b"\x7f\n"), Some(vec![]));
        assert_eq!(typed(b"hor\x03se\n"), None);
        assert_eq!(typed(b"hor"), None);
        assert_eq!(typed(&[b'a'; MAX + 1]), None);
    }
}
