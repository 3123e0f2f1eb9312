//! The controlled port, which says whether frames other than EAPOL may pass.

use std::fmt;

/// Whether frames other than EAPOL may pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PortStatus {
    /// Only EAPOL may pass.
    #[default]
    Unauthorised,
    /// Every frame may pass.
    Authorised,
}

impl fmt::Display for PortStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PortStatus::Unauthorised => "unauthorised",
            PortStatus::Authorised => "authorised",
        })
    }
}

/// The controlled port of IEEE 802.1X (§6.4). It starts closed, and only the supplicant opens it.
#[derive(Debug, Default)]
pub struct ControlledPort(PortStatus);

impl ControlledPort {
    /// Whether frames other than EAPOL may pass.
    pub fn status(&self) -> PortStatus {
        self.0
    }

    /// Opens the port after an EAP-Success that the peer accepted. Returns the new status if it
    /// changed.
    #[must_use]
    pub(super) fn authorise(&mut self) -> Option<PortStatus> {
        self.set(PortStatus::Authorised)
    }

    /// Closes the port. Returns the new status if it changed.
    #[must_use]
    pub(super) fn close(&mut self) -> Option<PortStatus> {
        self.set(PortStatus::Unauthorised)
    }

    fn set(&mut self, status: PortStatus) -> Option<PortStatus> {
        let before = std::mem::replace(&mut self.0, status);
        (before != status).then_some(status)
    }
}
