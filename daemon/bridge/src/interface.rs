//! One interface of wpa_supplicant: the bridge finds its control socket, serves it, and finds it
//! again.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use softsim_client::proto::UmtsAnswer;
use softsim_sandbox::{log, poll};

use crate::finder::{Finder, FinderLost};
use crate::message::{Ask, MAX_MESSAGE, Message, Request, gsm_response, umts_response};
use crate::sim::{Failure, Sim};

/// The time between two attempts to connect to a wpa_supplicant that isn't there. What it asks
/// before the bridge has connected is lost.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);

/// The time between two PINGs to a wpa_supplicant that is attached.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long wpa_supplicant may take to answer a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How often, and at which interval, the bridge checks whether the socket of an earlier run is
/// abandoned.
const ABANDONED_CHECKS: usize = 50;
const ABANDONED_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// How many datagrams of one interface are read before the others are served.
const MAX_BATCH: usize = 16;

/// An interface, whether its wpa_supplicant runs or not.
#[derive(Debug)]
pub(crate) struct Interface {
    control: PathBuf,
    socket: UnixDatagram,
    finder: Finder,
    state: State,
    /// When the next timer is due.
    due: Duration,
}

/// The state of wpa_supplicant, as far as the bridge knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing listens.
    Absent,
    /// The bridge has sent it DETACH and ATTACH; so many answers are due.
    Attaching(u8),
    /// It sends its events, and answered last time.
    Attached,
    /// The bridge has sent it PING.
    Asked,
}

