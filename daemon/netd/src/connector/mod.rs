//! netd's side of its connector, the process that connects to others on netd's behalf.

pub mod process;
pub mod wire;

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use softsim_sandbox::passing::Inbox;
use softsim_sandbox::secret_file::Access;
use softsim_sandbox::seqpacket::Received;
use softsim_sandbox::{clock, notify, poll};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::wire::{CONNECTED, MAX, READY, Request, access_of, error_of};
use crate::async_socket::AsyncSocket;
use crate::helper_process;

/// The time that the connector has for an answer. It takes a fraction, unless keyd or a file system
/// lets it wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// What is told of a connector that takes longer.
const SILENT: &str = "the connector doesn't answer";

/// The kernel's error for a process with as many descriptors as it may have, which has no kind in
/// std.
const EMFILE: i32 = 24;

/// The number of requests that wait for the connector.
const QUEUE: usize = 16;

/// The connector, before there is an event loop.
#[derive(Debug)]
pub(crate) struct Started {
    inbox: Inbox,
    keepers: Arc<[PathBuf]>,
    files: Arc<[PathBuf]>,
    manager: Manager,
}

/// What passes descriptors on to netd.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    questions: mpsc::Sender<Question>,
    /// The port keepers that it may connect to, and the files that it may open, which are at these
    /// places of its command line.
    keepers: Arc<[PathBuf]>,
    files: Arc<[PathBuf]>,
}

/// What tells the service manager how netd is, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manager {
    inbox: Option<Inbox>,
    watchdog_period: Option<Duration>,
}

#[derive(Debug)]
struct Question {
    request: Request,
    reply: oneshot::Sender<io::Result<Passed>>,
}

/// A descriptor, and what the connector says of it.
#[derive(Debug)]
struct Passed {
    said: Vec<u8>,
    descriptor: OwnedFd,
}

impl Started {
    /// Starts the connector, which becomes netd's standard input, and waits until it has confined
    /// itself. Later it connects to keyd and the port keepers at these paths, and opens these
    /// files. It reads the environment, so call it before netd confines itself.
    pub(crate) fn start(
        keyd: &Path,
        keepers: Vec<PathBuf>,
        files: Vec<PathBuf>,
    ) -> io::Result<Self> {
        let socket = env::var_os("NOTIFY_SOCKET");
        let paths = [keyd].into_iter().chain(files.iter().map(PathBuf::as_path));
        let mut arguments = vec![OsString::from(process::SUBCOMMAND)];
        for path in paths {
            arguments.push(std::path::absolute(path)?.into());
        }
        for path in &keepers {
            let mut argument = OsString::from(process::KEEPER);
            argument.push(std::path::absolute(path)?);
            arguments.push(argument);
        }
        let ours = helper_process::start(&arguments, |command| {
            command.envs(socket.iter().map(|socket| ("NOTIFY_SOCKET", socket)));
        })?;
        let inbox = Inbox::replace_standard_input(ours)?;
        let manager = Manager {
            inbox: socket.map(|_| inbox),
            watchdog_period: notify::watchdog_period(),
        };
        match receive(&inbox, TIMEOUT)? {
            (datagram, None) if datagram == READY => Ok(Self {
                inbox,
                keepers: keepers.into(),
                files: files.into(),
                manager,
            }),
            _ => Err(broken()),
        }
    }

    /// A connection to keyd on which nothing was said yet.
    pub(crate) fn keyd(&self) -> io::Result<OwnedFd> {
        self.inbox.send(&Request::Keyd.encode())?;
        connection(answer(receive(&self.inbox, TIMEOUT)?)??)
    }

    /// Puts the connector into the event loop. The future ends when the connector ends.
    pub(crate) fn serve(self) -> io::Result<(Connector, Manager, impl Future<Output = io::Error>)> {
        let socket = AsyncSocket::new(self.inbox)?;
        let (questions, queue) = mpsc::channel(QUEUE);
        let relayed = async move {
            match relay(socket, queue).await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        };
        let connector = Connector {
            questions,
            keepers: self.keepers,
            files: self.files,
        };
        Ok((connector, self.manager, relayed))
    }
}

