//! The transcript of a DTLS 1.2 handshake up to the client's CertificateVerify.

/// All messages of a client's handshake up to ClientKeyExchange, with `own` as its certificate.
pub fn transcript(own: &[u8]) -> Vec<u8> {
    let length = |octets: usize| (octets as u32).to_be_bytes()[1..].to_vec();
    let message = |kind: u8, sequence: u8, body: &[u8]| {
        let head = [vec![kind], length(body.len()), vec![0, sequence, 0, 0, 0]].concat();
        [head, length(body.len()), body.to_vec()].concat()
    };
    let entry = [length(own.len()), own.to_vec()].concat();
    let list = [length(entry.len()), entry].concat();
    [
        message(1, 1, &[0xfe, 0xfd]),
        message(2, 1, b""),
        message(11, 2, &[0, 0, 0]),
        message(12, 3, b""),
        message(13, 4, b""),
        message(14, 5, b""),
        message(11, 2, &list),
        message(16, 3, b"point"),
    ]
    .concat()
}
