//! The driver of an access, with any carrier. It carries out orders, spaces attempts out after
//! failures, authenticates again before a session ends, and reports the state of the access.

use std::mem;
use std::time::{Duration, Instant};

use softsim_carriers::radius::SessionLimit;
use softsim_client::netd::AccessState;
use tokio::sync::{mpsc, oneshot, watch};

use super::carrier::{Carrier, State};
use super::conversation::{Conversation, Policy, Stage};
use super::exchange::{Event, Exchange, Success};
use super::status::Reporter;
use super::{Fatal, Order};
use crate::backoff::Backoff;
use crate::keyd::Keyd;
use crate::progress::Fault;
use crate::timer;

/// The shortest session that a server can set, since each authentication writes to flash.
const MIN_SESSION: Duration = Duration::from_secs(10);

/// What every access needs, with any carrier.
pub(super) struct Resources {
    /// A line to keyd for this access alone.
    pub(super) keyd: Keyd,
    /// What the peer may do.
    pub(super) policy: Policy,
    /// When it authenticates again by itself.
    pub(super) reauthenticate_after: Option<Duration>,
    /// The waits after failures.
    pub(super) backoff: Backoff,
    /// Whether the access begins without an order.
    pub(super) automatic: bool,
}

/// Runs an access until nobody can give it orders any more. It begins anew whenever `subscriber`
/// changes.
pub(super) async fn run(
    carrier: impl Carrier,
    resources: Resources,
    reporter: Reporter,
    mut orders: mpsc::Receiver<Order>,
    mut subscriber: watch::Receiver<()>,
) -> Result<(), Fatal> {
    let keyd = resources.keyd;
    let conversation = Conversation::new(keyd.clone(), &resources.policy);
    let mut driver = Driver {
        exchange: Exchange::new(carrier, conversation),
        reporter,
        reauthenticate_after: resources.reauthenticate_after,
        backoff: resources.backoff,
        renewal: None,
        lost: None,
        doubted: false,
        reason: "waits for a command".into(),
        waiting: Vec::new(),
    };
    if resources.automatic {
        driver.connect();
    }
    loop {
        driver.work().await?;
        let due = driver.due();
        tokio::select! {
            received = driver.exchange.carrier.receive() => received?,
            order = orders.recv() => match order {
                Some(Order::Connect(done)) => {
                    driver.waiting.push(done);
                    driver.connect();
                }
                Some(Order::Disconnect(done)) => {
                    driver.waiting.push(done);
                    driver.disconnect("disconnected");
                }
                None => return driver.stop().await,
            },
            () = timer::until(due) => driver.handle_timeout(Instant::now()).await,
            () = returned(&keyd, driver.lost) => driver.keyd_returned(),
            // If nobody can change it any more, netd ends.
            Ok(()) = subscriber.changed() => driver.begin_anew().await?,
        }
    }
}

struct Driver<C> {
    exchange: Exchange<C>,
    reporter: Reporter,
    reauthenticate_after: Option<Duration>,
    backoff: Backoff,
    renewal: Option<Renewal>,
    /// The connection to keyd with which an attempt failed, if that is why the access rests.
    lost: Option<u64>,
    /// Whether an attempt has failed since the last success and left the session as it was.
    /// Anybody can repeat that, and only the first is worth a warning.
    doubted: bool,
    /// Why the access is idle or held.
    reason: String,
    /// The orders to answer when the attempt ends.
    waiting: Vec<oneshot::Sender<()>>,
}

/// When an access authenticates again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Renewal {
    at: Instant,
    /// Whether the session ends then and another begins (Termination-Action Default, RFC 3580
    /// §3.17).
    ends_session: bool,
}

impl<C: Carrier> Driver<C> {
    fn connect(&mut self) {
        self.renewal = None;
        self.lost = None;
        self.exchange.carrier.connect(Instant::now());
    }

    fn disconnect(&mut self, reason: &str) {
        self.exchange.carrier.disconnect();
        self.reason = reason.into();
    }

    /// The subscriber is another one: logs off, as if its SIM had been taken out, and authenticates
    /// anew without delay, unless the access is idle. Whatever the peer has shown is forgotten.
    /// An order to connect is answered when the new attempt ends.
    async fn begin_anew(&mut self) -> Result<(), Fatal> {
        if self.exchange.carrier.state() == State::Idle {
            return Ok(());
        }
        let waiting = mem::take(&mut self.waiting);
        self.disconnect("the profile or its identities have changed");
        self.work().await?;
        self.waiting = waiting;
        self.backoff.reset();
        self.exchange.conversation.forget_refusals();
        self.connect();
        Ok(())
    }

    /// Lets the carrier and the peer work until both wait, and reports the state then.
    async fn work(&mut self) -> Result<(), Fatal> {
        while let Some(event) = self.exchange.advance().await? {
            match event {
                Event::Succeeded(success) => self.succeeded(success),
                Event::Failed(fault) => self.failed(fault),
                Event::GaveUp(fault) => self.gave_up(fault),
                Event::Resting(reason) => self.reason = reason.into(),
                Event::Ignored(reason) => self.reporter.ignored(reason),
                Event::Renamed(name) => self.reporter.renamed(&name),
            }
        }
        self.report();
        self.exchange.conversation.settle();
        Ok(())
    }

