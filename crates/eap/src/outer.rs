//! What EAP-Response/Identity says, and for how long: one answer to every EAP-Request/Identity
//! until it has served its purpose.
//!
//! A re-authentication identity is given by the holder of the SIM once. Authenticators ask more
//! than once before a method begins, and some ask again every few seconds to see whether we are
//! there; all of them get the same answer.

use softsim_eap_types::{IdentityRequest, Method};

use crate::ask::Ask;
use crate::config::Config;
use crate::identity::{Identity, OuterIdentity};

/// The identity shown outside of the method.
#[derive(Debug, Default)]
pub(crate) struct Outer {
    said: Option<Identity>,
    /// The conversation that it is said for.
    conversation: u64,
    asked: Option<IdentityRequest>,
}

impl Outer {
    /// Keeps what was said for the conversation to come, unless the one that it was said for is
    /// through with it.
    pub(crate) fn hand_over(&mut self, spent: bool, coming: u64) {
        // What was said for the conversation to come has not been used in the one that there is.
        if spent && self.conversation < coming {
            self.said = None;
        }
        self.conversation = coming;
    }

    /// The conversation that EAP-Response/Identity belongs to: one to come, or the one that there
    /// is.
    pub(crate) fn said_for(&self) -> u64 {
        self.conversation
    }

    /// What was said, without decoration: realms on the way take it off (RFC 7542 §3.3.1).
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.said.clone()
    }

    /// What to ask before EAP-Response/Identity can be sent; `None` when nothing is missing.
    pub(crate) fn begin(&mut self, config: &Config) -> Option<Ask> {
        if self.said.is_some() {
            return None;
        }
        self.asked = None;
        let wanted = match &config.outer {
            OuterIdentity::Any => config.anything(),
            OuterIdentity::PseudonymOrPermanent => IdentityRequest::FullAuthentication,
            OuterIdentity::Anonymous => IdentityRequest::Anonymous,
            OuterIdentity::Suci => IdentityRequest::Suci,
            OuterIdentity::Fixed(identity) => return self.given(config, identity.clone()),
        };
        Some(self.ask(config, wanted))
    }

    /// Takes an identity; where it may not be shown, it is asked for concealed.
    pub(crate) fn given(&mut self, config: &Config, identity: Identity) -> Option<Ask> {
        if config.may_show(identity.kind) {
            self.said = Some(identity);
            return None;
        }
        match self.asked {
            Some(IdentityRequest::Suci | IdentityRequest::Anonymous) => self.withheld(config),
            _ => Some(self.ask(config, IdentityRequest::Suci)),
        }
    }

    /// What is not given to a network is replaced by the realm alone, and that by nothing.
    pub(crate) fn withheld(&mut self, config: &Config) -> Option<Ask> {
        (self.asked != Some(IdentityRequest::Anonymous))
            .then(|| self.ask(config, IdentityRequest::Anonymous))
    }

    fn ask(&mut self, config: &Config, wanted: IdentityRequest) -> Ask {
        self.asked = Some(wanted);
        let method = config.allowed().next().unwrap_or(Method::AkaPrime);
        Ask::Identity { method, wanted }
    }

    /// The octets of EAP-Response/Identity: decorated where that is wanted and the identity has a
    /// realm, empty where there is no identity to show (RFC 3748 §5.1).
    pub(crate) fn on_the_wire(&self, config: &Config) -> Vec<u8> {
        let Some(Identity { nai, .. }) = &self.said else {
            return Vec::new();
        };
        let decorated = config
            .decoration
            .as_ref()
            .and_then(|through| nai.decorated(through).ok());
        decorated.as_ref().unwrap_or(nai).as_bytes().to_vec()
    }
}
