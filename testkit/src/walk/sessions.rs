//! Sessions: their MACs, their confirmation, their MSK, which never leaves keyd, and the
//! connections to which they belong.

use softsim_aka::{Emsk, Msk, NonceS};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{Refusal, SecretSlice};

use super::home::{Context, Genuine};
use super::{Keyd, Walk};
use crate::dice::Dice;
use crate::home_network::{
    CHALLENGE, NOTIFICATION, REAUTHENTICATION, RESULT_IND, SUCCESS, unmaced_of,
};

#[derive(Clone)]
pub(super) struct Session {
    handle: u32,
    /// The challenge of the full authentication.
    pub(super) challenge: Vec<u8>,
    pub(super) fast: Option<Fast>,
    /// The installation of the profile to which it belongs.
    installation: usize,
    pub(super) open: bool,
    confirmed: bool,
    /// Whether both sides agreed on protected results, and whether the protected success was
    /// verified.
    agreed: bool,
    succeeded: bool,
}

/// A session of a fast re-authentication.
#[derive(Clone)]
pub(super) struct Fast {
    pub(super) identity: String,
    pub(super) counter: u16,
    pub(super) nonce_s: [u8; 16],
    pub(super) next: Option<String>,
    pub(super) too_small: bool,
}

impl Session {
    pub(super) fn new(handle: u32, challenge: Vec<u8>) -> Self {
        Self {
            handle,
            challenge,
            fast: None,
            installation: 0,
            open: true,
            confirmed: false,
            agreed: false,
            succeeded: false,
        }
    }

    pub(super) fn fast(handle: u32, challenge: Vec<u8>, fast: Fast) -> Self {
        Self {
            fast: Some(fast),
            ..Self::new(handle, challenge)
        }
    }

    fn is_too_small(&self) -> bool {
        self.fast.as_ref().is_some_and(|fast| fast.too_small)
    }

    /// MSK, and EMSK of a fast re-authentication.
    pub(super) fn master_keys(&self, genuine: &Genuine) -> (Msk, Option<Emsk>) {
        let Some(fast) = &self.fast else {
            return (Msk::new(*genuine.sent.msk.as_bytes()), None);
        };
        let (identity, nonce_s) = (fast.identity.as_bytes(), NonceS::new(fast.nonce_s));
        let server = &genuine.sent.server;
        let keys = server.keys.reauthenticate(identity, fast.counter, &nonce_s);
        (keys.msk, Some(keys.emsk))
    }
}

impl<K: Keyd> Walk<K> {
    pub(super) fn begin(&mut self, on: usize, mut session: Session) {
        let subscription = self.home.genuine(&session.challenge).unwrap().subscription;
        session.installation = self.profiles.installations[subscription];
        self.connections[on].sessions.push(session);
    }

    /// A handle of a session of this connection, of another connection, or of none.
    pub(super) fn any_handle(&self, on: usize, dice: &mut Dice) -> u32 {
        let of = if dice.once_in(4) {
            dice.below(self.connections.len())
        } else {
            on
        };
        let sessions = &self.connections[of].sessions;
        if sessions.is_empty() || dice.once_in(8) {
            return dice.below(12) as u32;
        }
        let open: Vec<_> = sessions.iter().filter(|session| session.open).collect();
        if open.is_empty() || dice.once_in(4) {
            return dice.pick(sessions).handle;
        }
        dice.pick(&open).handle
    }

    /// The open session that a handle names on a connection.
    pub(super) fn open_session(&mut self, on: usize, handle: u32) -> Option<&mut Session> {
        let mut sessions = self.connections[on].sessions.iter_mut();
        sessions.find(|session| session.open && session.handle == handle)
    }

    /// Checks that keyd refuses a handle exactly when it belongs to no open session of this
    /// connection, and returns whether it refused.
    pub(super) fn refused_by_handle(&mut self, on: usize, handle: u32, refusal: &Refusal) -> bool {
        let unknown = *refusal == Refusal::UnknownHandle { got: handle };
        assert_eq!(
            unknown,
            self.open_session(on, handle).is_none(),
            "{refusal}"
        );
        unknown
    }

