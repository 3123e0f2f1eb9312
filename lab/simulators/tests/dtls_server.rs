//! The DTLS server with OpenSSL's client: which clients it accepts.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use softsim_lab_simulators::dtls_server::{DtlsEvent, DtlsServer, Refused};
use softsim_lab_simulators::pki::{Authority, Credentials, PkiError};
use tokio::time::timeout;

/// `openssl s_client`, ended when it is dropped.
struct OpenSsl(Child);

impl OpenSsl {
    fn connect(server: SocketAddr, folder: &Path, client: Option<&Credentials>) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-connect"]);
        command.arg(server.to_string());
        if let Some(client) = client {
            fs::write(folder.join("client.der"), &client.certificate).unwrap();
            fs::write(folder.join("client.key"), &client.private_key).unwrap();
            command.args(["-certform", "DER", "-cert", "client.der"]);
            command.args(["-keyform", "DER", "-key", "client.key"]);
        }
        command.current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        Self(command.spawn().expect("openssl is installed"))
    }

    fn send(&mut self, line: &str) {
        self.0
            .stdin
            .as_mut()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        self.0
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut octets)
            .unwrap();
        octets
    }

    /// What it says when it gives up by itself.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        self.0
            .stderr
            .as_mut()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn server(authority: &Authority) -> DtlsServer {
    let credentials = authority.server("lab server").unwrap();
    let anywhere = "127.0.0.1:0".parse().unwrap();
    DtlsServer::bind(anywhere, &credentials, authority.certificate())
        .await
        .unwrap()
}

async fn next(server: &mut DtlsServer) -> DtlsEvent {
    timeout(Duration::from_secs(20), server.next())
        .await
        .expect("an event")
        .unwrap()
}

#[tokio::test]
async fn a_client_of_the_authority_is_known_by_its_common_name_and_heard() {
    let authority = Authority::new("lab").unwrap();
    let mut server = server(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = authority.client("device-1").unwrap();
    let mut client = OpenSsl::connect(
        server.local_addr().unwrap(),
        folder.path(),
        Some(&credentials),
    );
    let DtlsEvent::Connected { peer, identity } = next(&mut server).await else {
        panic!("expected a session");
    };
    assert_eq!(identity, "device-1");
    client.send("ping\n");
    let datagram = b"ping\n".to_vec();
    assert_eq!(next(&mut server).await, DtlsEvent::Data { peer, datagram });
    server.send(peer, b"pong");
    assert_eq!(client.receive(4), b"pong");
}

#[tokio::test]
async fn several_clients_are_told_apart_by_address() {
    let authority = Authority::new("lab").unwrap();
    let mut server = server(&authority).await;
    let address = server.local_addr().unwrap();
    let mut clients = Vec::new();
    for name in ["device-1", "device-2"] {
        let folder = tempfile::tempdir().unwrap();
        let credentials = authority.client(name).unwrap();
        let client = OpenSsl::connect(address, folder.path(), Some(&credentials));
        let DtlsEvent::Connected { peer, identity } = next(&mut server).await else {
            panic!("expected a session");
        };
        assert_eq!(identity, name);
        clients.push((client, folder, peer));
    }
    assert_ne!(clients[0].2, clients[1].2);
    for (client, _, peer) in &mut clients {
        server.send(*peer, peer.to_string().as_bytes());
        let expected = peer.to_string().into_bytes();
        assert_eq!(client.receive(expected.len()), expected);
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_with_an_alert() {
    let authority = Authority::new("lab").unwrap();
    let mut server = server(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = OpenSsl::connect(server.local_addr().unwrap(), folder.path(), None);
    let DtlsEvent::Refused { reason, .. } = next(&mut server).await else {
        panic!("expected a refusal");
    };
    assert_eq!(reason, Refused::NoCertificate);
    assert!(client.complaint().contains("alert handshake failure"));
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused_with_an_alert() {
    let authority = Authority::new("lab").unwrap();
    let foreign = Authority::new("lab").unwrap().client("device-1").unwrap();
    let mut server = server(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = OpenSsl::connect(server.local_addr().unwrap(), folder.path(), Some(&foreign));
    let DtlsEvent::Refused { reason, .. } = next(&mut server).await else {
        panic!("expected a refusal");
    };
    assert!(
        matches!(reason, Refused::Certificate(PkiError::Path(_))),
        "{reason}"
    );
    assert!(client.complaint().contains("alert unknown ca"));
}

#[tokio::test]
async fn a_client_that_leaves_closes_its_session() {
    let authority = Authority::new("lab").unwrap();
    let mut server = server(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = authority.client("device-1").unwrap();
    let mut client = OpenSsl::connect(
        server.local_addr().unwrap(),
        folder.path(),
        Some(&credentials),
    );
    let DtlsEvent::Connected { peer, .. } = next(&mut server).await else {
        panic!("expected a session");
    };
    drop(client.0.stdin.take());
    assert_eq!(next(&mut server).await, DtlsEvent::Closed { peer });
}
