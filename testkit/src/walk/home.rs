//! The home network: its subscriptions, every challenge that it made, and which of them were
//! accepted.

use std::collections::HashMap;

use softsim_aka::eap::emsk;
use softsim_aka::kdf::{self, NetworkName};
use softsim_aka::{AlgorithmSet, Credentials, Emsk, KRe, Mk, Msk, Rand, Sqn};
use softsim_keyd_proto::requests::{AkaChallenge, AkaPrimeChallenge};
use softsim_keyd_proto::{AkaAnswer, Method, Refusal};
use softsim_profile::Profile;

use super::names::{Memory, Names};
use super::sessions::Session;
use super::{Keyd, Walk};
use crate::device::{milenage, profile_of, with_check_digit};
use crate::dice::Dice;
use crate::home_network::{HomeNetwork, IDENTITY, Server};

/// The number of entries in the array SEQ_MS.
const INDS: usize = 32;

pub(super) struct Home {
    pub(super) subscriptions: Vec<Subscription>,
    /// The challenges that the home network made, by packet.
    genuine: HashMap<Vec<u8>, Genuine>,
    /// The packets in the order in which they were made.
    packets: Vec<Vec<u8>>,
    /// The identities of each subscription.
    pub(super) names: Vec<Names>,
    pub(super) memory: Memory,
    /// The number of identities that the home network has made.
    made: usize,
}

pub(super) struct Subscription {
    pub(super) iccid: String,
    imsi: String,
    pub(super) k: [u8; 16],
    pub(super) opc: [u8; 16],
    seq: u64,
    /// The highest accepted SEQ of each IND. keyd must never lower one.
    accepted: [u64; INDS],
}

pub(super) struct Genuine {
    pub(super) subscription: usize,
    pub(super) method: Method,
    sqn: u64,
    /// Whether its AMF has the separation bit, as EAP-AKA' requires.
    separated: bool,
    rand: [u8; 16],
    pub(super) server: Server,
    pub(super) root: Root,
    pub(super) msk: Msk,
    pub(super) res: Vec<u8>,
    pub(super) ck: [u8; 16],
    pub(super) ik: [u8; 16],
    pub(super) ck_prime: [u8; 16],
    pub(super) ik_prime: [u8; 16],
    pub(super) emsk: Emsk,
    /// The pseudonym that it gives, if any.
    pub(super) pseudonym: Option<String>,
    pub(super) next: Option<String>,
    /// Whether the server offers protected results.
    pub(super) result_ind: bool,
}

/// The key from which fast re-authentications derive theirs.
pub(super) enum Root {
    Aka(Mk),
    AkaPrime(KRe),
}

/// The request to keyd that carries a challenge.
#[derive(Clone, Copy)]
enum By {
    New,
    Old { strict: bool },
}

impl By {
    fn right_for(method: Method) -> Self {
        match method {
            Method::Aka => Self::Old { strict: false },
            Method::AkaPrime => Self::New,
        }
    }
}

impl Subscription {
    pub(super) fn profile(&self) -> Profile {
        profile_of(&self.iccid, &self.imsi, self.k, self.opc, 0)
    }

    fn credentials(&self) -> Credentials {
        milenage(self.k, self.opc)
    }
}

