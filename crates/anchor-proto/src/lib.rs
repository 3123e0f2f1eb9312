//! The messages between the key process and `softsim-anchord`, which holds the rollback anchor in a
//! TPM.
//!
//! They are datagrams of a SOCK_SEQPACKET socket. Each has nine octets: its kind, and a number,
//! most significant octet first. The key process sends one request at a time and waits for its
//! answer.
//!
//! | request | kind | number |
//! |---|---|---|
//! | [`Request::Value`]: which epoch does the counter hold? | 1 | 0 |
//! | [`Request::Advance`]: raise it to this epoch | 2 | the epoch |
//!
//! | answer | kind | number |
//! |---|---|---|
//! | [`Answer::At`]: the counter holds this epoch | 0 | the epoch |
//! | [`Answer::NotOneStep`]: nothing was done, because a counter rises by one | 1 | what the counter holds |
//! | [`Answer::Refused`]: the TPM refused, and may have raised the counter or not | 2 | its response code |
//!
//! To raise the counter to the epoch that it holds already is no error, so that a key process that
//! missed an answer can ask again after its restart.
#![no_std]

/// The length of every message.
pub const LENGTH: usize = 9;

/// A message of the key process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which epoch does the counter hold?
    Value,
    /// Raise the counter to this epoch, which is the one that it holds or the next.
    Advance(u64),
}

/// A message of `softsim-anchord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The counter holds this epoch, durably.
    At(u64),
    /// The counter holds this epoch, from which the requested one isn't one step away.
    NotOneStep(u64),
    /// The TPM refused with this response code.
    Refused(u32),
}

impl Request {
    /// The datagram.
    pub fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::Value => message(1, 0),
            Self::Advance(to) => message(2, to),
        }
    }

    /// Reads a datagram; `None` if it is anything but a request.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        match parts(datagram)? {
            (1, 0) => Some(Self::Value),
            (2, to) => Some(Self::Advance(to)),
            _ => None,
        }
    }
}

impl Answer {
    /// The datagram.
    pub fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::At(epoch) => message(0, epoch),
            Self::NotOneStep(epoch) => message(1, epoch),
            Self::Refused(code) => message(2, code.into()),
        }
    }

    /// Reads a datagram; `None` if it is anything but an answer.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        match parts(datagram)? {
            (0, epoch) => Some(Self::At(epoch)),
            (1, epoch) => Some(Self::NotOneStep(epoch)),
            (2, code) => code.try_into().ok().map(Self::Refused),
            _ => None,
        }
    }
}

fn message(kind: u8, number: u64) -> [u8; LENGTH] {
    let mut message = [kind; LENGTH];
    message[1..].copy_from_slice(&number.to_be_bytes());
    message
}

fn parts(datagram: &[u8]) -> Option<(u8, u64)> {
    let message: &[u8; LENGTH] = datagram.try_into().ok()?;
    let (kind, number) = message.split_first_chunk::<1>()?;
    let number = number.try_into().ok()?;
    Some((kind[0], u64::from_be_bytes(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for request in [
            Request::Value,
            Request::Advance(0),
            Request::Advance(u64::MAX),
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for answer in [
            Answer::At(7),
            Answer::NotOneStep(u64::MAX),
            Answer::Refused(0x921),
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        let advance = [2, 0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(Request::Advance(0x102).encode(), advance);
    }

    #[test]
    fn anything_else_is_no_message() {
        let value = Request::Value.encode();
        for datagram in [
            &value[..8],
            &[0; LENGTH + 1],
            &[1, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0; LENGTH],
            &[3; LENGTH],
            &[],
        ] {
            assert_eq!(Request::decode(datagram), None, "{datagram:?}");
        }
        // A response code has 32 bits.
        assert_eq!(Answer::decode(&[2, 0, 0, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(Answer::decode(&[3; LENGTH]), None);
        assert_eq!(Answer::decode(&[]), None);
    }
}
