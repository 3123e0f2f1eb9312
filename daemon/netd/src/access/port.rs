//! netd's end of the keeper of a controlled port: it may say open and closed, and nothing else.

use std::{
    fmt,
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

    /// Waits until the keeper is lost: unasked it says nothing, and without it nobody closes the port.
    pub async fn lost(&self) -> Fatal {
        let Socket::Registered(socket) = &self.socket else {
            return self.without_keeper("is not registered");
        };
        loop {
            let read = match socket.readable().await {
                Ok(()) => socket.try_read(&mut [0]),
                Err(error) => Err(error),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return self.without_keeper(error),
                Ok(0) => return self.without_keeper("has ended"),
                Ok(_) => return self.without_keeper("spoke unasked"),
            }
        }
    }

    fn without_keeper(&self, reason: impl fmt::Display) -> Fatal {
        Fatal::Port(format!("its keeper for {}: {reason}", self.interface))
    }

    async fn say(&mut self, word: Word) -> Result<(), Fatal> {
        let Socket::Registered(socket) = &mut self.socket else {
            return Err(self.without_keeper("is not registered"));
        };
        let exchange = async {
            socket.write_all(&[word.octet()]).await?;
            socket.read_u8().await
        };
        match timeout(PATIENCE, exchange).await {
            Ok(Ok(answer)) if answer == word.octet() => Ok(()),
            Ok(Ok(_)) => Err(self.without_keeper("the packet filter refused")),
            Ok(Err(error)) => Err(self.without_keeper(error)),
            Err(_) => Err(self.without_keeper("no answer")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{future::Future, io::Write};

    use super::*;

    /// netd's end, and the keeper's.
    fn pair() -> (PortKeeper, StdUnixStream) {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut port = PortKeeper {
            interface: "eth1".into(),
            at_stop: AtStop::Closed,
            status: PortStatus::Unauthorised,
            socket: Socket::Early(Some(ours)),
        };
        port.register().unwrap();
        (port, theirs)
    }

    /// Whether the port is lost by now.
    async fn is_lost(port: &PortKeeper) -> bool {
        timeout(Duration::from_millis(1), port.lost()).await.is_ok()
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test);
    }

    #[test]
    fn a_keeper_that_ends_is_noticed_without_a_word() {
        run(async {
            let (mut port, mut keeper) = pair();
            assert!(!is_lost(&port).await);
            keeper.write_all(&[Word::Open.octet()]).unwrap();
            port.set(PortStatus::Authorised).await.unwrap();
            assert!(!is_lost(&port).await);
            drop(keeper);
            assert!(matches!(port.lost().await, Fatal::Port(_)));
        });
    }

    #[test]
    fn a_keeper_that_speaks_unasked_is_none() {
        run(async {
            let (port, mut keeper) = pair();
            keeper.write_all(&[Word::Close.octet()]).unwrap();
            assert!(matches!(port.lost().await, Fatal::Port(_)));
        });
    }
}