impl Home {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let subscription = |number| Subscription {
            iccid: with_check_digit(&format!("89882110000000002{number}")),
            imsi: format!("00101000000020{number}"),
            k: dice.octets(),
            opc: dice.octets(),
            seq: 0,
            accepted: [0; INDS],
        };
        Self {
            subscriptions: (0..3).map(subscription).collect(),
            genuine: HashMap::new(),
            packets: Vec::new(),
            names: vec![Names::default(); 3],
            memory: Memory::default(),
            made: 0,
        }
    }

    pub(super) fn any_iccid(&self, dice: &mut Dice) -> String {
        match dice.below(8) {
            0 => "8988211000000000995".into(),
            _ => dice.pick(&self.subscriptions).iccid.clone(),
        }
    }

    pub(super) fn genuine(&self, packet: &[u8]) -> Option<&Genuine> {
        self.genuine.get(packet)
    }

    pub(super) fn new_name(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}name{}", self.made)
    }

    /// Makes a challenge with the right K. A stale one has an earlier SEQ.
    fn make(&mut self, number: usize, amf: [u8; 2], stale: bool, dice: &mut Dice) -> Vec<u8> {
        let pseudonym = dice.once_in(12).then(|| self.new_name("7"));
        let next = (!dice.once_in(3)).then(|| self.new_name("8"));
        let result_ind = dice.once_in(2);
        let subscription = &mut self.subscriptions[number];
        let seq = if stale && subscription.seq > 0 {
            1 + dice.below(subscription.seq as usize) as u64
        } else {
            subscription.seq += 1;
            subscription.seq
        };
        let sqn = seq << 5 | dice.below(INDS) as u64;
        let home = HomeNetwork {
            credentials: subscription.credentials(),
            rand: dice.octets(),
            amf,
            result_ind,
            ..HomeNetwork::naming(pseudonym.as_deref(), next.as_deref())
        };
        let sent = home.challenge(sqn);
        let old = home.old_challenge(sqn);
        let output = home.credentials.functions().f2345(&Rand::new(home.rand));
        let concealed = output.ak.conceal(Sqn::new(sqn).unwrap());
        let name = NetworkName::new(&home.network_name).unwrap();
        let (ck_prime, ik_prime) = kdf::ck_ik_prime(&output.ck, &output.ik, name, concealed);
        let method = match dice.once_in(3) {
            true => Method::Aka,
            false => Method::AkaPrime,
        };
        let (packet, server, root, msk, emsk) = match method {
            Method::Aka => {
                let server = Server::of_aka(&old.keys);
                let keys = old.keys;
                (old.packet, server, Root::Aka(keys.mk), keys.msk, keys.emsk)
            }
            Method::AkaPrime => {
                let server = Server::of(&sent.keys);
                let emsk = emsk(&ck_prime, &ik_prime, IDENTITY);
                let keys = sent.keys;
                (
                    sent.packet,
                    server,
                    Root::AkaPrime(keys.k_re),
                    keys.msk,
                    emsk,
                )
            }
        };
        let genuine = Genuine {
            subscription: number,
            method,
            sqn,
            separated: amf[0] & 0x80 != 0,
            rand: home.rand,
            server,
            root,
            msk,
            res: sent.res,
            ck: *output.ck.as_bytes(),
            ik: *output.ik.as_bytes(),
            ck_prime: *ck_prime.as_bytes(),
            ik_prime: *ik_prime.as_bytes(),
            emsk,
            pseudonym,
            next,
            result_ind,
        };
        self.genuine.insert(packet.clone(), genuine);
        self.packets.push(packet.clone());
        packet
    }

    /// Returns whether keyd may accept a packet. If so, its SEQ counts as accepted from now on.
    fn accept(&mut self, packet: &[u8], identity: &[u8], asked: Option<&str>, by: By) -> bool {
        let Some(genuine) = self.genuine.get(packet) else {
            return false;
        };
        let subscription = &mut self.subscriptions[genuine.subscription];
        let (seq, ind) = (genuine.sqn >> 5, genuine.sqn as usize % INDS);
        let its_own = asked.is_none_or(|iccid| iccid == subscription.iccid);
        let fresh = seq > subscription.accepted[ind];
        let serves = match by {
            By::New => genuine.method == Method::AkaPrime && genuine.separated,
            By::Old { strict } => genuine.method == Method::Aka && !(strict && genuine.separated),
        };
        let may = its_own && fresh && serves && identity == IDENTITY;
        if may {
            subscription.accepted[ind] = seq;
        }
        may
    }

    /// Whether AUTS holds the highest SQN that keyd ever accepted.
    fn resynchronises(&self, packet: &[u8], auts: [u8; 14]) -> bool {
        let Some(genuine) = self.genuine.get(packet) else {
            return false;
        };
        let subscription = &self.subscriptions[genuine.subscription];
        let home = HomeNetwork {
            credentials: subscription.credentials(),
            rand: genuine.rand,
            ..HomeNetwork::default()
        };
        let highest = subscription.accepted.iter().max();
        home.resynchronise(auts).map(|sqn| sqn >> 5).as_ref() == highest
    }
}

