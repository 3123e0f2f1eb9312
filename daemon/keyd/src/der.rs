//! The part of DER (X.690) that keyd needs to write a certificate request and to read a
//! certificate.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// ecdsa-with-SHA256 as an AlgorithmIdentifier (RFC 5758 §3.2).
pub(crate) const ECDSA_WITH_SHA256: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];
/// id-at-commonName (RFC 5280 Appendix A.1).
pub(crate) const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Encodes a value with this tag. `contents` holds its contents in parts, together at most 65,535
/// octets.
pub(crate) fn value(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let mut der = Vec::with_capacity(4 + length);
    der.push(tag);
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        _ => {
            der.push(0x82);
            der.extend((length as u16).to_be_bytes());
        }
    }
    contents.iter().for_each(|part| der.extend_from_slice(part));
    der
}

/// Reads values one after the other. It returns `None` if the next value has another tag, is
/// incomplete, or has a length that isn't in the shortest form.
pub(crate) struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    pub(crate) fn new(der: &'d [u8]) -> Self {
        Self(der)
    }

    /// The contents of the next value.
    pub(crate) fn contents(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next(tag).map(|(_, contents)| contents)
    }

    /// The next value, including its head.
    pub(crate) fn whole(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next(tag).map(|(whole, _)| whole)
    }

    /// The contents of the next value, which must be the last.
    pub(crate) fn last(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.contents(tag).filter(|_| self.0.is_empty())
    }

    fn next(&mut self, tag: u8) -> Option<(&'d [u8], &'d [u8])> {
        let (head, length) = match *self.0 {
            [got, ..] if got != tag => return None,
            [_, length @ 0..=0x7f, ..] => (2, usize::from(length)),
            [_, 0x81, length @ 0x80..=0xff, ..] => (3, usize::from(length)),
            [_, 0x82, high @ 1..=0xff, low, ..] => {
                (4, usize::from(u16::from_be_bytes([high, low])))
            }
            _ => return None,
        };
        let (whole, rest) = self.0.split_at_checked(head + length)?;
        self.0 = rest;
        Some((whole, &whole[head..]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_back_at_each_length_of_head() {
        for length in [0, 1, 127, 128, 255, 256, 65535] {
            let contents = vec![7; length];
            let der = value(SEQUENCE, &[&contents]);
            assert_eq!(
                Reader::new(&der).last(SEQUENCE),
                Some(&contents[..]),
                "{length}"
            );
            assert_eq!(Reader::new(&der).whole(SEQUENCE), Some(&der[..]));
            assert_eq!(Reader::new(&der).contents(SET), None);
        }
    }

    #[test]
    fn what_is_cut_off_or_in_a_long_form_is_no_value() {
        for der in [
            &[0x30][..],
            &[0x30, 0x01],
            &[0x30, 0x81, 0x7f],
            &[0x30, 0x81, 0x01, 0x00],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x80, 0x00, 0x00],
            &[0x30, 0x83, 0x00, 0x00, 0x00],
            &[],
        ] {
            assert_eq!(Reader::new(der).contents(SEQUENCE), None, "{der:02x?}");
        }
    }

    #[test]
    fn octets_behind_the_last_value_are_refused() {
        assert_eq!(Reader::new(&[0x30, 0x00, 0x00]).last(SEQUENCE), None);
    }
}
