//! SIGHUP: netd reads its configuration again, and takes over what it can without a restart.
//!
//! It takes over the level of the log, the bootstrap server with its certificates, and the accesses
//! over RADIUS with their secrets. It can also end a wired access, but begin one only if its port
//! keeper is a service whose socket the configuration named at the start, since a confined netd
//! starts no port keeper. A configuration with an error changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use softsim_client::netd::Carrier;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use toml::{Table, Value};

use crate::access::Accesses;
use crate::access::prepare::PreparedAccess;
use crate::access::settings::Settings;
use crate::checks::certificates::{by_the_clock_alone, trust_anchors};
use crate::checks::{self, Finding, Kind, Place};
use crate::config::{Config, text};
use crate::connector::{Connector, Manager};
use crate::files::{self, Files};
use crate::keyd::presence::{Presence, connect, served};
use crate::keyd::{self, Keyd, Lines};
use crate::lwm2m::Request;
use crate::{events, log};

/// The fields that a running netd can't change.
const FIXED: [&str; 8] = [
    "keyd_socket",
    "control_socket",
    "monitor_socket",
    "state_dir",
    "endpoint",
    "control_users",
    "control_groups",
    "sandbox",
];

/// The configuration in force, as far as it is compared with the next one.
#[derive(Debug)]
pub(crate) struct InForce {
    file: PathBuf,
    /// The file's own fields.
    fixed: Vec<Option<Value>>,
    /// The table of each access that runs, and the digest of its secret.
    accesses: BTreeMap<String, (Value, Option<[u8; 32]>)>,
}

impl InForce {
    /// That of the start.
    pub(crate) fn new(file: &Path, config: &Config) -> Self {
        let tables = tables(config);
        let of = |settings: &Settings| {
            let table = tables.get(&settings.name)?.clone();
            Some((
                settings.name.clone(),
                (table, digest(settings, &Files::System)),
            ))
        };
        Self {
            file: file.to_owned(),
            fixed: fixed(&config.table),
            accesses: config.accesses.iter().filter_map(of).collect(),
        }
    }
}

/// What a reload needs.
pub(crate) struct Reload {
    /// The configuration in force.
    pub(crate) in_force: InForce,
    /// Opens the files.
    pub(crate) connector: Connector,
    /// Tells the service manager.
    pub(crate) manager: Manager,
    /// Where the accesses get their lines to keyd.
    pub(crate) lines: Lines,
    /// A line for what the reload itself asks.
    pub(crate) line: Keyd,
    /// Whether keyd serves.
    pub(crate) keyd: watch::Receiver<Presence>,
    /// The accesses that run.
    pub(crate) accesses: Arc<Accesses>,
    /// The LwM2M task, which has the bootstrap server.
    pub(crate) lwm2m: mpsc::Sender<Request>,
}

impl Reload {
    /// Reads the configuration again at each signal, and when an access has ended that a signal
    /// was to end, but that wasn't in time.
    pub(crate) async fn serve(mut self, mut hangups: Signal) {
        loop {
            let late = tokio::select! {
                Some(()) = hangups.recv() => None,
                name = self.accesses.late() => Some(name),
            };
            if let Some(name) = late {
                tracing::info!(
                    access = name,
                    "it has ended; the configuration is read again"
                );
                self.in_force.accesses.remove(&name);
            }
            self.manager.reloading();
            let fault = match self.read().await {
                // Without keyd, accesses would end that can't begin again.
                Ok((config, files)) => match served(&self.keyd).await {
                    Ok(()) => {
                        self.apply(config, &files).await;
                        None
                    }
                    Err(reason) => Some(reason),
                },
                Err(findings) => {
                    findings.iter().for_each(Finding::log);
                    Some(checks::summary(&findings))
                }
            };
            if let Some(reason) = &fault {
                tracing::error!("SIGHUP: {reason}; the configuration in force stays");
            }
            self.accesses.events.tell(events::Kind::Reload(fault));
            self.manager.ready();
        }
    }

