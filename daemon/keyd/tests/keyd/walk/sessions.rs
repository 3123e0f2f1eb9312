//! Sessions: their MACs, their one MSK, and whose they are.

use softsim_aka::eap::{at_mac, verify_at_mac};
use softsim_keyd_proto::Refusal;
use softsim_keyd_proto::requests::*;

use super::{Keyd, Walk};
use crate::dice::Dice;
use crate::home_network::{maced, unmaced};

pub(super) struct Session {
    handle: u32,
    /// The challenge that it came from.
    packet: Vec<u8>,
    pub(super) open: bool,
    exported: bool,
}

impl Session {
    pub(super) fn new(handle: u32, packet: Vec<u8>) -> Self {
        Self {
            handle,
            packet,
            open: true,
            exported: false,
        }
    }
}

/// AT_NOTIFICATION (RFC 4187 §10.19).
const NOTIFICATION: [u8; 4] = [12, 1, 0x80, 0];

impl<K: Keyd> Walk<K> {
    /// The number of a session, and its handle: of this connection, of another one, or of none.
    fn any_handle(&self, on: usize, dice: &mut Dice) -> u32 {
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
    fn open_session(&mut self, on: usize, handle: u32) -> Option<&mut Session> {
        let mut sessions = self.connections[on].sessions.iter_mut();
        sessions.find(|session| session.open && session.handle == handle)
    }

    /// Refused where it names no open session of this connection, and for no other reason.
    fn refused_by_handle(&mut self, on: usize, handle: u32, refusal: &Refusal) -> bool {
        let unknown = *refusal == Refusal::UnknownHandle { came: handle };
        assert_eq!(
            unknown,
            self.open_session(on, handle).is_none(),
            "{refusal}"
        );
        unknown
    }

    /// The packets of which a MAC is asked for: responses, and what a server would send.
    fn any_packet(&self, on: usize, dice: &mut Dice) -> Vec<u8> {
        let sessions = &self.connections[on].sessions;
        let challenge = sessions.last().map(|session| session.packet.clone());
        let Some(challenge) = challenge else {
            return unmaced(2, 1, &[]);
        };
        let keys = &self.home.genuine(&challenge).unwrap().keys;
        let mut packet = match dice.below(7) {
            0 => unmaced(2, 1, &[]),
            1 => unmaced(1, 12, &NOTIFICATION),
            2 => maced(1, 12, &NOTIFICATION, keys),
            3 => maced(2, 12, &NOTIFICATION, keys),
            // The server's own challenge, with the place of its MAC free or not.
            4 => {
                let end = challenge.len();
                [&challenge[..end - 16], &[0; 16]].concat()
            }
            5 => challenge,
            _ => unmaced(2, 12, &NOTIFICATION),
        };
        if dice.once_in(4) {
            let place = dice.below(packet.len());
            packet[place] ^= 1 << dice.below(8);
        }
        packet
    }

    pub(super) fn eap_mac(&mut self, on: usize, dice: &mut Dice) {
        let (handle, packet) = (self.any_handle(on, dice), self.any_packet(on, dice));
        let packet = &packet[..];
        match self.ask(on, &EapMac { handle, packet }) {
            Ok(answer) => {
                let session = self
                    .open_session(on, handle)
                    .expect("of another connection");
                let challenge = session.packet.clone();
                let keys = &self.home.genuine(&challenge).unwrap().keys;
                assert_eq!(packet[0], 2, "a MAC in the server's place");
                assert_eq!(answer.mac, at_mac(&keys.k_aut, packet));
                self.given.macs += 1;
            }
            Err(refusal) => {
                self.refused_by_handle(on, handle, &refusal);
            }
        }
    }

    pub(super) fn eap_verify(&mut self, on: usize, dice: &mut Dice) {
        let (handle, packet) = (self.any_handle(on, dice), self.any_packet(on, dice));
        let packet = &packet[..];
        match self.ask(on, &EapVerify { handle, packet }) {
            Ok(()) => {
                let session = self
                    .open_session(on, handle)
                    .expect("of another connection");
                let challenge = session.packet.clone();
                let keys = &self.home.genuine(&challenge).unwrap().keys;
                let (head, mac) = packet.split_at(packet.len() - 16);
                let zeroed = [head, &[0; 16]].concat();
                assert_eq!(packet[0], 1);
                assert!(verify_at_mac(&keys.k_aut, &zeroed, mac.try_into().unwrap()));
                self.given.verifications += 1;
            }
            Err(refusal) => {
                self.refused_by_handle(on, handle, &refusal);
            }
        }
    }

    pub(super) fn export_msk(&mut self, on: usize, dice: &mut Dice) {
        let handle = self.any_handle(on, dice);
        match self.ask(on, &ExportMsk { handle }) {
            Ok(answer) => {
                let session = self
                    .open_session(on, handle)
                    .expect("of another connection");
                assert!(!session.exported, "a second MSK");
                session.exported = true;
                let challenge = session.packet.clone();
                let keys = &self.home.genuine(&challenge).unwrap().keys;
                assert_eq!(answer.secret.expose(), keys.msk.as_bytes());
                self.given.master_keys += 1;
            }
            Err(refusal) => {
                if !self.refused_by_handle(on, handle, &refusal) {
                    assert_eq!(refusal, Refusal::AlreadyExported);
                    assert!(self.open_session(on, handle).unwrap().exported);
                }
            }
        }
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
