//! The answers that the peer has sent. A repeated request gets the identical answer, and AKA never
//! runs twice for it.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

/// How many answers are kept, which covers many conversations. The SIM rejects older challenges by
/// their SQN.
const KEPT: usize = 64;

/// A digest of a request, by which the peer recognises it.
pub(crate) type Fingerprint = [u8; 32];

pub(crate) fn fingerprint(request: &[u8]) -> Fingerprint {
    Sha256::digest(request).into()
}

/// The request that the peer is answering.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current {
    pub(crate) identifier: u8,
    pub(crate) request: Fingerprint,
    /// Whether the peer has asked the SIM about it.
    pub(crate) asked: bool,
}

#[derive(Debug)]
struct Entry {
    conversation: u64,
    identifier: u8,
    request: Fingerprint,
    /// Whether the peer has asked the SIM about it.
    asked: bool,
    /// `None` if the carrier failed before the peer had an answer.
    answer: Option<Vec<u8>>,
}

/// The latest answers, of this conversation and of earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Answered(VecDeque<Entry>);

impl Answered {
    pub(crate) fn record(&mut self, conversation: u64, current: Current, answer: Option<Vec<u8>>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let Current {
            identifier,
            request,
            asked,
        } = current;
        self.0.push_back(Entry {
            conversation,
            identifier,
            request,
            asked,
            answer,
        });
    }

    /// The answer to exactly this request, in any conversation, if the peer asked the SIM about it.
    /// AKA doesn't run again for such a request, even if its answer was never sent (the inner
    /// `None`).
    pub(crate) fn by_sim(&self, request: &Fingerprint) -> Option<Option<&[u8]>> {
        self.find(|entry| entry.asked && entry.request == *request)
    }

    /// The answer to the same request in this conversation. The latest request is recognised by its
    /// identifier alone, earlier ones by all their octets, because an authenticator may reuse an
    /// identifier (RFC 3748 §4.1).
    pub(crate) fn in_conversation(
        &self,
        conversation: u64,
        identifier: u8,
        request: &Fingerprint,
    ) -> Option<Option<&[u8]>> {
        let latest = self.0.back()?;
        if (latest.conversation, latest.identifier) == (conversation, identifier) {
            return Some(latest.answer.as_deref());
        }
        self.find(|entry| entry.conversation == conversation && entry.request == *request)
    }

    fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Option<Option<&[u8]>> {
        self.0
            .iter()
            .find(|entry| wanted(entry))
            .map(|entry| entry.answer.as_deref())
    }
}