impl Interface {
    /// Creates our socket, in `folder`, for the control socket at `control`, which need not exist
    /// yet. `finder` starts the finder that connects the two.
    ///
    /// # Errors
    /// The path is in use, or the operating system refuses.
    pub(crate) fn open(
        folder: &Path,
        control: &Path,
        finder: impl FnOnce(&UnixDatagram, &Path) -> io::Result<Finder>,
    ) -> io::Result<Self> {
        let path = folder.join(own_name(control));
        remove_abandoned(&path)?;
        let socket = UnixDatagram::bind(&path)?;
        // wpa_supplicant sends its answers to it, as root or as a member of our group.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            finder: finder(&socket, control)?,
            control: control.to_owned(),
            socket,
            state: State::Absent,
            due: Duration::ZERO,
        })
    }

    /// When to call [`Self::tick`], on the same clock as its argument.
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// Runs the timer if it is due: looks for wpa_supplicant, or checks that it is still there.
    ///
    /// # Errors
    /// [`FinderLost`]: the bridge would never find wpa_supplicant again.
    pub(crate) fn tick(&mut self, now: Duration) -> Result<(), FinderLost> {
        if now < self.due {
            return Ok(());
        }
        match self.state {
            State::Absent => self.find(now)?,
            State::Attached => self.command(now, b"PING", State::Asked),
            State::Attaching(_) | State::Asked => self.lost(now, "doesn't answer"),
        }
        Ok(())
    }

    /// Reads messages, and answers them.
    ///
    /// # Errors
    /// [`Failure::Lost`]: the bridge can't go on.
    pub(crate) fn receive(&mut self, now: Duration, sim: &mut impl Sim) -> Result<(), Failure> {
        let mut buffer = [0; MAX_MESSAGE];
        for _ in 0..MAX_BATCH {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.handle(&buffer[..length], now, sim)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.lost(now, "closed its socket");
                    break;
                }
            }
        }
        Ok(())
    }

    fn handle(
        &mut self,
        datagram: &[u8],
        now: Duration,
        sim: &mut impl Sim,
    ) -> Result<(), Failure> {
        match (Message::parse(datagram), self.state) {
            // No wpa_supplicant waits for an answer, and anybody who may write to the socket can
            // send a message.
            (_, State::Absent) => {}
            // The answer to DETACH: only a wpa_supplicant that knew the bridge says OK.
            (Message::Ok | Message::Fail, State::Attaching(2)) => {
                self.state = State::Attaching(1);
            }
            (Message::Ok, State::Attaching(_)) => {
                self.log(6, "attached");
                (self.state, self.due) = (State::Attached, now + PING_INTERVAL);
            }
            (Message::Fail, State::Attaching(_)) => self.lost(now, "refuses ATTACH"),
            (Message::Pong, State::Asked) => {
                (self.state, self.due) = (State::Attached, now + PING_INTERVAL);
            }
            (Message::Fail, _) => self.log(4, "refused an answer, since it had gone on without it"),
            (Message::Terminating, _) => self.lost(now, "ends"),
            (Message::Request(request), _) => self.answer(&request, now, sim)?,
            (Message::Ok | Message::Pong | Message::Other, _) => {}
        }
        Ok(())
    }

    fn answer(
        &mut self,
        request: &Request,
        now: Duration,
        sim: &mut impl Sim,
    ) -> Result<(), Failure> {
        let id = request.id;
        let (rand, autn) = match request.ask {
            Ask::Umts { rand, autn } => (rand, autn),
            Ask::Gsm => {
                self.log(4, "GSM authentication was requested and refused");
                self.send(now, &gsm_response(id));
                return Ok(());
            }
        };
        let answer = match sim.authenticate(rand, autn) {
            Ok(answer) => Some(answer),
            Err(Failure::Refused(refusal)) => {
                self.log(4, format_args!("no authentication: {refusal}"));
                None
            }
            Err(lost) => return Err(lost),
        };
        match answer {
            Some(UmtsAnswer::Success { .. }) => self.log(6, "authenticated: CK and IK given out"),
            Some(UmtsAnswer::SynchronisationFailure { .. }) => self.log(6, "synchronises"),
            None => {}
        }
        self.send(now, &umts_response(id, answer.as_ref()));
        Ok(())
    }

    /// Has the finder connect the bridge's end, so that the kernel takes messages of nobody else,
    /// and throws away what was received before.
    fn find(&mut self, now: Duration) -> Result<(), FinderLost> {
        if !self.finder.find()? {
            self.due = now + SEARCH_INTERVAL;
            return Ok(());
        }
        while self.socket.recv(&mut [0]).is_ok() {}
        // A wpa_supplicant that was only slow knows the bridge: it would send everything twice.
        self.command(now, b"DETACH", State::Attaching(2));
        if self.state != State::Absent {
            self.command(now, b"ATTACH", State::Attaching(2));
        }
        Ok(())
    }

    fn command(&mut self, now: Duration, command: &[u8], then: State) {
        match self.socket.send(command) {
            Ok(_) => (self.state, self.due) = (then, now + ANSWER_TIMEOUT),
            Err(_) => self.lost(now, "is gone"),
        }
    }

    fn send(&mut self, now: Duration, response: &[u8]) {
        if self.socket.send(response).is_err() {
            self.lost(now, "is gone");
        }
    }

    fn lost(&mut self, now: Duration, why: &str) {
        // That it isn't there yet isn't logged ten times a second.
        if matches!(self.state, State::Attached | State::Asked) {
            self.log(5, format_args!("wpa_supplicant {why}"));
        }
        (self.state, self.due) = (State::Absent, now + SEARCH_INTERVAL);
    }

    fn log(&self, level: u8, text: impl std::fmt::Display) {
        log::line(level, format_args!("{}: {text}", self.control.display()));
    }
}

impl AsFd for Interface {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A file name that is unique to this control socket, made of its path.
fn own_name(control: &Path) -> PathBuf {
    let mut name = Vec::new();
    for octet in control.as_os_str().as_bytes() {
        match octet {
            b'/' => name.push(b'-'),
            octet => name.push(*octet),
        }
    }
    let start = name.iter().take_while(|&&octet| octet == b'-').count();
    std::ffi::OsStr::from_bytes(&name[start..]).into()
}

/// Removes the socket of an earlier run, whose finder may need a moment to notice the end of the
/// bridge. It leaves anything else at the path alone.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let is_abandoned = || -> io::Result<bool> {
        let connected = UnixDatagram::unbound()?.connect(path);
        Ok(matches!(connected, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused))
    };
    let is_socket = metadata.file_type().is_socket();
    for _ in 0..ABANDONED_CHECKS {
        if !is_socket || is_abandoned()? {
            break;
        }
        poll::wait(&mut [], Some(ABANDONED_CHECK_INTERVAL))?;
    }
    if is_socket && is_abandoned()? {
        fs::remove_file(path)
    } else {
        let taken = "the path is taken by a live socket or another file";
        Err(io::Error::new(io::ErrorKind::AddrInUse, taken))
    }
}

#[cfg(test)]
mod tests;
