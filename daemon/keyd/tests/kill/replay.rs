//! The AUTNs that keyd accepted, and the check that it refuses them after a kill.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use softsim_client::keyd::{Connection, Error};
use softsim_keyd_proto::requests::CloseSession;
use softsim_keyd_proto::{AkaAnswer, Refusal, Role};
use softsim_testkit::host::Host;

use crate::Depth;
use crate::load::{Said, Sent, Shared};
use crate::store::Store;

/// The IND of this module's challenges.
const IND: u64 = 31;

/// All challenges that keyd checked, by subscription, in the order in which they were sent.
#[derive(Default)]
pub(crate) struct Replays {
    sent: Vec<Vec<Sent>>,
    accepted: usize,
    replayed: usize,
    /// How many of the unanswered challenges keyd had accepted, and how many not.
    used: usize,
    unused: usize,
}

impl Replays {
    pub(crate) fn add(&mut self, sent: Vec<Sent>) {
        for sent in sent {
            if self.sent.len() <= sent.subscription {
                self.sent.resize_with(sent.subscription + 1, Vec::new);
            }
            self.accepted += usize::from(sent.said == Said::Accepted);
            self.sent[sent.subscription].push(sent);
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted
    }

    /// Replays challenges. keyd must accept no answered AUTN, an unanswered one at most once, and a
    /// fresh one.
    pub(crate) fn check(&mut self, host: &Host, store: &mut Store, shared: &Shared, depth: Depth) {
        let mut keyd = host.connect(Role::Network);
        let subscriptions = if depth.all_profiles {
            store.installed()
        } else {
            store.enabled().into_iter().collect()
        };
        for subscription in subscriptions {
            store.enable(host, shared, subscription);
            self.replay(&mut keyd, shared, subscription, depth.last);
            let asked = &shared.subscriptions[subscription];
            let packet = asked.fresh(IND, [subscription as u8; 16]);
            let answer = patient(|| asked.ask(&mut keyd, &packet));
            let AkaAnswer::Success { handle, .. } = answer else {
                panic!("{}: a fresh AUTN was refused", asked.iccid);
            };
            keyd.call(&CloseSession { handle }).unwrap();
            let said = Said::Accepted;
            self.add(vec![Sent {
                subscription,
                packet,
                said,
            }]);
        }
    }

    fn replay(&mut self, keyd: &mut Connection, shared: &Shared, number: usize, last: usize) {
        let Some(sent) = self.sent.get_mut(number) else {
            return;
        };
        let subscription = &shared.subscriptions[number];
        let settled = sent.len().saturating_sub(last);
        for (place, sent) in sent.iter_mut().enumerate() {
            if place < settled && sent.said != Said::Nothing {
                continue;
            }
            self.replayed += 1;
            let answer = patient(|| subscription.ask(keyd, &sent.packet));
            match (answer, sent.said) {
                (AkaAnswer::SynchronisationFailure { .. }, said) => {
                    self.used += usize::from(said == Said::Nothing);
                    sent.said = Said::Refused;
                }
                (AkaAnswer::Success { handle, .. }, Said::Nothing) => {
                    keyd.call(&CloseSession { handle }).unwrap();
                    self.unused += 1;
                    self.accepted += 1;
                    sent.said = Said::Accepted;
                }
                (AkaAnswer::Success { .. }, said) => {
                    panic!(
                        "{}: AUTN {place} was answered before ({said:?}) and is accepted",
                        subscription.iccid
                    );
                }
            }
        }
    }
}

/// Sends a request, and repeats it after each RetryAfter.
fn patient(mut ask: impl FnMut() -> Result<AkaAnswer, Error>) -> AkaAnswer {
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(Error::Refused(Refusal::RetryAfter { milliseconds })) => {
                sleep(Duration::from_millis(milliseconds.into()));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Display for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} AUTNs accepted, {} replays, none accepted again; of those that a kill left unanswered {} were used \
             and {} were not",
            self.accepted, self.replayed, self.used, self.unused
        )
    }
}
