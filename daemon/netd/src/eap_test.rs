//! One authentication over RADIUS, as the supplicant behind an access point would run it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use softsim_carriers::radius::{self, Secret};
use softsim_client::keyd::Connection;
use softsim_client::netd::{self, Failure, RadiusSecret};
use softsim_client::proto::Realm;
use softsim_eap::{Config, Note};
use tokio::sync::OwnedMutexGuard;

use crate::access::attempt::{Accepted, Line, Listener};
use crate::access::conversation::{Conversation, Policy, Stage};
use crate::access::{Fatal, record, settings, thread};
use crate::names::Names;
use crate::progress::{Fault, Progress};
use crate::uri::Server;

/// How this gateway calls itself towards the RADIUS server.
const NAS_IDENTIFIER: &str = "softsim";

/// Authenticates once against a server; succeeds only with a verified challenge, EAP-Success and an
/// MSK that equals the server's, where it sent one.
pub async fn run(
    keyd: OwnedMutexGuard<Connection>,
    line: (Server, Names),
    secret: &RadiusSecret,
    identity: Option<String>,
    progress: &Progress,
) -> Result<netd::EapTest, Fault> {
    let command = |error: &dyn fmt::Display| Fault::new(Failure::Command, error);
    let (server, names) = line;
    let secret = Secret::new(secret.expose().to_vec()).map_err(|error| command(&error))?;
    let client = radius::Client::new(secret, NAS_IDENTIFIER).map_err(|error| command(&error))?;
    let mut peer = Config::new();
    if let Some(identity) = identity {
        peer.outer = settings::fixed(&identity)
            .map_err(|error| command(&format_args!("identity: {error}")))?;
    }
    let policy = Policy {
        peer,
        realm: Realm::Wlan,
    };
    let internal = |error: &dyn fmt::Display| Fault::new(Failure::Internal, error);
    let told = Arc::new(progress.clone());
    let result = thread::run("eap-test", move || {
        authenticate(keyd, Line::new(server, names, client), policy, told)
    })
    .map_err(|error| internal(&error))?;
    match result.await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(internal(&error)),
        Err(_) => Err(internal(&"the thread of the authentication is gone")),
    }
}

async fn authenticate(
    mut keyd: OwnedMutexGuard<Connection>,
    mut line: Line,
    policy: Policy,
    progress: Arc<Progress>,
) -> Result<netd::EapTest, Fault> {
    let unavailable = |error: &dyn fmt::Display| Fault::new(Failure::Unavailable, error);
    let mut conversation = Conversation::new(&mut keyd, &policy);
    let mut told = Teller(&progress);
    let started = Instant::now();
    let ended = tokio::select! {
        ended = line.authenticate(&mut conversation, &mut told) => {
            ended.map_err(|fatal: Fatal| unavailable(&fatal))?
        }
        () = progress.abandoned() => Err(Fault::new(Failure::Command, "whoever asked has left")),
    };
    let microseconds = started.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
    line.abandon(&mut conversation)
        .map_err(|fatal| unavailable(&fatal))?;
    let Accepted {
        authentication,
        msk,
        ..
    } = ended?;
    Ok(netd::EapTest {
        identity: conversation.shown().unwrap_or_default().to_owned(),
        synchronised: conversation.synchronised(),
        authentication,
        msk,
        microseconds,
    })
}

/// Tells whoever gave the command.
struct Teller<'p>(&'p Progress);

impl Listener for Teller<'_> {
    fn note(&mut self, at: Instant, note: &Note) {
        let (direction, text) = record::words(note);
        self.0.message(at, direction, text, None);
    }

    fn ignored(&mut self, reason: &dyn fmt::Display) {
        self.0.step(format!("ignored a datagram: {reason}"));
    }

    fn stage(&mut self, _: Stage) {}
}
