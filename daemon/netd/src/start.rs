//! The start of netd, from the command line to the running daemon.

use std::future::Future;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use softsim_client::keyd::{Connection, Error as KeydError};
use softsim_client::proto::requests::Status;
use softsim_sandbox::exit_status;
use tokio::net::UnixListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access::prepare::{Ended, PrepareError, PreparedAccess};
use crate::access::{Accesses, Fatal as AccessFatal, Order, status};
use crate::accounts::{Committed, Store};
use crate::checks::Finding;
use crate::claim::{Claim, ClaimError};
use crate::config::{Bootstrap, BootstrapServer, Config, Sandbox};
use crate::control::{self, Control};
use crate::keyd::presence::{Device, Keeper, OtherDevice, Presence};
use crate::keyd::{Keyd, Lines};
use crate::lwm2m::{Fatal, Lwm2m, Snapshot};
use crate::names::{self, Names};
use crate::sandbox::{self, Enforced, SandboxError};
use crate::{checks, connector, dtls};

/// The number of requests that wait for the LwM2M task.
const QUEUE: usize = 16;

/// The time that an access has to log off.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The threads of the runtime: one for the network, and one that may block on keyd.
const THREADS: usize = 2;

/// Why netd didn't start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checks at start found errors, which the log has.
    #[error("softsim-netd doesn't start: {summary}")]
    Checks {
        /// How many there are.
        summary: String,
        /// The exit status.
        status: u8,
    },
    /// Another netd uses this state folder or control socket.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// netd can't reach keyd.
    #[error("softsim-keyd: {0}")]
    Keyd(#[from] KeydError),
    /// keyd has another device now.
    #[error(transparent)]
    Device(OtherDevice),
    /// netd can't open or use the control socket.
    #[error("{path}: {1}", path = .0.display())]
    Control(PathBuf, #[source] io::Error),
    /// netd can't confine itself.
    #[error("{0}{advice}", advice = advice(.0))]
    Sandbox(#[from] SandboxError),
    /// The self-test of the DTLS library failed.
    #[error(transparent)]
    Dtls(#[from] dtls::Error),
    /// The names helper can't start, or has ended.
    #[error("the names helper: {0}")]
    Names(#[source] io::Error),
    /// The connector can't start, or has ended.
    #[error("the connector: {0}")]
    Connector(#[source] io::Error),
    /// The runtime can't start.
    #[error("the runtime: {0}")]
    Runtime(#[source] io::Error),
    /// The LwM2M task can't go on.
    #[error(transparent)]
    Lwm2m(#[from] Fatal),
    /// An access can't start.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// An access can't go on.
    #[error("access {0}: {1}")]
    Access(String, #[source] AccessFatal),
}

/// The advice to a user whose kernel is the reason.
fn advice(error: &SandboxError) -> &'static str {
    match error.is_the_kernels() {
        true => " (sandbox = \"off\" in the configuration runs without a sandbox)",
        false => "",
    }
}

impl Error {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Checks { status, .. } => *status,
            Self::Prepare(PrepareError::File(finding)) => finding.kind.status(),
            Self::Keyd(_) | Self::Device(_) | Self::Lwm2m(Fatal::Device(_)) => {
                exit_status::UNAVAILABLE
            }
            Self::Claim(ClaimError::Held { .. }) => exit_status::TEMPORARY,
            Self::Claim(ClaimError::Lock(..))
            | Self::Control(..)
            | Self::Lwm2m(Fatal::Store(_)) => exit_status::IO,
            Self::Dtls(_) => exit_status::SOFTWARE,
            Self::Sandbox(_)
            | Self::Names(_)
            | Self::Connector(_)
            | Self::Runtime(_)
            | Self::Prepare(_)
            | Self::Access(..) => exit_status::SYSTEM,
        }
    }
}

/// Everything that netd opens before it confines itself.
struct Opened {
    connector: connector::Started,
    names: names::Helper,
    lines: Lines,
    device: Device,
    /// The line of the LwM2M task.
    keyd: Keyd,
    /// A connection that shows when keyd has ended.
    watched: Connection,
    /// The line for the authentications that softsimctl requests.
    testing: Keyd,
    accesses: Vec<PreparedAccess>,
    bootstrap: Option<BootstrapServer>,
    store: Store,
    control: StdUnixListener,
}

/// Runs until a signal or an error. The end of keyd is none: netd waits until it serves again.
pub fn run(file: &Path) -> Result<(), Error> {
    let mut config = checked(file)?;
    let _claimed = claim(&config)?;
    let opened = open(&mut config)?;
    let enforced = match config.sandbox {
        Sandbox::Require => sandbox::enter(&config.state_dir)?,
        Sandbox::Off => Enforced::default(),
    };
    tracing::info!(
        landlock_abi = enforced.landlock_abi,
        seccomp_calls = enforced.seccomp_calls,
        "enforced"
    );
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let ended = runtime.block_on(serve(config, opened, enforced));
    // Somebody may still wait for an answer of keyd.
    runtime.shutdown_background();
    ended
}

/// The configuration, if netd can work with it and with what it names. The log gets what may not
/// be meant.
fn checked(file: &Path) -> Result<Config, Error> {
    match checks::run(file) {
        (Some(config), findings) if checks::status(&findings).is_none() => {
            findings.iter().for_each(Finding::log);
            Ok(config)
        }
        (_, findings) => Err(refused(&findings)),
    }
}

/// Logs everything that keeps netd from starting.
fn refused(findings: &[Finding]) -> Error {
    findings.iter().for_each(Finding::log);
    Error::Checks {
        summary: checks::summary(findings),
        status: checks::status(findings).unwrap_or(70),
    }
}

/// Makes sure that no other netd uses the state folder or the control socket.
fn claim(config: &Config) -> Result<[Claim; 2], ClaimError> {
    Ok([
        Claim::folder(&config.state_dir)?,
        Claim::socket(&config.control_socket)?,
    ])
}

fn open(config: &mut Config) -> Result<Opened, Error> {
    let bootstrap = (config.bootstrap.as_ref())
        .map(Bootstrap::load)
        .transpose()
        .map_err(|findings| refused(&findings))?;
    dtls::prepare()?;
    let connector = connector::Started::start(&config.keyd_socket).map_err(Error::Connector)?;
    let connect = || {
        let socket = connector.keyd().map_err(|source| KeydError::Connect {
            path: config.keyd_socket.clone(),
            source,
        })?;
        Connection::over(socket).map_err(Error::Keyd)
    };
    let lines = Lines::default();
    let line = || Ok::<_, Error>(lines.add(connect()?));
    let (watched, keyd, testing) = (connect()?, line()?, line()?);
    let accesses = mem::take(&mut config.accesses)
        .into_iter()
        .map(|settings| Ok::<_, Error>(PreparedAccess::open(settings, line()?)?))
        .collect::<Result<_, _>>()?;
    let status = keyd.call_blocking(&Status {})?;
    let device = Device::default();
    device.recognise(status.device_id).map_err(Error::Device)?;
    let store = Store::open(&config.state_dir, Committed::from(&status));
    let control = control::bind(&config.control_socket)
        .map_err(|error| Error::Control(config.control_socket.clone(), error))?;
    let names = names::Helper::start().map_err(Error::Names)?;
    Ok(Opened {
        connector,
        names,
        lines,
        device,
        keyd,
        watched,
        testing,
        accesses,
        bootstrap,
        store,
        control,
    })
}

async fn serve(config: Config, opened: Opened, enforced: Enforced) -> Result<(), Error> {
    let control_failed = |error| Error::Control(config.control_socket.clone(), error);
    let listener = UnixListener::from_std(opened.control).map_err(control_failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let hangups = signal(SignalKind::hangup()).map_err(Error::Runtime)?;
    let (names, names_lost) = opened.names.serve().map_err(Error::Names)?;
    let (connector, manager, connector_lost) =
        opened.connector.serve().map_err(Error::Connector)?;
    let (presence, serving) = watch::channel(Presence::Serving);
    let keeper = Keeper {
        connector,
        lines: opened.lines,
        presence,
        device: opened.device.clone(),
    };

    let (requests, queue) = mpsc::channel(QUEUE);
    let (snapshot, watcher) = watch::channel(Snapshot::default());
    let lwm2m = Lwm2m::prepare(
        (opened.keyd, serving.clone(), opened.device),
        names.clone(),
        opened.store,
        config.endpoint.clone(),
        opened.bootstrap,
        snapshot,
    )
    .await?;
    let (accesses, failed) = begin(opened.accesses, &names)?;
    // A client of the control socket learns the state of each access, and never "not begun".
    for access in &accesses.handles {
        access.begun().await;
    }
    let control = Control {
        uids: config.control_uids.clone(),
        lwm2m: requests,
        snapshot: watcher,
        keyd: serving,
        enforced,
        testing: Arc::new(Mutex::new(opened.testing)),
        names,
        accesses: Arc::clone(&accesses),
    };
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        other = keeper.run(opened.watched) => Err(other.map_or_else(Error::Keyd, Error::Device)),
        error = names_lost => Err(Error::Names(error)),
        error = connector_lost => Err(Error::Connector(error)),
        error = failed => Err(error),
        () = ignore(hangups) => Ok(()),
        result = lwm2m.run(queue, end, manager) => result.map_err(Error::from),
        result = control::serve(listener, control) => result.map_err(control_failed),
    }?;
    stop(&accesses).await;
    Ok(())
}

/// Logs for each SIGHUP that it has no effect.
async fn ignore(mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        tracing::warn!(
            "SIGHUP: the configuration is read at start only; restart to have it read again"
        );
    }
}

/// Starts all accesses. The future resolves to the error of the first access that can't go on.
fn begin(
    opened: Vec<PreparedAccess>,
    names: &Names,
) -> Result<(Arc<Accesses>, impl Future<Output = Error> + use<>), Error> {
    let mut handles = Vec::new();
    let events = status::events();
    let mut ends = JoinSet::new();
    for access in opened {
        let (handle, ended) = access
            .start(events.clone(), names)
            .map_err(Error::Runtime)?;
        ends.spawn(end_of(handle.name.clone(), ended));
        handles.push(handle);
    }
    let failed = async move {
        loop {
            match ends.join_next().await {
                Some(Ok(Some(error))) => return error,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    };
    let accesses = Accesses { handles, events };
    Ok((Arc::new(accesses), failed))
}

/// Why an access ended, unless netd stopped it.
async fn end_of(name: String, ended: Ended) -> Option<Error> {
    let fatal = match ended.await {
        Ok(Ok(())) => return None,
        Ok(Err(fatal)) => fatal,
        Err(_) => AccessFatal::Io(io::Error::other("its thread is gone")),
    };
    Some(Error::Access(name, fatal))
}

/// Lets all accesses log off, unless that takes too long.
async fn stop(accesses: &Accesses) {
    for access in &accesses.handles {
        if timeout(STOP_TIMEOUT, access.order(Order::Stop))
            .await
            .is_err()
        {
            tracing::warn!(access = access.name, "didn't leave in time");
        }
    }
}
