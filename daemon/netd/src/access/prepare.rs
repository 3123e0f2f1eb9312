//! The start of an access: what it opens before netd confines itself, and its thread.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use softsim_carriers::eapol::Timers;
use softsim_carriers::radius::Secret;
use softsim_client::netd::{Carrier, Port};
use softsim_eap::ForwardSecrecy;
use tokio::sync::{oneshot, watch};

use super::driver::{self, Resources};
use super::radius::Radius;
use super::settings::{CarrierSettings, Settings};
use super::status::Reporter;
use super::wired::Wired;
use super::{Fatal, Handle, port, thread};
use crate::backoff::Backoff;
use crate::checks::{Finding, Kind, Place};
use crate::connector::Connector;
use crate::events::Events;
use crate::files::Files;
use crate::keyd::Keyd;
use crate::names::Names;
use crate::uri::Server;

/// An access that is ready to start.
pub(crate) struct PreparedAccess {
    name: String,
    carrier: PreparedCarrier,
    resources: Resources,
}

enum PreparedCarrier {
    Wired {
        keeper: port::Source,
        timers: Timers,
    },
    Radius {
        servers: Vec<(Server, Secret)>,
        nas_identifier: String,
    },
}

/// Why an access can't start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file of its configuration is invalid.
    #[error(transparent)]
    File(#[from] Finding),
    /// The keeper of its interface doesn't start.
    #[error("access {name}: {interface}: {source}")]
    Interface {
        /// The access.
        name: String,
        /// The interface.
        interface: String,
        /// Why.
        source: io::Error,
    },
}

/// Resolves when an access has ended.
pub(crate) type Ended = oneshot::Receiver<Result<(), Fatal>>;

impl PreparedAccess {
    /// Starts the keeper of the interface, which closes the controlled port, unless that is a
    /// service of its own, or takes the secrets of the servers. A netd that is confined can't start
    /// a keeper.
    pub(crate) fn open(
        settings: Settings,
        keyd: Keyd,
        files: &Files,
    ) -> Result<Self, PrepareError> {
        let place = settings.section.place("secret_files");
        let carrier = match settings.carrier {
            CarrierSettings::Wired {
                needed,
                keeper_socket,
                timers,
            } => {
                let interface = needed.interface.clone();
                let keeper = match keeper_socket {
                    Some(socket) => Ok(port::Source::Service(needed, socket)),
                    None => needed.start(),
                };
                let keeper = keeper.map_err(|source| PrepareError::Interface {
                    name: settings.name.clone(),
                    interface,
                    source,
                })?;
                PreparedCarrier::Wired { keeper, timers }
            }
            CarrierSettings::Radius {
                servers,
                nas_identifier,
            } => PreparedCarrier::Radius {
                servers: (servers.into_iter())
                    .map(|(server, file)| Ok((server, secret(&file, &place, files)?)))
                    .collect::<Result<_, Finding>>()?,
                nas_identifier,
            },
        };
        Ok(Self {
            name: settings.name,
            carrier,
            resources: Resources {
                keyd,
                policy: settings.policy,
                reauthenticate_after: settings.reauthenticate_after,
                backoff: Backoff::new(settings.retry.0, settings.retry.1),
                automatic: settings.automatic,
            },
        })
    }

    /// Starts the access on its own thread. It begins anew whenever `subscriber` changes.
    pub(crate) fn start(
        self,
        events: Events,
        names: &Names,
        connector: &Connector,
        subscriber: watch::Receiver<()>,
    ) -> io::Result<(Handle, Ended)> {
        let (carrier, at, port) = match &self.carrier {
            PreparedCarrier::Wired { keeper, .. } => {
                let port::Needed { interface, at_stop } = keeper.needed();
                let port = at_stop.map(|_| Port::Unauthorised);
                (Carrier::Wired, interface.clone(), port)
            }
            PreparedCarrier::Radius { servers, .. } => {
                let servers: Vec<_> = servers.iter().map(|(at, _)| at.to_string()).collect();
                (Carrier::Radius, servers.join(", "), None)
            }
        };
        let automatic = self.resources.automatic;
        let (reporter, status) = Reporter::new(&self.name, automatic, (carrier, at, port), events);
        let (handle, orders) = Handle::new(self.name, status);
        let (resources, names, connector) = (self.resources, names.clone(), connector.clone());
        let run = move || async move {
            match self.carrier {
                PreparedCarrier::Wired { keeper, timers } => {
                    let carrier = Wired::new(keeper.register(&connector)?, timers);
                    driver::run(carrier, resources, reporter, orders, subscriber).await
                }
                PreparedCarrier::Radius {
                    servers,
                    nas_identifier,
                } => {
                    let carrier = Radius::new(servers, &nas_identifier, names)
                        .map_err(|error| io::Error::other(error.to_string()))?;
                    driver::run(carrier, resources, reporter, orders, subscriber).await
                }
            }
        };
        let ended = thread::run(&handle.name, run, Fatal::Io)?;
        Ok((handle, ended))
    }
}

/// Checks the files with the secrets of an access, and says what its settings entail that its owner
/// may not expect.
pub(crate) fn check(settings: &Settings, files: &Files) -> Vec<Finding> {
    let place = |field| settings.section.place(field);
    // Servers may share a file.
    let paths: BTreeSet<_> = settings.servers().iter().map(|(_, file)| file).collect();
    let secrets = (paths.into_iter())
        .filter(|_| settings.section.has("secret_files"))
        .filter_map(|path| secret(path, &place("secret_files"), files).err());
    let required = settings.policy.peer.forward_secrecy == ForwardSecrecy::Require;
    let no_patience = required.then(|| {
        let problem = "if the network loses its pseudonyms, the permanent identity is withheld \
                       for ever, whatever keyd's --identity-patience";
        Finding::warning(Kind::Configuration, place("forward_secrecy"), problem)
    });
    secrets.chain(no_patience).collect()
}

fn secret(path: &Path, place: &Place, files: &Files) -> Result<Secret, Finding> {
    let wrong = |problem: String| Finding::error(Kind::Configuration, place.clone(), problem);
    let octets = files.secret(path).map_err(wrong)?;
    let secret = octets.strip_suffix(b"\n").unwrap_or(&octets);
    Secret::new(secret.to_vec()).map_err(|error| wrong(format!("{}: {error}", path.display())))
}
