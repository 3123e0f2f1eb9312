//! The SIM's keys of one full authentication, of either method.

use softsim_aka::eap::{
    AkaKeys, AkaPrimeKeys, MacKey, ReauthenticationKeys, decrypt, emsk, encrypt,
    forward_secret_emsk,
};
use softsim_aka::{CkPrime, Emsk, IkPrime, Iv, KEncr, KRe, Mk, Msk, NonceS, SharedSecret};
use softsim_eap::Method;
use softsim_eap::packet::{AkaMessage, Attribute, build_encrypted, parse_encrypted};
use softsim_sandbox::random;
use softsim_usim::Verified;

pub(super) struct Keys {
    k_encr: KEncr,
    pub(super) k_aut: MacKey,
    root: Root,
}

enum Root {
    Aka(Mk),
    AkaPrime(KRe),
}

pub(super) struct Derived {
    pub(super) keys: Keys,
    pub(super) msk: Msk,
    pub(super) emsk: Emsk,
}

impl Derived {
    pub(super) fn aka(verified: &Verified, identity: &[u8]) -> Self {
        let derived = AkaKeys::derive(&verified.ck, &verified.ik, identity);
        Self {
            keys: Keys {
                k_encr: derived.k_encr,
                k_aut: derived.k_aut.into(),
                root: Root::Aka(derived.mk),
            },
            msk: derived.msk,
            emsk: derived.emsk,
        }
    }

    pub(super) fn aka_prime(ck_prime: &CkPrime, ik_prime: &IkPrime, identity: &[u8]) -> Self {
        Self::of(
            AkaPrimeKeys::derive(ck_prime, ik_prime, identity),
            emsk(ck_prime, ik_prime, identity),
        )
    }

    pub(super) fn forward_secret(
        ck_prime: &CkPrime,
        ik_prime: &IkPrime,
        secret: &SharedSecret,
        identity: &[u8],
    ) -> Self {
        Self::of(
            AkaPrimeKeys::derive_forward_secret(ck_prime, ik_prime, secret, identity),
            forward_secret_emsk(ck_prime, ik_prime, secret, identity),
        )
    }

    fn of(derived: AkaPrimeKeys, emsk: Emsk) -> Self {
        Self {
            keys: Keys {
                k_encr: derived.k_encr,
                k_aut: derived.k_aut.into(),
                root: Root::AkaPrime(derived.k_re),
            },
            msk: derived.msk,
            emsk,
        }
    }
}

impl Keys {
    pub(super) fn method(&self) -> Method {
        match self.root {
            Root::Aka(_) => Method::Aka,
            Root::AkaPrime(_) => Method::AkaPrime,
        }
    }

    pub(super) fn duplicate(&self) -> Self {
        Self {
            k_encr: KEncr::new(*self.k_encr.as_bytes()),
            k_aut: self.k_aut.duplicate(),
            root: match &self.root {
                Root::Aka(mk) => Root::Aka(Mk::new(*mk.as_bytes())),
                Root::AkaPrime(k_re) => Root::AkaPrime(KRe::new(*k_re.as_bytes())),
            },
        }
    }

    pub(super) fn reauthenticate(
        &self,
        identity: &[u8],
        counter: u16,
        nonce_s: &NonceS,
    ) -> ReauthenticationKeys {
        match &self.root {
            Root::Aka(mk) => ReauthenticationKeys::aka(mk, identity, counter, nonce_s),
            Root::AkaPrime(k_re) => {
                ReauthenticationKeys::aka_prime(k_re, identity, counter, nonce_s)
            }
        }
    }

    pub(super) fn authentic(&self, message: &AkaMessage<'_>, extra: &[u8]) -> bool {
        match (message.bytes_under_mac(), message.mac()) {
            (Some(packet), Some(mac)) => self.k_aut.verifies(&packet, extra, mac),
            _ => false,
        }
    }

    pub(super) fn encrypt(&self, inside: &[Attribute<'_>]) -> ([u8; 16], Vec<u8>) {
        let mut data = build_encrypted(inside).unwrap();
        let mut iv = [0; 16];
        random::fill(&mut iv);
        encrypt(&self.k_encr, &Iv::new(iv), &mut data).unwrap();
        (iv, data)
    }

    pub(super) fn counter(&self, message: &AkaMessage<'_>) -> Option<u16> {
        let data = self.decrypted(message)?;
        let inside = parse_encrypted(&data).ok()?;
        inside.iter().find_map(|attribute| match attribute {
            Attribute::Counter(counter) => Some(*counter),
            _ => None,
        })
    }

    pub(super) fn counter_and_nonce(&self, message: &AkaMessage<'_>) -> Option<(u16, [u8; 16])> {
        let data = self.decrypted(message)?;
        let inside = parse_encrypted(&data).ok()?;
        let nonce_s = inside.iter().find_map(|attribute| match attribute {
            Attribute::NonceS(nonce_s) => Some(**nonce_s),
            _ => None,
        })?;
        Some((self.counter(message)?, nonce_s))
    }

    /// AT_NEXT_PSEUDONYM and AT_NEXT_REAUTH_ID.
    pub(super) fn next_identities(
        &self,
        message: &AkaMessage<'_>,
    ) -> (Option<String>, Option<String>) {
        let data = self.decrypted(message).unwrap_or_default();
        let (mut pseudonym, mut reauthentication) = (None, None);
        for attribute in parse_encrypted(&data).unwrap_or_default() {
            match attribute {
                Attribute::NextPseudonym(name) => {
                    pseudonym = Some(String::from_utf8(name.to_vec()).unwrap());
                }
                Attribute::NextReauthId(name) => {
                    reauthentication = Some(String::from_utf8(name.to_vec()).unwrap());
                }
                _ => {}
            }
        }
        (pseudonym, reauthentication)
    }

    fn decrypted(&self, message: &AkaMessage<'_>) -> Option<Vec<u8>> {
        let mut data = message.encr_data()?.to_vec();
        decrypt(&self.k_encr, &Iv::new(*message.iv()?), &mut data).ok()?;
        Some(data)
    }
}
