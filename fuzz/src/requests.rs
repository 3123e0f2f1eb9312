//! The request decoder and the whole dispatcher: any octets, from any client, in any order.
//!
//! The input is a list of moves. Most send a datagram unchanged. The others do what random octets
//! never reach: send a genuine challenge, repeat it, change an octet of it, send a genuine package,
//! assign identities, and run a fast re-authentication with any counter.

use std::time::Duration;

use softsim_keyd::roles::{COMPILED, PerRole};
use softsim_keyd::users::Users;
use softsim_keyd::vault::{Kek, Vault};
use softsim_keyd::{Client, Keyd, Service};
use softsim_keyd_proto::requests::{Commit, Confirm, Stage};
use softsim_keyd_proto::{
    AkaAnswer, Call, Enforcement, IdentityKind, IdentityPrivacy, IdentityRequest, KekSource,
    KeyMemory, MAX_ANSWER, MAX_REQUEST, Method, Overwrites, ReauthenticationAnswer, Refusal, Role,
    decode_answer, encode_request,
};
use softsim_testkit::device::{K, OPC, UID};
use softsim_testkit::home_network::{HomeNetwork, IDENTITY, Server};
use softsim_testkit::requests::{challenge, identity, old_challenge, reauthenticate};

use crate::memory::{Memory, provisioned};

/// Who is connected.
const CLIENTS: [Role; 5] = [
    Role::Network,
    Role::Network,
    Role::Admin,
    Role::App,
    Role::Supplicant,
];

/// Runs the moves of an input.
pub fn run(input: &[u8]) {
    let mut moves = Moves(input);
    let mut gateway = Gateway::new();
    while gateway.step(&mut moves).is_some() {}
    gateway.restarts();
}

struct Moves<'i>(&'i [u8]);

impl<'i> Moves<'i> {
    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    /// As long as two octets say, or as there are.
    fn datagram(&mut self) -> Option<&'i [u8]> {
        let length = u16::from_be_bytes([self.octet()?, self.octet()?]);
        let length = usize::from(length).min(self.0.len()).min(MAX_REQUEST + 1);
        let (datagram, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(datagram)
    }
}

struct Gateway {
    keyd: Keyd,
    medium: Memory,
    clients: [Client; CLIENTS.len()],
    now: Duration,
    sqn: u64,
    accepted: Vec<Vec<u8>>,
    /// After the last full authentication that was confirmed: its server, and the counters that
    /// were accepted.
    server: Option<(Server, Vec<u16>)>,
    /// Keys that no answer may hold, by their first eight octets.
    secrets: Vec<[u8; 8]>,
    answer: Box<[u8; MAX_ANSWER]>,
}

impl Gateway {
    fn new() -> Self {
        let medium = Memory::new(provisioned().image.clone());
        let service = Service {
            enforcement: Enforcement {
                landlock_abi: 0,
                seccomp_calls: 0,
                key_memory: KeyMemory::Plain,
                kek_source: KekSource::Development,
                overwrites: Overwrites::InPlace,
                identity_privacy: IdentityPrivacy::Conservative,
                identity_patience: 600,
                supplicant: true,
                test_profiles: true,
            },
            policies: COMPILED,
            users: Users {
                uids: PerRole::from_fn(|_| vec![UID]),
                ..Users::default()
            },
            afs: Vec::new(),
            realtime: || Duration::from_secs(4_000_000_000),
        };
        let vault = Vault::open(medium.clone(), &Kek::development()).unwrap();
        let keyd = Keyd::new(vault, service);
        Self {
            clients: CLIENTS.map(|role| keyd.connect(role, UID).unwrap()),
            keyd,
            medium,
            now: Duration::from_secs(1),
            sqn: 0,
            accepted: Vec::new(),
            server: None,
            secrets: [K, OPC].map(|key| first(&key)).to_vec(),
            answer: Box::new([0; MAX_ANSWER]),
        }
    }

    fn step(&mut self, moves: &mut Moves<'_>) -> Option<()> {
        let octet = moves.octet()?;
        let client = usize::from(octet & 3);
        match octet >> 2 {
            0 => self.challenge(client, None),
            1 => self.challenge(client, Some((moves.octet()?, moves.octet()?))),
            2 => self.replay(client, moves.octet()?),
            3 => self.install(client, moves.octet()?),
            4 => self.now += Duration::from_millis(moves.octet()?.into()),
            5 => self.clients[client] = self.keyd.connect(CLIENTS[client], UID).unwrap(),
            7 => self.named(client, moves.octet()?),
            8 => self.again(client, moves.octet()?, moves.octet()?),
            9 => self.old_challenge(client),
            10 => {
                self.ask(4, moves.datagram()?);
            }
            _ => {
                self.ask(client, moves.datagram()?);
            }
        }
        Some(())
    }

