//! A single authentication over RADIUS that belongs to no access, for `softsimctl eap-test`.

use std::time::Instant;
use std::{fmt, io};

use softsim_carriers::radius::Secret;
use softsim_client::netd::{EapTest, Failure, RadiusSecret};
use softsim_client::proto::Realm;
use softsim_eap::Config;
use tokio::sync::OwnedMutexGuard;

use super::carrier::Carrier;
use super::conversation::{Conversation, Policy};
use super::exchange::{Event, Exchange, Success};
use super::radius::Radius;
use super::{settings, status, thread};
use crate::keyd::Keyd;
use crate::names::Names;
use crate::progress::{Fault, Progress};
use crate::timer;
use crate::uri::Server;

/// The name of this gateway for the RADIUS server.
const NAS_IDENTIFIER: &str = "softsim";

/// Authenticates once to a server. It succeeds only with a verified challenge, an EAP-Success, and
/// the server's own MSK if the server sends one.
pub(crate) async fn run(
    keyd: OwnedMutexGuard<Keyd>,
    server: Server,
    names: Names,
    secret: &RadiusSecret,
    identity: Option<String>,
    progress: &Progress,
) -> Result<EapTest, Fault> {
    let command = |error: &dyn fmt::Display| Fault::new(Failure::Command, error);
    let secret = Secret::new(secret.expose().to_vec()).map_err(|error| command(&error))?;
    let carrier =
        Radius::new([(server, secret)], NAS_IDENTIFIER, names).map_err(|error| command(&error))?;
    let mut peer = Config::new();
    if let Some(identity) = identity {
        peer.outer = settings::fixed(&identity)
            .map_err(|error| command(&format_args!("identity: {error}")))?;
    }
    let policy = Policy {
        peer,
        realm: Realm::Wlan,
    };
    let progress = progress.clone();
    let authentication = move || async move {
        let conversation = Conversation::new(keyd.clone(), &policy);
        authenticate(Exchange::new(carrier, conversation), &progress).await
    };
    let internal = |error: io::Error| Fault::new(Failure::Internal, error);
    let result = thread::run("eap-test", authentication, internal).map_err(internal)?;
    result.await.unwrap_or_else(|_| {
        let reason = "the thread of the authentication is gone";
        Err(Fault::new(Failure::Internal, reason))
    })
}

async fn authenticate<C: Carrier>(
    mut exchange: Exchange<C>,
    progress: &Progress,
) -> Result<EapTest, Fault> {
    let started = Instant::now();
    exchange.carrier.connect(started);
    let ended = loop {
        if let Some(ended) = work(&mut exchange, progress).await.transpose() {
            break ended;
        }
        let due = exchange.carrier.poll_timeout();
        tokio::select! {
            received = exchange.carrier.receive() => received?,
            () = timer::until(due) => exchange.carrier.handle_timeout(Instant::now()).await,
            () = progress.abandoned() => {
                break Err(Fault::new(Failure::Command, "whoever asked has left"));
            }
        }
    };
    let microseconds = started.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
    exchange.carrier.disconnect();
    while exchange.advance().await?.is_some() {}
    exchange.conversation.settle();
    let Success {
        authentication,
        msk,
        ..
    } = ended?;
    let conversation = &exchange.conversation;
    Ok(EapTest {
        identity: conversation.first_identity().unwrap_or_default().to_owned(),
        synchronised: conversation.synchronised(),
        authentication,
        msk,
        microseconds,
    })
}

/// Lets the carrier and the peer work until both wait or the authentication has ended, and sends
/// the messages to the client.
async fn work<C: Carrier>(
    exchange: &mut Exchange<C>,
    progress: &Progress,
) -> Result<Option<Success>, Fault> {
    let ended = loop {
        match exchange.advance().await? {
            None => break Ok(None),
            Some(Event::Succeeded(success)) => break Ok(Some(success)),
            Some(Event::Failed(fault) | Event::GaveUp(fault)) => break Err(fault),
            Some(Event::Ignored(reason)) => {
                progress.step(format!("ignored a datagram: {reason}"));
            }
            Some(Event::Resting(_) | Event::Renamed(_)) => {}
        }
    };
    for (at, note) in exchange.take_notes() {
        let (direction, text) = status::describe(&note);
        progress.message(at, direction, text, note.remark, None);
    }
    exchange.conversation.settle();
    ended
}