    /// Reads the configuration and its files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    async fn read(&self) -> Result<(Config, Files), Vec<Finding>> {
        let file = &*self.in_force.file;
        let passed = files::passed(&self.connector, file).await;
        let parsed = passed.and_then(|(octets, _)| Ok(Config::parse(file, text(&octets)?)));
        let (config, mut findings) = parsed.map_err(|error| {
            let place = Place {
                file: Some(file.to_owned()),
                ..Place::default()
            };
            vec![Finding::error(
                Kind::Configuration,
                place,
                error.to_string(),
            )]
        })?;
        let Some(config) = config else {
            return Err(findings);
        };
        let files = Files::passed(&self.connector, config.files()).await;
        findings.extend(checks::files(&config, &files));
        let times = keyd::status(&self.line).await;
        let times = times.map_or_else(|_| by_the_clock_alone(), |status| status.times);
        let bootstrap = config.bootstrap.iter();
        findings.extend(bootstrap.flat_map(|server| trust_anchors(server, &files, &times)));
        match checks::status(&findings) {
            Some(_) => Err(findings),
            None => {
                findings.iter().for_each(Finding::log);
                Ok((config, files))
            }
        }
    }

    async fn apply(&mut self, config: Config, files: &Files) {
        let changed = fixed(&config.table);
        let changed = self.in_force.fixed.iter().zip(changed).zip(FIXED);
        for ((before, now), field) in changed {
            if *before != now {
                tracing::warn!("SIGHUP: {field} needs a restart");
            }
        }
        log::set_detail(config.log);
        let server = config.bootstrap.as_ref().map(|server| server.load(files));
        // The files were checked. If the task has ended, so does netd.
        let server = server.and_then(Result::ok);
        let _ = self.lwm2m.send(Request::BootstrapServer(server)).await;
        self.apply_accesses(config, files).await;
        tracing::info!("SIGHUP: the configuration was read again");
    }

    /// Ends the accesses that aren't there any more or are others now, and begins those that aren't
    /// there yet. The rest goes on.
    async fn apply_accesses(&mut self, config: Config, files: &Files) {
        let tables = tables(&config);
        let digests = config.accesses.iter().map(|settings| {
            let name = settings.name.clone();
            (name, digest(settings, files))
        });
        let digests: BTreeMap<_, _> = digests.collect();
        let next = |name: &String| Some((tables.get(name)?.clone(), *digests.get(name)?));
        let accesses = config.accesses.iter();
        let accesses = accesses.filter(|access| self.can_begin(access));
        let can_begin: BTreeSet<_> = accesses.map(|access| access.name.clone()).collect();
        let interfaces: BTreeSet<_> = tables.values().filter_map(interface).collect();
        for (name, before) in self.in_force.accesses.clone() {
            let own_keeper = has_own_keeper(&before.0);
            match next(&name) {
                Some(now) if now == before && self.accesses.goes_on(&name) => {}
                Some(_) if own_keeper || !can_begin.contains(&name) => needs_a_restart(&name),
                // It has another name now, which is no reason to close its port.
                None if own_keeper
                    && interface(&before.0).is_some_and(|it| interfaces.contains(it)) =>
                {
                    needs_a_restart(&name);
                }
                _ if self.accesses.stop(&name).await => {
                    self.in_force.accesses.remove(&name);
                }
                // Two of them would show the network the same identities.
                _ => tracing::warn!(access = name, "SIGHUP: it hasn't ended yet"),
            }
        }
        let names: Vec<_> = config.accesses.iter().map(|one| one.name.clone()).collect();
        for settings in config.accesses {
            let name = settings.name.clone();
            let Some(table) = next(&name).filter(|_| !self.in_force.accesses.contains_key(&name))
            else {
                continue;
            };
            if !can_begin.contains(&name) || self.holds_interface_of(&settings) {
                needs_a_restart(&name);
            } else if let Err(reason) = self.begin(settings, files).await {
                tracing::error!(access = name, reason, "SIGHUP: the access doesn't begin");
            } else {
                self.in_force.accesses.insert(name, table);
            }
        }
        self.accesses.sort(&names);
    }

    /// Whether an access can begin in a netd that is confined.
    fn can_begin(&self, settings: &Settings) -> bool {
        match settings.keeper_socket() {
            Some(socket) => self.connector.knows_keeper(socket),
            None => settings.interface().is_none(),
        }
    }

    /// Whether an access that goes on has the interface of these settings.
    fn holds_interface_of(&self, settings: &Settings) -> bool {
        let mut running = self.in_force.accesses.values();
        settings
            .interface()
            .is_some_and(|(wanted, _)| running.any(|(table, _)| interface(table) == Some(wanted)))
    }

    async fn begin(&self, settings: Settings, files: &Files) -> Result<(), String> {
        let connection = connect(&self.connector).await;
        let keyd = self
            .lines
            .add(connection.map_err(|error| error.to_string())?);
        let access = PreparedAccess::open(settings, keyd, files);
        let access = access.map_err(|error| error.to_string())?;
        let started = self.accesses.start(access).await;
        started.map_err(|error| error.to_string())
    }
}

fn needs_a_restart(access: &str) {
    tracing::warn!(
        access,
        "SIGHUP: a wired access needs a restart to begin or change"
    );
}

fn fixed(table: &Table) -> Vec<Option<Value>> {
    FIXED.map(|field| table.get(field).cloned()).into()
}

/// The table of each access.
fn tables(config: &Config) -> BTreeMap<String, Value> {
    let tables = config.table.get("access").and_then(Value::as_array);
    let tables = tables.into_iter().flatten();
    let named = tables.filter_map(|table| Some((table.get("name")?.as_str()?, table)));
    named
        .map(|(name, table)| (name.to_owned(), table.clone()))
        .collect()
}

/// Whether an access has a port keeper that netd has started.
fn has_own_keeper(table: &Value) -> bool {
    interface(table).is_some() && table.get("keeper_socket").is_none()
}

/// The interface of a wired access.
fn interface(table: &Value) -> Option<&str> {
    let carrier = table.get("carrier").and_then(Value::as_str);
    let is_wired = carrier == Some(&*Carrier::Wired.to_string());
    table.get("interface").filter(|_| is_wired)?.as_str()
}

/// The digest of the secrets of an access, if it has any.
fn digest(settings: &Settings, files: &Files) -> Option<[u8; 32]> {
    let servers = settings.servers();
    let mut all = Sha256::new();
    for (_, file) in servers {
        all.update(Sha256::digest(&*files.secret(file).ok()?));
    }
    (!servers.is_empty()).then(|| all.finalize().into())
}
