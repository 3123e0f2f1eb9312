//! netd's end of the keeper of a controlled port: it may say open and closed, and nothing else.

use std::{
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    process::{Command, Stdio},
    time::Duration,
};

use softsim_carriers::eapol::PortStatus;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{
    Fatal,
    port_keeper::{self, Word},
};

/// The packet filter takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of the port when netd ends in good order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtStop {
    /// It stays closed, as it does when netd dies.
    #[default]
    Closed,
    /// The rules go, and everything passes.
    Open,
}

/// A controlled port. It is closed when its keeper has started, and when netd is gone.
#[derive(Debug)]
pub struct PortKeeper {
    interface: String,
    at_stop: AtStop,
    status: PortStatus,
    socket: Socket,
}

/// Opened before there is an event loop.
#[derive(Debug)]
enum Socket {
    Early(Option<StdUnixStream>),
    Registered(UnixStream),
}

impl PortKeeper {
    /// Starts the keeper, a process of this program, and waits until the port is closed.
    pub fn start(interface: &str, at_stop: AtStop) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        Command::new("/proc/self/exe")
            .args([port_keeper::SUBCOMMAND, interface])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let mut answer = [0];
        let read = (&ours).read(&mut answer)?;
        if answer[..read] != [Word::Close.octet()] {
            return Err(io::Error::other(
                "the packet filter refused: nftables and CAP_NET_ADMIN are needed",
            ));
        }
        ours.set_nonblocking(true)?;
        Ok(Self {
            interface: interface.into(),
            at_stop,
            status: PortStatus::Unauthorised,
            socket: Socket::Early(Some(ours)),
        })
    }

    /// Takes its place in the event loop of this thread.
    pub fn register(&mut self) -> io::Result<()> {
        if let Socket::Early(socket) = &mut self.socket
            && let Some(socket) = socket.take()
        {
            self.socket = Socket::Registered(UnixStream::from_std(socket)?);
        }
        Ok(())
    }

    /// What the port is.
    pub fn status(&self) -> PortStatus {
        self.status
    }

    /// Opens or closes the port, and waits until that is so.
    pub async fn set(&mut self, status: PortStatus) -> Result<(), Fatal> {
        let word = match status {
            PortStatus::Authorised => Word::Open,
            PortStatus::Unauthorised => Word::Close,
        };
        self.say(word).await?;
        self.status = status;
        tracing::info!(interface = self.interface, port = %status, "controlled port");
        Ok(())
    }

    /// netd ends in good order.
    pub async fn leave(mut self) -> Result<(), Fatal> {
        match self.at_stop {
            AtStop::Closed => self.say(Word::Close).await,
            AtStop::Open => self.say(Word::Leave).await,
        }
    }

    async fn say(&mut self, word: Word) -> Result<(), Fatal> {
        let lost = |error: &dyn std::fmt::Display| {
            Fatal::Port(format!("its keeper for {}: {error}", self.interface))
        };
        let Socket::Registered(socket) = &mut self.socket else {
            return Err(lost(&"is not registered"));
        };
        let exchange = async {
            socket.write_all(&[word.octet()]).await?;
            socket.read_u8().await
        };
        match timeout(PATIENCE, exchange).await {
            Ok(Ok(answer)) if answer == word.octet() => Ok(()),
            Ok(Ok(_)) => Err(lost(&"the packet filter refused")),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err(lost(&"no answer")),
        }
    }
}
