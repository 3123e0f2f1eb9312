//! The messages of wpa_supplicant on its control socket when it uses an external SIM, and the
//! answers.
//!
//! ```text
//! <3>CTRL-REQ-SIM-<id>:UMTS-AUTH:<RAND>:<AUTN> needed for SSID <ssid>
//!                                            -> CTRL-RSP-SIM-<id>:UMTS-AUTH:<IK>:<CK>:<RES>
//!                                               CTRL-RSP-SIM-<id>:UMTS-AUTS:<AUTS>
//!                                               CTRL-RSP-SIM-<id>:UMTS-FAIL
//! <3>CTRL-REQ-SIM-<id>:GSM-AUTH:<RAND>:<RAND>[:<RAND>] needed for SSID <ssid>
//!                                            -> CTRL-RSP-SIM-<id>:GSM-FAIL
//! ```

use softsim_client::proto::UmtsAnswer;
use zeroize::Zeroizing;

/// The longest message that the bridge parses, in octets. A request has at most half as many.
pub(crate) const MAX_MESSAGE: usize = 1024;

/// The longest response in octets: the prefix, a number, IK, CK and the longest RES in hexadecimal.
const MAX_RESPONSE: usize = 160;

/// A message of wpa_supplicant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The answer to a command: `OK`.
    Ok,
    /// The answer to a command: `FAIL`.
    Fail,
    /// The answer to `PING`.
    Pong,
    /// It requests an authentication by the SIM.
    Request(Request),
    /// It is about to end.
    Terminating,
    /// An event of no concern, or none of its messages.
    Other,
}

/// A request to the SIM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The id of the network in wpa_supplicant's configuration, which the response repeats.
    pub id: u32,
    /// The requested authentication.
    pub ask: Ask,
}

/// The authentication that the SIM has to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// AKA (TS 33.102 §6.3).
    Umts {
        /// RAND.
        rand: [u8; 16],
        /// AUTN.
        autn: [u8; 16],
    },
    /// GSM authentication, which the SIM refuses, because its keys have 64 bits.
    Gsm,
}

impl Message {
    /// Parses one datagram. Anything that isn't exactly one of the known forms is
    /// [`Message::Other`].
    pub(crate) fn parse(datagram: &[u8]) -> Self {
        // A datagram that fills the buffer may have been cut off.
        if datagram.len() >= MAX_MESSAGE {
            return Self::Other;
        }
        match datagram.strip_suffix(b"\n").unwrap_or(datagram) {
            b"OK" => Self::Ok,
            b"FAIL" => Self::Fail,
            b"PONG" => Self::Pong,
            text => event(text).unwrap_or(Self::Other),
        }
    }
}

/// Parses `<priority>` and the event after it.
fn event(text: &[u8]) -> Option<Message> {
    let text = text.strip_prefix(b"<")?;
    let end = text.iter().position(|&octet| octet == b'>')?;
    let (priority, text) = (number(&text[..end])?, &text[end + 1..]);
    if priority > 7 {
        return None;
    }
    if text.starts_with(b"CTRL-EVENT-TERMINATING") {
        return Some(Message::Terminating);
    }
    request(text.strip_prefix(b"CTRL-REQ-SIM-")?).map(Message::Request)
}

/// Parses `<id>:<what>:<fields>`. After a space, a text for people follows, which holds the name of
/// a network.
fn request(text: &[u8]) -> Option<Request> {
    let end = text.iter().position(|&octet| octet == b' ')?;
    let mut fields = text[..end].split(|&octet| octet == b':');
    let id = number(fields.next()?)?;
    let ask = match fields.next()? {
        b"UMTS-AUTH" => {
            let (rand, autn) = (octets(fields.next()?)?, octets(fields.next()?)?);
            match fields.next() {
                None => Ask::Umts { rand, autn },
                Some(_) => return None,
            }
        }
        b"GSM-AUTH" => Ask::Gsm,
        _ => return None,
    };
    Some(Request { id, ask })
}

/// Parses a decimal number without a sign.
fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Parses exactly 16 octets in hexadecimal.
fn octets(digits: &[u8]) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = digits.try_into().ok()?;
    let mut octets = [0; 16];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| (digit as char).to_digit(16));
        *octet = (high? << 4 | low?) as u8;
    }
    Some(octets)
}

/// The response to an authentication. `None` means that it failed.
pub(crate) fn umts_response(id: u32, answer: Option<&UmtsAnswer>) -> Zeroizing<Vec<u8>> {
    // The vector must not grow, because that would leave a copy of the keys behind.
    let mut response = Zeroizing::new(Vec::with_capacity(MAX_RESPONSE));
    response.extend(format!("CTRL-RSP-SIM-{id}:UMTS-").as_bytes());
    match answer {
        Some(UmtsAnswer::Success { res, ck, ik }) => {
            response.extend(b"AUTH");
            // IK comes first.
            for field in [ik, ck, res] {
                response.push(b':');
                hexadecimal(&mut response, field.expose());
            }
        }
        Some(UmtsAnswer::SynchronisationFailure { auts }) => {
            response.extend(b"AUTS:");
            hexadecimal(&mut response, auts);
        }
        None => response.extend(b"FAIL"),
    }
    response
}

/// The response to a GSM authentication.
pub(crate) fn gsm_response(id: u32) -> Vec<u8> {
    format!("CTRL-RSP-SIM-{id}:GSM-FAIL").into_bytes()
}

