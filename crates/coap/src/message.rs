//! One message on the wire, parsed strictly: coap-lite's codec, and the checks of RFC 7252 that it
//! leaves out.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

use crate::block::Block;
use crate::types::{Code, Method, Observe, Reliability, Request, Response};

/// The type of a message (RFC 7252 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

impl From<Reliability> for Kind {
    fn from(reliability: Reliability) -> Kind {
        match reliability {
            Reliability::Confirmable => Kind::Confirmable,
            Reliability::NonConfirmable => Kind::NonConfirmable,
        }
    }
}

/// A token on the wire: 0 to 8 octets.
pub(crate) type WireToken = Vec<u8>;

/// A message, whose options [`Options::read`] has yet to check.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) code: Code,
    pub(crate) mid: u16,
    pub(crate) token: WireToken,
    packet: Packet,
}

/// Why a datagram is not a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Fewer than the header's four octets.
    #[error("expected a CoAP header of 4 octets, got {length}")]
    TooShort {
        /// Octets received.
        length: usize,
    },
    /// The version isn't 1.
    #[error("expected CoAP version 1, got {version}")]
    Version {
        /// The version received.
        version: u8,
    },
    /// An empty message (code 0.00) has octets behind its header, or a type that can't be empty.
    #[error("expected nothing after the header of empty message {mid}")]
    NotEmpty {
        /// The message id.
        mid: u16,
    },
    /// The token length is above 8, an option overruns the message, or a payload marker has no
    /// payload.
    #[error("expected a well-formed token, options and payload in message {mid}")]
    Malformed {
        /// The message id.
        mid: u16,
    },
}

impl Message {
    pub(crate) fn decode(datagram: &[u8]) -> Result<Message, FormatError> {
        let &[first, code, mid_high, mid_low, ..] = datagram else {
            return Err(FormatError::TooShort {
                length: datagram.len(),
            });
        };
        if first >> 6 != 1 {
            return Err(FormatError::Version {
                version: first >> 6,
            });
        }
        let mid = u16::from_be_bytes([mid_high, mid_low]);
        if code == 0 && datagram.len() > 4 {
            return Err(FormatError::NotEmpty { mid });
        }
        let packet = Packet::from_bytes(datagram).map_err(|_| FormatError::Malformed { mid })?;
        // A CoAP message has one encoding only, so encoding it again shows what the codec has
        // overlooked.
        if packet
            .to_bytes_unlimited()
            .map_or(true, |bytes| bytes != datagram)
        {
            return Err(FormatError::Malformed { mid });
        }
        let kind = match packet.header.get_type() {
            MessageType::Confirmable => Kind::Confirmable,
            MessageType::NonConfirmable => Kind::NonConfirmable,
            MessageType::Acknowledgement => Kind::Acknowledgement,
            MessageType::Reset => Kind::Reset,
        };
        Ok(Message {
            kind,
            code: Code(code),
            mid,
            token: packet.get_token().to_vec(),
            packet,
        })
    }

    pub(crate) fn encode(
        kind: Kind,
        code: Code,
        mid: u16,
        token: &[u8],
        options: &Options,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = Packet::new();
        packet.header.set_type(match kind {
            Kind::Confirmable => MessageType::Confirmable,
            Kind::NonConfirmable => MessageType::NonConfirmable,
            Kind::Acknowledgement => MessageType::Acknowledgement,
            Kind::Reset => MessageType::Reset,
        });
        packet.header.code = MessageClass::from(code.0);
        packet.header.message_id = mid;
        packet.set_token(token.to_vec());
        options.write(&mut packet);
        packet.payload = payload.to_vec();
        packet
            .to_bytes_unlimited()
            .expect("it fails only above a size limit, and there is none")
    }

    /// An empty Acknowledgement or Reset.
    pub(crate) fn empty(kind: Kind, mid: u16) -> Vec<u8> {
        Message::encode(kind, Code::EMPTY, mid, &[], &Options::default(), &[])
    }

    pub(crate) fn options(&self) -> Result<Options, BadOption> {
        Options::read(&self.packet)
    }

    pub(crate) fn into_payload(self) -> Vec<u8> {
        self.packet.payload
    }
}

/// A critical option that is unknown, repeated although it may not be, or outside its definition
/// (RFC 7252 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadOption(pub(crate) u16);

impl BadOption {
    /// The code that refuses a request with this option.
    pub(crate) fn code(self) -> Code {
        match CoapOption::from(self.0) {
            CoapOption::ProxyUri | CoapOption::ProxyScheme => Code::PROXYING_NOT_SUPPORTED,
            // RFC 7959 §2.2 defines this answer for SZX 7.
            CoapOption::Block1 | CoapOption::Block2 => Code::BAD_REQUEST,
            _ => Code::BAD_OPTION,
        }
    }
}

/// The options that this endpoint knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<String>,
    pub(crate) location: Vec<String>,
    pub(crate) content_format: Option<u16>,
    pub(crate) accept: Option<u16>,
    pub(crate) observe: Option<u32>,
    pub(crate) block1: Option<Block>,
    pub(crate) block2: Option<Block>,
    pub(crate) size1: Option<u32>,
    pub(crate) size2: Option<u32>,
    pub(crate) etag: Option<Vec<u8>>,
}

