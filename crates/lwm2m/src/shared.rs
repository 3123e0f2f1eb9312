//! The state that all sessions share, and the decision of the application that one of them waits
//! for.

use std::collections::VecDeque;

use softsim_coap::{Endpoint, ExchangeId};

use crate::accounts::Accounts;
use crate::config::Config;
use crate::event::{Event, Output, ServerRole};
use crate::sim::SimState;

/// A decision of the application that must precede the answer to a server. At most one is open at a
/// time.
#[derive(Debug)]
pub(crate) enum Decision {
    Package {
        source: ServerRole,
        exchange: ExchangeId,
    },
    /// The exchange is none once its session is closed; the accounts take effect nevertheless.
    Commit {
        exchange: Option<ExchangeId>,
        accounts: Accounts,
    },
}

/// The state that all sessions share.
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

    /// Reports that the session is over, so that nobody waits for the answer. A commit takes effect
    /// nevertheless.
    pub(crate) fn forget_decision(&mut self, role: ServerRole) {
        match &mut self.decision {
            Some(Decision::Package { source, .. }) if *source == role => self.decision = None,
            Some(Decision::Commit { exchange, .. }) if role == ServerRole::Bootstrap => {
                *exchange = None
            }
            _ => {}
        }
    }

    /// The next output.
    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Moves the datagrams of an endpoint to the outputs.
    pub(crate) fn drain(&mut self, server: ServerRole, endpoint: &mut Endpoint) {
        while let Some(datagram) = endpoint.poll_transmit() {
            self.outputs
                .push_back(Output::Transmit { server, datagram });
        }
    }
}
