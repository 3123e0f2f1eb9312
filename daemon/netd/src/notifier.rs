//! The notifier: a helper process that sends the service manager three messages, and does nothing
//! else.
//!
//! A process that holds a datagram socket and may call connect(2) can send to any other datagram
//! socket of the host: to root's control sockets, or to the system's log. netd must connect its UDP
//! sockets; so it holds no such socket, and sends one octet to this process instead. Since the
//! service manager gets its messages from a process other than the main one, the unit sets
//! `NotifyAccess=all`.

use std::time::Duration;
use std::{env, io};

use softsim_sandbox::notify::{self, Notify};
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Received};
use softsim_sandbox::{landlock, poll, process};

use crate::helper_process;

/// The first argument of the process.
pub const SUBCOMMAND: &str = "notifier";

/// The messages from netd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Ready,
    Alive,
    Stopping,
}

impl Message {
    const ALL: [Self; 3] = [Self::Ready, Self::Alive, Self::Stopping];

    fn octet(self) -> u8 {
        match self {
            Self::Ready => b'r',
            Self::Alive => b'a',
            Self::Stopping => b's',
        }
    }
}

/// netd's end of the notifier, if netd has a service manager.
#[derive(Debug)]
pub(crate) struct Notifier {
    process: Option<Connection>,
    watchdog_period: Option<Duration>,
}

impl Notifier {
    /// Starts the notifier if NOTIFY_SOCKET is set. It reads the environment, so call it before
    /// netd confines itself.
    pub(crate) fn start() -> io::Result<Self> {
        let process = env::var_os("NOTIFY_SOCKET").map(|socket| {
            helper_process::start(&[SUBCOMMAND], |command| {
                command.env("NOTIFY_SOCKET", socket);
            })
        });
        Ok(Self {
            process: process.transpose()?,
            watchdog_period: notify::watchdog_period(),
        })
    }

    /// The time between two calls of [`Self::alive`], if the service manager waits for them: half
    /// of the time that it waits.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.watchdog_period.map(|period| period / 2)
    }

    /// Reports that netd serves.
    pub(crate) fn ready(&self) {
        self.send(Message::Ready);
    }

    /// Reports that netd's loop runs.
    pub(crate) fn alive(&self) {
        self.send(Message::Alive);
    }

    /// Reports that netd is about to end.
    pub(crate) fn stopping(&self) {
        self.send(Message::Stopping);
    }

    /// A service manager that gets no message takes netd for hung, and restarts it.
    fn send(&self, message: Message) {
        if let Some(process) = &self.process
            && let Err(error) = process.send(&[message.octet()])
        {
            tracing::warn!(%error, ?message, "the service manager isn't told");
        }
    }
}

/// Passes messages on until netd ends.
pub fn run() -> Result<(), String> {
    let described = |error: io::Error| error.to_string();
    let netd = Connection::standard_input().map_err(described)?;
    let notify = Notify::from_env().map_err(|error| format!("NOTIFY_SOCKET: {error}"))?;
    // The notifier ignores the service manager's signals, and ends when netd does.
    process::ignore_termination().map_err(described)?;
    process::deny_dumps().map_err(described)?;
    process::keep_capabilities(&[]).map_err(described)?;
    landlock::restrict(&[]).map_err(|error| error.to_string())?;
    seccomp::install(Filter::Notifier).map_err(|error| error.to_string())?;
    while let Some(message) = receive(&netd) {
        // If the service manager doesn't read, the notifier can do nothing about it.
        let _ = match message {
            Message::Ready => notify.ready(),
            Message::Alive => notify.watchdog(),
            Message::Stopping => notify.stopping(),
        };
    }
    // The filter forbids the calls that an orderly end would make.
    process::exit(0)
}

/// The next message from netd; none if netd has ended, or has sent something else.
fn receive(netd: &Connection) -> Option<Message> {
    loop {
        poll::wait(&mut [poll::Entry::readable(netd)], None).ok()?;
        let mut octet = [0];
        match netd.receive(&mut octet).ok()? {
            Received::Datagram(_) => {
                return Message::ALL
                    .into_iter()
                    .find(|message| message.octet() == octet[0]);
            }
            Received::Nothing => {}
            Received::Truncated | Received::Closed => return None,
        }
    }
}
