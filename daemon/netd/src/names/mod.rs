//! The addresses of names. A helper process resolves them, since the C library's resolver needs
//! more than netd may do.

pub mod helper;
pub mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{Connection, Received};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::wire::{Answer, MAX, Name, READY, Request};
use crate::async_socket::AsyncSocket;
use crate::helper_process;

/// The time that the helper has to start, of which it takes a fraction.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than a look-up takes, including those before it.
const TIMEOUT: Duration = Duration::from_secs(2 * helper::TIMEOUT.as_secs());

/// The helper, which netd starts before it confines itself.
#[derive(Debug)]
pub(crate) struct Helper(Connection);

/// The resolver: netd's end of the helper's socket.
#[derive(Clone, Debug)]
pub(crate) struct Names(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    name: Name,
    reply: oneshot::Sender<Answer>,
}

impl Helper {
    /// Starts the helper, a process of this program, and waits until it has confined itself.
    pub(crate) fn start() -> io::Result<Self> {
        let ours = helper_process::start(&[helper::SUBCOMMAND], |command| {
            // The helper reports its errors to netd.
            command.stderr(Stdio::null());
        })?;
        let mut first = [0; MAX];
        poll::wait(&mut [poll::Entry::readable(&ours)], Some(START_TIMEOUT))?;
        let reason = match ours.receive(&mut first)? {
            Received::Datagram(length) if first[..length] == *READY => return Ok(Self(ours)),
            Received::Datagram(length) => match Answer::decode(&first[..length]) {
                Some((0, Answer::Failed(reason))) => reason,
                _ => "expected it to be ready, got something else".into(),
            },
            _ => "expected it to be ready, got nothing".into(),
        };
        Err(io::Error::other(reason))
    }

    /// Puts the socket into the event loop. The future ends when the helper ends.
    pub(crate) fn serve(self) -> io::Result<(Names, impl Future<Output = io::Error>)> {
        let socket = AsyncSocket::new(self.0)?;
        let (questions, queue) = mpsc::channel(helper::MAX_LOOK_UPS);
        let relayed = async move {
            match relay(socket, queue).await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        };
        Ok((Names(questions), relayed))
    }
}

impl Names {
    /// For tests, in which every host is an address.
    #[cfg(test)]
    pub(crate) fn without_helper() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// The addresses of a host, a name or an address, with this port, in the order in which they
    /// are to be tried; at least one.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let name = Name::new(host).ok_or(io::ErrorKind::InvalidInput)?;
        let (reply, answer) = oneshot::channel();
        let ask = async {
            let gone = || io::Error::other("the names helper has ended");
            let question = Question { name, reply };
            self.0.send(question).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())
        };
        match timeout(TIMEOUT, ask).await {
            Ok(answer) => match answer? {
                Answer::Addresses(mut addresses) => {
                    for address in &mut addresses {
                        address.set_port(port);
                    }
                    Ok(addresses)
                }
                Answer::Failed(reason) => Err(io::Error::other(reason)),
            },
            Err(_) => Err(io::Error::other("the names helper doesn't answer")),
        }
    }
}

/// Relays questions and answers, for as long as the helper lives.
async fn relay(
    helper: AsyncSocket<Connection>,
    mut questions: mpsc::Receiver<Question>,
) -> io::Result<std::convert::Infallible> {
    let mut waiting = BTreeMap::new();
    let mut last: u32 = 0;
    loop {
        tokio::select! {
            Some(Question { name, reply }) = questions.recv(), if waiting.len() < helper::MAX_LOOK_UPS => {
                last = last.wrapping_add(1);
                helper.inner().send(&Request { id: last, name }.encode())?;
                waiting.insert(last, reply);
            }
            answer = helper.receive(receive) => {
                let (id, answer) = answer?;
                if let Some(reply) = waiting.remove(&id) {
                    // Who asked may have given up.
                    let _ = reply.send(answer);
                }
            }
        }
    }
}

fn receive(helper: &Connection) -> io::Result<(u32, Answer)> {
    let mut datagram = [0; MAX];
    match helper.receive(&mut datagram)? {
        Received::Datagram(length) => Answer::decode(&datagram[..length])
            .ok_or_else(|| io::Error::other("it sent what isn't in its protocol")),
        Received::Truncated => Err(io::Error::other("it sent more than its protocol has")),
        Received::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        Received::Closed => Err(io::Error::other("it has ended")),
    }
}
