//! Clients that authenticate as fast as they can until keyd is killed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle, yield_now};

use softsim_client::keyd::{Connection, Error};
use softsim_keyd_proto::requests::{AkaPrimeChallenge, CloseSession, Confirm};
use softsim_keyd_proto::{AkaAnswer, Refusal, Role};
use softsim_profile::Profile;
use softsim_testkit::device::{milenage, profile_of, with_check_digit};
use softsim_testkit::dice::Dice;
use softsim_testkit::home_network::{HomeNetwork, IDENTITY};
use softsim_testkit::host::Host;

use crate::killed;

/// The subscriptions, and the state that the threads share.
pub(crate) struct Shared {
    pub(crate) subscriptions: Vec<Subscription>,
    /// The profile that was last enabled according to the manager.
    pub(crate) enabled: AtomicUsize,
}

/// A subscription at its home network.
pub(crate) struct Subscription {
    pub(crate) iccid: String,
    imsi: String,
    k: [u8; 16],
    opc: [u8; 16],
    /// The last SEQ of a challenge.
    seq: AtomicU64,
}

/// A challenge of a subscription, and keyd's answer.
pub(crate) struct Sent {
    pub(crate) subscription: usize,
    pub(crate) packet: Vec<u8>,
    pub(crate) said: Said,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// keyd answered RES, so it accepted the AUTN.
    Accepted,
    /// keyd answered AUTS, because it had accepted the AUTN before.
    Refused,
    /// keyd was killed before it answered. It may have accepted the AUTN.
    Nothing,
}

impl Shared {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let subscription = |number| Subscription {
            iccid: with_check_digit(&format!("89882110000000001{number}")),
            imsi: format!("00101000000010{number}"),
            k: dice.octets(),
            opc: dice.octets(),
            seq: AtomicU64::new(0),
        };
        Self {
            subscriptions: (0..4).map(subscription).collect(),
            enabled: AtomicUsize::new(0),
        }
    }
}

impl Subscription {
    pub(crate) fn profile(&self) -> Profile {
        profile_of(&self.iccid, &self.imsi, self.k, self.opc, 0)
    }

    /// Makes a new challenge. Each client has its own `ind`, so that clients don't interfere with
    /// each other.
    pub(crate) fn fresh(&self, ind: u64, rand: [u8; 16]) -> Vec<u8> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let home = HomeNetwork {
            credentials: milenage(self.k, self.opc),
            rand,
            ..HomeNetwork::default()
        };
        home.challenge(seq << 5 | ind).packet
    }

    pub(crate) fn ask(&self, keyd: &mut Connection, packet: &[u8]) -> Result<AkaAnswer, Error> {
        keyd.call(&AkaPrimeChallenge {
            iccid: Some(&self.iccid),
            identity: IDENTITY,
            packet,
            forward_secrecy: None,
        })
    }
}

/// Authenticates until keyd is killed.
pub(crate) fn clients<'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    host: &'scope Host,
    shared: &'scope Shared,
    dice: &mut Dice,
) -> Vec<ScopedJoinHandle<'scope, Vec<Sent>>> {
    let client = |number| {
        let dice = dice.fork();
        scope.spawn(move || authenticate_until_killed(host, shared, number as u64 + 1, dice))
    };
    (0..count).map(client).collect()
}

fn authenticate_until_killed(host: &Host, shared: &Shared, ind: u64, mut dice: Dice) -> Vec<Sent> {
    let mut sent = Vec::new();
    let connected = Connection::connect(&host.path(Role::Network.name()));
    let Ok(mut keyd) = connected.map_err(|error| assert!(killed(&error))) else {
        return sent;
    };
    loop {
        let subscription = if dice.once_in(8) {
            dice.below(shared.subscriptions.len())
        } else {
            shared.enabled.load(Ordering::Relaxed)
        };
        let asked = &shared.subscriptions[subscription];
        let packet = asked.fresh(ind, dice.octets());
        let answer = asked.ask(&mut keyd, &packet);
        let said = match &answer {
            Ok(AkaAnswer::Success { .. }) => Said::Accepted,
            Ok(AkaAnswer::SynchronisationFailure { .. }) => Said::Refused,
            Err(error) if killed(error) => Said::Nothing,
            Err(Error::Refused(refusal)) => {
                assert!(out_of_use(refusal), "{refusal}");
                yield_now();
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        sent.push(Sent {
            subscription,
            packet,
            said,
        });
        let closed = match answer {
            Ok(AkaAnswer::Success { handle, .. }) => close(&mut keyd, handle, &mut dice),
            Ok(_) => Ok(()),
            Err(_) => return sent,
        };
        if let Err(error) = closed {
            assert!(killed(&error), "{error}");
            return sent;
        }
    }
}

fn close(keyd: &mut Connection, handle: u32, dice: &mut Dice) -> Result<(), Error> {
    if dice.once_in(4) {
        match keyd.call(&Confirm { handle, msk: None }) {
            Ok(()) => {}
            Err(Error::Refused(refusal)) => assert!(out_of_use(&refusal), "{refusal}"),
            Err(error) => return Err(error),
        }
    }
    keyd.call(&CloseSession { handle })
}

/// Whether keyd refused because the manager had disabled or deleted the profile. keyd then hasn't
/// checked the AUTN.
pub(crate) fn out_of_use(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::UnknownProfile | Refusal::NoProfile => true,
        Refusal::Field { name, .. } => name == "iccid",
        _ => false,
    }
}
