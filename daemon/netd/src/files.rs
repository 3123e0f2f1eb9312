//! The files that the configuration names. At its start, netd reads them itself; later, the
//! connector opens them for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use softsim_sandbox::regular_file;
use softsim_sandbox::secret_file::{self, Access};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::connector::{self, Connector};

/// The limit of a file, in octets. The buffer has this size from the start, since growing would
/// leave a copy of a secret behind.
const MAX_FILE: usize = 1 << 20;

/// The contents of a file, or why they can't be used, with its path.
type Contents = Result<Zeroizing<Vec<u8>>, String>;

/// A file that the connector has passed, and who may do what with it.
type Passed = Result<(Zeroizing<Vec<u8>>, Access), String>;

/// Where the contents come from.
#[derive(Debug)]
pub(crate) enum Files {
    /// From the file system.
    System,
    /// From the connector.
    Passed(BTreeMap<PathBuf, Passed>),
}

impl Files {
    /// Has the connector open these files, and reads them.
    pub(crate) async fn passed(connector: &Connector, paths: impl Iterator<Item = &Path>) -> Self {
        let mut files = BTreeMap::new();
        for path in paths {
            let contents = passed(connector, path).await;
            let contents = contents.map_err(|error| named(path, &error));
            files.insert(path.to_owned(), contents);
        }
        Self::Passed(files)
    }

    /// The contents of a file.
    pub(crate) fn contents(&self, path: &Path) -> Contents {
        match self {
            Self::System => regular_file::open(path)
                .and_then(read)
                .map_err(|error| named(path, &error)),
            Self::Passed(_) => self.passed_on(path).map(|(contents, _)| contents),
        }
    }

    /// The contents of a file that only its owner may read.
    pub(crate) fn secret(&self, path: &Path) -> Contents {
        match self {
            Self::System => {
                let file = secret_file::open_regular(path).map_err(|error| error.to_string())?;
                read(file).map_err(|error| named(path, &error))
            }
            Self::Passed(_) => {
                let (contents, access) = self.passed_on(path)?;
                secret_file::judge(path, access).map_err(|error| error.to_string())?;
                Ok(contents)
            }
        }
    }

    fn passed_on(&self, path: &Path) -> Passed {
        let found = match self {
            Self::Passed(files) => files.get(path).cloned(),
            Self::System => None,
        };
        found.unwrap_or_else(|| Err(named(path, &io::ErrorKind::NotFound.into())))
    }
}

/// Has the connector open a file, and reads it. A file system that hangs fails this, and not netd.
pub(crate) async fn passed(
    connector: &Connector,
    path: &Path,
) -> io::Result<(Zeroizing<Vec<u8>>, Access)> {
    let (file, access) = connector.open(path).await?;
    let contents = timeout(connector::TIMEOUT, spawn_blocking(|| read(file)));
    Ok((contents.await???, access))
}

/// Reads a file from its beginning.
///
/// # Errors
/// It can't be read, or is too long.
pub(crate) fn read(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut contents = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut contents)?;
    match contents.len() {
        ..=MAX_FILE => Ok(contents),
        _ => Err(io::Error::other(format!(
            "expected at most {MAX_FILE} octets, got more"
        ))),
    }
}

fn named(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
