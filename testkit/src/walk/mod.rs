//! A random walk of a netd that an attacker controls. It sends every request in any order, with
//! genuine, replayed and forged contents, and must get nothing that an exchange with the real
//! server wouldn't give.
//!
//! `SOFTSIM_THOROUGH` makes the walk longer; `SOFTSIM_SEED` repeats a walk.

mod challenges;
mod forbidden;
mod home;
mod names;
mod profiles;
mod sessions;

use softsim_keyd::roles::COMPILED;
use softsim_keyd::vault::Vault;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    Call, MAX_REQUEST, PROTOCOL_VERSION, Refusal, RequestKind, Role, decode_answer, encode_request,
};

use self::forbidden::Forbidden;
use self::home::Home;
use self::profiles::Profiles;
use self::sessions::Session;
use crate::device::*;
use crate::dice::Dice;
use crate::transcript::transcript;

/// How many connections the attacker keeps open.
const CONNECTIONS: usize = 3;

/// The average number of steps after which keyd is killed and started again.
const RESTART: usize = 300;

/// Requests whose answers depend on a key. Those that open and use sessions occur more often than
/// those that end them.
const ORACLES: [RequestKind; 23] = [
    RequestKind::AkaPrimeChallenge,
    RequestKind::AkaPrimeChallenge,
    RequestKind::AkaPrimeChallenge,
    RequestKind::AkaChallenge,
    RequestKind::Identity,
    RequestKind::Identity,
    RequestKind::Reauthenticate,
    RequestKind::Reauthenticate,
    RequestKind::Reauthenticate,
    RequestKind::EncryptCounter,
    RequestKind::EncryptCounter,
    RequestKind::Confirm,
    RequestKind::Confirm,
    RequestKind::Confirm,
    RequestKind::EapMac,
    RequestKind::EapMac,
    RequestKind::EapVerify,
    RequestKind::EapVerify,
    RequestKind::Confirm,
    RequestKind::CloseSession,
    RequestKind::CloseSession,
    RequestKind::CloseSession,
    RequestKind::SignHandshake,
];

/// Whether the walk should be long: `cargo xtask soak` sets `SOFTSIM_THOROUGH`.
pub fn thorough() -> bool {
    std::env::var_os("SOFTSIM_THOROUGH").is_some()
}

/// A keyd, in this process or behind the program's sockets. Its policy for identities is
/// conservative, so that a walk may take longer than ten minutes.
pub trait Keyd {
    /// A client's connection.
    type Connection;

    /// Opens a connection in the role network.
    fn connect(&mut self) -> Self::Connection;

    /// Sends a request, and receives the answer after keyd has synced its changes.
    fn exchange(&mut self, connection: &mut Self::Connection, datagram: &[u8]) -> Vec<u8>;

    /// Sends a request in the role admin.
    fn administer<C: Call>(&mut self, call: &C) -> C::Answer;

    /// Crashes keyd, and starts it on the stored state.
    fn restart(&mut self);

    /// Opens a copy of the vault.
    fn vault(&self) -> Vault;
}

/// keyd, its attacker, and a model of what the attacker may and may not get.
pub struct Walk<K: Keyd> {
    keyd: K,
    connections: Vec<Connection<K>>,
    home: Home,
    profiles: Profiles,
    forbidden: Forbidden,
    certificate: Vec<u8>,
    spki: Vec<u8>,
    given: Given,
}

struct Connection<K: Keyd> {
    to_keyd: K::Connection,
    sessions: Vec<Session>,
}

/// How often keyd gave each kind of answer.
#[derive(Debug, Default)]
struct Given {
    requests: usize,
    refusals: usize,
    responses: usize,
    reauthentications: usize,
    counters: usize,
    confirmations: usize,
    resynchronisations: usize,
    macs: usize,
    verifications: usize,
    other_keys: usize,
    unprotected: usize,
    signatures: usize,
    installations: usize,
    restarts: usize,
}

impl Given {
    /// The smallest count among the answers that every walk must get.
    fn least(&self) -> usize {
        let Self {
            responses,
            reauthentications,
            counters,
            confirmations,
            macs,
            verifications,
            other_keys,
            unprotected,
            signatures,
            ..
        } = *self;
        [
            responses,
            reauthentications,
            counters,
            confirmations,
            macs,
            verifications,
            other_keys,
            unprotected,
            signatures,
        ]
        .into_iter()
        .min()
        .unwrap_or_default()
    }
}

