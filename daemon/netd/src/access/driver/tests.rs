//! The driver over a scripted carrier, whose authentications are all rejected.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use softsim_client::keyd::Connection;
use softsim_client::netd::{self, Failure};
use softsim_client::proto::requests::{Identity, IdentityRefused, Status};
use softsim_client::proto::{
    Enforcement, IdentityAnswer, IdentityKind, IdentityPrivacy, IdentityRequest, IdentityStatus,
    KekSource, KeyMemory, Method, Overwrites, Realm, Refusal, RequestKind, StatusAnswer, Times,
    decode_request, kind_of,
};
use softsim_eap::Config;
use softsim_eap_packet::{Attribute, Builder, Code, Subtype};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::super::carrier::{Output, Terms};
use super::super::{Handle, QUEUE};
use super::*;
use crate::events::Events;
use crate::keyd::Lines;
use crate::scripted_keyd::{self, encoded};

const FIRST_WAIT: Duration = Duration::from_secs(20);

/// What the driver did with the carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Connect,
    Disconnect,
    Failed(Duration),
    AskAgain,
    Leave,
}

/// A carrier whose network rejects us after some packets, as soon as it is to connect.
struct Scripted {
    state: State,
    asked: bool,
    packets: Vec<Vec<u8>>,
    /// Whether a failure leaves the session as it is.
    keeps_session: bool,
    /// Whether the network then says nothing more.
    silent: bool,
    outputs: VecDeque<Output>,
    calls: Rc<RefCell<Vec<Call>>>,
}

impl Scripted {
    fn call(&self, call: Call) {
        self.calls.borrow_mut().push(call);
    }
}

impl Carrier for Scripted {
    fn state(&self) -> State {
        self.state
    }

    fn asked(&self) -> bool {
        self.asked
    }

    fn connect(&mut self, _: Instant) {
        self.call(Call::Connect);
        self.state = State::Authenticating;
        let packets = self.packets.iter().cloned();
        self.outputs
            .extend(packets.map(|packet| Output::Eap { packet, msk: None }));
        if !self.silent {
            let fault = Fault::new(Failure::Refused, "rejected");
            self.outputs.push_back(Output::Failed(fault));
        }
    }

    fn disconnect(&mut self) {
        self.call(Call::Disconnect);
        self.state = State::Idle;
        self.outputs = [Output::Abandon].into();
    }

    async fn send(&mut self, _: &[u8]) {}

    fn succeeded(&mut self, _: Instant) -> Result<Terms, Fault> {
        panic!("the peer has nothing to believe");
    }

    fn failed(&mut self, now: Instant, wait: Duration) {
        self.call(Call::Failed(wait));
        self.outputs.clear();
        self.state = match self.keeps_session {
            true => State::Authenticated,
            false => State::Held { until: now + wait },
        };
    }

    fn ask_again(&mut self, _: Instant) {
        self.call(Call::AskAgain);
    }

    async fn advance(&mut self) -> Result<Option<Output>, Fatal> {
        Ok(self.outputs.pop_front())
    }

