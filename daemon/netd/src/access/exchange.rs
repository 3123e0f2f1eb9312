//! The exchange of packets between the EAP peer and a carrier. It goes on until something happens
//! that the owner has to know.

use std::borrow::Cow;
use std::time::Instant;

use softsim_carriers::radius::SessionLimit;
use softsim_client::netd::{Authentication, Failure, MskComparison};
use softsim_eap::Note;

use super::Fatal;
use super::carrier::{Carrier, Output, State};
use super::conversation::{Action, Conversation};
use crate::progress::Fault;

/// A carrier, and the conversation that it carries.
pub(super) struct Exchange<C> {
    pub(super) carrier: C,
    pub(super) conversation: Conversation,
    /// The messages that passed. People see them once the network has its answer.
    notes: Vec<(Instant, Note)>,
    /// Whether the next note is about a request that the carrier made itself, and nobody sent.
    own_request: bool,
}

/// What the owner of an exchange has to know.
#[derive(Debug)]
pub(super) enum Event {
    /// An authentication succeeded.
    Succeeded(Success),
    /// An authentication failed. The owner has to tell the carrier when to try again.
    Failed(Fault),
    /// An authentication failed, and the carrier has begun another.
    GaveUp(Fault),
    /// The carrier rests now, for this reason.
    Resting(Cow<'static, str>),
    /// The carrier received something that doesn't belong to the access.
    Ignored(String),
    /// The interface has another name now.
    Renamed(String),
}

/// An authentication that succeeded.
#[derive(Debug)]
pub(super) struct Success {
    /// What the two sides agreed on.
    pub(super) authentication: Authentication,
    /// Whether keyd's MSK is the network's.
    pub(super) msk: MskComparison,
    /// How long the session may last.
    pub(super) limit: Option<SessionLimit>,
}

impl<C: Carrier> Exchange<C> {
    pub(super) fn new(carrier: C, conversation: Conversation) -> Self {
        Self {
            carrier,
            conversation,
            notes: Vec::new(),
            own_request: false,
        }
    }

    /// Passes packets until something happens. None if both sides wait.
    pub(super) async fn advance(&mut self) -> Result<Option<Event>, Fatal> {
        loop {
            if let Some(event) = self.converse().await {
                return Ok(Some(event));
            }
            let Some(output) = self.carrier.advance().await? else {
                return Ok(None);
            };
            match output {
                Output::Eap { packet, msk } => {
                    let (authorised, asked) = (self.carrier.is_authorised(), self.carrier.asked());
                    self.conversation.set_authorised(authorised, asked);
                    self.conversation.receive_with_msk(&packet, msk);
                }
                Output::OwnRequest(packet) => {
                    self.own_request = true;
                    self.conversation.receive(&packet);
                }
                Output::Abandon => {
                    self.abandon(false);
                }
                Output::Failed(fault) => {
                    let refused = fault.failure == Failure::Refused;
                    let fault = because(fault, self.abandon(refused));
                    return Ok(Some(Event::Failed(fault)));
                }
                Output::Note(note) => self.notes.push((Instant::now(), note)),
                Output::Silent(fault) => return Ok(Some(self.silent(fault))),
                Output::Resting(reason) => return Ok(Some(Event::Resting(reason))),
                Output::Ignored(reason) => return Ok(Some(Event::Ignored(reason))),
                Output::Renamed(name) => return Ok(Some(Event::Renamed(name))),
            }
        }
    }

    /// Does what the peer asks for, until the peer waits or the conversation has ended.
    async fn converse(&mut self) -> Option<Event> {
        while let Some(action) = self.conversation.poll() {
            match action {
                Action::Note(_) if std::mem::take(&mut self.own_request) => {}
                Action::Note(note) => self.notes.push((Instant::now(), note)),
                Action::Send(packet) => {
                    if self.conversation.has_proof() {
                        self.carrier.proved();
                    }
                    self.carrier.send(&packet).await;
                }
                Action::Ended(ended) => return Some(self.ended(ended)),
            }
        }
        None
    }

    fn ended(&mut self, ended: Result<Authentication, Fault>) -> Event {
        let succeeded = ended.and_then(|authentication| {
            let terms = self.carrier.succeeded(Instant::now())?;
            Ok(Success {
                authentication,
                // If keyd had another MSK, there would be no success.
                msk: match terms.msk_received {
                    true => MskComparison::Equal,
                    false => MskComparison::NotSent,
                },
                limit: terms.limit,
            })
        });
        match succeeded {
            Ok(success) => Event::Succeeded(success),
            Err(fault) if self.carrier.state() == State::Authenticating => Event::Failed(fault),
            // The carrier doesn't know of this conversation: an authenticator may request the
            // identity at any time.
            Err(fault) => Event::Ignored(fault.reason),
        }
    }

    fn silent(&mut self, fault: Fault) -> Event {
        let refusal = self.conversation.refusal();
        let otherwise = because(fault, self.abandon(false));
        let fault = refusal.unwrap_or(otherwise);
        match self.carrier.state() {
            State::Connecting => Event::GaveUp(fault),
            _ => Event::Failed(fault),
        }
    }

    /// Ends the conversation without an outcome. Returns why only a failure could follow, if so.
    fn abandon(&mut self, rejected: bool) -> Option<Fault> {
        self.conversation.abandon(rejected);
        let mut failing = None;
        while let Some(action) = self.conversation.poll() {
            if let Action::Ended(Err(fault)) = action {
                failing = Some(fault);
            }
        }
        failing
    }

    /// The messages that passed since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<(Instant, Note)> {
        std::mem::take(&mut self.notes)
    }
}

/// What a carrier reports, with what had gone wrong before.
fn because(fault: Fault, failing: Option<Fault>) -> Fault {
    match failing {
        Some(Fault { failure, reason }) => {
            Fault::new(failure, format!("{}: {reason}", fault.reason))
        }
        None => fault,
    }
}

#[cfg(test)]
mod tests;
