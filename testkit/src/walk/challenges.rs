//! Challenges: keyd accepts only those that the home network made, each of them once.

use softsim_keyd_proto::requests::{AkaChallenge, AkaPrimeChallenge};
use softsim_keyd_proto::{AkaAnswer, MAX_HANDLES, Method, Refusal};

use super::home::By;
use super::sessions::Session;
use super::{Keyd, Walk};
use crate::dice::Dice;
use crate::home_network::IDENTITY;

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
                assert_eq!(res.expose(), genuine.sent.res());
                assert!(
                    self.home.accept(packet, identity, iccid, by),
                    "accepted against the rules"
                );
                let genuine = self.home.genuine(packet).unwrap();
                let (subscription, next) = (genuine.subscription, genuine.pseudonym.clone());
                self.home.names[subscription].offer(next);
                self.begin(on, Session::new(handle, packet.to_vec()));
                self.given.responses += 1;
            }
            Ok(AkaAnswer::SynchronisationFailure { auts }) => {
                assert!(self.home.resynchronises(packet, auts), "SQN was rewound");
                self.given.resynchronisations += 1;
            }
            Err(Refusal::TooManyHandles { .. }) => {
                let handles = self.connections[on].sessions.iter().filter(|of| of.open);
                assert_eq!(handles.count(), MAX_HANDLES);
            }
            Err(_) => {}
        }
    }

    /// Replays every challenge of a subscription to the enabled profile.
    pub(super) fn replay_everything(&mut self, subscription: usize) {
        let iccid = self.home.subscriptions[subscription].iccid.clone();
        for packet in self.home.packets.clone() {
            let genuine = self.home.genuine(&packet).unwrap();
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
        let by = By::right_for(self.home.genuine(&packet).unwrap().method);
        self.send_challenge(0, None, IDENTITY, &packet, by);
        assert_eq!(self.given.responses, before + 1);
    }
}
