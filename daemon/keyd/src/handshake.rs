//! The check of a DTLS 1.2 handshake before keyd signs it: it must be a client's handshake with our
//! certificate.
//!
//! Every SignHandshake goes through this check, so that somebody who takes over netd can have
//! handshakes signed, but nothing else of their choice. The first octet of a transcript, 1,
//! distinguishes it from everything else that the device key signs (the DER of a request begins
//! with 0x30, COSE with 0x84).

use softsim_keyd_proto::HandshakeFault;

/// Type, length, message_seq, fragment_offset, fragment_length (RFC 6347 §4.2.2).
const HEAD: usize = 12;

// Handshake types (RFC 5246 §7.4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// client_version of DTLS 1.2 (RFC 6347 §4.2.1).
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];

/// The messages of a full handshake with a client certificate, up to CertificateVerify (RFC 5246
/// §7.3).
const CLIENT_FIRST: [u8; 1] = [CLIENT_HELLO];
const SERVER: [u8; 5] = [
    SERVER_HELLO,
    CERTIFICATE,
    SERVER_KEY_EXCHANGE,
    CERTIFICATE_REQUEST,
    SERVER_HELLO_DONE,
];
const CLIENT_SECOND: [u8; 2] = [CERTIFICATE, CLIENT_KEY_EXCHANGE];

/// Checks a transcript that is to be signed in CertificateVerify. It holds all messages with their
/// DTLS headers, each as if it had been sent in one fragment, but not the first ClientHello and the
/// HelloVerifyRequest of a cookie exchange (RFC 6347 §4.2.6).
pub(crate) fn check(transcript: &[u8], own_certificate: &[u8]) -> Result<(), HandshakeFault> {
    let mut messages = Messages(transcript);
    let hello = messages.flight(&CLIENT_FIRST, None)?;
    if !hello.body.starts_with(&DTLS_1_2) {
        return Err(HandshakeFault::Framing);
    }
    messages.flight(&SERVER, None)?;
    let certificate = messages.flight(&CLIENT_SECOND[..1], Some(hello.sequence))?;
    if !holds_only(certificate.body, own_certificate) {
        return Err(HandshakeFault::Certificate);
    }
    messages
        .flight(&CLIENT_SECOND[1..], Some(certificate.sequence))
        .map_err(|fault| match fault {
            HandshakeFault::Order { .. } => HandshakeFault::End,
            other => other,
        })?;
    if messages.0.is_empty() {
        Ok(())
    } else {
        Err(HandshakeFault::End)
    }
}

/// One handshake message.
#[derive(Clone, Copy)]
struct Message<'t> {
    kind: u8,
    sequence: u16,
    body: &'t [u8],
}

/// The remaining messages.
struct Messages<'t>(&'t [u8]);

impl<'t> Messages<'t> {
    /// Reads messages of these types, with rising message_seq, and returns the last one.
    fn flight(
        &mut self,
        kinds: &[u8],
        mut previous: Option<u16>,
    ) -> Result<Message<'t>, HandshakeFault> {
        let mut last = None;
        for &expected in kinds {
            let message = self.next()?.ok_or(HandshakeFault::End)?;
            if message.kind != expected {
                return Err(HandshakeFault::Order {
                    expected,
                    got: message.kind,
                });
            }
            if previous.is_some_and(|previous| previous.checked_add(1) != Some(message.sequence)) {
                return Err(HandshakeFault::Framing);
            }
            previous = Some(message.sequence);
            last = Some(message);
        }
        last.ok_or(HandshakeFault::End)
    }

    fn next(&mut self) -> Result<Option<Message<'t>>, HandshakeFault> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (head, rest) = self
            .0
            .split_first_chunk::<HEAD>()
            .ok_or(HandshakeFault::Framing)?;
        let [kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        let whole = [o0, o1, o2] == [0; 3] && [f0, f1, f2] == [l0, l1, l2];
        let (body, rest) = rest
            .split_at_checked(length as usize)
            .filter(|_| whole)
            .ok_or(HandshakeFault::Framing)?;
        self.0 = rest;
        Ok(Some(Message {
            kind,
            sequence: u16::from_be_bytes([s0, s1]),
            body,
        }))
    }
}

/// Whether a Certificate message (RFC 5246 §7.4.2) holds exactly this certificate.
fn holds_only(body: &[u8], certificate: &[u8]) -> bool {
    vector(body)
        .filter(|(_, rest)| rest.is_empty())
        .and_then(|(list, _)| vector(list))
        .is_some_and(|(first, rest)| rest.is_empty() && first == certificate)
}