impl Connector {
    /// A connection to keyd on which nothing was said yet.
    pub(crate) async fn keyd(&self) -> io::Result<OwnedFd> {
        connection(self.ask(Request::Keyd, TIMEOUT).await?)
    }

    /// Whether the configuration named the socket of this port keeper when netd started.
    pub(crate) fn knows_keeper(&self, socket: &Path) -> bool {
        self.keepers.iter().any(|keeper| keeper == socket)
    }

    /// A connection to a port keeper on which nothing was said yet.
    ///
    /// # Errors
    /// `NotFound` unless the configuration named its socket when netd started.
    pub(crate) async fn keeper(&self, socket: &Path) -> io::Result<OwnedFd> {
        let place = place(&self.keepers, socket)?;
        connection(self.ask(Request::Keeper(place), TIMEOUT).await?)
    }

    /// A file as it is now, and who may do what with it.
    ///
    /// # Errors
    /// `NotFound` unless the configuration named it when netd started.
    pub(crate) async fn open(&self, path: &Path) -> io::Result<(File, Access)> {
        let place = place(&self.files, path)?;
        let Passed { said, descriptor } = self.ask(Request::File(place), TIMEOUT).await?;
        let access = access_of(&said).ok_or_else(broken)?;
        Ok((descriptor.into(), access))
    }

    async fn ask(&self, request: Request, limit: Duration) -> io::Result<Passed> {
        let gone = || io::Error::other("the connector has ended");
        let (reply, answer) = oneshot::channel();
        let question = Question { request, reply };
        let answered = async {
            self.questions.send(question).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        timeout(limit, answered)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, SILENT)))
    }
}

impl Manager {
    /// The time between two calls of [`Self::alive`], if the service manager waits for them: half
    /// of the time that it waits.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.watchdog_period.map(|period| period / 2)
    }

    /// Reports that netd serves.
    pub(crate) fn ready(&self) {
        self.send(Request::Ready);
    }

    /// Reports that netd reads its configuration again. It is [`Self::ready`] afterwards.
    pub(crate) fn reloading(&self) {
        let now = clock::monotonic().as_micros();
        self.send(Request::Reloading(now.try_into().unwrap_or(u64::MAX)));
    }

    /// Reports that netd's loop runs.
    pub(crate) fn alive(&self) {
        self.send(Request::Alive);
    }

    /// Reports that netd is about to end.
    pub(crate) fn stopping(&self) {
        self.send(Request::Stopping);
    }

    /// A service manager that gets no message takes netd for hung, and restarts it.
    fn send(&self, request: Request) {
        if let Some(inbox) = &self.inbox
            && let Err(error) = inbox.send(&request.encode())
        {
            tracing::warn!(%error, "the service manager isn't told");
        }
    }
}

/// Relays requests and answers, one at a time, for as long as the connector lives.
async fn relay(
    connector: AsyncSocket<Inbox>,
    mut questions: mpsc::Receiver<Question>,
) -> io::Result<std::convert::Infallible> {
    let mut waiting: Option<oneshot::Sender<_>> = None;
    loop {
        tokio::select! {
            Some(Question { request, reply }) = questions.recv(), if waiting.is_none() => {
                // Who asked may have given up, while the connector was busy with the one before.
                if !reply.is_closed() {
                    connector.inner().send(&request.encode())?;
                    waiting = Some(reply);
                }
            }
            received = connector.receive(receive_now) => {
                let answer = answer(received?)?;
                let reply = waiting.take().ok_or_else(broken)?;
                // Who asked may have given up since.
                let _ = reply.send(answer);
            }
        }
    }
}

/// The place of a path on the connector's command line.
fn place(paths: &[PathBuf], path: &Path) -> io::Result<u16> {
    let place = paths.iter().position(|named| named == path);
    place
        .and_then(|place| place.try_into().ok())
        .ok_or_else(|| {
            let reason =
                "the configuration didn't name it when softsim-netd started: restart to use it";
            io::Error::new(io::ErrorKind::NotFound, reason)
        })
}

