//! The loop: waits for requests, serves one of each connection, syncs once, and sends the answers.

use core::ops::Range;
use core::time::Duration;
use std::{io, mem};

use softsim_keyd_proto::requests::Hello;
use softsim_keyd_proto::{
    MAX_ANSWER, MAX_REQUEST, Refusal, RequestKind, Role, encode_answer, kind_of,
};
use softsim_sandbox::notify::Watchdog;
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_sandbox::tally::Tally;
use softsim_sandbox::{clock, memory, poll};
use zeroize::Zeroize;

use crate::event::Event;
use crate::keyd::{Client, Keyd, StorageFailed};
use crate::rates::MAX_MEMBERS;
use crate::users::{Admitted, Stranger};

/// How many connections one uid may have to the socket of one role, so that no user takes
/// another's.
const CONNECTIONS_PER_USER: usize = 16;

/// How many connections all users together may have whom only a group admits to a role, since a
/// group may have any number of members.
const CONNECTIONS_OF_MEMBERS: usize = MAX_MEMBERS;

/// How long the loop accepts nobody after accept4(2) failed, so that it doesn't spin while
/// somebody waits to be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Room for the answers of one pass, in octets. Where it is full, they are flushed early.
const ANSWER_BUFFER: usize = 4 * MAX_ANSWER;

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The vault could not be written.
    #[error("{0}")]
    Storage(StorageFailed),
    /// ppoll(2) failed.
    #[error("can't wait for requests: {0}")]
    Poll(io::Error),
}

/// Serves until an error that a restart may solve.
pub fn serve(
    keyd: &mut Keyd,
    listeners: &[(Role, Listener)],
    watchdog: &mut Watchdog,
) -> ServeError {
    let mut server = Server {
        keyd,
        peers: Vec::new(),
        waiting: Vec::new(),
        request: vec![0; MAX_REQUEST + 1],
        answers: vec![0; ANSWER_BUFFER],
        pending: Vec::new(),
        used: 0,
        // The start has used keys and files.
        deep: true,
        now: Duration::ZERO,
        accepts_from: Duration::ZERO,
        refused_users: Tally::default(),
        too_many: Tally::default(),
    };
    loop {
        if let Err(error) = server.pass(listeners, watchdog) {
            return error;
        }
    }
}

struct Peer {
    connection: Connection,
    client: Client,
    gone: bool,
}

impl Peer {
    /// Gives up a peer that doesn't take its answer.
    fn note(&mut self, sent: io::Result<()>) {
        if let Err(error) = sent {
            self.gone = true;
            if error.kind() == io::ErrorKind::WouldBlock {
                Event::AnswersNotRead {
                    role: self.client.role(),
                    uid: self.client.uid(),
                }
                .log();
            }
        }
    }
}

struct Server<'k> {
    keyd: &'k mut Keyd,
    peers: Vec<Peer>,
    /// The descriptors that the loop waits for: the listeners, then the peers.
    waiting: Vec<poll::Entry>,
    /// The buffer for a request, one octet longer than any request, so that a longer one is
    /// noticed. Between requests, it takes the answer to a client that waits.
    request: Vec<u8>,
    answers: Vec<u8>,
    /// The index of a peer and where its answer lies in `answers`, until it is sent.
    pending: Vec<(usize, Range<usize>)>,
    used: usize,
    /// Whether a request since the last scrub may have used more of the stack than usual.
    deep: bool,
    /// The time of the boot clock after the last wait.
    now: Duration,
    /// When connections are accepted again.
    accepts_from: Duration,
    refused_users: Tally<(Role, u32, Stranger)>,
    too_many: Tally<(Role, u32)>,
}

