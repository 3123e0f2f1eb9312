//! The control socket and the monitor socket: one command a connection, with events until it is
//! done (`softsim_client::netd`).

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use softsim_client::netd::{
    Accesses, Bootstrap, Command, EapTest, Event, Failure, MAX_LINE, RadiusSecret, Report, Status,
    What,
};
use softsim_sandbox::clock;
use softsim_sandbox::peer::Peer;
use softsim_sandbox::tally::{Tally, Unreported};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::access::{self, Order, single_authentication};
use crate::audience::Audience;
use crate::callers::Callers;
use crate::events::{self, Kind};
use crate::keyd::Keyd;
use crate::keyd::presence::{Presence, served};
use crate::lwm2m::{Request, Snapshot};
use crate::names::Names;
use crate::progress::{Fault, Progress};
use crate::sandbox::Enforced;
use crate::timer;
use crate::uri::Server;

/// The time that a client has to send its command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long netd waits if it has no descriptor or memory for the next connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The number of commands at a time on each socket, so that observers keep nobody else out.
const MAX_CLIENTS: usize = 16;

/// The number of events that wait for a client to read them.
const QUEUE: usize = 256;

/// Everything that the commands need.
#[derive(Debug)]
pub(crate) struct Control {
    /// Whom to serve.
    pub(crate) callers: Callers,
    /// The requests to the LwM2M task.
    pub(crate) lwm2m: mpsc::Sender<Request>,
    /// The state of the LwM2M task.
    pub(crate) snapshot: watch::Receiver<Snapshot>,
    /// Whether keyd serves.
    pub(crate) keyd: watch::Receiver<Presence>,
    /// Since when netd serves.
    pub(crate) since: Instant,
    /// What confines netd.
    pub(crate) enforced: Enforced,
    /// A line to keyd, for one authentication at a time.
    pub(crate) testing: Arc<Mutex<Keyd>>,
    /// The resolver.
    pub(crate) names: Names,
    /// The accesses.
    pub(crate) accesses: Arc<access::Accesses>,
}

/// Serves commands: of the users to serve on the control socket, and of whoever may open the
/// monitor socket. If there is no descriptor or memory for the next connection, it waits a while.
pub(crate) async fn serve(
    listener: UnixListener,
    control: Arc<Control>,
    audience: Audience,
) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let (mut refused_users, mut too_many) = (Tally::default(), Tally::default());
    loop {
        let now = clock::boottime();
        let wait = [refused_users.wait(now), too_many.wait(now)]
            .into_iter()
            .flatten()
            .min();
        let due = wait.map(|wait| Instant::now() + wait);
        let accepted = tokio::select! {
            accepted = accept(&listener) => Some(accepted),
            () = timer::until(due) => None,
        };
        if let Some(Err(error)) = &accepted {
            tracing::warn!(%error, "no {audience} connection can be taken");
            sleep(ACCEPT_PAUSE).await;
        }
        if let Some(Ok((stream, peer))) = accepted {
            let uid = peer.uid;
            if let Some(reason) = control.refusal(peer, &stream, audience) {
                refused_users.add(reason.clone());
                refuse(stream, Fault::new(Failure::Refused, reason));
            } else if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                let control = Arc::clone(&control);
                tokio::spawn(async move {
                    if let Err(error) = control.handle_connection(stream, audience).await {
                        tracing::debug!(uid, %error, "{audience} connection");
                    }
                    drop(place);
                });
            } else {
                too_many.add(uid);
                let reason = format!("{MAX_CLIENTS} other commands are being carried out");
                refuse(stream, Fault::new(Failure::Busy, reason));
            }
        }
        let now = clock::boottime();
        if let Some(Unreported { connections, last }) = refused_users.due(now) {
            tracing::warn!(
                connections,
                last,
                "control connections of users who aren't named"
            );
        }
        if let Some(Unreported { connections, last }) = too_many.due(now) {
            tracing::warn!(connections, last, "too many {audience} connections");
        }
    }
}

/// A connection, and the user who made it.
async fn accept(listener: &UnixListener) -> io::Result<(UnixStream, Peer)> {
    let (stream, _) = listener.accept().await?;
    let peer = Peer::of(&stream)?;
    Ok((stream, peer))
}

/// Sends the reason for a refusal, if the socket has room for it.
fn refuse(stream: UnixStream, Fault { failure, reason }: Fault) {
    let sent = stream.into_std().and_then(|mut stream| {
        let mut line = serde_json::to_vec(&Event::Failed { failure, reason })?;
        line.push(b'\n');
        stream.write_all(&line)
    });
    if let Err(error) = sent {
        tracing::debug!(%error, "control connection");
    }
}

impl Control {
    /// Why a peer isn't served, if so. Whoever may open the monitor socket is.
    fn refusal(&self, peer: Peer, stream: &UnixStream, audience: Audience) -> Option<String> {
        match audience {
            Audience::Administrators => self.callers.refusal(peer, stream),
            Audience::Observers => None,
        }
    }

