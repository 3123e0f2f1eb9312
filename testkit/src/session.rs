//! The keys of one EAP conversation, as both sides derive them.

use softsim_aka::{KAusf, Msk, NonceS, fiveg};
use softsim_eap::Method;
use softsim_eap_packet::{AkaMessage, Attribute, Packet, Subtype, parse_encrypted};
use softsim_lab_aka::{Derived, Keys};

/// The keys of the current conversation.
pub struct Session {
    /// The keys for its messages and for later re-authentications.
    pub keys: Keys,
    /// The MSK, for the link.
    pub msk: Msk,
    /// K_AUSF, which a 5G core anchors.
    pub k_ausf: Option<KAusf>,
    /// Counter and nonce of a fast re-authentication.
    pub round: Option<Round>,
}

/// The values that belong to one fast re-authentication.
#[derive(Clone, Copy)]
pub struct Round {
    /// AT_COUNTER.
    pub counter: u16,
    /// AT_NONCE_S.
    pub nonce_s: [u8; 16],
    /// Whether the SIM has seen this counter or a higher one before.
    pub too_small: bool,
}

impl Session {
    /// The session of a full authentication.
    pub fn full(derived: Derived, network_name: &[u8]) -> Self {
        let (method, name) = (derived.keys.method(), network_name);
        let anchors = method == Method::AkaPrime && name.starts_with(b"5G:") && name != b"5G:NSWO";
        Self {
            k_ausf: anchors.then(|| fiveg::k_ausf(&derived.emsk)),
            keys: derived.keys,
            msk: derived.msk,
            round: None,
        }
    }

    /// Derives the keys of a fast re-authentication.
    pub fn reauthenticated(&self, identity: &[u8], round: Round) -> Self {
        let nonce_s = NonceS::new(round.nonce_s);
        let derived = self.keys.reauthenticate(identity, round.counter, &nonce_s);
        Self {
            keys: self.keys.duplicate(),
            msk: derived.msk,
            k_ausf: None,
            round: Some(round),
        }
    }

    /// AT_MAC of a packet whose AT_MAC holds zeros.
    pub fn at_mac(&self, zeroed: &[u8]) -> [u8; 16] {
        self.keys.k_aut.at_mac(zeroed, self.covered_too(zeroed))
    }

    /// Whether a packet's AT_MAC was made with these keys.
    pub fn verifies(&self, octets: &[u8]) -> bool {
        let message = |packet: &Packet<'_>| {
            let message = packet.aka().ok()?;
            Some(self.keys.authentic(&message, self.covered_too(octets)))
        };
        Packet::parse(octets).is_ok_and(|packet| message(&packet) == Some(true))
    }

    /// The octets that AT_MAC covers besides the packet: NONCE_S, in the response to a
    /// re-authentication request.
    fn covered_too(&self, packet: &[u8]) -> &[u8] {
        let response = packet.first() == Some(&2);
        let subtype = packet.get(5).copied().map(Subtype::from);
        match &self.round {
            Some(round) if response && subtype == Some(Subtype::Reauthentication) => &round.nonce_s,
            _ => &[],
        }
    }

    /// Decrypts a packet's AT_COUNTER, and returns it and whether AT_COUNTER_TOO_SMALL is with it.
    pub fn counter_in(&self, octets: &[u8]) -> Option<(u16, bool)> {
        let packet = Packet::parse(octets).ok()?;
        let data = self.keys.decrypted(&packet.aka().ok()?)?;
        let inside = parse_encrypted(&data).ok()?;
        let counter = inside.iter().find_map(|attribute| match attribute {
            Attribute::Counter(counter) => Some(*counter),
            _ => None,
        });
        Some((counter?, inside.contains(&Attribute::CounterTooSmall)))
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.duplicate(),
            msk: Msk::new(*self.msk.as_bytes()),
            k_ausf: (self.k_ausf.as_ref()).map(|key| KAusf::new(*key.as_bytes())),
            round: self.round,
        }
    }
}

/// The identities that a server gives for the next conversation.
#[derive(Clone, Debug, Default)]
pub struct Next {
    /// AT_NEXT_PSEUDONYM.
    pub pseudonym: Option<String>,
    /// AT_NEXT_REAUTH_ID.
    pub reauthentication: Option<String>,
}

impl Next {
    /// Decrypts the identities of a message.
    pub fn of(keys: &Keys, message: &AkaMessage<'_>) -> Self {
        let data = keys.decrypted(message).unwrap_or_default();
        let mut next = Self::default();
        for attribute in parse_encrypted(&data).unwrap_or_default() {
            let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
            match attribute {
                Attribute::NextPseudonym(name) => next.pseudonym = text(name),
                Attribute::NextReauthId(name) => next.reauthentication = text(name),
                _ => {}
            }
        }
        next
    }
}
