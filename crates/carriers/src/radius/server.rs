//! The server's side: parses a client's requests and builds the answers.

use super::packet::Writer;
use super::{AttributeType, Code, Error, Msk, Packet, Secret};

/// A Status-Server with a valid Message-Authenticator, as RFC 5997 §3 requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRequest {
    identifier: u8,
    authenticator: [u8; 16],
}

impl StatusRequest {
    /// Reads and verifies a request.
    ///
    /// # Errors
    /// The datagram isn't a Status-Server, or was made with another secret.
    pub fn parse(datagram: &[u8], secret: &Secret) -> Result<Self, Error> {
        let packet = Packet::parse(datagram)?;
        if packet.code != Code::StatusServer {
            return Err(Error::Code(packet.code.octet()));
        }
        packet.verify_request(secret)?;
        Ok(StatusRequest {
            identifier: packet.identifier,
            authenticator: *packet.authenticator,
        })
    }

    /// Access-Accept, by which an authentication server says that it is there (§3).
    ///
    /// # Errors
    /// None that can happen: the answer is short.
    pub fn answer(&self, secret: &Secret) -> Result<Vec<u8>, Error> {
        Writer::new(Code::AccessAccept, self.identifier, &self.authenticator).finish_answer(secret)
    }
}

/// An Access-Request that carries EAP and has a valid Message-Authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Pairs the answer with the request. Together with the authenticator, it identifies a
    /// retransmission.
    pub identifier: u8,
    /// The Request Authenticator.
    pub authenticator: [u8; 16],
    /// User-Name.
    pub user_name: Vec<u8>,
    /// State, as an earlier Access-Challenge gave it.
    pub state: Option<Vec<u8>>,
    /// The EAP packet.
    pub eap: Vec<u8>,
}

impl Request {
    /// Reads and verifies a request.
    ///
    /// # Errors
    /// Drop the datagram: it is malformed, isn't a request with EAP, or was made with another
    /// secret.
    pub fn parse(datagram: &[u8], secret: &Secret) -> Result<Self, Error> {
        let packet = Packet::parse(datagram)?;
        if packet.code != Code::AccessRequest {
            return Err(Error::Code(datagram[0]));
        }
        packet.verify_request(secret)?;
        Ok(Request {
            identifier: packet.identifier,
            authenticator: *packet.authenticator,
            user_name: packet
                .values(AttributeType::USER_NAME)
                .next()
                .ok_or(Error::NoUserName)?
                .to_vec(),
            state: packet
                .values(AttributeType::STATE)
                .next()
                .map(<[u8]>::to_vec),
            eap: packet.eap()?.ok_or(Error::NoEapMessage(packet.code))?,
        })
    }

    /// Access-Challenge: the next EAP request, and a State that names the conversation.
    ///
    /// # Errors
    /// [`Error::TooLong`] or [`Error::AttributeLength`] when EAP packet or State do not fit.
    pub fn challenge(&self, secret: &Secret, eap: &[u8], state: &[u8]) -> Result<Vec<u8>, Error> {
        self.answer(Code::AccessChallenge)
            .eap(eap)
            .attribute(AttributeType::STATE, state)
            .finish_answer(secret)
    }

    /// Access-Accept with EAP-Success and, where given, the MSK as MS-MPPE keys. `salt` must be new
    /// for each accept.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the EAP packet does not fit.
    pub fn accept(
        &self,
        secret: &Secret,
        eap: &[u8],
        msk: Option<&Msk>,
        salt: u16,
    ) -> Result<Vec<u8>, Error> {
        let keys = msk.map(|msk| msk.vendor_attributes(secret, &self.authenticator, salt));
        keys.iter()
            .flatten()
            .fold(self.answer(Code::AccessAccept).eap(eap), |writer, key| {
                writer.attribute(AttributeType::VENDOR_SPECIFIC, key)
            })
            .finish_answer(secret)
    }

    /// Access-Reject, with EAP-Failure where given.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the EAP packet does not fit.
    pub fn reject(&self, secret: &Secret, eap: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        self.answer(Code::AccessReject)
            .eap(eap.unwrap_or_default())
            .finish_answer(secret)
    }

    fn answer(&self, code: Code) -> Writer {
        Writer::new(code, self.identifier, &self.authenticator)
    }
}