    /// Reads a command, carries it out, and sends its events.
    async fn handle_connection(
        &self,
        mut stream: UnixStream,
        audience: Audience,
    ) -> io::Result<()> {
        let command = {
            // The line may hold a RADIUS secret, so this is its only buffer.
            let mut buffer = Zeroizing::new([0; MAX_LINE]);
            match timeout(COMMAND_TIMEOUT, read_line(&mut stream, &mut buffer)).await {
                Ok(line) => command_of(line?).and_then(|command| audience.admit(command)),
                Err(_) => return Ok(()),
            }
        };
        let (events, mut queue) = mpsc::channel(QUEUE);
        let work = async { self.carry_out(command?, Progress::new(events)).await };
        let (mut reader, mut stream) = stream.split();
        let closed = closed(&mut reader);
        tokio::pin!(work, closed);
        let result = loop {
            let listening = tokio::select! {
                // Events that happened before the result are sent before it.
                biased;
                Some(event) = queue.recv() => write(&mut stream, audience.shown(event)).await.is_ok(),
                result = &mut work => break result,
                () = &mut closed => false,
            };
            if !listening {
                // An authentication notices that the client is gone, and ends cleanly.
                queue.close();
                _ = work.await;
                return Ok(());
            }
        };
        while let Ok(event) = queue.try_recv() {
            write(&mut stream, audience.shown(event)).await?;
        }
        let last = match result {
            Ok(report) => Event::Done { report },
            Err(Fault { failure, reason }) => Event::Failed { failure, reason },
        };
        write(&mut stream, audience.shown(last)).await
    }

    async fn carry_out(&self, command: Command, progress: Progress) -> Result<Report, Fault> {
        match command {
            Command::Status {} => Ok(Report::Status(self.status())),
            Command::Bootstrap {} => self.bootstrap(Request::Bootstrap, progress).await,
            Command::AccountsReset {} => self.bootstrap(Request::Reset, progress).await,
            Command::EapTest {
                radius,
                secret,
                identity,
            } => self
                .eap_test(&radius, &secret, identity, &progress)
                .await
                .map(Report::EapTest),
            // No accesses are a state, too.
            Command::AccessStatus { name: None } if self.accesses.all().is_empty() => {
                Ok(Report::Access(Accesses::default()))
            }
            Command::AccessStatus { name } => self.accesses(name, None, &progress).await,
            Command::AccessConnect { name } => {
                self.await_keyd().await?;
                self.accesses(name, Some(Order::Connect), &progress).await
            }
            Command::AccessDisconnect { name } => {
                self.accesses(name, Some(Order::Disconnect), &progress)
                    .await
            }
            Command::AccessWatch { name } => self.watch(name, &progress).await,
            Command::Events {} => self.events(&progress).await,
        }
    }

    /// Gives accesses an order and sends their events until each has carried it out. Returns the
    /// state of each.
    async fn accesses(
        &self,
        name: Option<String>,
        order: Option<fn(oneshot::Sender<()>) -> Order>,
        progress: &Progress,
    ) -> Result<Report, Fault> {
        let accesses = self.accesses.with_name(name.as_deref())?;
        if let Some(order) = order {
            let mut events = self.accesses.events.subscribe();
            let carried_out = async {
                for access in &accesses {
                    access.order(order).await?;
                }
                Ok::<_, Fault>(())
            };
            tokio::pin!(carried_out);
            loop {
                tokio::select! {
                    biased;
                    event = events.recv() => forward(event, name.as_deref(), progress),
                    result = &mut carried_out => break result?,
                    () = progress.abandoned() => break,
                }
            }
            // Events that happened before the end are sent before it.
            while let Ok(event) = events.try_recv() {
                forward(Ok(event), name.as_deref(), progress);
            }
        }
        let accesses = accesses.iter().map(|access| access.access()).collect();
        Ok(Report::Access(Accesses { accesses }))
    }

    /// Sends the states of accesses and what happens in them, until the client is gone.
    async fn watch(&self, name: Option<String>, progress: &Progress) -> Result<Report, Fault> {
        let mut events = self.accesses.events.subscribe();
        for access in self.accesses.with_name(name.as_deref())? {
            progress.access(access.access());
        }
        loop {
            tokio::select! {
                event = events.recv() => forward(event, name.as_deref(), progress),
                () = progress.abandoned() => break,
            }
        }
        self.accesses(name, None, progress).await
    }