/// The longest path segment, query argument or host name, in octets (RFC 7252 §5.10).
const LONGEST_STRING: usize = 255;

impl Options {
    fn read(packet: &Packet) -> Result<Options, BadOption> {
        let mut options = Options::default();
        for (&number, values) in packet.options() {
            for (index, value) in values.iter().enumerate() {
                // Options with odd numbers are critical. Others are ignored if they can't be used.
                if !options.read_one(number, index, value) && number & 1 == 1 {
                    return Err(BadOption(number));
                }
            }
        }
        Ok(options)
    }

    /// Stores one option value, the `index`th of its number. Returns false if it can't be used.
    fn read_one(&mut self, number: u16, index: usize, value: &[u8]) -> bool {
        let option = CoapOption::from(number);
        match option {
            CoapOption::UriPath => return push_string(&mut self.path, value),
            CoapOption::UriQuery => return push_string(&mut self.query, value),
            CoapOption::LocationPath => return push_string(&mut self.location, value),
            _ if index > 0 => return false,
            // One endpoint is one virtual server, so name and port make no difference.
            CoapOption::UriHost => return (1..=LONGEST_STRING).contains(&value.len()),
            CoapOption::UriPort => return value.len() <= 2,
            CoapOption::ETag => {
                self.etag = (1..=8).contains(&value.len()).then(|| value.to_vec());
                return self.etag.is_some();
            }
            _ => {}
        }
        let longest = match option {
            CoapOption::ContentFormat | CoapOption::Accept => 2,
            CoapOption::Observe | CoapOption::Block1 | CoapOption::Block2 => 3,
            CoapOption::Size1 | CoapOption::Size2 => 4,
            _ => return false,
        };
        if value.len() > longest {
            return false;
        }
        let uint = value
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u32::from(octet));
        match option {
            CoapOption::ContentFormat => self.content_format = u16::try_from(uint).ok(),
            CoapOption::Accept => self.accept = u16::try_from(uint).ok(),
            CoapOption::Observe => self.observe = Some(uint),
            CoapOption::Block1 => self.block1 = Block::decode(uint),
            CoapOption::Block2 => self.block2 = Block::decode(uint),
            CoapOption::Size1 => self.size1 = Some(uint),
            _ => self.size2 = Some(uint),
        }
        match option {
            CoapOption::Block1 => self.block1.is_some(),
            CoapOption::Block2 => self.block2.is_some(),
            _ => true,
        }
    }

    fn write(&self, packet: &mut Packet) {
        let mut string = |option: CoapOption, values: &[String]| {
            values
                .iter()
                .for_each(|value| packet.add_option(option, value.clone().into_bytes()));
        };
        string(CoapOption::UriPath, &self.path);
        string(CoapOption::UriQuery, &self.query);
        string(CoapOption::LocationPath, &self.location);
        if let Some(etag) = &self.etag {
            packet.add_option(CoapOption::ETag, etag.clone());
        }
        let mut uint = |option: CoapOption, value: Option<u32>| {
            if let Some(value) = value {
                packet.add_option(option, shortest(value));
            }
        };
        uint(
            CoapOption::ContentFormat,
            self.content_format.map(u32::from),
        );
        uint(CoapOption::Accept, self.accept.map(u32::from));
        uint(CoapOption::Observe, self.observe);
        uint(CoapOption::Block1, self.block1.map(Block::encode));
        uint(CoapOption::Block2, self.block2.map(Block::encode));
        uint(CoapOption::Size1, self.size1);
        uint(CoapOption::Size2, self.size2);
    }

    pub(crate) fn of_request(request: &Request) -> Options {
        Options {
            path: request.path.clone(),
            query: request.query.clone(),
            content_format: request.content_format,
            accept: request.accept,
            observe: request.observe.map(|observe| match observe {
                Observe::Register => 0,
                Observe::Deregister => 1,
            }),
            ..Options::default()
        }
    }

    pub(crate) fn of_response(response: &Response) -> Options {
        Options {
            content_format: response.content_format,
            location: response.location.clone(),
            ..Options::default()
        }
    }

    pub(crate) fn into_request(
        self,
        method: Method,
        reliability: Reliability,
        payload: Vec<u8>,
    ) -> Request {
        let observe = match self.observe {
            Some(0) => Some(Observe::Register),
            Some(1) => Some(Observe::Deregister),
            _ => None,
        };
        let Options {
            path,
            query,
            content_format,
            accept,
            ..
        } = self;
        Request {
            method,
            path,
            query,
            content_format,
            accept,
            observe,
            payload,
            reliability,
        }
    }

    pub(crate) fn into_response(self, code: Code, payload: Vec<u8>) -> Response {
        let Options {
            content_format,
            location,
            observe,
            ..
        } = self;
        Response {
            code,
            content_format,
            location,
            observe,
            payload,
        }
    }
}

fn push_string(list: &mut Vec<String>, value: &[u8]) -> bool {
    match std::str::from_utf8(value) {
        Ok(text) if value.len() <= LONGEST_STRING => {
            list.push(text.to_owned());
            true
        }
        _ => false,
    }
}

/// The `uint` format of RFC 7252 §3.2: big-endian without leading zeros.
fn shortest(value: u32) -> Vec<u8> {
    value
        .to_be_bytes()
        .into_iter()
        .skip_while(|&octet| octet == 0)
        .collect()
}