/// Writes hexadecimal digits. It computes them, because a look-up in a table would leak them
/// through the cache.
fn hexadecimal(text: &mut Vec<u8>, octets: &[u8]) {
    let digit = |value: u8| value + b'0' + (9u8.wrapping_sub(value) >> 7) * (b'a' - b'9' - 1);
    for octet in octets {
        text.extend([digit(octet >> 4), digit(octet & 15)]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_client::proto::SecretBytes;

    use super::*;

    const RAND: &str = "000102030405060708090a0b0c0d0e0f";
    const AUTN: &str = "F0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

    fn parse(text: &str) -> Message {
        Message::parse(text.as_bytes())
    }

    #[test]
    fn a_request_for_aka_names_network_rand_and_autn() {
        let text = format!("<3>CTRL-REQ-SIM-7:UMTS-AUTH:{RAND}:{AUTN} needed for SSID any:name x");
        let rand = std::array::from_fn(|at| at as u8);
        let autn = std::array::from_fn(|at| 0xf0 + at as u8);
        let ask = Ask::Umts { rand, autn };
        assert_eq!(parse(&text), Message::Request(Request { id: 7, ask }));
    }

    #[test]
    fn wired_interfaces_have_no_ssid() {
        let text = format!("<3>CTRL-REQ-SIM-0:UMTS-AUTH:{RAND}:{AUTN} needed for SSID ");
        assert!(matches!(parse(&text), Message::Request(_)));
    }

    #[test]
    fn gsm_authentication_is_recognised_to_be_refused() {
        let text = format!("<3>CTRL-REQ-SIM-1:GSM-AUTH:{RAND}:{RAND}:{RAND} needed for SSID x");
        let ask = Ask::Gsm;
        assert_eq!(parse(&text), Message::Request(Request { id: 1, ask }));
        assert_eq!(gsm_response(1), b"CTRL-RSP-SIM-1:GSM-FAIL");
    }

    #[test]
    fn answers_to_commands_and_the_end_are_recognised() {
        assert_eq!(parse("OK\n"), Message::Ok);
        assert_eq!(parse("FAIL\n"), Message::Fail);
        assert_eq!(parse("PONG\n"), Message::Pong);
        assert_eq!(parse("<2>CTRL-EVENT-TERMINATING "), Message::Terminating);
    }

    #[test]
    fn whatever_else_comes_is_no_request() {
        let long = "x".repeat(MAX_MESSAGE);
        for text in [
            String::new(),
            "<".into(),
            "<3>".into(),
            "<3>CTRL-EVENT-CONNECTED - Connection to 01:80:c2:00:00:03 completed".into(),
            "<3>CTRL-REQ-SIM-".into(),
            "<3>CTRL-REQ-SIM-1:".into(),
            "<3>CTRL-REQ-PASSWORD-1:Password needed for SSID x".into(),
            format!("<3>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{AUTN}"),
            format!("<9>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("<>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM--1:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-+1:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-4294967296:UMTS-AUTH:{RAND}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND} needed"),
            format!("<3>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{AUTN}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}00:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-1:UMTS-AUTH:{}:{AUTN} needed", &RAND[2..]),
            format!(
                "<3>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{} needed",
                "zz".repeat(16)
            ),
            format!("<3>CTRL-REQ-SIM-1:SIM-AUTH:{RAND}:{AUTN} needed"),
            format!("<3>CTRL-REQ-SIM-1:UMTS-AUTH:{RAND}:{AUTN} needed for SSID {long}"),
        ] {
            assert_eq!(parse(&text), Message::Other, "{text}");
        }
        assert_eq!(Message::parse(&[0xff; 64]), Message::Other);
        assert_eq!(Message::parse(b"<\xff>CTRL-REQ-SIM-1"), Message::Other);
    }

    #[test]
    fn keys_are_answered_with_ik_first() {
        let secret = |octet, length| SecretBytes::new(vec![octet; length]);
        let answer = UmtsAnswer::Success {
            res: secret(0x09, 16),
            ck: secret(0xaf, 16),
            ik: secret(0x1a, 16),
        };
        let expected = format!(
            "CTRL-RSP-SIM-4294967295:UMTS-AUTH:{}:{}:{}",
            "1a".repeat(16),
            "af".repeat(16),
            "09".repeat(16)
        );
        let response = umts_response(u32::MAX, Some(&answer));
        assert_eq!(response.as_slice(), expected.as_bytes());
        assert!(response.len() <= MAX_RESPONSE, "it was never grown");
    }

    #[test]
    fn every_octet_has_its_digits() {
        let octets: Vec<u8> = (0..=255).collect();
        let mut text = Vec::new();
        hexadecimal(&mut text, &octets);
        let expected: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(text, expected.as_bytes());
    }

    #[test]
    fn a_stale_sqn_is_answered_with_auts_and_anything_else_with_a_failure() {
        let answer = UmtsAnswer::SynchronisationFailure { auts: [0x5c; 14] };
        let expected = format!("CTRL-RSP-SIM-0:UMTS-AUTS:{}", "5c".repeat(14));
        assert_eq!(
            umts_response(0, Some(&answer)).as_slice(),
            expected.as_bytes()
        );
        assert_eq!(
            umts_response(3, None).as_slice(),
            b"CTRL-RSP-SIM-3:UMTS-FAIL"
        );
    }
}
