//! AKA-Identity: which identity is shown to a server that asks inside the method (RFC 4187 §4.1).

use softsim_eap_packet::{AkaMessage, Attribute, Kind, Packet, Subtype};
use softsim_eap_types::IdentityRequest;

use super::{
    Conversation, Identity, IdentityKind, Phase, Reaction, Reason, Step, Unprocessable, allow,
    names, unexpected,
};
use crate::ask::Ask;
use crate::config::Config;
use crate::identity::OuterIdentity;
use crate::rounds::Round;

impl Conversation {
    pub(super) fn identity_request(
        &mut self,
        config: &Config,
        packet: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Result<Reaction, Reason> {
        if self.challenged || matches!(self.phase, Phase::Verified { .. }) {
            return unexpected(Subtype::Identity);
        }
        allow(
            message,
            &[
                Kind::ANY_ID_REQ,
                Kind::FULLAUTH_ID_REQ,
                Kind::PERMANENT_ID_REQ,
            ],
        )?;
        let wanted = wanted(config, self.rounds.next(message)?);
        Ok(self.ask_or_show(packet.bytes().to_vec(), wanted))
    }

    /// Shows the identity that the SIM gave; if the peer may not show it, asks for a concealed one.
    pub(super) fn identity_given(
        &mut self,
        config: &Config,
        request: Vec<u8>,
        wanted: IdentityRequest,
        identity: Identity,
    ) -> Result<Reaction, Reason> {
        if config.may_show(identity.kind) {
            Ok(self.show(&request, identity))
        } else if wanted == IdentityRequest::Suci {
            Err(Reason::Unprocessable(Unprocessable::IdentityWithheld))
        } else {
            Ok(self.ask_or_show(request, IdentityRequest::Suci))
        }
    }

    fn ask_or_show(&mut self, request: Vec<u8>, wanted: IdentityRequest) -> Reaction {
        if let Some(identity) = self.shown_before(wanted) {
            return self.show(&request, identity);
        }
        self.open = Some(Step::Identity { request, wanted });
        Reaction::Ask(Ask::Identity {
            method: self.method,
            any_method: false,
            wanted,
            inside: true,
        })
    }

    /// The identity that the peer has shown before in this conversation, if it fits the request:
    /// the SIM gives a re-authentication identity only once.
    fn shown_before(&self, wanted: IdentityRequest) -> Option<Identity> {
        let shown = self.identity.as_ref()?;
        let same = match wanted {
            IdentityRequest::Any => shown.kind == IdentityKind::Reauthentication,
            IdentityRequest::Suci => {
                matches!(shown.kind, IdentityKind::Suci | IdentityKind::NullSuci)
            }
            _ => false,
        };
        (same && !self.reauthenticated).then(|| shown.clone())
    }

    fn show(&mut self, request: &[u8], identity: Identity) -> Reaction {
        let attribute = Attribute::Identity(identity.nai.as_bytes());
        let response = self.response(Subtype::Identity, &[attribute]).into_bytes();
        self.rounds.record(request, &response);
        self.named |= names(Some(&identity));
        self.identity = Some(identity);
        Reaction::Respond(response)
    }
}

/// The identity to ask the SIM for in this round. A peer that conceals the permanent identity
/// outside the method, or may not show it, conceals it inside the method as well.
fn wanted(config: &Config, round: Round) -> IdentityRequest {
    match round {
        _ if config.outer == OuterIdentity::Suci => IdentityRequest::Suci,
        Round::Any => config.anything(),
        Round::FullAuth => IdentityRequest::FullAuthentication,
        Round::Permanent if !config.may_show(IdentityKind::Permanent) => IdentityRequest::Suci,
        Round::Permanent => IdentityRequest::Permanent,
    }
}
