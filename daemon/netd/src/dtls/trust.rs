//! The verification of a server's certificate.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, TrustAnchor, UnixTime};
use softsim_client::proto::Times;
use softsim_client::time::Utc;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The requirements for a server's certificate: it is one of the pinned certificates, or it has the
/// server's name and an anchor has issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    name: ServerName<'static>,
    anchors: Vec<TrustAnchor<'static>>,
    pinned: Vec<CertificateDer<'static>>,
}

/// Why a certificate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// netd can't parse it.
    #[error("it can't be read")]
    Malformed,
    /// It isn't the pinned certificate, and there is no anchor that could have issued it.
    #[error("expected the pinned one, got another")]
    NotPinned,
    /// It has expired; when.
    #[error("it expired at {}", Utc(*.0))]
    Expired(u64),
    /// It begins later; when.
    #[error("it isn't valid before {}", Utc(*.0))]
    NotYet(u64),
    /// No anchor has issued it, or it isn't for servers.
    #[error("expected one issued under a trust anchor, got another: {0}")]
    Path(String),
    /// It has another name.
    #[error("expected one for {expected}, got one for other names")]
    Name {
        /// The name that was expected.
        expected: String,
    },
}

impl Trust {
    /// Trusts no certificate yet. `host` is the host in the server's URI.
    pub(crate) fn new(host: &str) -> Result<Self, InvalidDnsNameError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            name: ServerName::try_from(host)?.to_owned(),
            anchors: Vec::new(),
            pinned: Vec::new(),
        })
    }

    /// Trusts servers whose certificate this authority, or intermediate authority, has issued.
    pub(crate) fn anchor(&mut self, certificate: &CertificateDer<'_>) -> Result<(), TrustFault> {
        let anchor = anchor_from_trusted_cert(certificate).map_err(|_| TrustFault::Malformed)?;
        self.anchors.push(anchor.to_owned());
        Ok(())
    }

    /// Trusts the server with exactly this certificate, whatever its names and dates.
    pub(crate) fn pin(&mut self, certificate: &[u8]) {
        self.pinned.push(CertificateDer::from(certificate.to_vec()));
    }

    /// Verifies the certificate that a server sent, in DER.
    ///
    /// A gateway without a clock is normal. If the time is unknown, a certificate is refused only
    /// if it has certainly expired, as keyd does with packages: it may be younger than any time
    /// that the gateway knows.
    pub(crate) fn judge(&self, certificate: &[u8], times: &Times) -> Result<(), TrustFault> {
        if self.pinned.iter().any(|pinned| **pinned == *certificate) {
            return Ok(());
        }
        if self.anchors.is_empty() {
            return Err(TrustFault::NotPinned);
        }
        let leaf = CertificateDer::from(certificate);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| TrustFault::Malformed)?;
        // The engine shows only the leaf, so its issuer must be an anchor.
        match self.verify_path(&leaf, unix_time(times.now())) {
            Err(webpki::Error::CertNotValidYet { not_before, .. }) if !times.are_known() => {
                self.verify_path(&leaf, not_before)
            }
            verified => verified,
        }
        .map_err(|error| match error {
            webpki::Error::CertExpired { not_after, .. } => {
                TrustFault::Expired(not_after.as_secs())
            }
            webpki::Error::CertNotValidYet { not_before, .. } => {
                TrustFault::NotYet(not_before.as_secs())
            }
            error => TrustFault::Path(error.to_string()),
        })?;
        leaf.verify_is_valid_for_subject_name(&self.name)
            .map_err(|_| TrustFault::Name {
                expected: self.name.to_str().into_owned(),
            })
    }

    fn verify_path(&self, leaf: &EndEntityCert<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        let verified = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            &[],
            now,
            KeyUsage::server_auth(),
            None,
            None,
        );
        verified.map(drop)
    }
}

fn unix_time(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
