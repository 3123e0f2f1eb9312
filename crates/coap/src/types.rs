//! The types that an application uses: codes, requests, responses and events.

use std::fmt;

/// A message code of RFC 7252 §12.1, printed as `c.dd`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

#[allow(missing_docs, reason = "the names are those of the CoAP code registry")]
impl Code {
    pub const EMPTY: Code = Code::new(0, 0);
    pub const CREATED: Code = Code::new(2, 1);
    pub const DELETED: Code = Code::new(2, 2);
    pub const VALID: Code = Code::new(2, 3);
    pub const CHANGED: Code = Code::new(2, 4);
    pub const CONTENT: Code = Code::new(2, 5);
    pub const CONTINUE: Code = Code::new(2, 31);
    pub const BAD_REQUEST: Code = Code::new(4, 0);
    pub const UNAUTHORIZED: Code = Code::new(4, 1);
    pub const BAD_OPTION: Code = Code::new(4, 2);
    pub const FORBIDDEN: Code = Code::new(4, 3);
    pub const NOT_FOUND: Code = Code::new(4, 4);
    pub const METHOD_NOT_ALLOWED: Code = Code::new(4, 5);
    pub const NOT_ACCEPTABLE: Code = Code::new(4, 6);
    pub const REQUEST_ENTITY_INCOMPLETE: Code = Code::new(4, 8);
    pub const CONFLICT: Code = Code::new(4, 9);
    pub const PRECONDITION_FAILED: Code = Code::new(4, 12);
    pub const REQUEST_ENTITY_TOO_LARGE: Code = Code::new(4, 13);
    pub const UNSUPPORTED_CONTENT_FORMAT: Code = Code::new(4, 15);
    pub const INTERNAL_SERVER_ERROR: Code = Code::new(5, 0);
    pub const NOT_IMPLEMENTED: Code = Code::new(5, 1);
    pub const SERVICE_UNAVAILABLE: Code = Code::new(5, 3);
    pub const PROXYING_NOT_SUPPORTED: Code = Code::new(5, 5);
}

impl Code {
    /// The code `class.detail`; bits beyond three and five are cut off.
    pub const fn new(class: u8, detail: u8) -> Code {
        Code((class & 7) << 5 | (detail & 31))
    }

    /// The class: 0 request, 2 success, 4 client error, 5 server error.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Whether this is a 2.xx code.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// Whether this is a 2.xx, 4.xx or 5.xx code.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 31)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request method (RFC 7252 §5.8, RFC 8132).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the CoAP code registry")]
pub enum Method {
    Get = 1,
    Post = 2,
    Put = 3,
    Delete = 4,
    Fetch = 5,
    Patch = 6,
    IPatch = 7,
}

impl Method {
    /// The method of a request code, if it is one we know.
    pub fn from_code(code: Code) -> Option<Method> {
        use Method::*;
        [Get, Post, Put, Delete, Fetch, Patch, IPatch]
            .into_iter()
            .find(|method| method.code() == code)
    }

    /// The code that stands for this method.
    pub fn code(self) -> Code {
        Code(self as u8)
    }
}

/// What a request's Observe option asks for (RFC 7641 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe {
    /// Add the sender to the observers (0).
    Register,
    /// Remove the sender from the observers (1).
    Deregister,
}

/// Whether a message asks for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// CON: retransmitted until it is acknowledged.
    Confirmable,
    /// NON: sent once.
    NonConfirmable,
}

/// A request as the application sees it, with its complete body.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The Uri-Path segments.
    pub path: Vec<String>,
    /// The Uri-Query arguments.
    pub query: Vec<String>,
    /// The Content-Format of the payload.
    pub content_format: Option<u16>,
    /// The Content-Format wanted in the response.
    pub accept: Option<u16>,
    /// The Observe option.
    pub observe: Option<Observe>,
    /// The body.
    pub payload: Vec<u8>,
    /// CON or NON.
    pub reliability: Reliability,
}

impl Request {
    /// A confirmable request without a body.
    pub fn new<S: Into<String>>(method: Method, path: impl IntoIterator<Item = S>) -> Request {
        Request {
            method,
            path: path.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            content_format: None,
            accept: None,
            observe: None,
            payload: Vec::new(),
            reliability: Reliability::Confirmable,
        }
    }

