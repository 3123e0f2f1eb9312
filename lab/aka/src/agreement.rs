//! What a full authentication agrees on, from which both sides derive its keys.

use softsim_aka::eap::{AkaKeys, AkaPrimeKeys, emsk, forward_secret_emsk};
use softsim_aka::kdf::{NetworkName, ck_ik_prime};
use softsim_aka::{Ck, CkPrime, Ik, IkPrime, SharedSecret, SqnXorAk};
use softsim_eap_types::Method;

use crate::Derived;

/// The inputs of the key derivation after a challenge.
#[derive(Clone, Copy)]
pub struct Agreement<'a> {
    /// CK of the challenge.
    pub ck: &'a Ck,
    /// IK of the challenge.
    pub ik: &'a Ik,
    /// SQN ⊕ AK, with which AUTN begins.
    pub sqn_xor_ak: SqnXorAk,
    /// AT_KDF_INPUT, of which EAP-AKA derives nothing.
    pub network_name: &'a [u8],
    /// The identity from which the keys are derived.
    pub identity: &'a [u8],
    /// The shared secret of the ephemeral key exchange, if there was one.
    pub shared_secret: Option<&'a SharedSecret>,
}

impl Agreement<'_> {
    /// CK' and IK'.
    ///
    /// # Panics
    /// If no AT_KDF_INPUT can carry the network name.
    pub fn primes(&self) -> (CkPrime, IkPrime) {
        let name = NetworkName::new(self.network_name).expect("the server's own name fits");
        ck_ik_prime(self.ck, self.ik, name, self.sqn_xor_ak)
    }

    /// Derives the keys of a method.
    ///
    /// # Panics
    /// If the method is EAP-AKA' and no AT_KDF_INPUT can carry the network name.
    pub fn keys(&self, method: Method) -> Derived {
        match method {
            Method::Aka => self.aka(),
            Method::AkaPrime => self.aka_prime(),
        }
    }

    /// EAP-AKA (RFC 4187 §7).
    fn aka(&self) -> Derived {
        let keys = AkaKeys::derive(self.ck, self.ik, self.identity);
        Derived::of_aka(keys)
    }

    /// EAP-AKA' (RFC 9048 §3.3), with or without forward secrecy (RFC 9678 §6.5.3).
    fn aka_prime(&self) -> Derived {
        let ((ck, ik), identity) = (self.primes(), self.identity);
        let (keys, emsk) = match self.shared_secret {
            None => (
                AkaPrimeKeys::derive(&ck, &ik, identity),
                emsk(&ck, &ik, identity),
            ),
            Some(secret) => (
                AkaPrimeKeys::derive_forward_secret(&ck, &ik, secret, identity),
                forward_secret_emsk(&ck, &ik, secret, identity),
            ),
        };
        Derived::of_aka_prime(keys, emsk)
    }
}
