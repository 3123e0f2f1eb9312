//! What no answer may hold, and what only one kind of answer may.

use std::collections::HashMap;

use softsim_keyd::vault::{FileStorage, Vault};
use softsim_keyd_proto::RequestKind;

use super::home::{Genuine, Subscription};

/// Half of a 128-bit key. Of longer secrets every such piece counts.
const PIECE: usize = 8;

#[derive(Default)]
pub(super) struct Forbidden(HashMap<[u8; PIECE], Secret>);

#[derive(Clone, Copy)]
struct Secret {
    name: &'static str,
    /// The one request in whose answer it may stand.
    but: Option<RequestKind>,
}

impl Forbidden {
    /// The private keys of the device.
    pub(super) fn of_device(vault: &Vault<FileStorage>) -> Self {
        let keys = vault.device_keys().unwrap();
        let mut forbidden = Self::default();
        forbidden.add("device key", &*keys.device, None);
        forbidden.add("sealing key", &*keys.sealing, None);
        forbidden.add("application key", &*keys.application, None);
        forbidden
    }

    pub(super) fn add_subscription(&mut self, subscription: &Subscription) {
        self.add("K", &subscription.k, None);
        self.add("OPc", &subscription.opc, None);
    }

    pub(super) fn add_psk(&mut self, psk: &[u8]) {
        self.add("PSK", psk, None);
    }

    /// All keys that follow from a challenge.
    pub(super) fn add_challenge(&mut self, genuine: &Genuine) {
        let keys = &genuine.keys;
        for (name, octets) in [
            ("CK", &genuine.ck[..]),
            ("IK", &genuine.ik),
            ("CK'", &genuine.ck_prime),
            ("IK'", &genuine.ik_prime),
            ("K_encr", keys.k_encr.as_bytes()),
            ("K_aut", keys.k_aut.as_bytes()),
            ("K_re", keys.k_re.as_bytes()),
            ("EMSK", genuine.emsk.as_bytes()),
        ] {
            self.add(name, octets, None);
        }
        self.add("MSK", keys.msk.as_bytes(), Some(RequestKind::ExportMsk));
        self.add("RES", &genuine.res, Some(RequestKind::AkaPrimeChallenge));
    }

    fn add(&mut self, name: &'static str, octets: &[u8], but: Option<RequestKind>) {
        for piece in octets.chunks_exact(PIECE) {
            let piece = piece.try_into().unwrap();
            self.0.insert(piece, Secret { name, but });
        }
    }

    /// The name of a secret of which a piece stands in an answer to a request.
    pub(super) fn found_in(&self, answer: &[u8], to: Option<RequestKind>) -> Option<&'static str> {
        let found = answer.array_windows().filter_map(|piece| self.0.get(piece));
        let mut forbidden = found.filter(|secret| secret.but.is_none() || secret.but != to);
        forbidden.next().map(|secret| secret.name)
    }
}
