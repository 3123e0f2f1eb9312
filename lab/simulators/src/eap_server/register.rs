//! The state that conversations leave to later ones: pseudonyms and re-authentication contexts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use softsim_eap_types::Method;
use softsim_lab_aka::Keys;
use softsim_sandbox::random;

/// A re-authentication context (RFC 4187 §5).
pub(super) struct Context {
    pub(super) imsi: String,
    pub(super) keys: Keys,
    /// The counter of the next re-authentication.
    pub(super) counter: u16,
    /// The network name of the full authentication, which a re-authentication must have, too (RFC
    /// 9048 §3.3).
    pub(super) network_name: String,
}

#[derive(Default)]
struct Entries {
    /// Whether a subscriber's new pseudonym replaces the one before.
    one_each: bool,
    /// The subscribers by pseudonym, a username without realm.
    pseudonyms: BTreeMap<String, String>,
    /// The contexts by re-authentication identity, each for one re-authentication.
    reauthentications: BTreeMap<Vec<u8>, Context>,
}

/// The pseudonyms and re-authentication identities that were assigned. Clones share them.
#[derive(Clone, Default)]
pub struct Register(Arc<Mutex<Entries>>);

impl Register {
    /// A register that keeps one pseudonym of each subscriber, and replaces it when the response to
    /// a challenge arrives, as hostapd's does.
    pub fn with_one_pseudonym_each() -> Self {
        let register = Self::default();
        register.entries().one_each = true;
        register
    }

    /// Loses the pseudonyms, as a server without stable storage does when it restarts.
    pub fn forget_pseudonyms(&self) {
        self.entries().pseudonyms.clear();
    }

    /// Loses the re-authentication contexts.
    pub fn forget_reauthentications(&self) {
        self.entries().reauthentications.clear();
    }

    /// How many pseudonyms are known.
    pub fn pseudonyms(&self) -> usize {
        self.entries().pseudonyms.len()
    }

    /// How many re-authentications could follow.
    pub fn reauthentications(&self) -> usize {
        self.entries().reauthentications.len()
    }

    /// Sends this counter next, as a server that was set back would.
    pub fn set_counters(&self, counter: u16) {
        for context in self.entries().reauthentications.values_mut() {
            context.counter = counter;
        }
    }

    /// The IMSI of whom a pseudonym was given to.
    pub(super) fn pseudonym(&self, username: &str) -> Option<String> {
        self.entries().pseudonyms.get(username).cloned()
    }

    /// Takes the context of a re-authentication identity, which is valid for one attempt.
    pub(super) fn take_reauthentication(
        &self,
        identity: &[u8],
        method: Method,
        network_name: &str,
    ) -> Option<Context> {
        let mut entries = self.entries();
        let context = entries.reauthentications.remove(identity)?;
        let fits = context.keys.method() == method && context.network_name == network_name;
        fits.then_some(context)
    }

    /// Stores the identities that the peer has learnt in a successful authentication.
    pub(super) fn remember(&self, next: Next, context: Context) {
        let mut entries = self.entries();
        if let Some(pseudonym) = next.pseudonym {
            if entries.one_each {
                entries.pseudonyms.retain(|_, imsi| *imsi != context.imsi);
            }
            entries.pseudonyms.insert(pseudonym, context.imsi.clone());
        }
        if let Some(identity) = next.reauthentication {
            entries
                .reauthentications
                .insert(identity.into_bytes(), context);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pseudonyms, reauthentications) = (self.pseudonyms(), self.reauthentications());
        write!(
            f,
            "Register({pseudonyms} pseudonyms, {reauthentications} re-authentications)"
        )
    }
}

/// The identities that a message assigns to the peer.
#[derive(Debug, Default)]
pub(super) struct Next {
    pub(super) pseudonym: Option<String>,
    pub(super) reauthentication: Option<String>,
}

/// A pseudonym: a username without realm (TS 23.003 §14.4 and §19.3.4 tell the first character).
pub(super) fn new_pseudonym(method: Method) -> String {
    let prefix = match method {
        Method::Aka => '2',
        Method::AkaPrime => '7',
    };
    random_name(prefix)
}

/// A re-authentication identity, which leads back here: with the realm of the identity that was
/// used (RFC 4187 §4.1.1.8, TS 23.003 §14.5 and §19.3.5).
pub(super) fn new_reauthentication(method: Method, identity: &[u8]) -> String {
    let prefix = match method {
        Method::Aka => '4',
        Method::AkaPrime => '8',
    };
    let name = random_name(prefix);
    match String::from_utf8_lossy(identity).split_once('@') {
        Some((_, realm)) => format!("{name}@{realm}"),
        None => name,
    }
}

fn random_name(prefix: char) -> String {
    let mut octets = [0; 16];
    random::fill(&mut octets);
    format!("{prefix}{}", hex::encode(octets))
}