impl Server<'_> {
    /// Waits, serves one request of each connection that has sent one, sends the answers, and
    /// accepts connections.
    fn pass(
        &mut self,
        listeners: &[(Role, Listener)],
        watchdog: &mut Watchdog,
    ) -> Result<(), ServeError> {
        let rest = self.accepts_from.saturating_sub(self.now);
        let rest = (!rest.is_zero()).then_some(rest);
        let listeners = match rest {
            None => listeners,
            Some(_) => &listeners[..0],
        };
        let log_due_in = [
            self.refused_users.wait(self.now),
            self.too_many.wait(self.now),
        ];
        let waits = [watchdog.interval(), rest].into_iter().chain(log_due_in);
        let timeout = waits.flatten().min();
        self.waiting.clear();
        let of_listeners = listeners
            .iter()
            .map(|(_, socket)| poll::Entry::readable(socket));
        self.waiting.extend(of_listeners);
        let of_peers = self
            .peers
            .iter()
            .map(|peer| match peer.client.is_waiting() {
                false => poll::Entry::readable(&peer.connection),
                true => poll::Entry::hung_up(&peer.connection),
            });
        self.waiting.extend(of_peers);
        poll::wait(&mut self.waiting, timeout).map_err(ServeError::Poll)?;
        self.now = clock::boottime();
        watchdog.turn(self.now);

        for index in 0..self.peers.len() {
            if !self.waiting[listeners.len() + index].ready() {
                continue;
            }
            let peer = &mut self.peers[index];
            if peer.client.is_waiting() {
                // It has hung up. What it may have sent after its Wait has no effect.
                peer.gone = true;
            } else {
                self.request_of(index)?;
            }
        }
        self.flush_answers()?;
        self.peers.retain(|peer| !peer.gone);
        for (index, (role, listener)) in listeners.iter().enumerate() {
            if self.waiting[index].ready() {
                self.accept(*role, listener);
            }
        }
        self.log_refused_connections();
        Ok(())
    }

    /// Reads and serves one request, and queues its answer. First, it wipes what the previous
    /// request of this pass has left; [`Self::flush_answers`] wipes what the last one leaves.
    fn request_of(&mut self, index: usize) -> Result<(), ServeError> {
        if !self.pending.is_empty() {
            self.scrub();
        }
        if self.answers.len() - self.used < MAX_ANSWER {
            self.flush_answers()?;
        }
        let peer = &mut self.peers[index];
        let length = match peer.connection.receive(&mut self.request) {
            Ok(Received::Datagram(length)) => length,
            // It is longer than any request, and its length alone gets it refused.
            Ok(Received::Truncated) => self.request.len(),
            Ok(Received::Nothing) => return Ok(()),
            Ok(Received::Closed) | Err(_) => {
                peer.gone = true;
                return Ok(());
            }
        };
        let room = self.answers[self.used..]
            .first_chunk_mut()
            .expect("there is room for an answer, or the answers were flushed");
        self.deep |= may_use_deep_stack(&self.request[..length]);
        let written = self
            .keyd
            .serve(&mut peer.client, self.now, &self.request[..length], room);
        // A request can hold an MSK or keys of PSK accounts in clear.
        self.request[..length].fill(0);
        if written > 0 {
            self.pending.push((index, self.used..self.used + written));
            self.used += written;
        }
        Ok(())
    }

    /// Makes the pass durable, then sends its answers. If that fails, it sends a refusal instead of
    /// each answer.
    fn flush_answers(&mut self) -> Result<(), ServeError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let flushed = self.keyd.flush();
        if flushed.is_ok() {
            self.tell();
        }
        self.scrub();
        for (index, range) in self.pending.drain(..) {
            let peer = &mut self.peers[index];
            let sent = match flushed {
                Ok(()) => peer.connection.send(&self.answers[range]),
                Err(StorageFailed) => send_refusal(&peer.connection, Refusal::Storage),
            };
            peer.gone |= peer.client.is_over();
            peer.note(sent);
        }
        self.answers[..self.used].zeroize();
        self.used = 0;
        flushed.map_err(ServeError::Storage)
    }

    /// Answers the clients that wait, if something has changed. They learn it before whoever
    /// changed it gets an answer.
    fn tell(&mut self) {
        let room = self
            .request
            .first_chunk_mut()
            .expect("the longest answer is no longer than the longest request");
        for peer in &mut self.peers {
            let length = self.keyd.tell(&mut peer.client, room);
            if length > 0 {
                let sent = peer.connection.send(&room[..length]);
                peer.note(sent);
                room[..length].fill(0);
            }
        }
    }

    /// Wipes what requests have left on the stack and in the registers.
    fn scrub(&mut self) {
        if mem::take(&mut self.deep) {
            memory::scrub();
        } else {
            memory::scrub_shallow();
        }
    }

    /// Accepts one connection, or tells it why it is refused. If there are no descriptors or no
    /// memory left, existing connections are served on, and the new one waits.
    ///
    /// It accepts only one in a pass. The next pass notices which connections have ended before it
    /// refuses another.
    fn accept(&mut self, role: Role, listener: &Listener) {
        let connection = match listener.accept() {
            Ok(Some(connection)) => connection,
            Ok(None) => return,
            Err(error) => {
                Event::NotAccepted(&error).log();
                self.accepts_from = self.now + ACCEPT_PAUSE;
                return;
            }
        };
        let uid = connection.peer_uid();
        let is_in = |groups: &[u32]| connection.peer_is_in(groups);
        let refusal = match self.keyd.accept(role, uid, is_in) {
            Err(why) => {
                self.keyd.counters.refused_users += 1;
                self.refused_users.add((role, uid, why));
                refusal_of(role, uid, why)
            }
            Ok(client) => match self.limit(&client) {
                Some(limit) => {
                    self.too_many.add((role, uid));
                    Refusal::TooManyConnections { limit: limit as u8 }
                }
                None => {
                    self.peers.push(Peer {
                        connection,
                        client,
                        gone: false,
                    });
                    return;
                }
            },
        };
        // If the peer has left already, the error doesn't matter.
        let _ = send_refusal(&connection, refusal);
    }

    /// Logs refused connections.
    fn log_refused_connections(&mut self) {
        if let Some(unreported) = self.refused_users.due(self.now) {
            Event::RefusedUsers(unreported).log();
        }
        if let Some(unreported) = self.too_many.due(self.now) {
            Event::TooManyConnections(unreported).log();
        }
    }

    /// The limit that keeps a client from connecting.
    fn limit(&self, new: &Client) -> Option<usize> {
        let held = |by: &dyn Fn(&Client) -> bool| {
            let peers = self.peers.iter().map(|peer| &peer.client);
            let peers = peers.filter(|client| client.role() == new.role() && by(client));
            peers.count()
        };
        let is_member = |client: &Client| client.admitted == Admitted::ByGroup;
        if held(&|client| client.uid() == new.uid()) == CONNECTIONS_PER_USER {
            Some(CONNECTIONS_PER_USER)
        } else if is_member(new) && held(&is_member) == CONNECTIONS_OF_MEMBERS {
            Some(CONNECTIONS_OF_MEMBERS)
        } else {
            None
        }
    }
}