impl<K: Keyd> Walk<K> {
    /// Sends a challenge that is genuine and fresh, replayed, or forged.
    pub(super) fn challenge(&mut self, on: usize, dice: &mut Dice) {
        let number = match self.profiles.enabled {
            Some(enabled) if !dice.once_in(4) => enabled,
            _ => dice.below(self.home.subscriptions.len()),
        };
        let choice = dice.below(12);
        let amf = if choice == 0 { [0x7f, 0xff] } else { [0x80, 0] };
        let mut packet = match choice {
            1 | 2 if !self.home.packets.is_empty() => dice.pick(&self.home.packets).clone(),
            _ => self.home.make(number, amf, choice == 3, dice),
        };
        let genuine = self.home.genuine(&packet).unwrap();
        self.forbidden.add_challenge(genuine);
        let (number, method) = (genuine.subscription, genuine.method);
        match choice {
            4 => {
                let place = dice.below(packet.len());
                packet[place] ^= 1 << dice.below(8);
            }
            // This removes AT_MAC, which is the last attribute.
            5 => {
                packet.truncate(packet.len() - 20);
                packet[3] -= 20;
            }
            _ => {}
        }
        let identity = if choice == 6 {
            b"another identity"
        } else {
            IDENTITY
        };
        let own = self.home.subscriptions[number].iccid.clone();
        let iccid = match dice.below(4) {
            0 => None,
            1 => Some(self.home.any_iccid(dice)),
            _ => Some(own),
        };
        let by = match (method, dice.below(8)) {
            (_, 0) => By::New,
            (Method::Aka, 1) | (_, 2) => By::Old { strict: true },
            (Method::Aka, _) | (_, 3) => By::Old { strict: false },
            (Method::AkaPrime, _) => By::New,
        };
        self.send_challenge(on, iccid.as_deref(), identity, &packet, by);
    }

    fn send_challenge(
        &mut self,
        on: usize,
        iccid: Option<&str>,
        identity: &[u8],
        packet: &[u8],
        by: By,
    ) {
        let answer = match by {
            By::New => self.ask(
                on,
                &AkaPrimeChallenge {
                    iccid,
                    identity,
                    packet,
                    forward_secrecy: None,
                },
            ),
            By::Old { strict } => self.ask(
                on,
                &AkaChallenge {
                    iccid,
                    identity,
                    packet,
                    refuse_separation_bit: strict,
                },
            ),
        };
        match answer {
            Ok(AkaAnswer::Success { handle, res, .. }) => {
                let enabled = self.profiles.enabled;
                let genuine = self
                    .home
                    .genuine(packet)
                    .expect("a packet that was never made");
                assert_eq!(
                    Some(genuine.subscription),
                    enabled,
                    "of a profile out of use"
                );
                assert_eq!(res.expose(), genuine.res);
                assert!(
                    self.home.accept(packet, identity, iccid, by),
                    "accepted against the rules"
                );
                self.begin(on, Session::new(handle, packet.to_vec()));
                self.given.responses += 1;
            }
            Ok(AkaAnswer::SynchronisationFailure { auts }) => {
                assert!(self.home.resynchronises(packet, auts), "SQN was rewound");
                self.given.resynchronisations += 1;
            }
            Err(Refusal::TooManyHandles { .. }) => {
                let handles = self.connections[on].sessions.iter().filter(|of| of.open);
                assert_eq!(handles.count(), softsim_keyd_proto::MAX_HANDLES);
            }
            Err(_) => {}
        }
    }

    /// Replays every challenge of a subscription to the enabled profile.
    pub(super) fn replay_everything(&mut self, subscription: usize) {
        let iccid = self.home.subscriptions[subscription].iccid.clone();
        for packet in self.home.packets.clone() {
            let genuine = &self.home.genuine[&packet];
            if genuine.subscription == subscription {
                let by = By::right_for(genuine.method);
                self.send_challenge(0, Some(&iccid), IDENTITY, &packet, by);
                self.close_all(0);
            }
        }
    }

    /// Asserts that keyd accepts a fresh challenge, so that the attacker hasn't locked the SIM.
    pub(super) fn a_fresh_challenge_is_accepted(&mut self, subscription: usize, dice: &mut Dice) {
        let before = self.given.responses;
        let packet = self.home.make(subscription, [0x80, 0], false, dice);
        let by = By::right_for(self.home.genuine[&packet].method);
        self.send_challenge(0, None, IDENTITY, &packet, by);
        assert_eq!(self.given.responses, before + 1);
    }
}
