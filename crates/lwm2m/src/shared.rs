//! What all sessions have in common, and the decision that one of them waits for.

use std::collections::VecDeque;

use softsim_coap::{Endpoint, ExchangeId};

use crate::accounts::Accounts;
use crate::config::Config;
use crate::event::{Event, Output, ServerRole};
use crate::sim::SimState;

/// Something that the application decides before a server is answered; at most one at a time.
#[derive(Debug)]
pub(crate) enum Decision {
    Package {
        source: ServerRole,
        exchange: ExchangeId,
    },
    /// The exchange is none once its session is closed: the accounts count all the same.
    Commit {
        exchange: Option<ExchangeId>,
        accounts: Accounts,
    },
}

/// What all sessions have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) accounts: Accounts,
    pub(crate) sim: SimState,
    pub(crate) decision: Option<Decision>,
    outputs: VecDeque<Output>,
    seed: u64,
}

impl Shared {
    pub(crate) fn new(config: Config, accounts: Accounts, seed: u64) -> Shared {
        Shared {
            config,
            accounts,
            sim: SimState::default(),
            decision: None,
            outputs: VecDeque::new(),
            seed,
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn new_endpoint(&mut self) -> Endpoint {
        self.seed = self.seed.wrapping_add(1);
        Endpoint::new(self.config.coap.clone(), self.seed)
    }

    /// The session is over, so nobody waits for the answer. A commit counts all the same.
    pub(crate) fn forget_decision(&mut self, role: ServerRole) {
        match &mut self.decision {
            Some(Decision::Package { source, .. }) if *source == role => self.decision = None,
            Some(Decision::Commit { exchange, .. }) if role == ServerRole::Bootstrap => {
                *exchange = None
            }
            _ => {}
        }
    }

    /// What is to be done next.
    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes what an endpoint wants to send.
    pub(crate) fn drain(&mut self, server: ServerRole, endpoint: &mut Endpoint) {
        while let Some(datagram) = endpoint.poll_transmit() {
            self.outputs
                .push_back(Output::Transmit { server, datagram });
        }
    }
}
