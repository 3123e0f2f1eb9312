//! What netd and its connector say to each other: datagrams of an octet, and of an error number
//! where something failed.

use std::io;

/// What the connector sends first, once it has confined itself.
pub const READY: &[u8] = b"ready";

/// The number of an error that isn't the kernel's, and is about an argument.
const EINVAL: i32 = 22;

/// The longest datagram.
pub const MAX: usize = 8;

/// A request of netd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Tell the service manager that netd serves.
    Ready,
    /// Tell the service manager that netd's loop runs.
    Alive,
    /// Tell the service manager that netd is about to end.
    Stopping,
    /// Connect to keyd, and pass the connection. It alone gets an answer.
    Keyd,
}

impl Request {
    const ALL: [Self; 4] = [Self::Ready, Self::Alive, Self::Stopping, Self::Keyd];

    /// The datagram.
    pub fn encode(self) -> [u8; 1] {
        [match self {
            Self::Ready => b'r',
            Self::Alive => b'a',
            Self::Stopping => b's',
            Self::Keyd => b'k',
        }]
    }

    /// The request of a datagram; none if it is something else.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|request| request.encode() == datagram)
    }
}

/// The datagram that comes with a descriptor.
pub const PASSED: &[u8] = b"p";

/// The datagram that says why there is no descriptor.
pub fn failed(error: &io::Error) -> [u8; 5] {
    let number = error.raw_os_error().unwrap_or(EINVAL);
    let [a, b, c, d] = number.to_le_bytes();
    [b'f', a, b, c, d]
}

/// What a datagram without a descriptor says; none if it isn't [`failed`].
pub fn error_of(datagram: &[u8]) -> Option<io::Error> {
    let number = datagram.strip_prefix(b"f")?.try_into().ok()?;
    let number = i32::from_le_bytes(number);
    Some(io::Error::from_raw_os_error(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_and_each_error_is_read_as_it_was_written_and_nothing_else_is() {
        for request in Request::ALL {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for other in [&b""[..], b"x", b"rr", PASSED, READY] {
            assert_eq!(Request::decode(other), None, "{other:?}");
        }
        let refused = io::Error::from_raw_os_error(111);
        let read = error_of(&failed(&refused)).and_then(|error| error.raw_os_error());
        assert_eq!(read, Some(111));
        for other in [&b""[..], b"f", b"f\0\0\0", b"f\0\0\0\0\0", PASSED, READY] {
            assert!(error_of(other).is_none(), "{other:?}");
        }
    }
}
