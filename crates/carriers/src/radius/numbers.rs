//! The numbers of RADIUS: codes and attribute types (RFC 2865, RFC 3579, RFC 5997).

use std::fmt;

/// The codes of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1.
    AccessRequest,
    /// 2.
    AccessAccept,
    /// 3.
    AccessReject,
    /// 11.
    AccessChallenge,
    /// 12: asks whether the server is there (RFC 5997).
    StatusServer,
}

impl Code {
    pub(super) fn octet(self) -> u8 {
        match self {
            Code::AccessRequest => 1,
            Code::AccessAccept => 2,
            Code::AccessReject => 3,
            Code::AccessChallenge => 11,
            Code::StatusServer => 12,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Code::AccessRequest => "Access-Request",
            Code::AccessAccept => "Access-Accept",
            Code::AccessReject => "Access-Reject",
            Code::AccessChallenge => "Access-Challenge",
            Code::StatusServer => "Status-Server",
        })
    }
}

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeType(pub u8);

impl AttributeType {
    /// User-Name.
    pub const USER_NAME: AttributeType = AttributeType(1);
    /// Service-Type.
    pub const SERVICE_TYPE: AttributeType = AttributeType(6);
    /// Framed-MTU.
    pub const FRAMED_MTU: AttributeType = AttributeType(12);
    /// State.
    pub const STATE: AttributeType = AttributeType(24);
    /// Vendor-Specific.
    pub const VENDOR_SPECIFIC: AttributeType = AttributeType(26);
    /// Session-Timeout.
    pub const SESSION_TIMEOUT: AttributeType = AttributeType(27);
    /// Termination-Action.
    pub const TERMINATION_ACTION: AttributeType = AttributeType(29);
    /// NAS-Identifier.
    pub const NAS_IDENTIFIER: AttributeType = AttributeType(32);
    /// EAP-Message.
    pub const EAP_MESSAGE: AttributeType = AttributeType(79);
    /// Message-Authenticator.
    pub const MESSAGE_AUTHENTICATOR: AttributeType = AttributeType(80);
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            AttributeType::USER_NAME => "User-Name",
            AttributeType::SERVICE_TYPE => "Service-Type",
            AttributeType::FRAMED_MTU => "Framed-MTU",
            AttributeType::STATE => "State",
            AttributeType::VENDOR_SPECIFIC => "Vendor-Specific",
            AttributeType::SESSION_TIMEOUT => "Session-Timeout",
            AttributeType::TERMINATION_ACTION => "Termination-Action",
            AttributeType::NAS_IDENTIFIER => "NAS-Identifier",
            AttributeType::EAP_MESSAGE => "EAP-Message",
            AttributeType::MESSAGE_AUTHENTICATOR => "Message-Authenticator",
            AttributeType(other) => return write!(f, "attribute {other}"),
        })
    }
}
