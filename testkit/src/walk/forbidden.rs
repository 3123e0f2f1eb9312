//! The secrets that no answer may contain, or that only some kinds of answers may contain.

use std::collections::HashMap;

use softsim_keyd::vault::Vault;
use softsim_keyd_proto::RequestKind;

use super::home::{Genuine, Home, Subscription};
use super::sessions::Session;

/// The length in octets of the pieces of a secret that an answer is searched for: half of a 128-bit
/// key.
const PIECE: usize = 8;

#[derive(Default)]
pub(super) struct Forbidden(HashMap<[u8; PIECE], Secret>);

#[derive(Clone, Copy)]
struct Secret {
    name: &'static str,
    /// The requests whose answers may contain it.
    but: &'static [RequestKind],
}

impl Forbidden {
    /// Begins with the private keys of the device.
    pub(super) fn of_device(vault: &Vault) -> Self {
        let keys = vault.device_keys().unwrap();
        let mut forbidden = Self::default();
        forbidden.add("device key", &*keys.device, &[]);
        forbidden.add("sealing key", &*keys.sealing, &[]);
        forbidden.add("application key", &*keys.application, &[]);
        forbidden
    }

    pub(super) fn add_subscription(&mut self, subscription: &Subscription) {
        self.add("K", &subscription.k, &[]);
        self.add("OPc", &subscription.opc, &[]);
    }

    /// Adds all keys that are derived in a session.
    pub(super) fn add_session(&mut self, home: &Home, session: &Session) {
        let genuine = home.genuine(&session.challenge).unwrap();
        let (msk, emsk) = session.master_keys(genuine);
        self.add("MSK", msk.as_bytes(), &[]);
        if let Some(emsk) = emsk {
            self.add("EMSK", emsk.as_bytes(), &[]);
        }
    }

    /// Adds all keys that are derived from a challenge.
    pub(super) fn add_challenge(&mut self, genuine: &Genuine) {
        let sent = &genuine.sent;
        let (ck_prime, ik_prime) = sent.agreement().primes();
        for (name, octets) in [
            ("CK", sent.vector.ck.as_bytes()),
            ("IK", sent.vector.ik.as_bytes()),
            ("CK'", ck_prime.as_bytes()),
            ("IK'", ik_prime.as_bytes()),
        ] {
            self.add(name, octets, &[]);
        }
        for (name, octets) in sent.server.keys.secrets() {
            self.add(name, octets, &[]);
        }
        self.add("EMSK", sent.emsk.as_bytes(), &[]);
        self.add("MSK", sent.msk.as_bytes(), &[]);
        let challenges = &[RequestKind::AkaPrimeChallenge, RequestKind::AkaChallenge];
        self.add("RES", sent.res(), challenges);
    }

    fn add(&mut self, name: &'static str, octets: &[u8], but: &'static [RequestKind]) {
        for piece in octets.chunks_exact(PIECE) {
            let piece = piece.try_into().unwrap();
            self.0.insert(piece, Secret { name, but });
        }
    }

    /// The name of a secret of which the answer to a request contains a piece.
    pub(super) fn found_in(&self, answer: &[u8], to: Option<RequestKind>) -> Option<&'static str> {
        let found = answer.array_windows().filter_map(|piece| self.0.get(piece));
        let may = |secret: &Secret| to.is_some_and(|to| secret.but.contains(&to));
        let mut forbidden = found.filter(|secret| !may(secret));
        forbidden.next().map(|secret| secret.name)
    }
}