    /// With one more Uri-Query argument.
    #[must_use]
    pub fn query(mut self, argument: impl Into<String>) -> Request {
        self.query.push(argument.into());
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, content_format: u16, payload: impl Into<Vec<u8>>) -> Request {
        self.content_format = Some(content_format);
        self.payload = payload.into();
        self
    }

    /// With an Accept option.
    #[must_use]
    pub fn accept(mut self, content_format: u16) -> Request {
        self.accept = Some(content_format);
        self
    }

    /// With Observe = 0: the response may be followed by notifications.
    #[must_use]
    pub fn observing(mut self) -> Request {
        self.observe = Some(Observe::Register);
        self
    }
}

/// A response as the application sees it, with its complete body.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The response code.
    pub code: Code,
    /// The Content-Format of the payload.
    pub content_format: Option<u16>,
    /// The Location-Path segments.
    pub location: Vec<String>,
    /// The Observe sequence number of a received response; not used when sending.
    pub observe: Option<u32>,
    /// The body.
    pub payload: Vec<u8>,
}

impl Response {
    /// A response without a body.
    pub fn new(code: Code) -> Response {
        Response {
            code,
            content_format: None,
            location: Vec::new(),
            observe: None,
            payload: Vec::new(),
        }
    }

    /// 2.05 with a body.
    pub fn content(content_format: u16, payload: impl Into<Vec<u8>>) -> Response {
        Response {
            content_format: Some(content_format),
            payload: payload.into(),
            ..Response::new(Code::CONTENT)
        }
    }

    /// With a Location-Path.
    #[must_use]
    pub fn location<S: Into<String>>(mut self, path: impl IntoIterator<Item = S>) -> Response {
        self.location = path.into_iter().map(Into::into).collect();
        self
    }
}

/// Bodies can hold keys, so only their length is printed.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path) = (self.method, self.path.join("/"));
        write!(
            f,
            "{method:?} /{path} ?{:?} content {:?}",
            self.query, self.content_format
        )?;
        write!(f, " accept {:?} observe {:?}", self.accept, self.observe)?;
        write!(f, " {:?} {} octets", self.reliability, self.payload.len())
    }
}

/// Bodies can hold keys, so only their length is printed.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} content {:?} location {:?}",
            self.code, self.content_format, self.location
        )?;
        write!(
            f,
            " observe {:?} {} octets",
            self.observe,
            self.payload.len()
        )
    }
}

/// Names one of our requests, and the observation that it may have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(crate) u64);

/// Names one of the peer's requests, and the observation that it may have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub(crate) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer sent a request. Answer it with [`crate::Endpoint::respond`] or
    /// [`crate::Endpoint::respond_observed`].
    Request {
        /// Names the request in the answer.
        exchange: ExchangeId,
        /// The request.
        request: Request,
    },
    /// The peer answered one of our requests.
    Response {
        /// The request.
        token: Token,
        /// The answer, which may have an error code.
        response: Response,
    },
    /// The peer sent a newer representation of a resource that we observe. A response without
    /// Observe, or with an error code, ends the observation.
    Notification {
        /// The request that began the observation.
        token: Token,
        /// The representation.
        response: Response,
    },
    /// No answer will come to one of our requests.
    Failed {
        /// The request.
        token: Token,
        /// The reason.
        reason: FailureReason,
    },
    /// The peer no longer observes: it deregistered, registered again, or didn't answer.
    ObserverGone {
        /// The exchange that began the observation.
        exchange: ExchangeId,
    },
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    /// The peer didn't acknowledge, or acknowledged and never answered.
    #[error("no answer in time")]
    Timeout,
    /// The peer sent a Reset.
    #[error("the peer reset the exchange")]
    Reset,
    /// The response has an unknown code or an unknown critical option.
    #[error("the answer has a critical option or code that is not understood")]
    Unintelligible,
    /// The blocks of the response, or the peer's acknowledgements of ours, don't fit together.
    #[error("the blocks of the transfer do not fit together")]
    BlockMismatch,
    /// The response is longer than [`crate::Config::max_body`].
    #[error("the answer is longer than allowed")]
    TooLarge,
}
