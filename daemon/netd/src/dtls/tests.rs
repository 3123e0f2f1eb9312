//! Against OpenSSL's server, with a key of our own in keyd's place.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use super::*;

/// A key in this process that counts what it is asked for.
#[derive(Debug)]
struct LocalKey {
    key: SigningKey,
    asked: AtomicUsize,
    times: Times,
}

impl Signer for LocalKey {
    fn sign(&self, transcript: &[u8]) -> Result<Vec<u8>, softsim_client::keyd::Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(transcript[0], 1, "the transcript begins with ClientHello");
        let signature: Signature = self.key.sign(transcript);
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn times(&self) -> Result<Times, softsim_client::keyd::Error> {
        Ok(self.times)
    }
}

/// 2030, which is within the certificates of these tests.
const NOW: u64 = 1_900_000_000;

/// What a gateway knows whose clock is right.
const CLOCK: Times = Times {
    clock: NOW,
    built: NOW - 1000,
    kept: 0,
};

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn server(&self, name: &str) -> (Certificate, KeyPair) {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth)
    }
}

/// `openssl s_server` on a free port of the loopback interface, ended with the test.
struct OpensslServer {
    child: Child,
    output: BufReader<ChildStdout>,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OpensslServer {
    /// Serves with this certificate, and demands one of `clients` from the client.
    fn start((certificate, key): &(Certificate, KeyPair), clients: &Certificate) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: String| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-dtls1_2",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["-cert", &path(&file("server.pem", certificate.pem()))])
            .args(["-key", &path(&file("server.key", key.serialize_pem()))])
            .args(["-CAfile", &path(&file("clients.pem", clients.pem()))])
            .args(["-Verify", "1", "-verify_return_error"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Debian's package openssl");
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self {
            child,
            output,
            port,
            _directory: directory,
        };
        server.expect_line("ACCEPT");
        server
    }

    /// Reads what it prints, up to this line; its end is a failure.
    #[track_caller]
    fn expect_line(&mut self, expected: &str) {
        let mut lines = self.output.by_ref().lines().map_while(Result::ok);
        assert!(lines.any(|line| line == expected), "no line {expected}");
    }

    /// What is typed into it goes to the client.
    fn type_in(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
    }
}

/// The gateway's side: an engine with a socket.
struct Gateway {
    engine: Dimpl,
    socket: UdpSocket,
    key: Arc<LocalKey>,
}

impl Gateway {
    fn connect(server: &OpensslServer, trust: Trust, factory: &Authority) -> Self {
        Self::connect_at(CLOCK, server, trust, factory)
    }

    fn connect_at(times: Times, server: &OpensslServer, trust: Trust, factory: &Authority) -> Self {
        let (certificate, key) = factory.issue("gateway", ExtendedKeyUsagePurpose::ClientAuth);
        let key = Arc::new(LocalKey {
            key: SigningKey::from_pkcs8_der(&key.serialize_der()).unwrap(),
            asked: AtomicUsize::new(0),
            times,
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", server.port)).unwrap();
        let signer: Arc<dyn Signer> = Arc::clone(&key) as _;
        let certificate = certificate.der().to_vec();
        Self {
            engine: Dimpl::connect(Instant::now(), certificate, trust, signer).unwrap(),
            socket,
            key,
        }
    }

    /// Carries datagrams until the engine has something for the application, or fails.
    fn next(&mut self) -> Result<Output, Error> {
        let mut datagram = vec![0; 64 << 10];
        loop {
            while let Some(output) = self.engine.poll() {
                match output {
                    Output::Transmit(datagram) => {
                        self.socket.send(&datagram).unwrap();
                    }
                    other => return Ok(other),
                }
            }
            let timeout = self.engine.poll_timeout().unwrap();
            let wait = timeout.saturating_duration_since(Instant::now());
            self.socket
                .set_read_timeout(Some(wait.max(Duration::from_millis(1))))
                .unwrap();
            match self.socket.recv(&mut datagram) {
                Ok(length) => self
                    .engine
                    .handle_datagram(Instant::now(), &datagram[..length])?,
                Err(_) => self.engine.handle_timeout(Instant::now())?,
            }
        }
    }

    fn asked_to_sign(&self) -> usize {
        self.key.asked.load(Ordering::Relaxed)
    }
}

fn trusting(authority: &Authority) -> Trust {
    let mut trust = Trust::new("localhost").unwrap();
    trust.anchor(authority.certificate.der()).unwrap();
    trust
}

#[test]
fn openssl_verifies_the_device_certificate_and_data_goes_both_ways() {
    let (operator, factory) = (Authority::new(), Authority::new());
    let mut server = OpensslServer::start(&operator.server("localhost"), &factory.certificate);
    let mut gateway = Gateway::connect(&server, trusting(&operator), &factory);
    assert_eq!(gateway.next().unwrap(), Output::Connected);
    assert_eq!(gateway.asked_to_sign(), 1);
    gateway.engine.send(b"from the gateway\n").unwrap();
    server.type_in("from the server\n");
    let received = Output::Received(b"from the server\n".to_vec());
    assert_eq!(gateway.next().unwrap(), received);
    server.expect_line("from the gateway");
    gateway.engine.close();
}

#[test]
fn a_pinned_certificate_needs_neither_authority_nor_name() {
    let (operator, factory) = (Authority::new(), Authority::new());
    let credentials = operator.server("elsewhere.example");
    let server = OpensslServer::start(&credentials, &factory.certificate);
    let mut trust = Trust::new("127.0.0.1").unwrap();
    trust.pin(credentials.0.der());
    let mut gateway = Gateway::connect(&server, trust, &factory);
    assert_eq!(gateway.next().unwrap(), Output::Connected);
}

#[track_caller]
fn assert_refused_before_signing(credentials: &(Certificate, KeyPair), trust: Trust) -> TrustFault {
    let factory = Authority::new();
    let server = OpensslServer::start(credentials, &factory.certificate);
    let mut gateway = Gateway::connect(&server, trust, &factory);
    let error = gateway.next().unwrap_err();
    assert_eq!(gateway.asked_to_sign(), 0, "{error}");
    match error {
        Error::Server(fault) => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_server_of_another_authority_is_refused_before_keyd_signs() {
    let (operator, stranger) = (Authority::new(), Authority::new());
    let fault = assert_refused_before_signing(&stranger.server("localhost"), trusting(&operator));
    assert!(matches!(fault, TrustFault::Path(_)), "{fault}");
}

#[test]
fn a_server_with_another_name_is_refused_before_keyd_signs() {
    let operator = Authority::new();
    let elsewhere = operator.server("elsewhere.example");
    let fault = assert_refused_before_signing(&elsewhere, trusting(&operator));
    let expected = "localhost".to_owned();
    assert_eq!(fault, TrustFault::Name { expected });
}

#[test]
fn a_client_certificate_makes_no_server() {
    let operator = Authority::new();
    let client = operator.issue("localhost", ExtendedKeyUsagePurpose::ClientAuth);
    let fault = assert_refused_before_signing(&client, trusting(&operator));
    assert!(matches!(fault, TrustFault::Path(_)), "{fault}");
}

#[test]
fn another_certificate_than_the_pinned_one_is_refused_before_keyd_signs() {
    let operator = Authority::new();
    let mut trust = Trust::new("localhost").unwrap();
    trust.pin(operator.server("localhost").0.der());
    let fault = assert_refused_before_signing(&operator.server("localhost"), trust);
    assert_eq!(fault, TrustFault::NotPinned);
}

#[test]
fn a_refused_client_certificate_is_an_alert() {
    let (operator, factory) = (Authority::new(), Authority::new());
    let server = OpensslServer::start(&operator.server("localhost"), &factory.certificate);
    let stranger = Authority::new();
    let mut gateway = Gateway::connect(&server, trusting(&operator), &stranger);
    let error = gateway.next().unwrap_err();
    assert!(matches!(error, Error::Alert(_)), "{error}");
}

/// A server's certificate that is valid in 2030.
fn valid_in_2030(operator: &Authority) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2030, 1, 1);
    params.not_after = date_time_ymd(2030, 12, 31);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &operator.issuer).unwrap(), key)
}

#[test]
fn a_certificate_is_judged_by_the_latest_of_the_clock_the_build_and_the_kept_time() {
    let operator = Authority::new();
    let (certificate, _) = valid_in_2030(&operator);
    let trust = trusting(&operator);
    const YEAR: u64 = 366 * 86_400;
    let (before, in_2030, after) = (NOW - YEAR, NOW, NOW + YEAR);
    for (clock, built, kept, good) in [
        // The clock is plausible.
        (before, before, 0, false),
        (in_2030, before, 0, true),
        (in_2030, before, in_2030, true),
        (after, before, in_2030, false),
        // It isn't: only what has certainly expired is refused.
        (0, before, 0, true),
        (0, in_2030, 0, true),
        (0, before, in_2030, true),
        (before, in_2030, 0, true),
        (0, after, 0, false),
        (0, before, after, false),
        (in_2030, before, after, false),
    ] {
        let times = Times { clock, built, kept };
        let judged = trust.judge(certificate.der(), &times);
        assert_eq!(judged.is_ok(), good, "{times:?}: {judged:?}");
        if let Err(fault) = judged {
            let date = match times.now() < NOW {
                true => "it isn't valid before 2030-01-01T00:00:00Z",
                false => "it expired at 2030-12-31T00:00:00Z",
            };
            assert_eq!(fault.to_string(), date, "{times:?}");
        }
    }
}

#[test]
fn without_a_clock_everything_else_of_a_certificate_is_verified() {
    let (operator, stranger) = (Authority::new(), Authority::new());
    let times = Times {
        clock: 0,
        built: NOW - 366 * 86_400,
        kept: 0,
    };
    let (certificate, _) = valid_in_2030(&operator);
    let fault = trusting(&stranger).judge(certificate.der(), &times);
    assert!(matches!(fault, Err(TrustFault::Path(_))), "{fault:?}");
    let mut elsewhere = Trust::new("elsewhere.example").unwrap();
    elsewhere.anchor(operator.certificate.der()).unwrap();
    let fault = elsewhere.judge(certificate.der(), &times);
    assert!(matches!(fault, Err(TrustFault::Name { .. })), "{fault:?}");
}

#[test]
fn a_gateway_without_a_clock_connects() {
    let (operator, factory) = (Authority::new(), Authority::new());
    let server = OpensslServer::start(&valid_in_2030(&operator), &factory.certificate);
    for (built, good) in [(NOW, true), (NOW + 366 * 86_400, false)] {
        let times = Times {
            clock: 0,
            built,
            kept: 0,
        };
        let mut gateway = Gateway::connect_at(times, &server, trusting(&operator), &factory);
        let connected = matches!(gateway.next(), Ok(Output::Connected));
        assert_eq!((connected, gateway.asked_to_sign()), (good, good.into()));
    }
}

#[test]
fn what_is_no_certificate_is_no_anchor() {
    let mut trust = Trust::new("localhost").unwrap();
    let nonsense = CertificateDer::from(&b"\x30\x00"[..]);
    assert_eq!(trust.anchor(&nonsense), Err(TrustFault::Malformed));
}
