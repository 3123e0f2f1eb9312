//! Connections to the key process: one request, one answer, in order.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libc::MSG_NOSIGNAL;
use socket2::{Domain, SockAddr, Socket, Type};
use softsim_keyd_proto::requests::{Hello, ListProfiles};
use softsim_keyd_proto::{
    Call, HelloAnswer, MAX_ANSWER, PROTOCOL_VERSION, ProfileInfo, Refusal, RequestKind, WireError,
    decode_answer, encode_request,
};
use zeroize::Zeroizing;

#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "tokio")]
pub use self::tokio::{AsyncConnection, Watch};

/// How long an answer may take. keyd's slowest answer, for a commit to worn flash, takes well under
/// a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request got no answer, or was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client can't connect to the socket.
    #[error("{path}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// keyd closed the connection.
    #[error("softsim-keyd closed the connection")]
    Closed,
    /// No answer arrived in time. The connection can't be used any more.
    #[error("softsim-keyd didn't answer {request}")]
    TimedOut {
        /// The request.
        request: RequestKind,
    },
    /// The socket failed.
    #[error("the socket to softsim-keyd: {0}")]
    Socket(#[source] io::Error),
    /// The request is longer than the request table allows.
    #[error("{request}: expected at most {} octets", .request.max_length())]
    TooLong {
        /// The request.
        request: RequestKind,
    },
    /// The answer doesn't have the request's shape.
    #[error("{request}: the answer doesn't have the expected shape")]
    Answer {
        /// The request.
        request: RequestKind,
    },
    /// keyd refused the request, and changed nothing.
    #[error("{0}")]
    Refused(#[source] Refusal),
}

/// A connection to one of keyd's sockets. When it ends, keyd drops its session handles.
#[derive(Debug)]
pub struct Connection {
    /// None once an exchange has failed, because a late answer must not be taken for the answer to
    /// the next request.
    socket: Option<Socket>,
    hello: HelloAnswer,
}

impl Connection {
    /// Connects to a socket and exchanges Hello.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        let socket = open(path, ANSWER_TIMEOUT).map_err(|source| Error::Connect {
            path: path.to_owned(),
            source,
        })?;
        Self::over(socket)
    }

    /// Exchanges Hello over a socket that [`open`] has opened, in this process or in another.
    pub fn over(socket: OwnedFd) -> Result<Self, Error> {
        let socket = Socket::from(socket);
        let request = encode(&Hello {
            version: PROTOCOL_VERSION,
        })?;
        let answer = send_and_receive(&socket, RequestKind::Hello, &request)?;
        Ok(Self {
            hello: decode::<Hello>(&answer)?,
            socket: Some(socket),
        })
    }

    /// keyd's answer to Hello: the socket's role and the limits.
    pub fn hello(&self) -> &HelloAnswer {
        &self.hello
    }

    /// Sends a request, and waits for the answer.
    pub fn call<C: Call>(&mut self, call: &C) -> Result<C::Answer, Error> {
        let request = encode(call)?;
        let answer = self.exchange(C::KIND, &request)?;
        decode::<C>(&answer)
    }

    /// Lists all installed profiles, with as many requests as that takes.
    pub fn profiles(&mut self) -> Result<Vec<ProfileInfo>, Error> {
        let mut profiles = Vec::new();
        let mut from = Some(0);
        while let Some(first) = from {
            let mut page = self.call(&ListProfiles { from: first })?;
            profiles.append(&mut page.profiles);
            // The number must rise, whatever keyd answers, so that the loop ends.
            from = page.next.filter(|next| *next > first);
        }
        Ok(profiles)
    }

    /// Sends a request and receives the answer. Any failure ends the connection.
    fn exchange(&mut self, kind: RequestKind, request: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let socket = self.socket.take().ok_or(Error::Closed)?;
        let answer = send_and_receive(&socket, kind, request)?;
        self.socket = Some(socket);
        Ok(answer)
    }
}

/// Connects to a socket and says nothing, for [`Connection::over`]. A process that may not connect
/// sockets can get one from another process.
///
/// # Errors
/// As connect(2); `WouldBlock` if keyd has so many others to accept that it lets us wait for longer
/// than `patience`.
pub fn open(path: &Path, patience: Duration) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(socket.into())
}

fn send_and_receive(
    mut socket: &Socket,
    kind: RequestKind,
    request: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |error| failed(kind, error);
    socket
        .send_with_flags(request, MSG_NOSIGNAL)
        .map_err(failed)?;
    // One octet more than the longest answer, so that a truncated one is noticed.
    let mut answer = Zeroizing::new(vec![0; MAX_ANSWER + 1]);
    let length = loop {
        match socket.read(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other.map_err(failed)?,
        }
    };
    let length = received(kind, &answer, length)?.len();
    answer.truncate(length);
    Ok(answer)
}

/// What it means if a request can't be sent, or its answer not received.
fn failed(request: RequestKind, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::TimedOut { request },
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::Closed,
        _ => Error::Socket(error),
    }
}

/// The answer of this length, which was received into `buffer`.
fn received(request: RequestKind, buffer: &[u8], length: usize) -> Result<&[u8], Error> {
    match length {
        0 => Err(Error::Closed),
        1..=MAX_ANSWER => Ok(&buffer[..length]),
        _ => Err(Error::Answer { request }),
    }
}

fn encode<C: Call>(call: &C) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut buffer = Zeroizing::new(vec![0; C::KIND.max_length()]);
    let length = match encode_request(call, &mut buffer) {
        Ok(request) => request.len(),
        Err(WireError::NoRoom | WireError::Malformed) => {
            return Err(Error::TooLong { request: C::KIND });
        }
    };
    buffer.truncate(length);
    Ok(buffer)
}

fn decode<C: Call>(answer: &[u8]) -> Result<C::Answer, Error> {
    match decode_answer::<C>(answer) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(refusal)) => Err(Error::Refused(refusal)),
        Err(_) => Err(Error::Answer { request: C::KIND }),
    }
}

#[cfg(test)]
mod tests;