type Datagram = (Vec<u8>, Option<OwnedFd>);

/// What the connector answers to a request.
///
/// # Errors
/// It is no answer.
fn answer((said, passed): Datagram) -> io::Result<io::Result<Passed>> {
    match passed {
        Some(descriptor) => Ok(Ok(Passed { said, descriptor })),
        // The kernel drops a descriptor for which a process has no room.
        None if said == CONNECTED || access_of(&said).is_some() => {
            Ok(Err(io::Error::from_raw_os_error(EMFILE)))
        }
        None => error_of(&said).map(Err).ok_or_else(broken),
    }
}

fn connection(passed: Passed) -> io::Result<OwnedFd> {
    let is_one = passed.said == CONNECTED;
    is_one.then_some(passed.descriptor).ok_or_else(broken)
}

fn receive(inbox: &Inbox, timeout: Duration) -> io::Result<Datagram> {
    poll::wait(&mut [poll::Entry::readable(inbox)], Some(timeout))?;
    receive_now(inbox).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other(SILENT),
        _ => error,
    })
}

/// The next datagram; `WouldBlock` if there is none.
fn receive_now(inbox: &Inbox) -> io::Result<Datagram> {
    let mut datagram = [0; MAX];
    match inbox.receive(&mut datagram)? {
        (Received::Datagram(length), passed) => Ok((datagram[..length].to_vec(), passed)),
        (Received::Truncated, _) => Err(broken()),
        (Received::Nothing, _) => Err(io::ErrorKind::WouldBlock.into()),
        (Received::Closed, _) => Err(io::Error::other("it has ended, and the log says why")),
    }
}

fn broken() -> io::Error {
    io::Error::other("it sent what isn't in its protocol")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_sandbox::seqpacket::{Connection, pair};

    use super::*;

    /// What netd asks next.
    async fn heard(connector: &Arc<Connection>) -> Option<Request> {
        let connector = Arc::clone(connector);
        let hear = move || {
            poll::wait(&mut [poll::Entry::readable(&*connector)], None).unwrap();
            let mut datagram = [0; MAX];
            match connector.receive(&mut datagram).unwrap() {
                Received::Datagram(length) => Request::decode(&datagram[..length]),
                _ => None,
            }
        };
        tokio::task::spawn_blocking(hear).await.unwrap()
    }

    fn refused(number: i32) -> [u8; 5] {
        wire::failed(&io::Error::from_raw_os_error(number))
    }

    #[tokio::test]
    async fn a_connector_that_hangs_lets_nobody_wait_and_its_late_answer_is_nobodys() {
        let (ours, theirs) = pair().unwrap();
        let (inbox, theirs) = (Inbox::replace_standard_input(ours), Arc::new(theirs));
        let (questions, queue) = mpsc::channel(QUEUE);
        let files = [].into();
        let netd = Connector {
            questions,
            keepers: [].into(),
            files,
        };
        let _relay = tokio::spawn(relay(AsyncSocket::new(inbox.unwrap()).unwrap(), queue));
        let asked = tokio::select! {
            _ = netd.ask(Request::File(1), TIMEOUT) => None,
            asked = heard(&theirs) => asked,
        };
        assert_eq!(asked, Some(Request::File(1)));
        let waited = netd.ask(Request::File(2), Duration::ZERO).await;
        assert_eq!(waited.unwrap_err().kind(), io::ErrorKind::TimedOut);

        theirs.send(&refused(2)).unwrap();
        let (answer, asked) = tokio::join!(netd.ask(Request::Keyd, TIMEOUT), async {
            let asked = heard(&theirs).await;
            theirs.send(&refused(111)).unwrap();
            asked
        });
        assert_eq!(asked, Some(Request::Keyd));
        assert_eq!(answer.unwrap_err().raw_os_error(), Some(111));
    }
}