    /// Sends a genuine challenge. If an octet of the packet is changed, keyd must not answer with
    /// RES.
    fn challenge(&mut self, client: usize, change: Option<(u8, u8)>) {
        self.sqn += 32;
        let mut packet = HomeNetwork::default().challenge(self.sqn).packet;
        let mut changed = false;
        if let Some((place, mask)) = change {
            let place = usize::from(place) % packet.len();
            packet[place] ^= mask;
            changed = mask != 0;
        }
        if self.authenticates(client, &packet) {
            assert!(!changed, "RES for a packet with a changed octet");
            self.accepted.push(packet);
        }
    }

    fn replay(&mut self, client: usize, which: u8) {
        if let Some(packet) = self.accepted.get(usize::from(which)).cloned() {
            assert!(
                !self.authenticates(client, &packet),
                "an AUTN was accepted twice"
            );
        }
    }

    fn authenticates(&mut self, client: usize, packet: &[u8]) -> bool {
        let answer = self.call(client, &challenge(packet, IDENTITY));
        matches!(answer, Ok(AkaAnswer::Success { .. }))
    }

    /// EAP-AKA, whose vectors come out of the same SQN.
    fn old_challenge(&mut self, client: usize) {
        self.sqn += 32;
        let packet = HomeNetwork::default().old_challenge(self.sqn).packet;
        // keyd refuses it without room for a session, or for a role that may not request it.
        let _ = self.call(client, &old_challenge(&packet, IDENTITY));
    }

    /// Runs and confirms a full authentication that assigns identities.
    fn named(&mut self, client: usize, which: u8) {
        self.sqn += 32;
        let (pseudonym, fast) = (format!("7p{which}"), format!("8f{}", self.sqn));
        let names = (which & 1 != 0).then_some(&*pseudonym);
        let sent = HomeNetwork::naming(names, Some(&fast)).challenge(self.sqn);
        let answer = self.call(client, &challenge(&sent.packet, IDENTITY));
        let Ok(AkaAnswer::Success { handle, .. }) = answer else {
            return;
        };
        if self.call(client, &Confirm { handle, msk: None }).is_ok() {
            let secrets = sent.server.keys.secrets();
            self.secrets.extend(secrets.map(|(_, key)| first(key)));
            self.server = Some((sent.server, Vec::new()));
        }
    }

    /// Runs a fast re-authentication with the identity that keyd shows. If an octet of the packet
    /// is changed, keyd must refuse it. keyd must accept each counter only once, and no smaller one
    /// after it.
    fn again(&mut self, client: usize, counter: u8, change: u8) {
        let request = identity(IdentityRequest::Any);
        assert_eq!(request.method, Method::AkaPrime);
        let Ok(shown) = self.call(client, &request) else {
            return;
        };
        let Some((server, accepted)) = self.server.take() else {
            return;
        };
        let (counter, next) = (u16::from(counter), format!("8n{}", accepted.len()));
        let mut packet = server.reauthentication(counter, [counter as u8; 16], Some(&next));
        let place = usize::from(change) % packet.len();
        packet[place] ^= change & 0x11;
        let answer = self.call(client, &reauthenticate(&packet, &shown.nai));
        let mut accepted = accepted;
        if let Ok(ReauthenticationAnswer::Fresh { handle, .. }) = answer {
            assert_eq!(shown.kind, IdentityKind::Reauthentication);
            assert_eq!(change & 0x11, 0, "a packet with a changed octet was taken");
            let last = accepted.last().copied();
            assert!(
                Some(counter) > last.or(Some(0)),
                "counter {counter} after {last:?}"
            );
            accepted.push(counter);
            // keyd refuses it if the profile is no longer enabled.
            let _ = self.call(client, &Confirm { handle, msk: None });
        }
        self.server = Some((server, accepted));
    }

    fn install(&mut self, client: usize, which: u8) {
        let packages = &provisioned().packages;
        let package = Some(&packages[usize::from(which) % packages.len()][..]);
        let txid = [which; 16];
        if self.call(client, &Stage { txid, package }).is_ok() {
            // keyd refuses a package that it has accepted before.
            let _ = self.call(client, &Commit::new(txid));
        }
    }

    fn call<C: Call>(&mut self, client: usize, call: &C) -> Result<C::Answer, Refusal> {
        let mut buffer = vec![0; MAX_REQUEST];
        let request = encode_request(call, &mut buffer).unwrap();
        decode_answer::<C>(self.ask(client, request)).unwrap()
    }

    fn ask(&mut self, client: usize, datagram: &[u8]) -> &[u8] {
        let client = &mut self.clients[client];
        let length = self
            .keyd
            .serve(client, self.now, datagram, &mut self.answer);
        self.keyd.flush().unwrap();
        let answer = &self.answer[..length];
        assert!(matches!(answer, [0 | 1, ..]), "an answer or a refusal");
        for secret in &self.secrets {
            let found = answer.windows(8).any(|window| window == secret);
            assert!(!found, "a secret in an answer");
        }
        answer
    }

    /// Checks that the vault opens and isn't damaged, whatever was requested.
    fn restarts(self) {
        drop(self.keyd);
        let vault = Vault::open(self.medium, &Kek::development()).unwrap();
        assert!(vault.damage().is_empty());
    }
}

/// The part of a secret that is searched for.
fn first(key: &[u8]) -> [u8; 8] {
    key[..8].try_into().unwrap()
}