    async fn receive(&mut self) -> Result<(), Fatal> {
        pending().await
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    async fn handle_timeout(&mut self, _: Instant) {}

    async fn leave(&mut self) -> Result<(), Fatal> {
        self.call(Call::Leave);
        Ok(())
    }
}

/// Runs an access while `test` gives it orders; what its carrier was told. The access never asks
/// keyd anything, since no packet needs it.
async fn calls(automatic: bool, asked: bool, test: impl AsyncFnOnce(&Handle)) -> Vec<Call> {
    let test = async |access: &Handle, _: &watch::Sender<()>| test(access).await;
    calls_without_packets(automatic, asked, false, test).await
}

/// Like [`calls`], for a test that can change the subscriber, too.
async fn calls_without_packets(
    automatic: bool,
    asked: bool,
    silent: bool,
    test: impl AsyncFnOnce(&Handle, &watch::Sender<()>),
) -> Vec<Call> {
    let to_keyd = Arc::new(AtomicU32::new(0));
    let requests = Arc::clone(&to_keyd);
    let keyd = scripted_keyd::connect(move |_| {
        requests.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    });
    let carrier = Scripted {
        state: State::Idle,
        asked,
        packets: Vec::new(),
        keeps_session: false,
        silent,
        outputs: VecDeque::new(),
        calls: Rc::default(),
    };
    let calls = run_with(keyd.into(), carrier, automatic, test).await;
    assert_eq!(to_keyd.load(Ordering::Relaxed), 0, "requests to keyd");
    calls
}

async fn run_with(
    keyd: Keyd,
    carrier: Scripted,
    automatic: bool,
    test: impl AsyncFnOnce(&Handle, &watch::Sender<()>),
) -> Vec<Call> {
    let subscriber = watch::Sender::new(());
    let calls = Rc::clone(&carrier.calls);
    let resources = Resources {
        keyd,
        policy: Policy {
            peer: Config::new(),
            realm: Realm::Wlan,
        },
        reauthenticate_after: None,
        backoff: Backoff::new(FIRST_WAIT, 100 * FIRST_WAIT),
        automatic,
    };
    let carrier_name = netd::Carrier::Radius;
    let (reporter, status) = Reporter::new(
        "aaa",
        automatic,
        (carrier_name, "here".into(), None),
        Events::new(),
    );
    let (handle, orders) = Handle::new("aaa".into(), status);
    let test = async {
        handle.begun().await;
        test(&handle, &subscriber).await;
        handle.close();
    };
    let run = run(carrier, resources, reporter, orders, subscriber.subscribe());
    let (ended, ()) = tokio::join!(run, test);
    ended.unwrap();
    calls.take()
}

fn about(wait: Duration) -> std::ops::RangeInclusive<Duration> {
    wait * 8 / 10..=wait * 12 / 10
}

#[tokio::test]
async fn an_order_is_answered_once_the_attempt_has_failed_and_the_next_wait_is_longer() {
    let calls = calls(false, true, async |access| {
        let idle = netd::AccessState::Idle {
            reason: "waits for a command".into(),
        };
        assert_eq!(access.access().state, idle);
        for _ in 0..3 {
            access.order(Order::Connect).await.unwrap();
            let now = access.access();
            let held = netd::AccessState::Held {
                reason: "rejected".into(),
            };
            assert_eq!(now.state, held);
            assert!(now.next_seconds.is_some());
        }
    })
    .await;
    let [
        Call::Connect,
        Call::Failed(first),
        Call::Connect,
        Call::Failed(second),
        Call::Connect,
        Call::Failed(third),
        Call::Disconnect,
        Call::Leave,
    ] = calls[..]
    else {
        panic!("{calls:?}")
    };
    for (wait, expected) in [(first, 1), (second, 2), (third, 4)] {
        assert!(about(expected * FIRST_WAIT).contains(&wait), "{calls:?}");
    }
}

#[tokio::test]
async fn an_attempt_that_the_network_began_makes_no_wait_longer() {
    let calls = calls(false, false, async |access| {
        for _ in 0..3 {
            access.order(Order::Connect).await.unwrap();
        }
    })
    .await;
    let waits = calls.iter().filter_map(|call| match call {
        Call::Failed(wait) => Some(wait),
        _ => None,
    });
    assert!(
        waits.clone().count() == 3 && waits.clone().all(|wait| about(FIRST_WAIT).contains(wait))
    );
}

/// A carrier whose failures leave the session as it is.
fn keeping(packets: Vec<Vec<u8>>) -> Scripted {
    Scripted {
        state: State::Idle,
        asked: false,
        packets,
        keeps_session: true,
        silent: false,
        outputs: VecDeque::new(),
        calls: Rc::default(),
    }
}

/// A connection to a keyd that has no profile.
fn without_profile() -> Connection {
    scripted_keyd::connect(|_| encoded::<Status>(Err(Refusal::NoProfile)))
}

/// Counts the warnings of the log.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let is_warning = *event.metadata().level() == tracing::Level::WARN;
        self.0.fetch_add(is_warning.into(), Ordering::Relaxed);
    }
}