/// What somebody learns whom the role doesn't admit.
fn refusal_of(role: Role, uid: u32, why: Stranger) -> Refusal {
    match why {
        Stranger::Hidden => Refusal::HiddenUser { uid },
        Stranger::NotNamed | Stranger::TooManyGroups => Refusal::NotPermitted {
            request: RequestKind::Hello,
            role,
        },
    }
}

/// Whether a request may use more of the stack than [`memory::scrub_shallow`] wipes. That is so for
/// all requests except those of an authentication, which are frequent and use much less.
fn may_use_deep_stack(datagram: &[u8]) -> bool {
    !matches!(
        kind_of(datagram),
        Ok(RequestKind::Hello
            | RequestKind::Identity
            | RequestKind::AkaPrimeChallenge
            | RequestKind::AkaChallenge
            | RequestKind::Reauthenticate
            | RequestKind::EapMac
            | RequestKind::EapVerify
            | RequestKind::EncryptCounter
            | RequestKind::Confirm
            | RequestKind::CloseSession)
    )
}

fn send_refusal(connection: &Connection, refusal: Refusal) -> io::Result<()> {
    let mut buffer = [0; 64];
    let answer = encode_answer::<Hello>(&Err(refusal), &mut buffer)
        .expect("a refusal without a text takes a few octets");
    connection.send(answer)
}
