//! The start of netd, from the command line to the running daemon.

use std::convert::Infallible;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use std::{future, io, mem};

use softsim_client::keyd::{Connection, Error as KeydError};
use softsim_client::proto::requests::Status;
use softsim_sandbox::{exit_status, process};
use tokio::net::UnixListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};

use crate::access::prepare::{PrepareError, PreparedAccess};
use crate::access::{Accesses, Fatal as AccessFatal};
use crate::accounts::{Committed, Store};
use crate::audience::Audience;
use crate::callers::Callers;
use crate::checks::{Finding, certificates};
use crate::claim::{Claim, ClaimError};
use crate::config::{BootstrapServer, Config, Sandbox};
use crate::control::{self, Control};
use crate::files::Files;
use crate::keyd::presence::{Device, Keeper, OtherDevice, Presence};
use crate::keyd::subscriber::Subscriber;
use crate::keyd::{Keyd, Lines};
use crate::listening::{Inherited, Listening};
use crate::lwm2m::{Fatal, Lwm2m, Snapshot};
use crate::reload::{InForce, Reload};
use crate::sandbox::{self, Enforced, SandboxError};
use crate::{checks, connector, dtls, events, log, names};

/// The number of requests that wait for the LwM2M task.
const QUEUE: usize = 16;

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
    /// netd can't open or use its control or monitor socket.
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
            Self::Prepare(PrepareError::File(finding)) => checks::status_of(finding.kind),
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
    /// A connection on which keyd tells its changes.
    watched: Connection,
    /// How many changes keyd has told.
    seen: u64,
    subscriber: Subscriber,
    /// The line for the authentications that softsimctl requests.
    testing: Keyd,
    in_force: InForce,
    accesses: Vec<PreparedAccess>,
    bootstrap: Option<BootstrapServer>,
    store: Store,
    listening: Listening,
    callers: Callers,
}

/// Runs until a signal or an error. The end of keyd is none: netd waits until it serves again. The
/// service manager may have opened the sockets on which netd listens.
pub fn run(file: &Path, sockets: Inherited) -> Result<(), Error> {
    process::ignore_hangup().map_err(Error::Runtime)?;
    let mut config = checked(file)?;
    log::set_detail(config.log);
    let _claimed = (Claim::folder(&config.state_dir)?, sockets.claim(&config)?);
    let opened = open(&mut config, file, sockets)?;
    process::forget_children().map_err(Error::Runtime)?;
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

fn open(config: &mut Config, file: &Path, sockets: Inherited) -> Result<Opened, Error> {
    let bootstrap = (config.bootstrap.as_ref())
        .map(|bootstrap| bootstrap.load(&Files::System))
        .transpose()
        .map_err(|findings| refused(&findings))?;
    dtls::prepare()?;
    let in_force = InForce::new(file, config);
    let files = [file].into_iter().chain(config.files());
    let files = files.map(Path::to_owned).collect();
    let keepers = config.keepers().map(Path::to_owned).collect();
    let connector = connector::Started::start(&config.keyd_socket, keepers, files);
    let connector = connector.map_err(Error::Connector)?;
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
        .map(|settings| Ok::<_, Error>(PreparedAccess::open(settings, line()?, &Files::System)?))
        .collect::<Result<_, _>>()?;
    let status = keyd.call_blocking(&Status {})?;
    let device = Device::default();
    device.recognise(status.device_id).map_err(Error::Device)?;
    let store = Store::open(&config.state_dir, Committed::from(&status));
    let listening = sockets.listen(config);
    let listening = listening.map_err(|(path, error)| Error::Control(path, error))?;
    let names = names::Helper::start().map_err(Error::Names)?;
    Ok(Opened {
        connector,
        names,
        lines,
        device,
        keyd,
        watched,
        seen: status.changes,
        subscriber: Subscriber::new(&status),
        testing,
        in_force,
        accesses,
        bootstrap,
        store,
        listening,
        callers: Callers::of(config).0,
    })
}

async fn serve(config: Config, opened: Opened, enforced: Enforced) -> Result<(), Error> {
    let control_failed = |error| Error::Control(config.control_socket.clone(), error);
    let listener = |listener: StdUnixListener| UnixListener::from_std(listener);
    let Listening { control, monitor } = opened.listening;
    let administrators = listener(control).map_err(control_failed)?;
    let observers = monitor.map(listener).transpose().map_err(control_failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let hangups = signal(SignalKind::hangup()).map_err(Error::Runtime)?;
    let (names, names_lost) = opened.names.serve().map_err(Error::Names)?;
    let (connector, manager, connector_lost) =
        opened.connector.serve().map_err(Error::Connector)?;
    let (presence, serving) = watch::channel(Presence::Serving);
    let subscriber = opened.subscriber.changes();
    let keeper = Keeper {
        connector: connector.clone(),
        lines: opened.lines.clone(),
        presence,
        device: opened.device.clone(),
        subscriber: opened.subscriber,
        seen: opened.seen,
    };

    // It ends with the runtime.
    tokio::spawn(certificates::warn_daily(opened.keyd.clone(), Finding::log));
    let (requests, queue) = mpsc::channel(QUEUE);
    let (snapshot, watcher) = watch::channel(Snapshot::default());
    let lwm2m = Lwm2m::prepare(
        (opened.keyd.clone(), serving.clone(), opened.device),
        names.clone(),
        opened.store,
        config.endpoint.clone(),
        opened.bootstrap,
        snapshot,
    )
    .await?;
    let (accesses, mut failures) = Accesses::new(names.clone(), connector.clone(), subscriber);
    let accesses = Arc::new(accesses);
    for access in opened.accesses {
        accesses.start(access).await.map_err(Error::Runtime)?;
    }
    let told = accesses.events.clone();
    tokio::spawn(events::follow(told, serving.clone(), watcher.clone()));
    let reload = Reload {
        in_force: opened.in_force,
        connector,
        manager,
        lines: opened.lines,
        line: opened.keyd,
        keyd: serving.clone(),
        accesses: Arc::clone(&accesses),
        lwm2m: requests.clone(),
    };
    let control = Control {
        callers: opened.callers,
        lwm2m: requests,
        snapshot: watcher,
        keyd: serving,
        since: Instant::now(),
        enforced,
        testing: Arc::new(Mutex::new(opened.testing)),
        names,
        accesses: Arc::clone(&accesses),
    };
    let control = Arc::new(control);
    let observers = serve_observers(observers, Arc::clone(&control));
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
        Some((name, fatal)) = failures.recv() => Err(Error::Access(name, fatal)),
        () = reload.serve(hangups) => Ok(()),
        result = lwm2m.run(queue, end, manager) => result.map_err(Error::from),
        never = control::serve(administrators, control, Audience::Administrators) => match never {},
        never = observers => match never {},
    }?;
    for access in accesses.all() {
        accesses.stop(&access.name).await;
    }
    Ok(())
}

/// Serves the monitor socket, if there is one.
async fn serve_observers(listener: Option<UnixListener>, control: Arc<Control>) -> Infallible {
    match listener {
        Some(listener) => control::serve(listener, control, Audience::Observers).await,
        None => future::pending().await,
    }
}
