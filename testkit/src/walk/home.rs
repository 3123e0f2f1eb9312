//! What the home network knows: its subscriptions, every challenge that it made, which of them were
//! accepted, and the identities that it gave.

use std::collections::{HashMap, HashSet};

use softsim_aka::Credentials;
use softsim_keyd_proto::Method;
use softsim_profile::Profile;

use crate::device::{profile_of, with_check_digit};
use crate::dice::Dice;
use crate::home_network::{Challenge, HomeNetwork, IDENTITY, Sent, milenage};

/// The number of entries in the array SEQ_MS.
const INDS: usize = 32;

pub(super) struct Home {
    pub(super) subscriptions: Vec<Subscription>,
    /// The challenges that the home network made, by packet.
    genuine: HashMap<Vec<u8>, Genuine>,
    /// The packets in the order in which they were made.
    pub(super) packets: Vec<Vec<u8>>,
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
    pub(super) sent: Sent,
    /// The pseudonym that it gives, if any.
    pub(super) pseudonym: Option<String>,
    pub(super) next: Option<String>,
    /// Whether the server offers protected results.
    pub(super) result_ind: bool,
}

/// The pseudonyms and the re-authentication context on which the home network and keyd agree.
#[derive(Clone, Default)]
pub(super) struct Names {
    /// The pseudonym of the last authentication that succeeded.
    pub(super) proven: Option<String>,
    /// The newest pseudonym, or the one before the proven one.
    pub(super) stand_by: Option<String>,
    pub(super) context: Option<Context>,
}

impl Names {
    /// Stores the pseudonym that a challenge assigned, whose response may get lost.
    pub(super) fn offer(&mut self, next: Option<String>) {
        if next.is_some() && next != self.proven {
            self.stand_by = next;
        }
    }

    /// Stores the pseudonym of an authentication that succeeded.
    pub(super) fn prove(&mut self, next: Option<String>) {
        if next.is_some() && next != self.proven {
            let before = std::mem::replace(&mut self.proven, next);
            if self.stand_by.is_none() || self.stand_by == self.proven {
                self.stand_by = before;
            }
        }
    }
}

/// A re-authentication context: what the next fast re-authentication continues from.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) identity: String,
    pub(super) shown: bool,
    pub(super) counter: u16,
    /// The challenge of the full authentication.
    pub(super) challenge: Vec<u8>,
}

/// What the home network remembers of fast re-authentications.
#[derive(Default)]
pub(super) struct Memory {
    /// Every context of any conversation.
    pub(super) contexts: Vec<Context>,
    /// Full authentications and the counters that were accepted under their keys.
    pub(super) accepted: HashSet<(Vec<u8>, u16)>,
}

/// The request to keyd that carries a challenge.
#[derive(Clone, Copy)]
pub(super) enum By {
    New,
    Old { strict: bool },
}

impl By {
    pub(super) fn right_for(method: Method) -> Self {
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
    pub(super) fn make(
        &mut self,
        number: usize,
        amf: [u8; 2],
        stale: bool,
        dice: &mut Dice,
    ) -> Vec<u8> {
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
        let rand = dice.octets();
        let method = match dice.once_in(3) {
            true => Method::Aka,
            false => Method::AkaPrime,
        };
        let home = HomeNetwork {
            credentials: subscription.credentials(),
            rand,
            ..HomeNetwork::sending(Challenge {
                method,
                amf,
                result_ind,
                next_pseudonym: pseudonym.clone(),
                next_reauth_id: next.clone(),
                ..Challenge::default()
            })
        };
        let genuine = Genuine {
            subscription: number,
            method,
            sqn,
            separated: amf[0] & 0x80 != 0,
            sent: home.challenge(sqn),
            pseudonym,
            next,
            result_ind,
        };
        let packet = genuine.sent.packet.clone();
        self.genuine.insert(packet.clone(), genuine);
        self.packets.push(packet.clone());
        packet
    }

    /// Returns whether keyd may accept a packet. If so, its SEQ counts as accepted from now on.
    pub(super) fn accept(
        &mut self,
        packet: &[u8],
        identity: &[u8],
        asked: Option<&str>,
        by: By,
    ) -> bool {
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
    pub(super) fn resynchronises(&self, packet: &[u8], auts: [u8; 14]) -> bool {
        let Some(genuine) = self.genuine.get(packet) else {
            return false;
        };
        let subscription = &self.subscriptions[genuine.subscription];
        let home = HomeNetwork {
            credentials: subscription.credentials(),
            rand: *genuine.sent.vector.rand.as_bytes(),
            ..HomeNetwork::default()
        };
        let highest = subscription.accepted.iter().max();
        home.resynchronise(auts).map(|sqn| sqn >> 5).as_ref() == highest
    }
}
