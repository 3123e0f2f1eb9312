//! The AKA-Identity rounds: their order (RFC 4187 section 4.1.5) and the hash over them (section 10.13).

use crate::outcome::{Reason, Unprocessable};
use crate::packet::{AkaMessage, Attribute};
use sha2::{Digest, Sha256};

/// What a server may ask for, in the only order in which it may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    Any,
    FullAuth,
    Permanent,
}

/// The rounds so far.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    last: Option<Wanted>,
    hash: Sha256,
}

impl Rounds {
    /// What this request asks for; on error nothing has changed.
    pub(crate) fn next(&mut self, message: &AkaMessage<'_>) -> Result<Wanted, Reason> {
        let asked: Vec<Wanted> = message.attributes.iter().filter_map(wanted).collect();
        let &[wanted] = &asked[..] else {
            return Err(Reason::Unprocessable(Unprocessable::IdentityRequests {
                asked: asked.len(),
            }));
        };
        // Strictly rising: at most three rounds, any only first, full authentication not after permanent.
        if self.last.is_some_and(|last| wanted <= last) {
            return Err(Reason::Unprocessable(Unprocessable::IdentityOrder));
        }
        self.last = Some(wanted);
        Ok(wanted)
    }

    /// Adds a request and our response to the hash.
    pub(crate) fn record(&mut self, request: &[u8], response: &[u8]) {
        self.hash.update(request);
        self.hash.update(response);
    }

    /// The value of AT_CHECKCODE: empty when there was no round.
    pub(crate) fn checkcode(&self) -> Vec<u8> {
        match self.last {
            Some(_) => self.hash.clone().finalize().to_vec(),
            None => Vec::new(),
        }
    }
}

fn wanted(attribute: &Attribute<'_>) -> Option<Wanted> {
    match attribute {
        Attribute::AnyIdReq => Some(Wanted::Any),
        Attribute::FullauthIdReq => Some(Wanted::FullAuth),
        Attribute::PermanentIdReq => Some(Wanted::Permanent),
        _ => None,
    }
}
