//! The AKA-Identity rounds: their order (RFC 4187 §4.1.5) and the hash over them (§10.13).

use sha1::Sha1;
use sha2::{Digest, Sha256};
use softsim_eap_packet::{AkaMessage, Attribute};
use softsim_eap_types::Method;

use crate::outcome::{Reason, Unprocessable};

/// The identities that a server may ask for, in the order in which it may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Round {
    Any,
    FullAuth,
    Permanent,
}

/// The rounds so far.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    last: Option<Round>,
    /// Every request and response, at most three of each.
    packets: Vec<u8>,
}

impl Rounds {
    /// The identity that this request asks for. An error changes nothing.
    pub(crate) fn next(&mut self, message: &AkaMessage<'_>) -> Result<Round, Reason> {
        let asked: Vec<Round> = message.attributes().filter_map(round).collect();
        let &[round] = &asked[..] else {
            return Err(Reason::Unprocessable(Unprocessable::IdentityRequests {
                asked: asked.len(),
            }));
        };
        // The order rises strictly. So there are at most three rounds, "any" comes only first, and
        // full authentication doesn't come after permanent.
        if self.last.is_some_and(|last| round <= last) {
            return Err(Reason::Unprocessable(Unprocessable::IdentityOrder));
        }
        self.last = Some(round);
        Ok(round)
    }

    /// Adds a request and our response to the hash.
    pub(crate) fn record(&mut self, request: &[u8], response: &[u8]) {
        self.packets.extend(request);
        self.packets.extend(response);
    }

    /// The value of AT_CHECKCODE, which is empty if there was no round.
    pub(crate) fn checkcode(&self, method: Method) -> Vec<u8> {
        match method {
            _ if self.packets.is_empty() => Vec::new(),
            Method::Aka => Sha1::digest(&self.packets).to_vec(),
            Method::AkaPrime => Sha256::digest(&self.packets).to_vec(),
        }
    }
}

fn round(attribute: Attribute<'_>) -> Option<Round> {
    match attribute {
        Attribute::AnyIdReq => Some(Round::Any),
        Attribute::FullauthIdReq => Some(Round::FullAuth),
        Attribute::PermanentIdReq => Some(Round::Permanent),
        _ => None,
    }
}
