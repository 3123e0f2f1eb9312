//! Encodes and decodes requests and answers.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::requests::{Call, RequestKind};

const ANSWERED: u8 = 0;
const REFUSED: u8 = 1;

/// Why a message can't be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The buffer is too small for the message.
    #[error("the message doesn't fit into the buffer")]
    NoRoom,
    /// The octets don't have the expected shape.
    #[error("the message doesn't have the expected shape")]
    Malformed,
}

/// Encodes a request into `buffer`, and returns the octets that it uses.
pub fn encode_request<'b, C: Call>(call: &C, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
    encode(C::KIND as u8, call, buffer)
}

/// The kind of the request in a datagram. It must be known, and no longer than its limit.
pub fn kind_of(datagram: &[u8]) -> Result<RequestKind, Refusal> {
    let code = datagram.first().copied();
    let kind = code
        .and_then(RequestKind::from_code)
        .ok_or(Refusal::UnknownRequest { got: code })?;
    if datagram.len() > kind.max_length() {
        return Err(Refusal::TooLong {
            request: kind,
            limit: kind.max_length() as u32,
        });
    }
    Ok(kind)
}

/// Decodes a request of the type `C`, which [`kind_of`] has recognised.
pub fn decode_request<'d, C: Call + Deserialize<'d>>(datagram: &'d [u8]) -> Result<C, Refusal> {
    let malformed = Refusal::Malformed { request: C::KIND };
    let Some((&code, body)) = datagram.split_first() else {
        return Err(malformed);
    };
    if code != C::KIND as u8 {
        return Err(malformed);
    }
    match postcard::take_from_bytes(body) {
        Ok((request, [])) => Ok(request),
        _ => Err(malformed),
    }
}

/// Encodes the answer to a request of the type `C` into `buffer`, and returns the octets that it
/// uses.
pub fn encode_answer<'b, C: Call>(
    answer: &Result<C::Answer, Refusal>,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], WireError> {
    match answer {
        Ok(answer) => encode(ANSWERED, answer, buffer),
        Err(refusal) => encode(REFUSED, refusal, buffer),
    }
}

/// Whether an answer is a refusal.
pub fn is_refusal(datagram: &[u8]) -> bool {
    datagram.first() == Some(&REFUSED)
}

/// Decodes the answer to a request of the type `C`.
pub fn decode_answer<C: Call>(datagram: &[u8]) -> Result<Result<C::Answer, Refusal>, WireError> {
    match datagram.split_first() {
        Some((&ANSWERED, body)) => whole(body).map(Ok),
        Some((&REFUSED, body)) => whole(body).map(Err),
        _ => Err(WireError::Malformed),
    }
}

fn encode<'b>(tag: u8, body: &impl Serialize, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
    let (first, rest) = buffer.split_first_mut().ok_or(WireError::NoRoom)?;
    *first = tag;
    let used = postcard::to_slice(body, rest)
        .map_err(|_| WireError::NoRoom)?
        .len();
    Ok(&buffer[..=used])
}

fn whole<'d, T: Deserialize<'d>>(body: &'d [u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(WireError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::requests::*;

    #[test]
    fn a_request_comes_back_as_it_was_sent() {
        let mut buffer = [0; 64];
        let sent = Stage {
            txid: [7; 16],
            package: Some(b"package"),
        };
        let datagram = encode_request(&sent, &mut buffer).unwrap();
        assert_eq!(kind_of(datagram), Ok(RequestKind::Stage));
        let got: Stage<'_> = decode_request(datagram).unwrap();
        assert_eq!((got.txid, got.package), (sent.txid, sent.package));
    }

    #[test]
    fn an_octet_behind_the_last_field_is_malformed() {
        let mut buffer = [0; 64];
        let used = encode_request(&CloseSession { handle: 1 }, &mut buffer)
            .unwrap()
            .len();
        let refusal = decode_request::<CloseSession>(&buffer[..=used]).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Malformed {
                request: RequestKind::CloseSession
            }
        );
    }

    #[test]
    fn a_request_over_its_limit_is_refused_by_its_length_alone() {
        let datagram = [RequestKind::Hello as u8; 17];
        let refusal = kind_of(&datagram).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::TooLong {
                request: RequestKind::Hello,
                limit: 16
            }
        );
    }

    #[test]
    fn an_empty_datagram_and_an_unknown_code_are_told_apart() {
        assert_eq!(kind_of(&[]), Err(Refusal::UnknownRequest { got: None }));
        assert_eq!(
            kind_of(&[255]),
            Err(Refusal::UnknownRequest { got: Some(255) })
        );
    }

    #[test]
    fn no_limit_exceeds_the_longest_request() {
        for kind in RequestKind::ALL {
            assert!(kind.max_length() <= crate::MAX_REQUEST, "{kind}");
            assert_eq!(RequestKind::from_code(*kind as u8), Some(*kind));
        }
    }

    #[test]
    fn secrets_of_an_answer_are_not_printed() {
        let answer = crate::AkaAnswer::Success {
            handle: 1,
            res: crate::SecretBytes::new(vec![0xab; 8]),
            public_key: None,
        };
        let shown = format!("{answer:?}");
        assert!(shown.contains("[redacted]") && !shown.contains("ab, ") && !shown.contains("171"));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(datagram in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(kind) = kind_of(&datagram) {
                prop_assert!(datagram.len() <= kind.max_length());
            }
            let _ = decode_request::<AkaPrimeChallenge<'_>>(&datagram);
            let _ = decode_request::<Stage<'_>>(&datagram);
            let _ = decode_answer::<Status>(&datagram);
        }
    }
}