    /// A packet whose MAC the attacker asks for: a response, or a packet that only a server sends.
    fn any_packet(&self, on: usize, handle: u32, dice: &mut Dice) -> Vec<u8> {
        let sessions = &self.connections[on].sessions;
        if sessions.is_empty() {
            return Vec::new();
        }
        let mut named = sessions.iter().filter(|of| of.handle == handle);
        let session = match named.next() {
            Some(named) if !dice.once_in(4) => named,
            _ => dice.pick(sessions),
        };
        let challenge = &session.challenge;
        let Genuine { sent, method, .. } = self.home.genuine(challenge).unwrap();
        let server = &sent.server;
        let counter = session.fast.as_ref().map_or(1, |fast| fast.counter);
        let mut packet = match dice.below(10) {
            0 => unmaced_of(*method, 2, CHALLENGE, &[]),
            1 => unmaced_of(*method, 1, NOTIFICATION, &SUCCESS),
            2 => server.packet(1, NOTIFICATION, &SUCCESS, &[]),
            3 => server.packet(2, NOTIFICATION, &SUCCESS, &[]),
            // The server's challenge, with its MAC or with zeros in its place.
            4 => {
                let end = challenge.len();
                [&challenge[..end - 16], &[0; 16]].concat()
            }
            5 => challenge.clone(),
            6 => server.notification(counter),
            7 => unmaced_of(*method, 2, REAUTHENTICATION, &[]),
            8 => unmaced_of(*method, 2, CHALLENGE, &RESULT_IND),
            _ => unmaced_of(*method, 2, NOTIFICATION, &SUCCESS),
        };
        if dice.once_in(4) {
            let place = dice.below(packet.len());
            packet[place] ^= 1 << dice.below(8);
        }
        packet
    }

    pub(super) fn eap_mac(&mut self, on: usize, dice: &mut Dice) {
        let handle = self.any_handle(on, dice);
        let packet = self.any_packet(on, handle, dice);
        let packet = &packet[..];
        match self.ask(on, &EapMac { handle, packet }) {
            Ok(answer) => {
                let session = self
                    .open_session(on, handle)
                    .expect("of another connection")
                    .clone();
                let genuine = self.home.genuine(&session.challenge).unwrap();
                let server = &genuine.sent.server;
                assert_eq!(packet[0], 2, "a MAC in the server's place");
                let extra = match (packet[5], &session.fast) {
                    (REAUTHENTICATION, Some(fast)) => &fast.nonce_s[..],
                    (REAUTHENTICATION, None) => panic!("there was no re-authentication"),
                    _ => &[],
                };
                assert_eq!(answer.mac, server.keys.k_aut.at_mac(packet, extra));
                let offered = session.fast.is_none() && genuine.result_ind;
                if offered && packet[5] == CHALLENGE && packet[8..10] == RESULT_IND[..2] {
                    self.open_session(on, handle).unwrap().agreed = true;
                }
                self.given.macs += 1;
            }
            Err(refusal) => {
                self.refused_by_handle(on, handle, &refusal);
            }
        }
    }

    pub(super) fn eap_verify(&mut self, on: usize, dice: &mut Dice) {
        let handle = self.any_handle(on, dice);
        let packet = self.any_packet(on, handle, dice);
        let packet = &packet[..];
        match self.ask(on, &EapVerify { handle, packet }) {
            Ok(()) => {
                let session = self
                    .open_session(on, handle)
                    .expect("of another connection")
                    .clone();
                assert!(!session.is_too_small());
                let server = &self.home.genuine(&session.challenge).unwrap().sent.server;
                let (head, mac) = packet.split_at(packet.len() - 16);
                let zeroed = [head, &[0; 16]].concat();
                assert_eq!(packet[0], 1);
                assert!(
                    server
                        .keys
                        .k_aut
                        .verifies(&zeroed, &[], mac.try_into().unwrap())
                );
                if let Some(fast) = &session.fast {
                    assert_eq!(packet, server.notification(fast.counter));
                }
                if session.agreed && packet[5] == NOTIFICATION && packet[8..12] == SUCCESS {
                    self.open_session(on, handle).unwrap().succeeded = true;
                }
                self.given.verifications += 1;
            }
            Err(refusal) => {
                self.refused_by_handle(on, handle, &refusal);
            }
        }
    }

