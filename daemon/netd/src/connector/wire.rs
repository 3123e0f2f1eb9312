//! What netd and its connector say to each other: short datagrams, some of which carry a
//! descriptor.

use std::io;

use softsim_sandbox::regular_file::NotRegular;
use softsim_sandbox::secret_file::Access;

/// What the connector sends first, once it has confined itself.
pub const READY: &[u8] = b"ready";

/// The number of an error that isn't the kernel's, and is about an argument.
const EINVAL: i32 = 22;

/// The longest datagram.
pub const MAX: usize = 16;

/// A request of netd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Tell the service manager that netd serves.
    Ready,
    /// Tell the service manager that netd reads its configuration again, since this microsecond of
    /// the monotonic clock.
    Reloading(u64),
    /// Tell the service manager that netd's loop runs.
    Alive,
    /// Tell the service manager that netd is about to end.
    Stopping,
    /// Connect to keyd, and pass the connection.
    Keyd,
    /// Connect to the port keeper whose socket is at this place of the command line, and pass the
    /// connection.
    Keeper(u16),
    /// Open the file at this place of the command line for reading, and pass it.
    File(u16),
}

impl Request {
    /// The datagram.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Ready => b"r".into(),
            Self::Reloading(since) => [b"c", &since.to_le_bytes()[..]].concat(),
            Self::Alive => b"a".into(),
            Self::Stopping => b"s".into(),
            Self::Keyd => b"k".into(),
            Self::Keeper(place) => [b"p", &place.to_le_bytes()[..]].concat(),
            Self::File(place) => [b"o", &place.to_le_bytes()[..]].concat(),
        }
    }

    /// The request of a datagram; none if it is something else.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let (tag, rest) = datagram.split_first()?;
        match (tag, rest) {
            (b'r', []) => Some(Self::Ready),
            (b'c', since) => Some(Self::Reloading(u64::from_le_bytes(since.try_into().ok()?))),
            (b'a', []) => Some(Self::Alive),
            (b's', []) => Some(Self::Stopping),
            (b'k', []) => Some(Self::Keyd),
            (b'p', place) => Some(Self::Keeper(u16::from_le_bytes(place.try_into().ok()?))),
            (b'o', place) => Some(Self::File(u16::from_le_bytes(place.try_into().ok()?))),
            _ => None,
        }
    }
}

/// The datagram that comes with a connection.
pub const CONNECTED: [u8; 1] = *b"k";

/// The datagram that comes with a file: who may do what with it.
pub fn opened(access: Access) -> [u8; 13] {
    let mut datagram = [b'o'; 13];
    let fields = [access.mode, access.uid, access.gid];
    for (place, field) in datagram[1..].chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    datagram
}

/// What the datagram of a file says; none if it isn't [`opened`].
pub fn access_of(datagram: &[u8]) -> Option<Access> {
    let fields: &[u8; 12] = datagram.strip_prefix(b"o")?.try_into().ok()?;
    let (fields, _) = fields.as_chunks::<4>();
    let [mode, uid, gid] = <[_; 3]>::try_from(fields).ok()?.map(u32::from_le_bytes);
    Some(Access { mode, uid, gid })
}

/// The datagram that says why there is no descriptor: the kernel's error, or what the file is.
pub fn failed(error: &io::Error) -> [u8; 5] {
    let (tag, number) = match NotRegular::of(error) {
        Some(NotRegular(file_type)) => (b't', file_type),
        None => {
            let number = error.raw_os_error().unwrap_or(EINVAL);
            (b'f', number.cast_unsigned())
        }
    };
    let [a, b, c, d] = number.to_le_bytes();
    [tag, a, b, c, d]
}

/// What a datagram without a descriptor says; none if it isn't [`failed`].
pub fn error_of(datagram: &[u8]) -> Option<io::Error> {
    let (tag, number) = datagram.split_first()?;
    let number = u32::from_le_bytes(number.try_into().ok()?);
    match tag {
        b'f' => Some(io::Error::from_raw_os_error(number.cast_signed())),
        b't' => Some(NotRegular(number).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_datagram_is_read_as_it_was_written_and_nothing_else_is() {
        for request in [
            Request::Ready,
            Request::Reloading(1 << 40),
            Request::Alive,
            Request::Stopping,
            Request::Keyd,
            Request::Keeper(258),
            Request::File(257),
        ] {
            let datagram = request.encode();
            assert_eq!(Request::decode(&datagram), Some(request));
            let cut = &datagram[..datagram.len() - 1];
            assert_eq!(Request::decode(cut), None);
            assert_eq!(Request::decode(&[&datagram[..], b"x"].concat()), None);
        }
        assert_eq!(Request::decode(b"x"), None);

        let access = Access {
            mode: 0o640,
            uid: 1,
            gid: 1 << 20,
        };
        let datagram = opened(access);
        assert_eq!(access_of(&datagram), Some(access));
        assert_eq!(access_of(&datagram[..12]), None);
        assert_eq!(access_of(&CONNECTED), None);

        let refused = io::Error::from_raw_os_error(111);
        let datagram = failed(&refused);
        let read = error_of(&datagram).and_then(|error| error.raw_os_error());
        assert_eq!(read, Some(111));
        let pipe = NotRegular(0o010_000);
        let read = error_of(&failed(&pipe.into())).and_then(|error| NotRegular::of(&error));
        assert_eq!(read, Some(pipe));
        for other in [&datagram[..4], b"f", READY, &CONNECTED] {
            assert!(error_of(other).is_none(), "{other:?}");
        }
    }
}
