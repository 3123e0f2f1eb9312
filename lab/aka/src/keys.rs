//! The keys that protect the messages of a conversation, of either method.

use softsim_aka::eap::{AkaKeys, AkaPrimeKeys, MacKey, ReauthenticationKeys, decrypt, encrypt};
use softsim_aka::{Emsk, Iv, KEncr, KRe, Mk, Msk, NonceS};
use softsim_eap_packet::{AkaMessage, Attribute, Builder, build_encrypted, parse_encrypted};
use softsim_eap_types::Method;
use softsim_sandbox::random;

/// The keys that stay from a full authentication through all its fast re-authentications.
#[derive(Debug)]
pub struct Keys {
    /// For AT_ENCR_DATA.
    pub k_encr: KEncr,
    /// For AT_MAC.
    pub k_aut: MacKey,
    root: Root,
}

/// The key from which fast re-authentications derive theirs.
#[derive(Debug)]
enum Root {
    Aka(Mk),
    AkaPrime(KRe),
}

/// The keys of a full authentication, and those for the link.
pub struct Derived {
    /// The keys for messages.
    pub keys: Keys,
    /// The key for the link.
    pub msk: Msk,
    /// The key for further derivations.
    pub emsk: Emsk,
}

impl Derived {
    pub(crate) fn of_aka(keys: AkaKeys) -> Self {
        Self {
            keys: Keys {
                k_encr: keys.k_encr,
                k_aut: keys.k_aut.into(),
                root: Root::Aka(keys.mk),
            },
            msk: keys.msk,
            emsk: keys.emsk,
        }
    }

    pub(crate) fn of_aka_prime(keys: AkaPrimeKeys, emsk: Emsk) -> Self {
        Self {
            keys: Keys {
                k_encr: keys.k_encr,
                k_aut: keys.k_aut.into(),
                root: Root::AkaPrime(keys.k_re),
            },
            msk: keys.msk,
            emsk,
        }
    }
}

impl Keys {
    /// Makes keys of which only K_aut can be used.
    pub fn with_k_aut(k_aut: MacKey) -> Self {
        Self {
            k_encr: KEncr::new([0; 16]),
            k_aut,
            root: Root::Aka(Mk::new([0; 20])),
        }
    }

    /// The method that they are for.
    pub fn method(&self) -> Method {
        match self.root {
            Root::Aka(_) => Method::Aka,
            Root::AkaPrime(_) => Method::AkaPrime,
        }
    }

    /// Copies the keys, for the register, while the conversation goes on with its own.
    pub fn duplicate(&self) -> Self {
        Self {
            k_encr: KEncr::new(*self.k_encr.as_bytes()),
            k_aut: self.k_aut.duplicate(),
            root: match &self.root {
                Root::Aka(mk) => Root::Aka(Mk::new(*mk.as_bytes())),
                Root::AkaPrime(k_re) => Root::AkaPrime(KRe::new(*k_re.as_bytes())),
            },
        }
    }

    /// The keys by name, as secrets that nobody else may learn.
    pub fn secrets(&self) -> [(&'static str, &[u8]); 3] {
        let k_aut = match &self.k_aut {
            MacKey::Aka(k_aut) => &k_aut.as_bytes()[..],
            MacKey::AkaPrime(k_aut) => k_aut.as_bytes(),
        };
        let (name, root) = match &self.root {
            Root::Aka(mk) => ("MK", &mk.as_bytes()[..]),
            Root::AkaPrime(k_re) => ("K_re", &k_re.as_bytes()[..]),
        };
        [
            ("K_encr", self.k_encr.as_bytes()),
            ("K_aut", k_aut),
            (name, root),
        ]
    }

    /// The keys of a fast re-authentication.
    pub fn reauthenticate(
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

    /// Ends a message with AT_MAC over it and `extra`.
    pub fn authenticated(&self, builder: Builder, extra: &[u8]) -> Vec<u8> {
        let draft = builder.mac().finish().expect("the server's attributes fit");
        let mac = self.k_aut.at_mac(draft.bytes(), extra);
        draft.with_mac(&mac)
    }

    /// Whether AT_MAC is present and right.
    pub fn authentic(&self, message: &AkaMessage<'_>, extra: &[u8]) -> bool {
        match (message.bytes_under_mac(), message.mac()) {
            (Some(packet), Some(mac)) => self.k_aut.verifies(&packet, extra, mac),
            _ => false,
        }
    }

    /// Adds AT_IV and AT_ENCR_DATA with these attributes inside.
    pub fn encrypted(&self, builder: Builder, inside: &[Attribute<'_>]) -> Builder {
        let (iv, data) = self.encrypt(inside);
        builder
            .attribute(Attribute::Iv(&iv))
            .attribute(Attribute::EncrData(&data))
    }

    /// The values of AT_IV and AT_ENCR_DATA with these attributes inside.
    pub fn encrypt(&self, inside: &[Attribute<'_>]) -> ([u8; Iv::LENGTH], Vec<u8>) {
        let mut iv = [0; Iv::LENGTH];
        random::fill(&mut iv);
        (iv, self.encrypt_with(&iv, inside))
    }

    /// The value of AT_ENCR_DATA under this AT_IV.
    pub fn encrypt_with(&self, iv: &[u8; Iv::LENGTH], inside: &[Attribute<'_>]) -> Vec<u8> {
        let mut data = build_encrypted(inside).expect("identities of the register are short");
        encrypt(&self.k_encr, &Iv::new(*iv), &mut data).expect("padded to whole blocks");
        data
    }

    /// The plaintext of AT_ENCR_DATA.
    pub fn decrypted(&self, message: &AkaMessage<'_>) -> Option<Vec<u8>> {
        let mut data = message.encr_data()?.to_vec();
        decrypt(&self.k_encr, &Iv::new(*message.iv()?), &mut data).ok()?;
        Some(data)
    }

    /// AT_COUNTER out of AT_ENCR_DATA.
    pub fn counter_in(&self, message: &AkaMessage<'_>) -> Option<u16> {
        let data = self.decrypted(message)?;
        let attributes = parse_encrypted(&data).ok()?;
        attributes.iter().find_map(|attribute| match attribute {
            Attribute::Counter(counter) => Some(*counter),
            _ => None,
        })
    }
}
