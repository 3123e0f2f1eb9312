//! Settings files, each of whose lines is one argument.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

use softsim_sandbox::regular_file;

use crate::{ArgsError, Asked, Flag, Value, lossy};

/// The limit on the length of a file, in octets.
const MAX_LENGTH: u64 = 32 << 10;

/// Gives the flags of a settings file to `take`. The file can't name another one.
pub(crate) fn read<F: Flag>(
    path: &OsStr,
    take: &mut impl FnMut(F, Value<'_>) -> Result<(), ArgsError>,
) -> Result<(), ArgsError> {
    let text = text(path).map_err(|error| ArgsError::File {
        path: lossy(path),
        reason: error.to_string(),
    })?;
    let lines = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    for (number, line) in (1..).zip(lines) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        give(argument(line), take).map_err(|error| ArgsError::Line {
            path: lossy(path),
            line: number,
            error: Box::new(error),
        })?;
    }
    Ok(())
}

fn text(path: &OsStr) -> io::Result<Vec<u8>> {
    let file = regular_file::open(path.as_ref())?;
    let length = file.metadata()?.len().min(MAX_LENGTH);
    let mut text = Vec::with_capacity(length as usize + 1);
    file.take(MAX_LENGTH + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_LENGTH {
        let expected = format!("expected at most {MAX_LENGTH} octets, got more");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, expected));
    }
    Ok(text)
}

/// The line as an argument: `=` stands where the blank after the flag was.
fn argument(line: &[u8]) -> OsString {
    let ends = |octet: &u8| octet.is_ascii_whitespace() || *octet == b'=';
    let argument = match line.iter().position(ends) {
        Some(end) if line[end] != b'=' => [&line[..end], b"=", line[end..].trim_ascii()].concat(),
        _ => line.to_owned(),
    };
    OsString::from_vec(argument)
}

fn give<F: Flag>(
    argument: OsString,
    take: &mut impl FnMut(F, Value<'_>) -> Result<(), ArgsError>,
) -> Result<(), ArgsError> {
    let name = lossy(&argument);
    let mut parser = lexopt::Parser::from_args([argument]);
    loop {
        match crate::next(&mut parser)? {
            crate::Next::Asked(Asked::Run) => return Ok(()),
            crate::Next::Flag(name) => crate::give(&name, &mut parser, take)?,
            crate::Next::Asked(_) | crate::Next::Other(_) => {
                return Err(crate::unknown(name.as_ref()));
            }
        }
    }
}
