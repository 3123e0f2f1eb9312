//! The start of netd, from the command line to the running daemon.

use std::future::Future;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use softsim_client::keyd::{Connection, Error as KeydError, Watch};
use softsim_client::proto::requests::Status;
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
use crate::keyd::Keyd;
use crate::lwm2m::{Fatal, Lwm2m, Snapshot};
use crate::names::{self, Names};
use crate::notifier::Notifier;
use crate::sandbox::{self, Enforced, SandboxError};
use crate::{checks, dtls};

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
    /// netd can't reach keyd, or lost it.
    #[error("softsim-keyd: {0}")]
    Keyd(#[from] KeydError),
    /// keyd ended.
    #[error("softsim-keyd ended")]
    KeydEnded,
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
    /// The notifier can't start.
    #[error("the notifier: {0}")]
    Notifier(#[source] io::Error),
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
    /// The exit status, as in sysexits.h.
    pub fn status(&self) -> u8 {
        match self {
            Self::Checks { status, .. } => *status,
            Self::Prepare(PrepareError::File(finding)) => finding.kind.status(),
            Self::Keyd(_)
            | Self::KeydEnded
            | Self::Lwm2m(Fatal::Keyd(_))
            | Self::Access(_, AccessFatal::Keyd(_)) => 69,
            Self::Claim(ClaimError::Held { .. }) => 75,
            Self::Claim(ClaimError::Lock(..))
            | Self::Control(..)
            | Self::Lwm2m(Fatal::Store(_)) => 74,
            Self::Dtls(_) => 70,
            Self::Sandbox(_)
            | Self::Names(_)
            | Self::Notifier(_)
            | Self::Runtime(_)
            | Self::Prepare(_)
            | Self::Access(..) => 71,
        }
    }
}

/// Everything that netd opens before it confines itself.
struct Opened {
    names: names::Helper,
    notifier: Notifier,
    keyd: Connection,
    /// A second connection, which shows that keyd has ended.
    watched: Connection,
    /// A third connection, for the authentications that softsimctl requests.
    testing: Connection,
    accesses: Vec<PreparedAccess>,
    bootstrap: Option<BootstrapServer>,
    store: Store,
    control: StdUnixListener,
}

/// Runs until a signal, the end of keyd, or an error.
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
    runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?
        .block_on(serve(config, opened, enforced))
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
    let connect = |path: &Path| Connection::connect(path).map_err(Error::Keyd);
    let mut keyd = connect(&config.keyd_socket)?;
    let watched = connect(&config.keyd_socket)?;
    let testing = connect(&config.keyd_socket)?;
    let accesses = mem::take(&mut config.accesses)
        .into_iter()
        .map(|settings| {
            let keyd = connect(&config.keyd_socket)?;
            Ok::<_, Error>(PreparedAccess::open(settings, keyd)?)
        })
        .collect::<Result<_, _>>()?;
    let status = keyd.call(&Status {})?;
    let committed = Committed {
        transaction: status.committed,
        accounts: status.accounts,
    };
    let store = Store::open(&config.state_dir, committed);
    let control = control::bind(&config.control_socket)
        .map_err(|error| Error::Control(config.control_socket.clone(), error))?;
    let names = names::Helper::start().map_err(Error::Names)?;
    let notifier = Notifier::start().map_err(Error::Notifier)?;
    Ok(Opened {
        names,
        notifier,
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
    let keyd = Keyd::from(opened.keyd);
    let watched = Watch::new(opened.watched)?;
    let control_failed = |error| Error::Control(config.control_socket.clone(), error);
    let listener = UnixListener::from_std(opened.control).map_err(control_failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let hangups = signal(SignalKind::hangup()).map_err(Error::Runtime)?;
    let (names, names_lost) = opened.names.serve().map_err(Error::Names)?;

    let (requests, queue) = mpsc::channel(QUEUE);
    let (snapshot, watcher) = watch::channel(Snapshot::default());
    let lwm2m = Lwm2m::prepare(
        keyd.clone(),
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
        () = watched.ended() => Err(Error::KeydEnded),
        error = names_lost => Err(Error::Names(error)),
        error = failed => Err(error),
        () = ignore(hangups) => Ok(()),
        result = lwm2m.run(queue, end, &opened.notifier) => result.map_err(Error::from),
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
