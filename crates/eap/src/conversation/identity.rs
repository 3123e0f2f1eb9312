//! AKA-Identity: which identity is shown to a server that asks inside the method (RFC 4187 section 4.1).

use super::{Conversation, Reaction, Step, allow, names, unexpected};
use super::{Identity, IdentityKind, Phase, Reason, Unprocessable};
use crate::ask::Ask;
use crate::config::Config;
use crate::identity::{OuterIdentity, Wanted};
use crate::packet::{AkaMessage, Attribute, Kind, Packet, Subtype};
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
        if let Some(identity) = self.shown_before(wanted) {
            return Ok(self.show(packet.bytes(), identity));
        }
        self.open = Some(Step::Identity {
            request: packet.bytes().to_vec(),
        });
        Ok(Reaction::Ask(Ask::Identity {
            method: self.method,
            wanted,
        }))
    }

    pub(super) fn identity_given(
        &mut self,
        config: &Config,
        request: &[u8],
        identity: Identity,
    ) -> Result<Reaction, Reason> {
        if !config.may_show(identity.kind) {
            return Err(Reason::Unprocessable(Unprocessable::IdentityWithheld));
        }
        Ok(self.show(request, identity))
    }

    /// An identity that is given once in a conversation, and was.
    fn shown_before(&self, wanted: Wanted) -> Option<Identity> {
        let shown = self.identity.as_ref()?;
        let same = match wanted {
            Wanted::Any => shown.kind == IdentityKind::Reauthentication,
            Wanted::Suci => matches!(shown.kind, IdentityKind::Suci | IdentityKind::NullSuci),
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

/// What answers a question: who conceals the permanent identity outside conceals it inside too.
fn wanted(config: &Config, round: Round) -> Wanted {
    match round {
        _ if config.outer == OuterIdentity::Suci => Wanted::Suci,
        Round::Any => Wanted::Any,
        Round::FullAuth => Wanted::FullAuthentication,
        Round::Permanent => Wanted::Permanent,
    }
}
