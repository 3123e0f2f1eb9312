//! What was answered, so that a request that comes again gets the identical answer and never runs
//! AKA twice.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

/// Answers kept: those of many conversations. What is older, the SIM finds stale by its SQN.
const KEPT: usize = 64;

/// Tells one request from another.
pub(crate) type Fingerprint = [u8; 32];

pub(crate) fn fingerprint(request: &[u8]) -> Fingerprint {
    Sha256::digest(request).into()
}

/// The request being answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current {
    pub(crate) identifier: u8,
    pub(crate) request: Fingerprint,
    /// The SIM was asked for it.
    pub(crate) asked: bool,
}

#[derive(Debug)]
struct Entry {
    conversation: u64,
    identifier: u8,
    request: Fingerprint,
    /// The SIM was asked for it.
    asked: bool,
    /// `None` when the carrier failed before there was one.
    answer: Option<Vec<u8>>,
}

/// The latest answers, of this conversation and the ones before.
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

    /// The answer that the SIM helped to give to this very request, in whatever conversation: AKA
    /// does not run again for it, not even where its answer never went out.
    pub(crate) fn by_sim(&self, request: &Fingerprint) -> Option<Option<&[u8]>> {
        self.find(|entry| entry.asked && entry.request == *request)
    }

    /// The answer that went out in this conversation to the same request. The latest one is known
    /// by its identifier, whatever else it says; earlier ones by all their octets, since an
    /// authenticator may use an identifier again (RFC 3748 §4.1).
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
