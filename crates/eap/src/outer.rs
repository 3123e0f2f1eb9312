//! The identity in EAP-Response/Identity. The peer gives the same answer to every
//! EAP-Request/Identity until the conversation no longer needs it, or the attempt is over.
//!
//! The holder of the SIM gives a re-authentication identity only once, and it must not be used in
//! another exchange, even if the first one wasn't completed (RFC 4187 §4.1.1.8). Authenticators may
//! ask more than once before a method begins, and some ask again every few seconds to check whether
//! the peer is there. All of them get the same answer. After a failure or silence, the holder of
//! the SIM is asked again.

use softsim_eap_types::{IdentityRequest, Method};

use crate::ask::Ask;
use crate::config::Config;
use crate::identity::{Identity, OuterIdentity};

/// The identity shown outside of the method.
#[derive(Debug, Default)]
pub(crate) struct Outer {
    said: Option<Identity>,
    /// The number of the conversation that it belongs to.
    conversation: u64,
    /// The identifier of the last response that showed it.
    identifier: Option<u8>,
    asked: Option<IdentityRequest>,
    /// Whether the last conversation was bid down to EAP-AKA.
    bid_down: bool,
}

impl Outer {
    /// Keeps the identity for the next conversation, numbered `coming`, unless the current one has
    /// used it up (`spent`).
    pub(crate) fn hand_over(&mut self, spent: bool, coming: u64) {
        // An identity that already belongs to the next conversation wasn't used in the current one.
        if spent && self.conversation < coming {
            self.said = None;
        }
        self.conversation = coming;
    }

    /// Forgets the identity: the next EAP-Request/Identity gets another.
    pub(crate) fn forget(&mut self) {
        self.said = None;
        self.identifier = None;
    }

    /// Remembers the identifier of a response that shows the identity.
    pub(crate) fn shown_in(&mut self, identifier: u8) {
        self.identifier = Some(identifier);
    }

    /// Whether the last response to show the identity had this identifier.
    pub(crate) fn was_shown_in(&self, identifier: u8) -> bool {
        self.identifier == Some(identifier)
    }

    /// The conversation that EAP-Response/Identity belongs to: the current one, or the next one.
    pub(crate) fn said_for(&self) -> u64 {
        self.conversation
    }

    /// The identity without decoration, because the realms on the path remove it (RFC 7542 §3.3.1).
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.said.clone()
    }

    /// The question that must be answered before the peer can send EAP-Response/Identity; `None` if
    /// it can send it now.
    pub(crate) fn begin(&mut self, config: &Config) -> Option<Ask> {
        if self.said.is_some() {
            return None;
        }
        self.asked = None;
        let wanted = match &config.outer {
            OuterIdentity::Any | OuterIdentity::PseudonymOrPermanent if self.bid_down => {
                IdentityRequest::Anonymous
            }
            OuterIdentity::Any => config.anything(),
            OuterIdentity::PseudonymOrPermanent => IdentityRequest::FullAuthentication,
            OuterIdentity::Anonymous => IdentityRequest::Anonymous,
            OuterIdentity::Suci => IdentityRequest::Suci,
            OuterIdentity::Fixed(identity) => return self.given(config, identity.clone()),
        };
        Some(self.ask(config, wanted))
    }

    /// Takes an identity; if the peer may not show it, asks for a concealed one.
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

    /// If the SIM withholds the identity, asks for an anonymous one; if it withholds that, shows
    /// none.
    pub(crate) fn withheld(&mut self, config: &Config) -> Option<Ask> {
        (self.asked != Some(IdentityRequest::Anonymous))
            .then(|| self.ask(config, IdentityRequest::Anonymous))
    }

    fn ask(&mut self, config: &Config, wanted: IdentityRequest) -> Ask {
        self.asked = Some(wanted);
        let mut allowed = config.allowed();
        Ask::Identity {
            method: allowed.next().unwrap_or(Method::AkaPrime),
            any_method: allowed.next().is_some(),
            wanted,
            inside: false,
        }
    }

    /// Notes whether the conversation that has ended was bid down to EAP-AKA. A server may choose
    /// the method by the identity alone: a pseudonym that it assigned in EAP-AKA leads to EAP-AKA
    /// (TS 23.003 §19.3.4), and thus to the same failure again. So the next identity is anonymous:
    /// the server takes the method that it prefers, and asks inside it.
    pub(crate) fn ended(&mut self, bid_down: bool) {
        self.bid_down = bid_down;
    }

    /// The octets of EAP-Response/Identity: decorated if so configured and if the identity has a
    /// realm, empty if there is no identity to show (RFC 3748 §5.1).
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
