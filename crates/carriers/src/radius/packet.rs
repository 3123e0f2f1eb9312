//! The packet of RADIUS (RFC 2865 §3), its attributes and its two authenticators.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::error::Error;
use super::numbers::{AttributeType, Code};
use super::secret::Secret;

const HEADER: usize = 20;
const LARGEST: usize = 4096;
/// The longest value of one attribute, in octets.
const VALUE: usize = 253;
/// The offset of the value of a Message-Authenticator that is the first attribute.
const FIRST_VALUE: usize = HEADER + 2;

impl TryFrom<u8> for Code {
    type Error = Error;

    fn try_from(octet: u8) -> Result<Self, Error> {
        match octet {
            1 => Ok(Code::AccessRequest),
            2 => Ok(Code::AccessAccept),
            3 => Ok(Code::AccessReject),
            11 => Ok(Code::AccessChallenge),
            12 => Ok(Code::StatusServer),
            other => Err(Error::Code(other)),
        }
    }
}

/// One packet, borrowed from its datagram. Don't trust its contents before one of the `verify`
/// methods has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The packet's code.
    pub code: Code,
    /// Pairs an answer with its request.
    pub identifier: u8,
    /// The Request Authenticator of a request, the Response Authenticator of an answer.
    pub authenticator: &'a [u8; 16],
    /// The types and values of the attributes, in order.
    pub attributes: Vec<(AttributeType, &'a [u8])>,
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram. Octets after the packet's own length are ignored (RFC 2865 §3).
    ///
    /// # Errors
    /// [`Error`] names the field that is malformed.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        let too_short = Error::TooShort {
            octets: datagram.len(),
        };
        let (&[code, identifier, high, low], rest) =
            datagram.split_first_chunk().ok_or(too_short)?;
        let authenticator = rest.first_chunk().ok_or(too_short)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let bytes = datagram
            .get(..length)
            .filter(|bytes| (HEADER..=LARGEST).contains(&bytes.len()))
            .ok_or(Error::Length {
                claimed: length,
                received: datagram.len(),
            })?;
        let code = Code::try_from(code)?;
        let mut attributes = Vec::new();
        let mut rest = &bytes[HEADER..];
        while let [kind, after @ ..] = rest {
            let claimed = usize::from(after.first().copied().unwrap_or(0));
            let truncated = Error::Truncated {
                attribute: AttributeType(*kind),
                claimed,
                left: rest.len(),
            };
            let (whole, next) = rest.split_at_checked(claimed).ok_or(truncated)?;
            attributes.push((AttributeType(*kind), whole.get(2..).ok_or(truncated)?));
            rest = next;
        }
        Ok(Packet {
            code,
            identifier,
            authenticator,
            attributes,
            bytes,
        })
    }

    /// The values of all attributes of one type, in order.
    pub fn values(&self, wanted: AttributeType) -> impl Iterator<Item = &'a [u8]> {
        self.attributes
            .iter()
            .filter(move |(kind, _)| *kind == wanted)
            .map(|(_, value)| *value)
    }

    /// The EAP packet, joined from all EAP-Message attributes; `None` if there are none.
    ///
    /// # Errors
    /// [`Error::ScatteredEap`]: they must follow one another (RFC 3579 §3.1).
    pub fn eap(&self) -> Result<Option<Vec<u8>>, Error> {
        let is_eap = |(kind, _): &&(AttributeType, &[u8])| *kind == AttributeType::EAP_MESSAGE;
        let mut attributes = self.attributes.iter().skip_while(|at| !is_eap(at));
        let eap: Vec<u8> = attributes
            .by_ref()
            .map_while(|attribute| is_eap(&attribute).then_some(attribute.1))
            .flatten()
            .copied()
            .collect();
        match attributes.any(|attribute| is_eap(&attribute)) {
            true => Err(Error::ScatteredEap),
            false => Ok((!eap.is_empty()).then_some(eap)),
        }
    }

    /// The numbers of four octets in all attributes of one type.
    pub(super) fn numbers(&self, wanted: AttributeType) -> Result<Vec<u32>, Error> {
        self.values(wanted)
            .map(|value| match value.try_into() {
                Ok(octets) => Ok(u32::from_be_bytes(octets)),
                Err(_) => Err(Error::Number(wanted)),
            })
            .collect()
    }

    /// Checks the Message-Authenticator of a request (RFC 3579 §3.2).
    pub(super) fn verify_request(&self, secret: &Secret) -> Result<(), Error> {
        self.verify_message_authenticator(secret, self.authenticator)
    }

    /// Checks the Message-Authenticator, then the Response Authenticator, of the answer to a
    /// request with this authenticator.
    pub(super) fn verify_answer(
        &self,
        secret: &Secret,
        request_authenticator: &[u8; 16],
    ) -> Result<(), Error> {
        self.verify_message_authenticator(secret, request_authenticator)?;
        self.verify_response_authenticator(secret, request_authenticator)
    }

    /// Checks the Response Authenticator of the answer to a request with this authenticator.
    pub(super) fn verify_response_authenticator(
        &self,
        secret: &Secret,
        request_authenticator: &[u8; 16],
    ) -> Result<(), Error> {
        let expected = response_authenticator(self.bytes, request_authenticator, secret);
        if expected.ct_eq(self.authenticator).into() {
            Ok(())
        } else {
            Err(Error::ResponseAuthenticator)
        }
    }

    fn verify_message_authenticator(
        &self,
        secret: &Secret,
        request_authenticator: &[u8; 16],
    ) -> Result<(), Error> {
        let mut values = self.values(AttributeType::MESSAGE_AUTHENTICATOR);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Error::NoMessageAuthenticator(self.code));
        };
        let value: &[u8; 16] = value
            .try_into()
            .map_err(|_| Error::NoMessageAuthenticator(self.code))?;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        bytes.extend(&self.bytes[..4]);
        bytes.extend(request_authenticator);
        for (kind, value) in &self.attributes {
            bytes.extend([kind.0, value.len() as u8 + 2]);
            match *kind {
                AttributeType::MESSAGE_AUTHENTICATOR => bytes.extend([0; 16]),
                _ => bytes.extend(*value),
            }
        }
        if secret.hmac_md5(&bytes).ct_eq(value).into() {
            Ok(())
        } else {
            Err(Error::MessageAuthenticator)
        }
    }
}