/// Splits off a vector whose length has three octets.
fn vector(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[l0, l1, l2], rest) = octets.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes([0, l0, l1, l2]) as usize)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const DEVICE_CERTIFICATE: &[u8] = b"the device certificate";

    fn message(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_be_bytes();
        let mut message = vec![kind];
        message.extend(&length[1..]);
        message.extend(sequence.to_be_bytes());
        message.extend([0; 3]);
        message.extend(&length[1..]);
        message.extend(body);
        message
    }

    fn certificates(list: &[&[u8]]) -> Vec<u8> {
        let length = |octets: usize| (octets as u32).to_be_bytes()[1..].to_vec();
        let mut entries = Vec::new();
        for certificate in list {
            entries.extend(length(certificate.len()));
            entries.extend(*certificate);
        }
        [length(entries.len()), entries].concat()
    }

    /// A handshake after a cookie exchange, in parts.
    fn parts(device_certificate: &[u8]) -> Vec<Vec<u8>> {
        vec![
            message(CLIENT_HELLO, 1, &[0xfe, 0xfd, 7, 7]),
            message(SERVER_HELLO, 1, &[0xfe, 0xfd]),
            message(CERTIFICATE, 2, &certificates(&[b"the server's"])),
            message(SERVER_KEY_EXCHANGE, 3, b"ecdhe"),
            message(CERTIFICATE_REQUEST, 4, b"ecdsa"),
            message(SERVER_HELLO_DONE, 5, b""),
            message(CERTIFICATE, 2, &certificates(&[device_certificate])),
            message(CLIENT_KEY_EXCHANGE, 3, b"point"),
        ]
    }

    /// A transcript that is signed if this is the device certificate.
    pub(crate) fn transcript(device_certificate: &[u8]) -> Vec<u8> {
        parts(device_certificate).concat()
    }

    fn fault(parts: &[Vec<u8>]) -> HandshakeFault {
        check(&parts.concat(), DEVICE_CERTIFICATE).unwrap_err()
    }

    #[test]
    fn a_clients_handshake_is_signed_with_and_without_a_cookie_exchange() {
        assert_eq!(
            check(&transcript(DEVICE_CERTIFICATE), DEVICE_CERTIFICATE),
            Ok(())
        );
        let mut parts = parts(DEVICE_CERTIFICATE);
        for (part, sequence) in parts.iter_mut().zip([0u16, 0, 1, 2, 3, 4, 1, 2]) {
            part[4..6].copy_from_slice(&sequence.to_be_bytes());
        }
        assert_eq!(check(&parts.concat(), DEVICE_CERTIFICATE), Ok(()));
    }

    #[test]
    fn a_missing_message_is_told_by_the_one_in_its_place() {
        let expected = [1, 2, 11, 12, 13, 14, 11];
        for (place, expected) in expected.into_iter().enumerate() {
            let mut parts = parts(DEVICE_CERTIFICATE);
            parts.remove(place);
            let got = parts[place][0];
            assert_eq!(fault(&parts), HandshakeFault::Order { expected, got });
        }
    }

    #[test]
    fn the_transcript_ends_in_client_key_exchange() {
        let whole = parts(DEVICE_CERTIFICATE);
        for end in 0..whole.len() {
            assert_eq!(
                fault(&whole[..end]),
                HandshakeFault::End,
                "after {end} messages"
            );
        }
        let mut longer = whole.clone();
        longer.push(message(15, 4, b"CertificateVerify"));
        assert_eq!(fault(&longer), HandshakeFault::End);
        let mut other = whole;
        other[7][0] = 20;
        assert_eq!(fault(&other), HandshakeFault::End);
    }

    #[test]
    fn only_a_certificate_message_with_the_device_certificate_alone_is_signed() {
        for list in [
            certificates(&[]),
            certificates(&[b"another"]),
            certificates(&[DEVICE_CERTIFICATE, b"its issuer"]),
            certificates(&[b"another", DEVICE_CERTIFICATE]),
            [certificates(&[DEVICE_CERTIFICATE]), vec![0]].concat(),
            vec![0, 0],
            b"\0\0\xff".to_vec(),
        ] {
            let mut parts = parts(DEVICE_CERTIFICATE);
            parts[6] = message(CERTIFICATE, 2, &list);
            assert_eq!(fault(&parts), HandshakeFault::Certificate, "{list:02x?}");
        }
    }

    #[test]
    fn a_servers_view_of_a_handshake_is_not_signed() {
        // The device certificate in the server's place, ours in nobody's.
        let mut parts = parts(b"another");
        parts[2] = message(CERTIFICATE, 2, &certificates(&[DEVICE_CERTIFICATE]));
        assert_eq!(fault(&parts), HandshakeFault::Certificate);
    }

    #[test]
    fn fragments_gaps_and_other_versions_are_framing_faults() {
        for (place, octet, value) in [
            (0, 12, 3), // TLS in place of DTLS 1.2
            (0, 3, 5),  // length beyond fragment_length
            (3, 8, 1),  // fragment_offset
            (3, 11, 1), // fragment_length
            (4, 5, 5),  // a gap in the server's message_seq
            (6, 5, 4),  // a gap in the client's
            (7, 5, 2),  // a repetition
        ] {
            let mut parts = parts(DEVICE_CERTIFICATE);
            parts[place][octet] = value;
            assert_eq!(fault(&parts), HandshakeFault::Framing, "{place} {octet}");
        }
        assert_eq!(
            check(&transcript(DEVICE_CERTIFICATE)[..5], DEVICE_CERTIFICATE),
            Err(HandshakeFault::Framing)
        );
        assert_eq!(check(b"", DEVICE_CERTIFICATE), Err(HandshakeFault::End));
    }

    proptest! {
        #[test]
        fn no_transcript_with_a_changed_octet_outside_the_bodies_passes(
            place in 0usize..8,
            octet in 0usize..HEAD,
            flip in 1u8..=255,
        ) {
            let mut parts = parts(DEVICE_CERTIFICATE);
            parts[place][octet] ^= flip;
            // message_seq of each side's first message is free.
            let first = place < 2 && (4..6).contains(&octet);
            let shifted = first || place == 0;
            prop_assert!(check(&parts.concat(), DEVICE_CERTIFICATE).is_err() || shifted);
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(check(&octets, DEVICE_CERTIFICATE).is_err());
        }
    }
}
