//! The home network: its subscriptions, every challenge that it made, and which of them were accepted.

use std::collections::HashMap;

use softsim_aka::eap::{AkaPrimeKeys, emsk};
use softsim_aka::kdf::{self, NetworkName};
use softsim_aka::{AlgorithmSet, Credentials, Emsk, Rand, Sqn};
use softsim_keyd_proto::requests::AkaPrimeChallenge;
use softsim_keyd_proto::{AkaAnswer, Refusal};
use softsim_profile::Profile;

use super::sessions::Session;
use super::{Keyd, Walk};
use crate::dice::Dice;
use crate::fixture::{milenage, profile_of};
use crate::home_network::{HomeNetwork, IDENTITY};

/// The arrays of SEQ_MS.
const INDS: usize = 32;

pub(super) struct Home {
    pub(super) subscriptions: Vec<Subscription>,
    /// What was made with the right K and is what the home network would send.
    genuine: HashMap<Vec<u8>, Genuine>,
    /// The packets in the order in which they were made.
    packets: Vec<Vec<u8>>,
}

pub(super) struct Subscription {
    pub(super) iccid: String,
    imsi: String,
    pub(super) k: [u8; 16],
    pub(super) opc: [u8; 16],
    seq: u64,
    /// The highest accepted SEQ of each IND: nothing may ever lower one.
    accepted: [u64; INDS],
}

pub(super) struct Genuine {
    subscription: usize,
    sqn: u64,
    /// Whether its AMF is one for EAP-AKA'.
    separated: bool,
    rand: [u8; 16],
    pub(super) keys: AkaPrimeKeys,
    pub(super) res: Vec<u8>,
    pub(super) ck: [u8; 16],
    pub(super) ik: [u8; 16],
    pub(super) ck_prime: [u8; 16],
    pub(super) ik_prime: [u8; 16],
    pub(super) emsk: Emsk,
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
            iccid: format!("898821100000000020{number}"),
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
        }
    }

    pub(super) fn any_iccid(&self, dice: &mut Dice) -> String {
        match dice.below(8) {
            0 => "8988211000000000999".into(),
            _ => dice.pick(&self.subscriptions).iccid.clone(),
        }
    }

    pub(super) fn genuine(&self, packet: &[u8]) -> Option<&Genuine> {
        self.genuine.get(packet)
    }

    /// A challenge with the right K. A stale SEQ was passed already, or would have been.
    fn make(&mut self, number: usize, amf: [u8; 2], stale: bool, dice: &mut Dice) -> Vec<u8> {
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
            ..HomeNetwork::default()
        };
        let sent = home.challenge(sqn);
        let output = home.credentials.functions().f2345(&Rand::new(home.rand));
        let concealed = output.ak.conceal(Sqn::new(sqn).unwrap());
        let name = NetworkName::new(&home.network_name).unwrap();
        let (ck_prime, ik_prime) = kdf::ck_ik_prime(&output.ck, &output.ik, name, concealed);
        let genuine = Genuine {
            subscription: number,
            sqn,
            separated: amf[0] & 0x80 != 0,
            rand: home.rand,
            keys: sent.keys,
            res: sent.res,
            ck: *output.ck.as_bytes(),
            ik: *output.ik.as_bytes(),
            ck_prime: *ck_prime.as_bytes(),
            ik_prime: *ik_prime.as_bytes(),
            emsk: emsk(&ck_prime, &ik_prime, IDENTITY),
        };
        self.genuine.insert(sent.packet.clone(), genuine);
        self.packets.push(sent.packet.clone());
        sent.packet
    }

    /// Whether keyd may accept a packet: then its SEQ is used up.
    fn accept(&mut self, packet: &[u8], identity: &[u8], asked: Option<&str>) -> bool {
        let Some(genuine) = self.genuine.get(packet) else {
            return false;
        };
        let subscription = &mut self.subscriptions[genuine.subscription];
        let (seq, ind) = (genuine.sqn >> 5, genuine.sqn as usize % INDS);
        let its_own = asked.is_none_or(|iccid| iccid == subscription.iccid);
        let fresh = seq > subscription.accepted[ind];
        let may = its_own && fresh && genuine.separated && identity == IDENTITY;
        if may {
            subscription.accepted[ind] = seq;
        }
        may
    }

    /// AUTS tells the highest SQN that was ever accepted.
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
    /// A challenge that is genuine and fresh, was so once, or never was.
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
        let number = genuine.subscription;
        match choice {
            4 => {
                let place = dice.below(packet.len());
                packet[place] ^= 1 << dice.below(8);
            }
            // Without AT_MAC, which stands last.
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
        self.send_challenge(on, iccid.as_deref(), identity, &packet);
    }

    fn send_challenge(&mut self, on: usize, iccid: Option<&str>, identity: &[u8], packet: &[u8]) {
        let answer = self.ask(
            on,
            &AkaPrimeChallenge {
                iccid,
                identity,
                packet,
                forward_secrecy: None,
            },
        );
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
                    self.home.accept(packet, identity, iccid),
                    "accepted against the rules"
                );
                let packet = packet.to_vec();
                self.connections[on]
                    .sessions
                    .push(Session::new(handle, packet));
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

    /// Everything that was ever sent, once more, to the profile in use.
    pub(super) fn replay_everything(&mut self, subscription: usize) {
        let iccid = self.home.subscriptions[subscription].iccid.clone();
        for packet in self.home.packets.clone() {
            if self.home.genuine[&packet].subscription == subscription {
                self.send_challenge(0, Some(&iccid), IDENTITY, &packet);
                self.close_all(0);
            }
        }
    }

    /// Nothing that the attacker did locks the SIM.
    pub(super) fn a_fresh_challenge_is_accepted(&mut self, subscription: usize, dice: &mut Dice) {
        let before = self.given.responses;
        let packet = self.home.make(subscription, [0x80, 0], false, dice);
        self.send_challenge(0, None, IDENTITY, &packet);
        assert_eq!(self.given.responses, before + 1);
    }
}