    fn succeeded(&mut self, success: Success) {
        self.backoff.reset();
        self.doubted = false;
        self.renewal = renewal(success.limit, self.reauthenticate_after, Instant::now());
        self.reporter.succeeded(success.authentication);
    }

    fn failed(&mut self, fault: Fault) {
        self.reason = fault.reason;
        self.lost = self.exchange.conversation.lost();
        // Anybody can begin an attempt and let it fail. That is no reason to wait longer.
        let wait = match self.exchange.carrier.asked() {
            true => {
                let quarter = self.exchange.conversation.patience_quarter();
                self.backoff.failed_within(quarter.unwrap_or(Duration::MAX))
            }
            false => self.backoff.shortest(),
        };
        self.exchange.carrier.failed(Instant::now(), wait);
        if self.exchange.carrier.state() == State::Authenticated {
            let reason = &self.reason;
            let told = format!("{reason}; no server had proved itself, so the port stays open");
            match mem::replace(&mut self.doubted, true) {
                false => self.reporter.gave_up(&told),
                true => self.reporter.gave_up_again(&told),
            }
        }
    }

    /// Tries again at once if the last attempt failed without keyd. Within a session, the network
    /// is asked to.
    fn keyd_returned(&mut self) {
        self.lost = None;
        match self.exchange.carrier.state() {
            State::Held { .. } => {
                self.backoff.reset();
                self.connect();
            }
            State::Authenticated => self.exchange.carrier.ask_again(Instant::now()),
            _ => {}
        }
    }

    fn gave_up(&mut self, fault: Fault) {
        self.renewal = None;
        self.reason = fault.reason;
        self.reporter.gave_up(&self.reason);
        self.answer_waiting();
    }

    /// When the next timer is due.
    fn due(&self) -> Option<Instant> {
        let renewal = self.renewal.map(|renewal| renewal.at);
        [self.exchange.carrier.poll_timeout(), renewal]
            .into_iter()
            .flatten()
            .min()
    }

    async fn handle_timeout(&mut self, now: Instant) {
        if let Some(renewal) = self.renewal.take_if(|renewal| now >= renewal.at) {
            if renewal.ends_session {
                let reason = "the session is over".into();
                let port = self.exchange.carrier.port();
                self.reporter
                    .set_state(AccessState::Idle { reason }, port, None);
            }
            self.connect();
        }
        self.exchange.carrier.handle_timeout(now).await;
    }

    /// Reports the messages and the state, and answers the orders that wait for the state.
    fn report(&mut self) {
        for (at, note) in self.exchange.take_notes() {
            self.reporter.message(at, &note);
        }
        let reason = || self.reason.clone();
        let carrier = &self.exchange.carrier;
        let (state, next) = match (carrier.state(), self.exchange.conversation.stage()) {
            (State::Idle, _) => (AccessState::Idle { reason: reason() }, None),
            (State::Held { until }, _) => (AccessState::Held { reason: reason() }, Some(until)),
            (State::Authenticated, _) => {
                let renewal = self.renewal.map(|renewal| renewal.at);
                (AccessState::Authorised, renewal)
            }
            (State::Authenticating, Stage::Challenge) => (AccessState::Challenge, None),
            (State::Connecting | State::Authenticating, _) => (AccessState::Identity, None),
        };
        self.reporter.set_server(carrier.server());
        self.reporter.set_state(state, carrier.port(), next);
        if matches!(carrier.state(), State::Idle | State::Held { .. }) {
            self.renewal = None;
        }
        if self.reporter.is_settled() {
            self.answer_waiting();
        }
    }

    fn answer_waiting(&mut self) {
        for waiting in self.waiting.drain(..) {
            // The task that gave the order may have ended.
            let _ = waiting.send(());
        }
    }

    /// Logs off, and leaves the port as the configuration says.
    async fn stop(&mut self) -> Result<(), Fatal> {
        self.disconnect("the access ends");
        self.work().await?;
        self.exchange.carrier.leave().await
    }
}

/// Waits for another connection to keyd, if one was lost.
async fn returned(keyd: &Keyd, lost: Option<u64>) {
    match lost {
        Some(generation) => keyd.renewed(generation).await,
        None => std::future::pending().await,
    }
}

/// When to renew a session that begins now: after the server's limit or after ours, whichever is
/// shorter.
fn renewal(limit: Option<SessionLimit>, own: Option<Duration>, now: Instant) -> Option<Renewal> {
    let servers = limit.map(|limit| limit.after.max(MIN_SESSION));
    let after = [servers, own].into_iter().flatten().min()?;
    let ends_session = limit.is_some_and(|limit| !limit.reauthenticate) && Some(after) == servers;
    Some(Renewal {
        ends_session,
        at: now + after,
    })
}

#[cfg(test)]
mod tests;
