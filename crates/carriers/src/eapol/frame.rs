//! The PDU of EAPOL (IEEE 802.1X-2010 §11.3).

/// The version that we send, which is that of IEEE 802.1X-2004. Version 3 would announce MACsec,
/// which this supplicant doesn't support; receivers accept any version (§11.3.1).
const VERSION: u8 = 2;

/// The length of the header in octets.
const HEADER: usize = 4;

/// The packet types that a supplicant without MACsec knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 0: the body is an EAP packet.
    Eap,
    /// 1: a supplicant asks the authenticator to begin.
    Start,
    /// 2: a supplicant logs off.
    Logoff,
    /// All others: key descriptors, MKA, announcements, alerts and later types.
    Other(u8),
}

impl Kind {
    fn octet(self) -> u8 {
        match self {
            Kind::Eap => 0,
            Kind::Start => 1,
            Kind::Logoff => 2,
            Kind::Other(octet) => octet,
        }
    }
}

impl From<u8> for Kind {
    fn from(octet: u8) -> Self {
        match octet {
            0 => Kind::Eap,
            1 => Kind::Start,
            2 => Kind::Logoff,
            other => Kind::Other(other),
        }
    }
}

/// Why octets aren't an EAPOL PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer than the four octets of the header.
    #[error("expected an EAPOL header of 4 octets, got {octets}")]
    TooShort {
        /// Octets received.
        octets: usize,
    },
    /// The body is longer than what was received.
    #[error(
        "expected an EAPOL body within the {received} octets received, got a length of {claimed}"
    )]
    Length {
        /// The length field.
        claimed: usize,
        /// Octets behind the header.
        received: usize,
    },
    /// The body isn't as long as the EAP packet in it says, or as its code needs.
    #[error(
        "expected an EAP packet of 4 to {received} octets, and 5 for a request, got a length of {claimed}"
    )]
    EapLength {
        /// The packet's length field; 0 if the body has none.
        claimed: usize,
        /// Octets of the body.
        received: usize,
    },
    /// No authenticator sends this code (RFC 3748 §4).
    #[error("expected EAP-Request, EAP-Success or EAP-Failure, got code {0}")]
    EapCode(u8),
    /// No request has this type (RFC 3748 §5.3.1).
    #[error("expected a type of EAP-Request, got {0}")]
    EapType(u8),
    /// A body to be sent is longer than its length field can express.
    #[error("expected at most 65535 octets for EAPOL, got {octets}")]
    TooLong {
        /// Octets of the body.
        octets: usize,
    },
}

/// One PDU, borrowed from the frame that carried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The sender's protocol version, which a receiver must not check (§11.3.1).
    pub version: u8,
    /// The packet type.
    pub kind: Kind,
    /// The body, without the padding of short Ethernet frames.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Parses the octets that follow the EtherType.
    ///
    /// # Errors
    /// [`Error`] if the frame is shorter than its length field says. A longer frame is padded,
    /// which is no error.
    pub fn parse(pdu: &'a [u8]) -> Result<Self, Error> {
        let Some((&[version, kind, high, low], rest)) = pdu.split_first_chunk::<HEADER>() else {
            return Err(Error::TooShort { octets: pdu.len() });
        };
        let claimed = usize::from(u16::from_be_bytes([high, low]));
        let received = rest.len();
        let body = rest
            .get(..claimed)
            .ok_or(Error::Length { claimed, received })?;
        Ok(Frame {
            version,
            kind: kind.into(),
            body,
        })
    }

    /// Builds a PDU to send.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn build(kind: Kind, body: &[u8]) -> Result<Vec<u8>, Error> {
        let octets = body.len();
        let length = u16::try_from(octets).map_err(|_| Error::TooLong { octets })?;
        let mut pdu = Vec::with_capacity(HEADER + octets);
        pdu.extend([VERSION, kind.octet()]);
        pdu.extend(length.to_be_bytes());
        pdu.extend(body);
        Ok(pdu)
    }
}