impl<K: Keyd> Walk<K> {
    /// Begins with a device with three profiles.
    pub fn new(mut keyd: K, dice: &mut Dice) -> Self {
        let operator = Operator::generate();
        keyd.administer(&GenerateDeviceKey {});
        let spki = spki_of_request(&keyd.administer(&CertificateRequest {}).der);
        let certificate = certificate(&spki);
        keyd.administer(&SetDeviceCertificate {
            certificate: &certificate,
        });
        keyd.administer(&AddTrustAnchor {
            issuer: &operator.spki(),
        });
        let statement = keyd.administer(&SealingStatement {}).statement;
        let home = Home::new(dice);
        let mut forbidden = Forbidden::of_device(&keyd.vault());
        for subscription in &home.subscriptions {
            forbidden.add_subscription(subscription);
        }
        let mut walk = Self {
            connections: Vec::new(),
            certificate,
            keyd,
            home,
            profiles: Profiles::new(operator, spki.clone(), statement),
            forbidden,
            spki,
            given: Given::default(),
        };
        walk.connect();
        for subscription in 0..walk.home.subscriptions.len() {
            walk.install(0, subscription, dice);
        }
        walk
    }

    /// Sends this many random requests, most of them such as have answers that depend on a key, and
    /// continues until each kind of answer that every walk must get has occurred.
    pub fn at_random(&mut self, steps: usize, dice: &mut Dice) {
        for step in 0.. {
            if step >= steps && self.given.least() > 0 {
                break;
            }
            let given = &self.given;
            assert!(step < 10 * steps, "the walk went past something: {given:?}");
            let kinds = if dice.once_in(3) {
                RequestKind::ALL
            } else {
                &ORACLES
            };
            let kind = *dice.pick(kinds);
            self.step(kind, dice);
            if dice.once_in(RESTART) {
                self.restart();
            }
        }
    }

    /// Sends requests in this order, on new connections, after keyd accepted a challenge if a
    /// profile is enabled.
    pub fn in_order(&mut self, kinds: &[RequestKind], dice: &mut Dice) {
        self.connect();
        if let Some(enabled) = self.profiles.enabled {
            self.a_fresh_challenge_is_accepted(enabled, dice);
        }
        for kind in kinds {
            self.step(*kind, dice);
        }
    }

    fn connect(&mut self) {
        self.connections.clear();
        for _ in 0..CONNECTIONS {
            self.connections.push(Connection {
                to_keyd: self.keyd.connect(),
                sessions: Vec::new(),
            });
        }
    }

    fn restart(&mut self) {
        self.connections.clear();
        self.keyd.restart();
        self.profiles.restarted();
        self.connect();
        self.given.restarts += 1;
    }

    /// Sends one request of a kind, with valid or invalid fields, and checks the answer.
    fn step(&mut self, kind: RequestKind, dice: &mut Dice) {
        use RequestKind as Kind;
        // One connection is used most often, so that it has sessions.
        let on = dice.below(2) * dice.below(CONNECTIONS);
        match kind {
            Kind::AkaPrimeChallenge | Kind::AkaChallenge => self.challenge(on, dice),
            Kind::Reauthenticate => self.reauthenticate(on, dice),
            Kind::EncryptCounter => self.encrypt_counter(on, dice),
            Kind::Confirm => self.confirm(on, dice),
            Kind::EapMac => self.eap_mac(on, dice),
            Kind::EapVerify => self.eap_verify(on, dice),
            Kind::CloseSession => self.close_session(on, dice),
            Kind::SignHandshake => self.sign_handshake(on, dice),
            Kind::Stage => self.stage(on, dice),
            Kind::Commit => self.commit(on, dice),
            Kind::Abort => self.abort(on, dice),
            Kind::Enable => self.enable(on, dice),
            Kind::Disable => self.disable(on, dice),
            Kind::Delete => self.delete(on, dice),
            Kind::Identity => self.identity(on, dice),
            // A refused Hello would close the connection, and with it the attacker's sessions.
            Kind::Hello => {
                let version = PROTOCOL_VERSION;
                self.ask(on, &Hello { version }).unwrap();
            }
            // If keyd had nothing to tell, the connection would wait.
            Kind::Wait => {
                self.ask(on, &Wait { seen: 0 }).unwrap();
            }
            _ if COMPILED[Role::Network].group_of(kind).is_some() => {
                // These requests have no parameters, so a body is usually malformed.
                let body: [u8; 3] = dice.octets();
                let _ = self.send(on, &[&[kind as u8], &body[..dice.below(4)]].concat(), None);
            }
            _ => {
                let body: [u8; 40] = dice.octets();
                let answer =
                    self.send(on, &[&[kind as u8], &body[..dice.below(15)]].concat(), None);
                let refusal = decode_answer::<Status>(&answer).unwrap().unwrap_err();
                let role = Role::Network;
                assert_eq!(
                    refusal,
                    Refusal::NotPermitted {
                        request: kind,
                        role
                    }
                );
            }
        }
    }

