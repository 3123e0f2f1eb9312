//! The controlled port: whether more than EAPOL may pass.

use std::fmt;

/// Whether more than EAPOL may pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PortStatus {
    /// EAPOL only.
    #[default]
    Unauthorised,
    /// Everything.
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

/// The controlled port of IEEE 802.1X (§6.4): closed when it is made, and opened by nobody
/// but the supplicant.
#[derive(Debug, Default)]
pub struct ControlledPort(PortStatus);

impl ControlledPort {
    /// Whether more than EAPOL may pass.
    pub fn status(&self) -> PortStatus {
        self.0
    }

    /// After an EAP-Success that was believed; tells a change.
    #[must_use]
    pub(super) fn authorise(&mut self) -> Option<PortStatus> {
        self.set(PortStatus::Authorised)
    }

    /// After anything that ends an authorisation; tells a change.
    #[must_use]
    pub(super) fn close(&mut self) -> Option<PortStatus> {
        self.set(PortStatus::Unauthorised)
    }

    fn set(&mut self, status: PortStatus) -> Option<PortStatus> {
        let before = std::mem::replace(&mut self.0, status);
        (before != status).then_some(status)
    }
}
