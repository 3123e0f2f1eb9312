//! The home network of a test's SIM: its challenges, and the messages of its EAP server after them,
//! valid or altered as a test needs it.
//!
//! `octets` writes the packets by hand: keyd must not be tested with packets that are written by
//! the code with which it reads them.

mod challenge;
mod octets;
mod server;

pub use challenge::{Challenge, Sent};
pub use octets::*;
pub use server::{Reauthentication, Server};
use softsim_aka::{Amf, Auts, Credentials, Opc, Rand, Sqn};
use softsim_eap_types::Method;
use softsim_lab_aka::{AuthenticationVector, sqn_ms};

/// The permanent identity of keyd's first subscription.
pub const IDENTITY: &[u8] = b"6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";
/// The RAND of a challenge unless a test sets another.
pub const RAND: [u8; 16] = [0x11; 16];
/// K of keyd's first subscription.
pub const K: [u8; 16] = 0x465b_5ce8_b199_b49f_aa5f_0a2e_e238_a6bc_u128.to_be_bytes();
/// OPc of keyd's first subscription.
pub const OPC: [u8; 16] = 0xcd63_cb71_954a_9f4e_48a5_994e_37a0_2baf_u128.to_be_bytes();

/// Milenage's credentials.
pub fn milenage(k: [u8; 16], opc: [u8; 16]) -> Credentials {
    Credentials::Milenage {
        k: softsim_aka::K::new(k),
        opc: Opc::new(opc),
    }
}

/// A home network, and the challenge that it sends.
pub struct HomeNetwork {
    /// K and the other credentials of its algorithm.
    pub credentials: Credentials,
    /// RAND.
    pub rand: [u8; 16],
    /// The identity from which the keys are derived.
    pub identity: Vec<u8>,
    /// The contents of its challenge.
    pub sends: Challenge,
}

impl Default for HomeNetwork {
    fn default() -> Self {
        Self {
            credentials: milenage(K, OPC),
            rand: RAND,
            identity: IDENTITY.to_vec(),
            sends: Challenge::default(),
        }
    }
}

impl HomeNetwork {
    /// A home network that sends this challenge.
    pub fn sending(sends: Challenge) -> Self {
        Self {
            sends,
            ..Self::default()
        }
    }

    /// A home network whose challenge gives a pseudonym and a re-authentication identity.
    pub fn naming(pseudonym: Option<&str>, reauthentication: Option<&str>) -> Self {
        Self::sending(Challenge {
            next_pseudonym: pseudonym.map(str::to_owned),
            next_reauth_id: reauthentication.map(str::to_owned),
            ..Challenge::default()
        })
    }

    /// An authentication vector.
    pub fn vector(&self, sqn: u64) -> AuthenticationVector {
        let (functions, amf) = (self.credentials.functions(), Amf::new(self.sends.amf));
        let (rand, sqn) = (Rand::new(self.rand), Sqn::new(sqn).unwrap());
        AuthenticationVector::new(&functions, rand, sqn, amf)
    }

    /// Makes a challenge.
    pub fn challenge(&self, sqn: u64) -> Sent {
        self.sends.sent(self.vector(sqn), &self.identity)
    }

    /// Makes the challenge of EAP-AKA, which has the same contents.
    pub fn old_challenge(&self, sqn: u64) -> Sent {
        let old = Challenge {
            method: Method::Aka,
            ..self.sends.clone()
        };
        old.sent(self.vector(sqn), &self.identity)
    }

    /// The highest SQN of the USIM, if AUTS is its own.
    pub fn resynchronise(&self, auts: [u8; 14]) -> Option<u64> {
        let (functions, rand) = (self.credentials.functions(), Rand::new(self.rand));
        sqn_ms(&functions, &rand, &Auts::new(auts)).map(Sqn::value)
    }
}