    /// Sends a request, and searches the answer for secrets that it must not contain.
    fn ask<C: Call>(&mut self, on: usize, call: &C) -> Result<C::Answer, Refusal> {
        let mut buffer = vec![0; MAX_REQUEST];
        let datagram = encode_request(call, &mut buffer).unwrap();
        let answer = self.send(on, datagram, Some(C::KIND));
        let answer = decode_answer::<C>(&answer).unwrap();
        self.given.refusals += usize::from(answer.is_err());
        answer
    }

    fn send(&mut self, on: usize, datagram: &[u8], kind: Option<RequestKind>) -> Vec<u8> {
        let connection = &mut self.connections[on].to_keyd;
        let answer = self.keyd.exchange(connection, datagram);
        self.given.requests += 1;
        if let Some(name) = self.forbidden.found_in(&answer, kind) {
            panic!("{name} in the answer to {kind:?}");
        }
        answer
    }

    /// keyd signs only the transcript of a client's handshake with the device's certificate.
    fn sign_handshake(&mut self, on: usize, dice: &mut Dice) {
        let right = transcript(&self.certificate);
        let cut = dice.below(right.len());
        let mut flipped = right.clone();
        // This changes the type of a message; the server decides the contents of most messages.
        flipped[0] ^= 1 << dice.below(8);
        let tls_1_3 = [
            &[0x20; 64][..],
            b"TLS 1.3, client CertificateVerify\0",
            &[7; 32],
        ]
        .concat();
        let candidates: [&[u8]; 8] = [
            &right,
            &right[..cut],
            &[&right[..], &[0]].concat(),
            &transcript(b"another certificate"),
            &flipped,
            // A public key, a COSE Sig_structure, and a handshake of TLS 1.3.
            &self.spki.clone(),
            b"\x84\x6aSignature1",
            &tls_1_3,
        ];
        let transcript = *dice.pick(&candidates);
        match self.ask(on, &SignHandshake { transcript }) {
            Ok(signed) => {
                assert_eq!(transcript, right, "another shape was signed");
                assert!(verifies(&self.spki, transcript, &signed.signature));
                self.given.signatures += 1;
            }
            Err(refusal) => assert_ne!(transcript, right, "{refusal}"),
        }
    }

    /// Asserts at the end of the walk that no confirmed change was lost, that keyd accepts no
    /// replayed challenge, and that the SIM still works.
    pub fn finish(mut self, dice: &mut Dice) {
        self.restart();
        self.profiles_are_as_confirmed();
        for subscription in 0..self.home.subscriptions.len() {
            if !self.profiles.is_installed(subscription) {
                self.install(0, subscription, dice);
            }
            let iccid = self.home.subscriptions[subscription].iccid.clone();
            self.keyd.administer(&Enable { iccid: &iccid });
            self.profiles.enabled(subscription);
            self.replay_everything(subscription);
            self.a_fresh_challenge_is_accepted(subscription, dice);
            self.close_all(0);
        }
        println!("{:?}", self.given);
    }
}

fn verifies(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::signature::Verifier;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&spki[26..]).unwrap();
    let signature = p256::ecdsa::DerSignature::from_bytes(signature).unwrap();
    key.verify(message, &signature).is_ok()
}
