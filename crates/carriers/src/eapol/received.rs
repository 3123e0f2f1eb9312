//! What the supplicant's port access entity sees of a received EAP packet. A body that isn't the
//! packet of an authenticator is discarded (RFC 3748 §4): anybody on the LAN can send one, and it
//! must neither begin an attempt nor give one more time.

use super::Error;

/// Octets of the EAP header: code, identifier, length.
const HEADER: usize = 4;

/// The EAP types before the methods (RFC 3748 §5).
const IDENTITY: u8 = 1;
const NOTIFICATION: u8 = 2;
const NAK: u8 = 3;

/// An EAP packet of an authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// EAP-Request/Identity or /Notification, which belongs to no method.
    Query,
    /// A request of a method.
    Method,
    /// EAP-Success.
    Success,
    /// EAP-Failure.
    Failure,
}

impl Received {
    /// Reads the body of an EAPOL PDU. Also returns the packet itself: octets behind its own length
    /// are padding (RFC 3748 §4.1).
    pub(super) fn parse(body: &[u8]) -> Result<(Self, &[u8]), Error> {
        let received = body.len();
        let &[code, _, high, low, ..] = body else {
            return Err(Error::EapLength {
                claimed: 0,
                received,
            });
        };
        let claimed = usize::from(u16::from_be_bytes([high, low]));
        let length = Error::EapLength { claimed, received };
        let packet = body.get(..claimed).ok_or(length)?;
        let received = match (code, packet.get(HEADER..)) {
            (1, Some([IDENTITY | NOTIFICATION, ..])) => Received::Query,
            (1, Some([kind @ (0 | NAK), ..])) => return Err(Error::EapType(*kind)),
            (1, Some([_, ..])) => Received::Method,
            (3, Some([])) => Received::Success,
            (4, Some([])) => Received::Failure,
            (1 | 3 | 4, _) => return Err(length),
            (other, _) => return Err(Error::EapCode(other)),
        };
        Ok((received, packet))
    }
}
