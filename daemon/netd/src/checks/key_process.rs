//! The checks of keyd: its socket, its release, the role of the socket.

use std::path::Path;

use softsim_client::keyd::{Connection, Error};
use softsim_client::proto::{HelloAnswer, PROTOCOL_VERSION, Refusal, Role};

use super::socket::{Cause, obstacle};
use super::{Finding, Kind};
use crate::config::Config;

/// Connects to keyd as netd does, and checks who answers.
pub(super) fn connect(config: &Config) -> Result<Connection, Finding> {
    let path = &*config.keyd_socket;
    let connection =
        Connection::connect(path).map_err(|error| unreachable(config, path, &error))?;
    match role(config, connection.hello()) {
        Some(finding) => Err(finding),
        None => Ok(connection),
    }
}

/// Checks what keyd says of itself: another role would refuse what netd asks.
fn role(config: &Config, hello: &HelloAnswer) -> Option<Finding> {
    let HelloAnswer { version, role, .. } = *hello;
    let place = || config.section.place("keyd_socket");
    if version != PROTOCOL_VERSION {
        return Some(other_release(
            config,
            &format!("protocol version {PROTOCOL_VERSION}, got {version}"),
        ));
    }
    (role != Role::Network).then(|| {
        let problem = format!(
            "expected softsim-keyd's socket of the role {}, got that of the role {role}",
            Role::Network
        );
        Finding::error(Kind::Configuration, place(), problem)
            .advise("give the path of softsim-keyd's --network")
    })
}

/// Why keyd doesn't answer.
fn unreachable(config: &Config, path: &Path, error: &Error) -> Finding {
    let place = config.section.place("keyd_socket");
    let shown = path.display();
    let wrong = |kind, got: String| {
        let problem = format!("expected softsim-keyd on {shown}, got {got}");
        Finding::error(kind, place.clone(), problem)
    };
    let not_running = "start softsim-keyd, or give the path of its --network";
    let other_user = "softsim-keyd's --network-user and --network-group say whom it serves, and the socket's group who may connect: run softsim-netd as such a user";
    match error {
        Error::Connect { source, .. } => match obstacle(path, source) {
            (got, Cause::NotRunning) => wrong(Kind::Unavailable, got).advise(not_running),
            (got, Cause::Path) => {
                wrong(Kind::Configuration, got).advise("give the path of softsim-keyd's --network")
            }
            (got, Cause::User) => wrong(Kind::Unavailable, got).advise(other_user),
            (got, Cause::Other) => wrong(Kind::Unavailable, got),
        },
        Error::Closed => {
            wrong(Kind::Unavailable, "a connection that it closed".into()).advise(other_user)
        }
        Error::TimedOut { .. } => wrong(Kind::Unavailable, "no answer".into()),
        Error::Refused(Refusal::Version { expected, got }) => {
            other_release(config, &format!("protocol version {got}, got {expected}"))
        }
        Error::Answer { .. } => other_release(config, "its answer, got other octets"),
        Error::Refused(_) | Error::Socket(_) | Error::TooLong { .. } => {
            wrong(Kind::Unavailable, error.to_string())
        }
    }
}

/// The two must be of one release. `what` is what was expected, and what keyd has.
fn other_release(config: &Config, what: &str) -> Finding {
    let place = config.section.place("keyd_socket");
    let problem = format!("expected a softsim-keyd of the release of softsim-netd: {what}");
    Finding::error(Kind::Unavailable, place, problem)
        .advise("install both of one release, and restart softsim-keyd first")
}
