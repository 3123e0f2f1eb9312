//! What was answered, so that a request that comes again gets the identical answer and never runs AKA twice.

use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// Answers kept: more than one conversation's.
const KEPT: usize = 16;

/// Tells one request from another.
pub(crate) type Fingerprint = [u8; 32];

pub(crate) fn fingerprint(request: &[u8]) -> Fingerprint {
    Sha256::digest(request).into()
}

#[derive(Debug)]
struct Entry {
    conversation: u64,
    identifier: u8,
    request: Fingerprint,
    answer: Vec<u8>,
}

/// The latest answers, of this conversation and the ones before.
#[derive(Debug, Default)]
pub(crate) struct Answered(VecDeque<Entry>);

impl Answered {
    pub(crate) fn record(
        &mut self,
        conversation: u64,
        identifier: u8,
        request: Fingerprint,
        answer: Vec<u8>,
    ) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Entry {
            conversation,
            identifier,
            request,
            answer,
        });
    }

    /// The answer to this very request, in whatever conversation.
    pub(crate) fn to_request(&self, request: &Fingerprint) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|entry| entry.request == *request)
            .map(|entry| &entry.answer[..])
    }

    /// The answer that went out under this identifier in this conversation: a request with it is a retransmission,
    /// whatever else it says (RFC 3748 section 4.1).
    pub(crate) fn to_identifier(&self, conversation: u64, identifier: u8) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|entry| entry.conversation == conversation && entry.identifier == identifier)
            .map(|entry| &entry.answer[..])
    }
}
