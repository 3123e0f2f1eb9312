//! Why the lab, or a step of it, failed.

use std::io;

use softsim_client::{keyd, netd};
use softsim_issuer::CertificateError;
use softsim_issuer::profile_toml::TomlError;
use softsim_lab_simulators::management_server::RequestError;
use softsim_lab_simulators::pki::PkiError;

use crate::processes::ProcessError;

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A daemon or a file.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The lab's certificate authority.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The profile file.
    #[error("profile: {0}")]
    Profile(#[from] TomlError),
    /// The device certificate, as the operator sees it.
    #[error("device certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] softsim_issuer::Error),
    /// A request to keyd.
    #[error("softsim-keyd: {0}")]
    Keyd(#[from] keyd::Error),
    /// The conversation with netd.
    #[error("softsim-netd: {0}")]
    Netd(#[from] netd::Error),
    /// netd couldn't carry out a command.
    #[error("softsim-netd: {reason}")]
    Failed {
        /// What kind of failure.
        failure: netd::Failure,
        /// Why.
        reason: String,
    },
    /// A request of the management server.
    #[error("management: {0}")]
    Request(#[from] RequestError),
    /// A server of the lab.
    #[error("server: {0}")]
    Server(#[from] io::Error),
    /// Something that is needed is missing.
    #[error("expected {0}, there is none")]
    Missing(&'static str),
}

/// The outcome of a step.
pub type Result<T> = std::result::Result<T, Error>;
