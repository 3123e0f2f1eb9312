//! One authentication over RADIUS, as the supplicant behind an access point would run it, and the
//! access point too.
//!
//! Packets are the peer's business ([`softsim_eap`]), datagrams those of
//! [`softsim_carriers::radius`], keys those of keyd.

use std::time::{Duration, Instant};

use softsim_carriers::radius::{self, SessionLimit};
use softsim_client::netd::{Authentication, Failure, MskComparison};
use softsim_eap::Note;
use softsim_sandbox::random;
use tokio::time::sleep_until;

use super::Fatal;
use super::conversation::{Action, Conversation, Stage};
use crate::names::Names;
use crate::progress::Fault;
use crate::reach::Reach;
use crate::uri::Server;

/// How long a server may draw it out.
const LONGEST: Duration = Duration::from_secs(120);

/// The longest RADIUS packet (RFC 2865 §3).
const MAX_DATAGRAM: usize = 4096;

/// Who is told what happens.
pub trait Listener {
    /// An EAP message passed, a moment ago: people are told once the server has its answer.
    fn note(&mut self, at: Instant, note: &Note);
    /// A datagram was no part of it.
    fn ignored(&mut self, reason: &dyn std::fmt::Display);
    /// It is this far.
    fn stage(&mut self, stage: Stage);
}

/// The way to a server.
pub struct Line {
    server: Server,
    names: Names,
    radius: radius::Client,
    /// Of the EAP-Request/Identity that the server doesn't send.
    identifier: u8,
}

/// What a server accepted.
#[derive(Debug)]
pub struct Accepted {
    /// What was agreed.
    pub authentication: Authentication,
    /// How keyd's MSK compares with the server's.
    pub msk: MskComparison,
    /// How long it may last.
    pub limit: Option<SessionLimit>,
}

/// What came beside EAP.
#[derive(Default)]
struct Terms {
    /// Nothing more will come, for this reason.
    over: Option<Fault>,
    accepted: bool,
    msk_came: bool,
    limit: Option<SessionLimit>,
}

impl Line {
    /// The way to a server, whose name is looked up for each authentication.
    pub fn new(server: Server, names: Names, radius: radius::Client) -> Self {
        Self {
            server,
            names,
            radius,
            identifier: 0,
        }
    }

    /// From the identity to EAP-Success. It can be dropped wherever it waits: keyd is never left in
    /// the middle of a request; what was under way is given up with [`Self::abandon`].
    pub async fn authenticate(
        &mut self,
        conversation: &mut Conversation<'_>,
        listener: &mut dyn Listener,
    ) -> Result<Result<Accepted, Fault>, Fatal> {
        let mut reach = match self.reach().await {
            Ok(reach) => reach,
            Err(fault) => return Ok(Err(fault)),
        };
        self.identifier = self.identifier.wrapping_add(1);
        // What an access point sends first: EAP-Request/Identity (RFC 3748 §5.1).
        conversation.hear(&[1, self.identifier, 0, 5, 1]);
        let end = Instant::now() + LONGEST;
        let mut terms = Terms::default();
        // Our own request is no message of the server's.
        let mut ours = 1;
        let ended = loop {
            let mut notes = Vec::new();
            let talked = self.talk(conversation, &mut reach, &mut notes).await?;
            for (at, note) in notes.iter().skip(std::mem::take(&mut ours)) {
                listener.note(*at, note);
            }
            match (talked, terms.over.take()) {
                (Ok(Some(authentication)), _) if terms.accepted => break Ok(authentication),
                (Ok(Some(_)), _) => {
                    let reason = "expected EAP-Success with Access-Accept, got without";
                    break Err(Fault::new(Failure::Protocol, reason));
                }
                (Ok(None), None) => listener.stage(conversation.stage()),
                (Ok(None), Some(over)) => break Err(over),
                // All that the peer can say is that its carrier is gone.
                (Err(fault), Some(over)) if fault.failure == Failure::Unavailable => {
                    break Err(over);
                }
                (Err(fault), _) => break Err(fault),
            }
            conversation.settle()?;
            let heard = self.hear(conversation, &mut reach, listener, end, &mut terms);
            if let Err(fault) = heard.await {
                break Err(fault);
            }
        };
        self.abandon(conversation)?;
        Ok(ended.map(|authentication| Accepted {
            authentication,
            // Where keyd had found another, there would be no success.
            msk: match terms.msk_came {
                true => MskComparison::Equal,
                false => MskComparison::NotSent,
            },
            limit: terms.limit,
        }))
    }