    /// Sends Confirm, and checks that keyd accepts it only once, only for a session of the enabled
    /// profile, only with the server's MSK, and only after the protected success if both sides
    /// agreed on one.
    pub(super) fn confirm(&mut self, on: usize, dice: &mut Dice) {
        let handle = self.any_handle(on, dice);
        let session = self.open_session(on, handle).map(|session| session.clone());
        let mut msk = [0; 64];
        let sent = dice.below(4);
        if let Some(session) = &session {
            let genuine = self.home.genuine(&session.challenge).unwrap();
            msk = *session.master_keys(genuine).0.as_bytes();
        }
        let other = sent == 0;
        msk[dice.below(64)] ^= u8::from(other) << dice.below(8);
        let received = (sent < 3).then_some(SecretSlice(&msk));
        let answer = self.ask(
            on,
            &Confirm {
                handle,
                msk: received,
            },
        );
        let Some(session) = session else {
            return assert_eq!(answer, Err(Refusal::UnknownHandle { got: handle }));
        };
        let subscription = self.home.genuine(&session.challenge).unwrap().subscription;
        let in_use = self.profiles.enabled == Some(subscription)
            && self.profiles.installations[subscription] == session.installation;
        if session.is_too_small() {
            assert_eq!(answer, Err(Refusal::CounterTooSmall));
        } else if session.agreed && !session.succeeded {
            assert_eq!(answer, Err(Refusal::NoProtectedSuccess));
            self.given.unprotected += 1;
        } else if other {
            assert_eq!(answer, Err(Refusal::OtherMsk));
            self.given.other_keys += 1;
        } else if !in_use {
            assert_eq!(answer, Err(Refusal::NoProfile));
        } else {
            assert_eq!(answer, Ok(()));
            if !session.confirmed {
                self.open_session(on, handle).unwrap().confirmed = true;
                self.keep(&session);
                self.given.confirmations += 1;
            }
        }
    }

    /// Stores the identities that an authentication gave.
    fn keep(&mut self, session: &Session) {
        let genuine = self.home.genuine(&session.challenge).unwrap();
        let subscription = genuine.subscription;
        let (pseudonym, next, counter) = match &session.fast {
            Some(fast) => (None, fast.next.clone(), fast.counter),
            None => (genuine.pseudonym.clone(), genuine.next.clone(), 0),
        };
        let context = next.map(|identity| Context {
            identity,
            shown: false,
            counter,
            challenge: session.challenge.clone(),
        });
        let names = &mut self.home.names[subscription];
        names.prove(pseudonym);
        self.home.memory.contexts.extend(context.clone());
        names.context = context;
    }

    pub(super) fn close_session(&mut self, on: usize, dice: &mut Dice) {
        let handle = self.any_handle(on, dice);
        match self.ask(on, &CloseSession { handle }) {
            Ok(()) => {
                let session = self.open_session(on, handle);
                session.expect("of another connection").open = false;
            }
            Err(refusal) => assert!(self.refused_by_handle(on, handle, &refusal)),
        }
    }

    pub(super) fn close_all(&mut self, on: usize) {
        for number in 0..self.connections[on].sessions.len() {
            let Session { handle, open, .. } = self.connections[on].sessions[number];
            if open {
                self.ask(on, &CloseSession { handle }).unwrap();
                self.connections[on].sessions[number].open = false;
            }
        }
    }
}
