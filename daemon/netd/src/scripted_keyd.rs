//! A keyd that answers by a script, for tests of what asks keyd.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::thread;

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::keyd::Connection;
use softsim_client::proto::requests::Hello;
use softsim_client::proto::{
    Call, Enforcement, HelloAnswer, IdentityPrivacy, KekSource, KeyMemory, MAX_REQUEST, Overwrites,
    PROTOCOL_VERSION, Refusal, RequestKind, Role, StatusAnswer, Times, encode_answer, kind_of,
};

pub(crate) fn encoded<C: Call>(answer: Result<C::Answer, Refusal>) -> Vec<u8> {
    let mut buffer = [0; 512];
    encode_answer::<C>(&answer, &mut buffer).unwrap().to_vec()
}

/// The status of a keyd that has nothing.
pub(super) fn status() -> StatusAnswer {
    StatusAnswer {
        changes: 1,
        enforcement: Enforcement {
            landlock_abi: 7,
            seccomp_calls: 12,
            key_memory: KeyMemory::Plain,
            kek_source: KekSource::Development,
            overwrites: Overwrites::InPlace,
            identity_privacy: IdentityPrivacy::Conservative,
            identity_patience: 600,
            supplicant: false,
            test_profiles: false,
        },
        device_id: None,
        sealing_key_id: None,
        certified: false,
        trust_anchors: 0,
        profiles: 0,
        profile: None,
        capacity: 1,
        anchor: None,
        committed: None,
        accounts: None,
        counters: None,
        identities: None,
        times: Times {
            clock: 2_000_000_000,
            built: 1_800_000_000,
            kept: 0,
        },
    }
}

/// A connection to a keyd that answers Hello, and everything else by the script.
pub(crate) fn connect(mut answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Connection {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.sock");
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; MAX_REQUEST];
        while let Ok(length @ 1..) = client.read(&mut request) {
            let request = &request[..length];
            let sent = match kind_of(request).unwrap() {
                RequestKind::Hello => encoded::<Hello>(Ok(HelloAnswer {
                    version: PROTOCOL_VERSION,
                    role: Role::Network,
                    max_request: MAX_REQUEST as u32,
                    max_handles: 4,
                })),
                _ => answer(request),
            };
            client.write_all(&sent).unwrap();
        }
    });
    Connection::connect(&path).unwrap()
}