    /// Sends the present states and then everything that happens, until the client is gone. A
    /// client that doesn't keep up learns how many events it has missed.
    async fn events(&self, progress: &Progress) -> Result<Report, Fault> {
        let mut events = self.accesses.events.subscribe();
        let status = self.status();
        for what in present(status.clone()) {
            progress.happened(events::now(what)).await;
        }
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = progress.abandoned() => break,
            };
            let happening = match event {
                Ok(event) => event.happening(),
                Err(RecvError::Lagged(events)) => events::now(What::Missed { events }),
                Err(RecvError::Closed) => break,
            };
            progress.happened(happening).await;
        }
        Ok(Report::Status(status))
    }

    /// Waits a while for a keyd that is lost.
    async fn await_keyd(&self) -> Result<(), Fault> {
        let served = served(&self.keyd).await;
        served.map_err(|reason| Fault::new(Failure::Unavailable, reason))
    }

    fn status(&self) -> Status {
        let snapshot = self.snapshot.borrow().clone();
        Status {
            release: env!("CARGO_PKG_VERSION").into(),
            uptime: self.since.elapsed().as_secs(),
            endpoint: snapshot.endpoint,
            landlock_abi: self.enforced.landlock_abi,
            seccomp_calls: self.enforced.seccomp_calls,
            keyd_lost: self.keyd.borrow().clone().lost(),
            accounts: snapshot.transaction,
            accounts_fault: snapshot.accounts_fault,
            management: snapshot.management,
            accesses: self
                .accesses
                .all()
                .iter()
                .map(|access| access.access())
                .collect(),
        }
    }

    /// Has the LwM2M task carry out a command that ends with a bootstrap.
    async fn bootstrap(
        &self,
        request: fn(Progress, oneshot::Sender<Result<Bootstrap, Fault>>) -> Request,
        progress: Progress,
    ) -> Result<Report, Fault> {
        self.await_keyd().await?;
        let (reply, result) = oneshot::channel();
        let gone = || Fault::new(Failure::Internal, "softsim-netd is about to end");
        self.lwm2m
            .send(request(progress, reply))
            .await
            .map_err(|_| gone())?;
        result.await.map_err(|_| gone())?.map(Report::Bootstrap)
    }

    async fn eap_test(
        &self,
        radius: &str,
        secret: &RadiusSecret,
        identity: Option<String>,
        progress: &Progress,
    ) -> Result<EapTest, Fault> {
        let server = Server::with_port(radius)
            .map_err(|reason| Fault::new(Failure::Command, format!("radius: {reason}")))?;
        self.await_keyd().await?;
        let keyd = Arc::clone(&self.testing)
            .try_lock_owned()
            .map_err(|_| Fault::new(Failure::Busy, "another authentication is running"))?;
        let names = self.names.clone();
        let result =
            single_authentication::run(keyd, server, names, secret, identity, progress).await;
        // The counters have changed. If the LwM2M task has ended, nobody shows them.
        let _ = self.lwm2m.send(Request::Refresh).await;
        result
    }
}

/// The states as things that happened.
fn present(status: Status) -> Vec<What> {
    let own = [
        What::Keyd {
            lost: status.keyd_lost,
        },
        What::Accounts {
            transaction: status.accounts,
            fault: status.accounts_fault,
        },
        What::Management {
            management: status.management,
        },
    ];
    let accesses = status.accesses.into_iter();
    let accesses = accesses.map(|access| What::Access { access });
    own.into_iter().chain(accesses).collect()
}

/// Sends an event, if it is about the access that the client asked for.
fn forward(event: Result<events::Event, RecvError>, name: Option<&str>, progress: &Progress) {
    let wanted = |access: &str| name.is_none_or(|name| name == access);
    // A client that doesn't keep up misses events.
    match event.map(|event| event.kind) {
        Ok(Kind::Message(message)) if wanted(&message.access) => {
            let (text, remark) = (message.text.clone(), message.remark.clone());
            progress.message(
                message.at,
                message.direction,
                text,
                remark,
                Some(&message.access),
            );
        }
        Ok(Kind::Access(status)) if wanted(status.name()) => progress.access(status.now()),
        _ => {}
    }
}

/// Reads a line, without its newline. None if the client closes first, or the line is too long.
async fn read_line<'b>(
    stream: &mut UnixStream,
    buffer: &'b mut [u8; MAX_LINE],
) -> io::Result<Option<&'b [u8]>> {
    let mut length = 0;
    loop {
        match stream.read(&mut buffer[length..]).await? {
            0 => return Ok(None),
            got => length += got,
        }
        if let Some(end) = buffer[..length].iter().position(|octet| *octet == b'\n') {
            return Ok(Some(&buffer[..end]));
        }
    }
}

fn command_of(line: Option<&[u8]>) -> Result<Command, Fault> {
    let command = match line {
        Some(line) => serde_json::from_slice(line).map_err(|error| format!("no command: {error}")),
        None => Err(format!(
            "expected a command in a line of at most {MAX_LINE} octets"
        )),
    };
    command.map_err(|reason| Fault::new(Failure::Command, reason))
}

/// Waits until the client closes the connection, whatever else it sends.
async fn closed(stream: &mut ReadHalf<'_>) {
    let mut ignored = [0; 64];
    while stream.read(&mut ignored).await.is_ok_and(|got| got > 0) {}
}

async fn write(stream: &mut WriteHalf<'_>, event: Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(&event)?;
    line.push(b'\n');
    stream.write_all(&line).await
}
