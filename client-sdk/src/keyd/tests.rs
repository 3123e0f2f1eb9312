#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use softsim_keyd_proto::requests::{AkaPrimeChallenge, Enable, ListProfiles};
use softsim_keyd_proto::{
    AkaAnswer, MAX_REQUEST, ProfilesAnswer, Role, SecretBytes, encode_answer, kind_of,
};

use super::*;

/// A keyd that answers Hello, and then each further request with the next octets of `script`.
fn keyd(script: Vec<Vec<u8>>) -> (tempfile::TempDir, PathBuf, JoinHandle<Vec<Vec<u8>>>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.sock");
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    assert!(path.metadata().unwrap().file_type().is_socket());
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let hello = HelloAnswer {
            version: PROTOCOL_VERSION,
            role: Role::Network,
            max_request: MAX_REQUEST as u32,
            max_handles: 4,
        };
        let mut requests = Vec::new();
        let answers = std::iter::once(answer::<Hello>(&Ok(hello))).chain(script);
        for answer in answers {
            let mut request = vec![0; MAX_REQUEST];
            let length = client.read(&mut request).unwrap();
            request.truncate(length);
            requests.push(request);
            client.write_all(&answer).unwrap();
        }
        requests
    });
    (directory, path, server)
}

fn answer<C: Call>(answer: &Result<C::Answer, Refusal>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_ANSWER];
    encode_answer::<C>(answer, &mut buffer).unwrap().to_vec()
}

#[test]
fn an_answer_has_the_type_that_its_request_names() {
    let success = AkaAnswer::Success {
        handle: 3,
        res: SecretBytes::new(vec![0xa5; 8]),
        public_key: None,
    };
    let (_directory, path, server) = keyd(vec![answer::<AkaPrimeChallenge<'_>>(&Ok(success))]);
    let mut connection = Connection::connect(&path).unwrap();
    assert_eq!(connection.hello().role, Role::Network);
    let got = connection
        .call(&AkaPrimeChallenge {
            iccid: None,
            identity: b"6",
            packet: b"packet",
            forward_secrecy: None,
        })
        .unwrap();
    let AkaAnswer::Success {
        handle: 3,
        res,
        public_key: None,
    } = got
    else {
        panic!("{got:?}")
    };
    assert_eq!(res.expose(), [0xa5; 8]);
    let requests = server.join().unwrap();
    assert_eq!(kind_of(&requests[1]), Ok(RequestKind::AkaPrimeChallenge));
}

#[test]
fn a_refusal_is_an_error_and_the_conversation_goes_on() {
    let (_directory, path, _server) = keyd(vec![
        answer::<Enable<'_>>(&Err(Refusal::UnknownProfile)),
        answer::<ListProfiles>(&Ok(ProfilesAnswer::default())),
    ]);
    let mut connection = Connection::connect(&path).unwrap();
    let refused = connection.call(&Enable { iccid: "8988" }).unwrap_err();
    assert!(matches!(refused, Error::Refused(Refusal::UnknownProfile)));
    assert!(connection.call(&ListProfiles { from: 0 }).is_ok());
}

#[test]
fn an_answer_of_another_shape_is_refused() {
    let (_directory, path, _server) = keyd(vec![vec![0xff; 3]]);
    let mut connection = Connection::connect(&path).unwrap();
    let error = connection.call(&ListProfiles { from: 0 }).unwrap_err();
    assert!(matches!(
        error,
        Error::Answer {
            request: RequestKind::ListProfiles
        }
    ));
}

#[test]
fn a_request_over_its_limit_is_not_sent() {
    let (_directory, path, server) = keyd(vec![]);
    let mut connection = Connection::connect(&path).unwrap();
    let iccid = "8".repeat(65);
    let error = connection.call(&Enable { iccid: &iccid }).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }));
    assert_eq!(server.join().unwrap().len(), 1, "only Hello was sent");
}

#[test]
fn after_the_peer_is_gone_every_call_says_closed() {
    let (_directory, path, server) = keyd(vec![]);
    let mut connection = Connection::connect(&path).unwrap();
    server.join().unwrap();
    for _ in 0..2 {
        let error = connection.call(&ListProfiles { from: 0 }).unwrap_err();
        assert!(matches!(error, Error::Closed), "{error}");
    }
}

#[test]
fn an_absent_socket_is_named() {
    let error = Connection::connect(Path::new("/nonexistent/admin.sock")).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/admin.sock: "));
}

#[cfg(feature = "tokio")]
fn within_tokio<T>(body: impl Future<Output = T>) -> T {
    ::tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(body)
}

#[cfg(feature = "tokio")]
#[test]
fn tasks_share_a_connection() {
    use softsim_keyd_proto::CertificateAnswer;
    use softsim_keyd_proto::requests::DeviceCertificate;

    let certificate = CertificateAnswer { der: vec![1; 64] };
    let (_directory, path, _server) = keyd(vec![
        answer::<DeviceCertificate>(&Ok(certificate)),
        answer::<Enable<'_>>(&Err(Refusal::NoProfile)),
    ]);
    within_tokio(async {
        let connection = AsyncConnection::connect(&path).await.unwrap();
        let certificate = connection.call(&DeviceCertificate {}).await.unwrap();
        assert_eq!(certificate.der.len(), 64);
        let other = connection.clone();
        let error = other.call_blocking(&Enable { iccid: "89" }).unwrap_err();
        assert!(matches!(error, Error::Refused(Refusal::NoProfile)));
    });
}

#[cfg(feature = "tokio")]
#[test]
fn the_end_of_keyd_is_noticed_by_whoever_waits_for_a_change() {
    let (_directory, path, server) = keyd(vec![]);
    within_tokio(async {
        let mut watch = Watch::new(Connection::connect(&path).unwrap()).unwrap();
        let error = watch.status_after(1).await.unwrap_err();
        assert!(matches!(error, Error::Closed), "{error}");
    });
    server.join().unwrap();
}
