//! The secrets that no answer may contain, or that only some kinds of answers may contain.

use std::collections::HashMap;

use softsim_aka::eap::MacKey;
use softsim_keyd::vault::Vault;
use softsim_keyd_proto::RequestKind;

use super::home::{Genuine, Home, Root, Subscription};
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
        let Genuine { server, root, .. } = genuine;
        let root = match root {
            Root::Aka(mk) => &mk.as_bytes()[..],
            Root::AkaPrime(k_re) => k_re.as_bytes(),
        };
        let k_aut = match &server.k_aut {
            MacKey::Aka(k_aut) => &k_aut.as_bytes()[..],
            MacKey::AkaPrime(k_aut) => k_aut.as_bytes(),
        };
        for (name, octets) in [
            ("CK", &genuine.ck[..]),
            ("IK", &genuine.ik),
            ("CK'", &genuine.ck_prime),
            ("IK'", &genuine.ik_prime),
            ("K_encr", server.k_encr.as_bytes()),
            ("K_aut", k_aut),
            ("MK or K_re", root),
            ("EMSK", genuine.emsk.as_bytes()),
        ] {
            self.add(name, octets, &[]);
        }
        self.add("MSK", genuine.msk.as_bytes(), &[]);
        let challenges = &[RequestKind::AkaPrimeChallenge, RequestKind::AkaChallenge];
        self.add("RES", &genuine.res, challenges);
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
