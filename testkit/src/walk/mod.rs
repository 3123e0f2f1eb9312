//! A netd that an attacker took over: it asks everything in every order, with what is right, what
//! was right and what never was, and gets nothing but what a real server's exchange gives.
//!
//! `SOFTSIM_THOROUGH` makes the walk long, `SOFTSIM_SEED` makes it another or the same again.

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

/// Every so many steps keyd is killed and started again.
const RESTART: usize = 300;

/// Requests whose answers depend on a key; more of those that open sessions and use them than of
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

/// Whether there is time for more: `cargo xtask soak` sets it.
pub fn thorough() -> bool {
    std::env::var_os("SOFTSIM_THOROUGH").is_some()
}

/// How keyd is reached: in this process, or through the program's sockets.
pub trait Keyd {
    /// A client's.
    type Connection;

    /// A connection of the role network.
    fn connect(&mut self) -> Self::Connection;

    /// Sends a request and receives its answer, which is durable.
    fn exchange(&mut self, connection: &mut Self::Connection, datagram: &[u8]) -> Vec<u8>;

    /// Asks as an administrator does.
    fn administer<C: Call>(&mut self, call: &C) -> C::Answer;

    /// A crash, and a start on what was stored.
    fn restart(&mut self);

    /// A copy of the vault, opened.
    fn vault(&self) -> Vault;
}

/// keyd, its attacker, and everything that the attacker may and may not have.
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

/// What keyd gave out.
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
    /// How often the rarest thing happened that every walk has to see.
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
    /// A device with three profiles.
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

    /// So many requests at random, the more telling ones more often; more where they went past
    /// something.
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

    /// Some requests in this order, on connections of their own and with something to be about.
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

    /// Asks one request of a kind, with fields that are right or not, and judges the answer.
    fn step(&mut self, kind: RequestKind, dice: &mut Dice) {
        use RequestKind as Kind;
        // One connection is used most, so that there is something on it.
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
            // One that is refused ends the conversation, and the attacker's sessions with it.
            Kind::Hello => {
                let version = PROTOCOL_VERSION;
                self.ask(on, &Hello { version }).unwrap();
            }
            _ if COMPILED[Role::Network].group_of(kind).is_some() => {
                // It tells something and takes nothing: whatever stands behind it is malformed, or
                // not.
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

    /// Asks, and searches the answer for what it must not hold.
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

    /// Only the transcript of a client's handshake with our certificate is signed, and as it is.
    fn sign_handshake(&mut self, on: usize, dice: &mut Dice) {
        let right = transcript(&self.certificate);
        let cut = dice.below(right.len());
        let mut flipped = right.clone();
        // The type of a message; what stands inside of most messages is the server's.
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
            // A certificate request, a COSE Sig_structure, and the handshake of another protocol.
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

    /// The end: nothing was lost, nothing that was used up is taken, and the SIM still works.
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