/// MD5 over the answer, in which the request's authenticator replaces its own, and over the secret
/// (RFC 2865 §3).
fn response_authenticator(
    bytes: &[u8],
    request_authenticator: &[u8; 16],
    secret: &Secret,
) -> [u8; 16] {
    Md5::new()
        .chain_update(&bytes[..4])
        .chain_update(request_authenticator)
        .chain_update(&bytes[HEADER..])
        .chain_update(secret.expose())
        .finalize()
        .into()
}

/// A packet under construction. Its first attribute is a Message-Authenticator, which is zero until
/// the packet is finished.
pub(super) struct Writer {
    bytes: Vec<u8>,
    error: Option<Error>,
}

impl Writer {
    /// Starts a packet with the Request Authenticator, which an answer replaces when it is
    /// finished.
    pub(super) fn new(code: Code, identifier: u8, request_authenticator: &[u8; 16]) -> Self {
        let mut bytes = vec![code.octet(), identifier, 0, 0];
        bytes.extend(request_authenticator);
        Writer { bytes, error: None }.attribute(AttributeType::MESSAGE_AUTHENTICATOR, &[0; 16])
    }

    pub(super) fn attribute(mut self, attribute: AttributeType, value: &[u8]) -> Self {
        match u8::try_from(value.len() + 2) {
            Ok(length) if !value.is_empty() => {
                self.bytes.extend([attribute.0, length]);
                self.bytes.extend(value);
            }
            _ => {
                self.error.get_or_insert(Error::AttributeLength {
                    attribute,
                    octets: value.len(),
                });
            }
        }
        self
    }

    /// Appends an EAP packet, split over as many EAP-Message attributes as it needs.
    pub(super) fn eap(self, eap: &[u8]) -> Self {
        eap.chunks(VALUE).fold(self, |writer, chunk| {
            writer.attribute(AttributeType::EAP_MESSAGE, chunk)
        })
    }

    pub(super) fn finish_request(self, secret: &Secret) -> Result<Vec<u8>, Error> {
        self.finish(secret)
    }

    pub(super) fn finish_answer(self, secret: &Secret) -> Result<Vec<u8>, Error> {
        let mut request_authenticator = [0; 16];
        request_authenticator.copy_from_slice(&self.bytes[4..HEADER]);
        let mut bytes = self.finish(secret)?;
        let authenticator = response_authenticator(&bytes, &request_authenticator, secret);
        bytes[4..HEADER].copy_from_slice(&authenticator);
        Ok(bytes)
    }

    fn finish(mut self, secret: &Secret) -> Result<Vec<u8>, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let octets = self.bytes.len();
        let length = u16::try_from(octets)
            .ok()
            .filter(|_| octets <= LARGEST)
            .ok_or(Error::TooLong { octets })?;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let mac = secret.hmac_md5(&self.bytes);
        self.bytes[FIRST_VALUE..FIRST_VALUE + 16].copy_from_slice(&mac);
        Ok(self.bytes)
    }
}
