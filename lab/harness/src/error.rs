//! Why the lab, or a step of it, failed.

use std::{fmt, io};

use softsim_client::{keyd, netd};
use softsim_issuer::CertificateError;
use softsim_issuer::profile_toml::TomlError;
use softsim_lab_simulators::management_server::RequestError;
use softsim_lab_simulators::pki::PkiError;

use crate::processes::ProcessError;

/// What failed.
#[derive(Debug)]
pub enum Error {
    /// A daemon or a file.
    Process(ProcessError),
    /// The lab's certificate authority.
    Pki(PkiError),
    /// The profile file.
    Profile(TomlError),
    /// The device certificate, as the operator sees it.
    Certificate(CertificateError),
    /// Sealing.
    Seal(softsim_issuer::Error),
    /// A request to keyd.
    Keyd(keyd::Error),
    /// The conversation with netd.
    Netd(netd::Error),
    /// netd couldn't carry out a command.
    Failed {
        /// What kind of failure.
        failure: netd::Failure,
        /// Why.
        reason: String,
    },
    /// A request of the management server.
    Request(RequestError),
    /// A server of the lab.
    Server(io::Error),
    /// Something that is needed is missing.
    Missing(&'static str),
}

/// The outcome of a step.
pub type Result<T> = std::result::Result<T, Error>;

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(error) => error.fmt(f),
            Self::Pki(error) => error.fmt(f),
            Self::Profile(error) => write!(f, "profile: {error}"),
            Self::Certificate(error) => write!(f, "device certificate: {error}"),
            Self::Seal(error) => error.fmt(f),
            Self::Keyd(error) => write!(f, "softsim-keyd: {error}"),
            Self::Netd(error) => write!(f, "softsim-netd: {error}"),
            Self::Failed { reason, .. } => write!(f, "softsim-netd: {reason}"),
            Self::Request(error) => write!(f, "management: {error}"),
            Self::Server(error) => write!(f, "server: {error}"),
            Self::Missing(what) => write!(f, "expected {what}, there is none"),
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {
        $(impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    ProcessError => Process,
    PkiError => Pki,
    TomlError => Profile,
    CertificateError => Certificate,
    softsim_issuer::Error => Seal,
    keyd::Error => Keyd,
    netd::Error => Netd,
    RequestError => Request,
    io::Error => Server,
}