    /// Gives up what is under way.
    pub fn abandon(&mut self, conversation: &mut Conversation<'_>) -> Result<(), Fatal> {
        self.radius.abandon();
        conversation.abandon();
        while conversation.poll()?.is_some() {}
        conversation.settle()?;
        Ok(())
    }

    /// Does what the peer wants done, until it has nothing more, or is done.
    async fn talk(
        &mut self,
        conversation: &mut Conversation<'_>,
        reach: &mut Reach,
        notes: &mut Vec<(Instant, Note)>,
    ) -> Result<Result<Option<Authentication>, Fault>, Fatal> {
        while let Some(action) = conversation.poll()? {
            match action {
                Action::Note(note) => notes.push((Instant::now(), note)),
                Action::Ended(ended) => return Ok(ended.map(Some)),
                Action::Send(packet) => {
                    let mut authenticator = [0; 16];
                    random::fill(&mut authenticator);
                    let request = self.radius.request(Instant::now(), authenticator, &packet);
                    let sent = match request {
                        Ok(datagram) => self.send(reach, &datagram).await,
                        Err(error) => Err(Fault::new(Failure::Internal, error)),
                    };
                    if let Err(fault) = sent {
                        return Ok(Err(fault));
                    }
                }
            }
        }
        Ok(Ok(None))
    }

    /// Waits for an answer that can be believed, and gives it to the peer.
    async fn hear(
        &mut self,
        conversation: &mut Conversation<'_>,
        reach: &mut Reach,
        listener: &mut dyn Listener,
        end: Instant,
        terms: &mut Terms,
    ) -> Result<(), Fault> {
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            let Some(at) = self.radius.poll_timeout() else {
                // A RADIUS server says nothing by itself.
                let ignored = || self.unreachable("its last packet can't be answered");
                terms.over = Some(conversation.refusal().unwrap_or_else(ignored));
                conversation.abandon();
                return Ok(());
            };
            tokio::select! {
                received = reach.receive(&mut datagram) => match received {
                    Ok(length) => match self.radius.handle(&datagram[..length]) {
                        Ok(answer) => {
                            self.answered(answer, conversation, terms);
                            return Ok(());
                        }
                        Err(error) => listener.ignored(&error),
                    },
                    Err(error) => return Err(self.unreachable(error)),
                },
                () = sleep_until(at.into()) => match self.radius.handle_timeout(Instant::now()) {
                    Some(radius::Timeout::Retransmit(datagram)) => self.send(reach, &datagram).await?,
                    Some(radius::Timeout::GaveUp) => {
                        return Err(self.unreachable(
                            "no answer: no RADIUS server is there, it doesn't know this client, or it has another secret",
                        ));
                    }
                    None => {}
                },
                () = sleep_until(end.into()) => {
                    return Err(self.unreachable("the server draws the authentication out"));
                }
            }
        }
    }

    fn answered(
        &self,
        answer: radius::Answer,
        conversation: &mut Conversation<'_>,
        terms: &mut Terms,
    ) {
        match answer {
            radius::Answer::Challenge { eap } => conversation.hear(&eap),
            radius::Answer::Accept { eap, msk, limit } => {
                let reason = "expected an EAP-Success to believe with Access-Accept, got none";
                terms.over = Some(Fault::new(Failure::Protocol, reason));
                terms.accepted = true;
                (terms.msk_came, terms.limit) = (msk.is_some(), limit);
                conversation.hear_with_msk(&eap, msk);
            }
            radius::Answer::Reject { eap } => {
                let reason = format!("{}: Access-Reject", self.server);
                terms.over = Some(Fault::new(Failure::Refused, reason));
                if let Some(eap) = eap {
                    conversation.hear(&eap);
                }
                conversation.abandon();
            }
        }
    }

    async fn reach(&self) -> Result<Reach, Fault> {
        let addresses = self.names.addresses(&self.server).await;
        addresses
            .map_err(|error| self.unreachable(format_args!("the name has no address: {error}")))
            .and_then(|addresses| Reach::new(addresses).map_err(|error| self.unreachable(error)))
    }

    async fn send(&self, reach: &mut Reach, datagram: &[u8]) -> Result<(), Fault> {
        let sent = reach.send(datagram).await;
        sent.map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, reason: impl std::fmt::Display) -> Fault {
        Fault::new(Failure::Unavailable, format!("{}: {reason}", self.server))
    }
}
