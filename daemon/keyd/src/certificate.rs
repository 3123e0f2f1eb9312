//! Writes the certificate request, and reads the public key of a certificate.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// id-at-commonName (RFC 5280 Appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// The tag of a request's attributes, and of a certificate's version.
const CONTEXT_0: Tag = Tag::ContextSpecific {
    constructed: true,
    number: TagNumber(0),
};

/// Encodes a PKCS #10 request (RFC 2986 §4) with version 0, a common name, a SubjectPublicKeyInfo
/// and no attributes. `sign` returns the ECDSA signature in DER.
pub(crate) fn request(
    common_name: &str,
    public_key: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let kind = value(Tag::ObjectIdentifier, &[COMMON_NAME.as_bytes()]);
    let name = value(Tag::Utf8String, &[common_name.as_bytes()]);
    let attribute = value(Tag::Sequence, &[&kind, &name]);
    let subject = value(Tag::Sequence, &[&value(Tag::Set, &[&attribute])]);

    let version = value(Tag::Integer, &[&[0]]);
    let attributes = value(CONTEXT_0, &[]);
    let info = value(
        Tag::Sequence,
        &[&version, &subject, public_key, &attributes],
    );

    let identifier = value(Tag::ObjectIdentifier, &[ECDSA_WITH_SHA256.as_bytes()]);
    let algorithm = value(Tag::Sequence, &[&identifier]);
    // The first octet of a BIT STRING is the number of unused bits in its last octet.
    let signature = value(Tag::BitString, &[&[0], &sign(&info)]);
    value(Tag::Sequence, &[&info, &algorithm, &signature])
}

/// Encodes a value. Its contents are the concatenated parts, which are short.
fn value(tag: Tag, contents: &[&[u8]]) -> Vec<u8> {
    // expect() would link the error's Debug implementation.
    AnyRef::new(tag, &contents.concat())
        .and_then(|value| value.to_der())
        .unwrap_or_else(|_| unreachable!("DER has lengths up to 2^28 octets"))
}

/// Returns the SubjectPublicKeyInfo of an X.509 certificate of version 3 (RFC 5280 §4.1).
///
/// It doesn't verify the certificate's signature; the servers do.
pub(crate) fn subject_public_key(certificate: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(certificate)?;
    let key = reader.sequence(of_certificate)?;
    reader.finish()?;
    Ok(key)
}

/// Reads the contents of a Certificate, and returns the key.
fn of_certificate<'d>(certificate: &mut SliceReader<'d>) -> der::Result<&'d [u8]> {
    let key = certificate.sequence(of_tbs)?;
    pass(certificate, Tag::Sequence)?;
    pass(certificate, Tag::BitString)?;
    Ok(key)
}

/// Reads the contents of a TBSCertificate, and returns the key.
fn of_tbs<'d>(tbs: &mut SliceReader<'d>) -> der::Result<&'d [u8]> {
    pass(tbs, CONTEXT_0)?;
    pass(tbs, Tag::Integer)?;
    // Signature algorithm, issuer, validity and subject.
    for _ in 0..4 {
        pass(tbs, Tag::Sequence)?;
    }
    Tag::peek(tbs)?.assert_eq(Tag::Sequence)?;
    let key = tbs.tlv_bytes()?;
    // The servers evaluate the extensions, too.
    tbs.read_slice(tbs.remaining_len())?;
    Ok(key)
}

/// Skips the next value, which must have this tag.
fn pass(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<()> {
    AnyRef::decode(reader)?.tag().assert_eq(tag).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KEY: [u8; 4] = [0x30, 0x02, 0x05, 0x00];

    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        [&[tag, contents.len() as u8][..], &contents].concat()
    }

    /// A certificate with `KEY`, these extensions and otherwise empty fields.
    fn certificate(version: &[u8], extensions: &[u8]) -> Vec<u8> {
        let empty = value(0x30, &[]);
        let tbs = [
            version,
            &[0x02, 0x01, 0x07],
            &empty.repeat(4),
            &KEY,
            extensions,
        ];
        value(
            0x30,
            &[&value(0x30, &tbs), &empty, &[0x03, 0x02, 0x00, 0x01]],
        )
    }

    const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];

    #[test]
    fn the_key_of_a_certificate_is_found_whatever_follows_it() {
        for extensions in [&[][..], &[0xa3, 0x02, 0x30, 0x00]] {
            let certificate = certificate(&VERSION_3, extensions);
            assert_eq!(subject_public_key(&certificate), Ok(&KEY[..]));
        }
    }

    #[test]
    fn a_certificate_of_version_1_is_refused() {
        assert!(subject_public_key(&certificate(&[], &[])).is_err());
    }

    #[test]
    fn what_is_cut_off_or_followed_by_octets_is_no_certificate() {
        let whole = certificate(&VERSION_3, &[]);
        for length in 0..whole.len() {
            assert!(subject_public_key(&whole[..length]).is_err(), "{length}");
        }
        assert!(subject_public_key(&[&whole[..], &[0x00]].concat()).is_err());
    }

    #[test]
    fn a_length_in_a_longer_form_is_refused() {
        let whole = certificate(&VERSION_3, &[]);
        let longer = [&[0x30, 0x81], &whole[1..]].concat();
        assert!(subject_public_key(&longer).is_err());
    }
}