/// Anybody on the wire can let attempts fail.
#[tokio::test]
async fn an_attempt_whose_failure_leaves_the_session_is_counted_and_the_log_warns_of_the_first() {
    let warnings = Warnings::default();
    let log = tracing_subscriber::registry().with(warnings.clone());
    let _log = tracing::subscriber::set_default(log);
    let carrier = keeping(Vec::new());
    run_with(
        without_profile().into(),
        carrier,
        false,
        async |access, _| {
            for failures in 1..=3 {
                access.order(Order::Connect).await.unwrap();
                let now = access.access();
                assert_eq!(now.state, netd::AccessState::Authorised);
                assert_eq!(now.counters.failures, failures);
            }
        },
    )
    .await;
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn when_keyd_has_returned_the_network_of_a_session_is_asked_to_begin_what_failed_without_it()
{
    let lines = Lines::default();
    let keyd = lines.add(scripted_keyd::connect(|_| b"garbled".into()));
    let carrier = keeping(vec![vec![1, 1, 0, 5, 1]]);
    let calls = Rc::clone(&carrier.calls);
    run_with(keyd, carrier, false, async |access, _| {
        access.order(Order::Connect).await.unwrap();
        assert!(!calls.borrow().contains(&Call::AskAgain));
        let connect = async || Ok::<_, Infallible>(without_profile());
        lines.renew(connect).await.unwrap();
        // The driver runs meanwhile.
        let end = Instant::now() + FIRST_WAIT;
        while !calls.borrow().contains(&Call::AskAgain) {
            assert!(Instant::now() < end);
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_automatic_access_begins_by_itself_and_a_disconnected_one_stays_so() {
    let calls = calls(true, true, async |access| {
        access.order(Order::Disconnect).await.unwrap();
        let idle = netd::AccessState::Idle {
            reason: "disconnected".into(),
        };
        assert_eq!(access.access().state, idle);
        assert_eq!(access.access().next_seconds, None);
    })
    .await;
    assert_eq!(calls[0], Call::Connect);
    let end = [Call::Disconnect, Call::Disconnect, Call::Leave];
    assert_eq!(calls[2..], end);
}

/// The status of a keyd whose patience lasts four minutes, and whose profile has so many
/// pseudonyms and has shown the permanent identity out of patience so often.
fn status_of(privacy: IdentityPrivacy, pseudonyms: u8, shown: u8) -> StatusAnswer {
    StatusAnswer {
        changes: 1,
        enforcement: Enforcement {
            landlock_abi: 0,
            seccomp_calls: 0,
            key_memory: KeyMemory::Plain,
            kek_source: KekSource::Development,
            overwrites: Overwrites::InPlace,
            identity_privacy: privacy,
            identity_patience: 240,
            supplicant: false,
            test_profiles: false,
        },
        device_id: None,
        sealing_key_id: None,
        certified: false,
        trust_anchors: 0,
        profiles: 1,
        profile: None,
        capacity: 1,
        anchor: None,
        committed: None,
        accounts: None,
        counters: None,
        identities: Some(IdentityStatus {
            privacy,
            pseudonyms,
            quarters: 0,
            shown,
        }),
        times: Times {
            clock: 0,
            built: 0,
            kept: 0,
        },
    }
}

/// The fifth wait of an access whose network asks for an identity of this kind inside its method
/// and then rejects it.
async fn fifth_wait(asks: Attribute<'_>, status: StatusAnswer) -> Duration {
    let status = encoded::<Status>(Ok(status));
    let keyd = scripted_keyd::connect(move |request| match kind_of(request).unwrap() {
        RequestKind::Status => status.clone(),
        RequestKind::Identity => {
            let Identity { kind, .. } = decode_request(request).unwrap();
            encoded::<Identity<'_>>(match kind {
                IdentityRequest::Permanent => Err(Refusal::IdentityWithheld),
                _ => Ok(IdentityAnswer {
                    nai: "7alice@home".into(),
                    kind: IdentityKind::Pseudonym,
                }),
            })
        }
        RequestKind::IdentityRefused => encoded::<IdentityRefused<'_>>(Ok(())),
        other => panic!("not expected: {other}"),
    });
    let inside = Builder::new(Code::Request, 2, Method::AkaPrime.into(), Subtype::Identity);
    let inside = inside.attribute(asks).finish().unwrap().into_bytes();
    let carrier = Scripted {
        state: State::Idle,
        asked: true,
        packets: vec![vec![1, 1, 0, 5, 1], inside],
        keeps_session: false,
        silent: false,
        outputs: VecDeque::new(),
        calls: Rc::default(),
    };
    let calls = run_with(keyd.into(), carrier, false, async |access, _| {
        for _ in 0..5 {
            access.order(Order::Connect).await.unwrap();
        }
    });
    let waits = calls.await.into_iter().filter_map(|call| match call {
        Call::Failed(wait) => Some(wait),
        _ => None,
    });
    let waits: Vec<_> = waits.collect();
    assert_eq!(waits.len(), 5);
    waits[4]
}

/// A later refusal would end no more than one quarter, either.
#[tokio::test]
async fn while_keyd_counts_refusals_no_wait_is_longer_than_a_quarter_of_its_patience() {
    let patient = || status_of(IdentityPrivacy::Patient, 1, 0);
    let quarter = Duration::from_secs(60);
    for asks in [Attribute::PermanentIdReq, Attribute::FullauthIdReq] {
        assert!(about(quarter).contains(&fifth_wait(asks, patient()).await));
    }
    for (asks, status) in [
        // It doesn't count.
        (Attribute::AnyIdReq, patient()),
        // No wait is under way.
        (
            Attribute::PermanentIdReq,
            status_of(IdentityPrivacy::Patient, 1, 1),
        ),
        (
            Attribute::PermanentIdReq,
            status_of(IdentityPrivacy::Patient, 0, 0),
        ),
        (
            Attribute::PermanentIdReq,
            status_of(IdentityPrivacy::Strict, 1, 0),
        ),
    ] {
        assert!(about(16 * FIRST_WAIT).contains(&fifth_wait(asks, status).await));
    }
}

#[tokio::test]
async fn another_subscriber_begins_an_access_anew_unless_it_is_idle() {
    let calls = calls_without_packets(true, true, false, async |access, subscriber| {
        subscriber.send_replace(());
        let mut status = access.status.clone();
        let failed = status.wait_for(|status| status.now().counters.failures == 2);
        drop(failed.await.unwrap());
        access.order(Order::Disconnect).await.unwrap();
        subscriber.send_replace(());
    })
    .await;
    let [
        Call::Connect,
        Call::Failed(first),
        Call::Disconnect,
        Call::Connect,
        Call::Failed(again),
        Call::Disconnect,
        Call::Disconnect,
        Call::Leave,
    ] = calls[..]
    else {
        panic!("{calls:?}")
    };
    assert!(about(FIRST_WAIT).contains(&first) && about(FIRST_WAIT).contains(&again));
}

#[tokio::test]
async fn an_order_whose_attempt_another_subscriber_interrupts_waits_for_the_next_attempt() {
    calls_without_packets(false, true, true, async |access, subscriber| {
        let order = access.order(Order::Connect);
        tokio::pin!(order);
        for attempts in 1..=2 {
            let mut status = access.status.clone();
            let begun = status.wait_for(|status| status.now().counters.attempts == attempts);
            tokio::select! {
                biased;
                _ = &mut order => panic!("no attempt has ended"),
                begun = begun => drop(begun.unwrap()),
            }
            subscriber.send_replace(());
        }
    })
    .await;
}

#[test]
fn a_session_lasts_as_long_as_the_server_and_we_have_it_but_never_no_time_at_all() {
    let limit = |seconds, reauthenticate| {
        Some(SessionLimit {
            after: Duration::from_secs(seconds),
            reauthenticate,
        })
    };
    let own = |seconds| Some(Duration::from_secs(seconds));
    let now = Instant::now();
    let lasts = |limit, own| {
        let renewal = renewal(limit, own, now)?;
        Some((renewal.at - now, renewal.ends_session))
    };
    let seconds = Duration::from_secs;
    assert_eq!(lasts(None, None), None);
    assert_eq!(lasts(None, own(60)), Some((seconds(60), false)));
    assert_eq!(lasts(limit(90, true), own(60)), Some((seconds(60), false)));
    assert_eq!(lasts(limit(90, false), own(60)), Some((seconds(60), false)));
    assert_eq!(lasts(limit(30, false), own(60)), Some((seconds(30), true)));
    assert_eq!(lasts(limit(30, true), None), Some((seconds(30), false)));
    assert_eq!(lasts(limit(0, true), own(60)), Some((MIN_SESSION, false)));
}

#[tokio::test]
async fn an_access_whose_queue_is_full_carries_its_orders_out_and_ends_once_it_is_closed() {
    let calls = calls(false, true, async |access| {
        let mut orders: Vec<_> = (0..=QUEUE)
            .map(|_| Box::pin(access.order(Order::Disconnect)))
            .collect();
        for order in &mut orders {
            assert!(poll_once(order.as_mut()).await.is_none());
        }
        access.close();
        let refused = access.order(Order::Connect).await.unwrap_err();
        assert_eq!(refused.reason, "the access is about to end");
        for order in orders {
            order.await.unwrap();
        }
    })
    .await;
    let disconnections = QUEUE + 2;
    assert_eq!(calls.len(), disconnections + 1, "{calls:?}");
    assert_eq!(calls.last(), Some(&Call::Leave));
}

/// The result of a future, if it has one already.
async fn poll_once<F: Future + Unpin>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = std::future::ready(()) => None,
    }
}
