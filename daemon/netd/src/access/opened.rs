//! What an access needs of the outside, opened before netd is confined.

use std::io::Read;
use std::path::Path;

use softsim_carriers::radius::Secret;
use softsim_client::keyd::Connection;
use softsim_client::netd::{Carrier, Port};
use softsim_sandbox::secret_file;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::backoff::Backoff;
use super::port::Keeper;
use super::record::{Happenings, Record};
use super::settings::{Line, Settings};
use super::{Fatal, Handle, radius, thread, wired};
use crate::config::ConfigError;
use crate::names::Names;

/// As much of a secret's file as is looked at, in octets; it doesn't move, so that no copy stays
/// behind.
const MAX_SECRET_FILE: usize = 4096;

/// An access that can begin.
pub struct Opened {
    name: String,
    at: String,
    parts: Parts,
}

enum Parts {
    Wired(Box<wired::Parts>),
    Radius(Box<radius::Parts>),
}

/// Why an access can't begin.
#[derive(Debug)]
pub enum OpenError {
    /// A file of its configuration.
    Config(ConfigError),
    /// The keeper of its interface.
    Interface {
        /// The access.
        name: String,
        /// The interface.
        interface: String,
        /// Why.
        source: std::io::Error,
    },
}

/// How an access ended, once it has.
pub type Ended = oneshot::Receiver<std::io::Result<Result<(), Fatal>>>;

impl Opened {
    /// Starts the keeper of an interface, which closes the controlled port; opens sockets, reads
    /// files.
    pub fn open(settings: Settings, keyd: Connection) -> Result<Self, OpenError> {
        let backoff = Backoff::new(settings.retry.0, settings.retry.1);
        let (at, parts) = match settings.carrier {
            Line::Wired {
                interface,
                port,
                timers,
            } => {
                let keeper =
                    Keeper::start(&interface, port).map_err(|source| OpenError::Interface {
                        name: settings.name.clone(),
                        interface: interface.clone(),
                        source,
                    })?;
                let parts = wired::Parts {
                    keyd,
                    keeper,
                    policy: settings.policy,
                    timers,
                    reauthenticate_after: settings.reauthenticate_after,
                    backoff,
                    automatic: settings.automatic,
                };
                (interface, Parts::Wired(Box::new(parts)))
            }
            Line::Radius {
                server,
                secret_file,
                nas_identifier,
            } => {
                let at = server.to_string();
                let parts = radius::Parts {
                    keyd,
                    server,
                    secret: secret(&secret_file).map_err(OpenError::Config)?,
                    nas_identifier,
                    policy: settings.policy,
                    reauthenticate_after: settings.reauthenticate_after,
                    backoff,
                    automatic: settings.automatic,
                };
                (at, Parts::Radius(Box::new(parts)))
            }
        };
        Ok(Self {
            name: settings.name,
            at,
            parts,
        })
    }

    /// Begins, on a thread of its own.
    pub fn begin(self, happenings: Happenings, names: &Names) -> std::io::Result<(Handle, Ended)> {
        let (carrier, port) = match &self.parts {
            Parts::Wired(parts) => (
                Carrier::Wired,
                parts.keeper.status().map(|_| Port::Unauthorised),
            ),
            Parts::Radius(_) => (Carrier::Radius, None),
        };
        let (record, told) = Record::new(&self.name, carrier, self.at, port, happenings);
        let (handle, orders) = Handle::new(self.name, told);
        let ended = match self.parts {
            Parts::Wired(parts) => {
                thread::run(&handle.name, move || wired::run(*parts, record, orders))?
            }
            Parts::Radius(parts) => {
                let names = names.clone();
                let run = move || radius::run(*parts, names, record, orders);
                thread::run(&handle.name, run)?
            }
        };
        Ok((handle, ended))
    }
}

impl std::error::Error for OpenError {}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Interface {
                name,
                interface,
                source,
            } => write!(f, "access {name}: {interface}: {source}"),
        }
    }
}

fn secret(path: &Path) -> Result<Secret, ConfigError> {
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_SECRET_FILE));
    secret_file::open(path)
        .map_err(ConfigError::Secret)?
        .take(MAX_SECRET_FILE as u64)
        .read_to_end(&mut octets)
        .map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
    let secret = octets.strip_suffix(b"\n").unwrap_or(&octets);
    Secret::new(secret.to_vec()).map_err(|error| ConfigError::Field {
        name: "access.secret_file",
        reason: format!("{}: {error}", path.display()),
    })
}
