//! The numbers of the users and groups that /etc/passwd and /etc/group name. No name service is
//! asked, because keyd is linked statically.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::regular_file;

/// The limit on the length of a line, in octets. Lines of large groups are long.
const MAX_LINE: usize = 32 << 10;

/// Why a user or group has no number.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// Nobody has this name or number.
    #[error("expected a {what} by number, or by its name in {path}, got {got}")]
    Unknown {
        /// User or group.
        what: &'static str,
        /// The file.
        path: &'static str,
        /// The setting.
        got: String,
    },
    /// The file can't be read, or its line isn't one of such a file.
    #[error("expected a {what} by number, because {path} can't be used ({error}), got {got}")]
    File {
        /// User or group.
        what: &'static str,
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        error: io::Error,
        /// The setting.
        got: String,
    },
}

/// The number of a user that a setting names by its number, or by its name in /etc/passwd. A name
/// of digits only is a number.
///
/// # Errors
/// [`NameError`]
pub fn user(setting: &OsStr) -> Result<u32, NameError> {
    USERS.number(setting)
}

/// The number of a group that a setting names by its number, or by its name in /etc/group. A name
/// of digits only is a number.
///
/// # Errors
/// [`NameError`]
pub fn group(setting: &OsStr) -> Result<u32, NameError> {
    GROUPS.number(setting)
}

/// A file with a line for each user or group, whose first field is the name and whose third is the
/// number.
struct Database {
    what: &'static str,
    path: &'static str,
    fields: usize,
}

/// passwd(5)
const USERS: Database = Database {
    what: "user",
    path: "/etc/passwd",
    fields: 7,
};

/// group(5)
const GROUPS: Database = Database {
    what: "group",
    path: "/etc/group",
    fields: 4,
};

impl Database {
    fn number(&self, setting: &OsStr) -> Result<u32, NameError> {
        let &Self { what, path, .. } = self;
        let got = || setting.to_string_lossy().into_owned();
        let unknown = || NameError::Unknown {
            what,
            path,
            got: got(),
        };
        let name = setting.as_encoded_bytes();
        if name.iter().all(u8::is_ascii_digit) {
            return number(name).ok_or_else(unknown);
        }
        match self.find(Path::new(path), name) {
            Ok(found) => found.ok_or_else(unknown),
            Err(error) => Err(NameError::File {
                what,
                path,
                error,
                got: got(),
            }),
        }
    }

    /// The number in the first line with this name.
    fn find(&self, path: &Path, name: &[u8]) -> io::Result<Option<u32>> {
        let mut file = BufReader::new(regular_file::open(path)?);
        let mut line = Vec::new();
        let mut place = 0;
        loop {
            line.clear();
            place += 1;
            let room = MAX_LINE as u64 + 1;
            if file.by_ref().take(room).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            let invalid = |expected| {
                let error = format!("line {place}: expected {expected}");
                io::Error::new(io::ErrorKind::InvalidData, error)
            };
            if line.len() > MAX_LINE {
                return Err(invalid("a shorter one".into()));
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let fields: Vec<_> = text.split(|octet| *octet == b':').collect();
            if fields[0] != name {
                continue;
            }
            let number = fields.get(2).and_then(|field| number(field));
            return match number.filter(|_| fields.len() == self.fields) {
                None => {
                    let expected = format!("{} fields, with a number in the third", self.fields);
                    Err(invalid(expected))
                }
                found => Ok(found),
            };
        }
    }
}

/// A number in decimal. The highest is none: to chown(2) it means that nothing changes.
fn number(digits: &[u8]) -> Option<u32> {
    // `parse` alone would accept a plus sign.
    let digits = str::from_utf8(digits).ok()?;
    let digits_only = digits.bytes().all(|octet| octet.is_ascii_digit());
    let number = digits_only.then(|| digits.parse().ok())?;
    number.filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn found(text: &[u8], name: &str) -> Result<Option<u32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        fs::write(&path, text).unwrap();
        let found = USERS.find(&path, name.as_bytes());
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn a_user_or_group_is_a_number_or_a_name_of_this_machine() {
        assert_eq!(user("root".as_ref()).unwrap(), 0);
        assert_eq!(group("root".as_ref()).unwrap(), 0);
        assert_eq!(user("4242".as_ref()).unwrap(), 4242);
        for (setting, error) in [
            (
                "nobody-at-all",
                "expected a user by number, or by its name in /etc/passwd, got nobody-at-all",
            ),
            (
                "4294967295",
                "expected a user by number, or by its name in /etc/passwd, got 4294967295",
            ),
            (
                "+1",
                "expected a user by number, or by its name in /etc/passwd, got +1",
            ),
        ] {
            assert_eq!(user(setting.as_ref()).unwrap_err().to_string(), error);
        }
        let error = group("nobody-at-all".as_ref()).unwrap_err().to_string();
        assert!(error.contains("a group by number, or by its name in /etc/group"));
    }

    #[test]
    fn the_first_line_with_the_name_counts() {
        let text = b"+::::::\n\na:x:1:1:b:/:/bin/sh\nb:x:2:2:,,\xff:/:\nb:x:3:3::/:";
        for (name, number) in [("a", Some(1)), ("b", Some(2)), ("B", None), ("x", None)] {
            assert_eq!(found(text, name), Ok(number), "{name}");
        }
        assert_eq!(found(b"a:x:1:1::/:", "a"), Ok(Some(1)), "without a newline");
        assert_eq!(found(b"", "a"), Ok(None));
    }

    #[test]
    fn a_line_of_another_shape_names_nobody() {
        let shape = "line 2: expected 7 fields, with a number in the third".to_owned();
        for line in [
            "a",
            "a:x:1",
            "a:x:1:1::/:/bin/sh:",
            "a:x::1::/:",
            "a:x:-1:1::/:",
            "a:x:+1:1::/:",
            "a:x:4294967295:1::/:",
        ] {
            let text = format!("b:x:2:2::/:\n{line}\na:x:1:1::/:\n");
            assert_eq!(found(text.as_bytes(), "a"), Err(shape.clone()), "{line}");
        }
        // What follows in it would otherwise look like another line.
        let long = format!("b:{}a:x:1:1::/:\n", "x".repeat(MAX_LINE - 2));
        let error = Err("line 1: expected a shorter one".to_owned());
        assert_eq!(found(long.as_bytes(), "a"), error);
    }

    #[test]
    fn a_machine_without_the_file_is_told_that_a_number_works() {
        const NOWHERE: Database = Database {
            path: "/nonexistent/passwd",
            ..USERS
        };
        assert_eq!(NOWHERE.number("7".as_ref()).unwrap(), 7);
        let error = NOWHERE.number("root".as_ref()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a user by number, because /nonexistent/passwd can't be used \
             (No such file or directory (os error 2)), got root"
        );
    }
}
