//! Which of several servers a client asks, and when it returns to one that was silent.
//!
//! Only silence to a request makes a server dead: one that answers requests but no Status-Server is
//! not dead, and only a dead one is sent any (RFC 5997 §4.3). A dead server that has answered
//! Status-Server before is alive again once it has answered three of them in a row, half a minute
//! apart (RFC 3539 §3.4.1), so that one that comes and goes isn't asked in turns with the next. A
//! dead server that has never answered Status-Server may not know it: after five minutes, a request
//! shows whether it is alive.

use std::time::{Duration, Instant};

/// The time between two Status-Servers, Tw of RFC 3539 §3.4.1.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// How many Status-Servers in a row a dead server has to answer.
const ANSWERS: u32 = 3;

/// When a server that has never answered Status-Server is asked again.
const REVIVAL: Duration = Duration::from_secs(300);

/// The servers, in the order in which the client prefers them.
#[derive(Debug)]
pub struct Servers(Vec<Server>);

#[derive(Debug, Default)]
struct Server {
    /// Whether it has ever answered Status-Server.
    answers_status: bool,
    dead: Option<Dead>,
}

#[derive(Debug)]
struct Dead {
    since: Instant,
    next_probe: Instant,
    /// The Status-Servers in a row that it has answered.
    answers: u32,
    /// Whether the latest one was answered.
    answered: bool,
}

impl Server {
    fn is_alive(&self, now: Instant) -> bool {
        match &self.dead {
            None => true,
            Some(dead) => !self.answers_status && now >= dead.since + REVIVAL,
        }
    }
}

impl Servers {
    /// So many servers, of which none is dead.
    pub fn new(count: usize) -> Self {
        Servers((0..count).map(|_| Server::default()).collect())
    }

    /// The servers to ask, each once: those that are alive, then the dead ones, since one of them
    /// may have come back.
    pub fn order(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.0.len()).collect();
        order.sort_by_key(|server| !self.0[*server].is_alive(now));
        order
    }

    /// Whether a server is dead.
    pub fn is_dead(&self, server: usize) -> bool {
        self.0[server].dead.is_some()
    }

    /// A server has given a valid answer to a request.
    pub fn answered(&mut self, server: usize) {
        self.0[server].dead = None;
    }

    /// A server was silent to a request.
    pub fn silent(&mut self, server: usize, now: Instant) {
        let next_probe = now + PROBE_INTERVAL;
        let before = self.0[server].dead.take();
        self.0[server].dead = Some(Dead {
            since: now,
            next_probe: before.map_or(next_probe, |dead| dead.next_probe),
            answers: 0,
            answered: true,
        });
    }

    /// When [`Self::probe`] returns the next server; `None` if none is dead. A single server isn't
    /// probed: nothing depends on it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let several = self.0.len() > 1;
        let dead = self.0.iter().filter_map(|server| server.dead.as_ref());
        dead.map(|dead| dead.next_probe).min().filter(|_| several)
    }

    /// The server to send a Status-Server now.
    pub fn probe(&mut self, now: Instant) -> Option<usize> {
        let due = self.poll_timeout().filter(|due| now >= *due)?;
        let is_due = |server: &Server| server.dead.as_ref().is_some_and(|d| d.next_probe == due);
        let server = self.0.iter().position(is_due)?;
        let dead = self.0[server].dead.as_mut()?;
        if !std::mem::replace(&mut dead.answered, false) {
            dead.answers = 0;
        }
        dead.next_probe = now + PROBE_INTERVAL;
        Some(server)
    }

    /// A server has answered Status-Server. Returns whether that makes it alive again.
    pub fn probe_answered(&mut self, server: usize) -> bool {
        let server = &mut self.0[server];
        server.answers_status = true;
        let Some(dead) = &mut server.dead else {
            return false;
        };
        dead.answered = true;
        dead.answers += 1;
        let alive = dead.answers >= ANSWERS;
        if alive {
            server.dead = None;
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Sends the Status-Servers that are due, and has the server answer so many of them.
    fn probes(servers: &mut Servers, answered: usize) -> Instant {
        let mut now = Instant::now();
        for _ in 0..answered {
            now = servers.poll_timeout().unwrap();
            let server = servers.probe(now).unwrap();
            servers.probe_answered(server);
        }
        now
    }

    #[test]
    fn a_server_that_is_silent_to_a_request_comes_last_until_it_answers_one() {
        let now = Instant::now();
        let mut servers = Servers::new(3);
        assert_eq!(servers.order(now), [0, 1, 2]);
        servers.silent(0, now);
        assert_eq!(servers.order(now), [1, 2, 0]);
        servers.silent(2, now);
        assert_eq!(servers.order(now), [1, 0, 2]);
        servers.answered(0);
        assert_eq!(servers.order(now), [0, 1, 2]);
    }

    #[test]
    fn three_answers_in_a_row_and_not_fewer_bring_a_dead_server_back() {
        let start = Instant::now();
        let mut servers = Servers::new(2);
        servers.silent(0, start);
        assert_eq!(servers.probe(start), None);
        let now = probes(&mut servers, 2);
        assert!(now >= start + 2 * PROBE_INTERVAL);
        assert_eq!(servers.order(now), [1, 0]);
        // One that isn't answered makes it begin anew.
        let now = servers.poll_timeout().unwrap();
        assert_eq!(servers.probe(now), Some(0));
        let now = probes(&mut servers, 2);
        assert_eq!(servers.order(now), [1, 0]);
        let now = probes(&mut servers, 1);
        assert_eq!(servers.order(now), [0, 1]);
        assert_eq!(servers.poll_timeout(), None);
    }

    #[test]
    fn a_server_that_answers_requests_but_no_status_server_is_asked_again_after_a_while() {
        let start = Instant::now();
        let mut servers = Servers::new(2);
        servers.silent(0, start);
        let mut now = start;
        while now < start + REVIVAL {
            assert_eq!(servers.order(now), [1, 0]);
            now = servers.poll_timeout().unwrap();
            assert_eq!(servers.probe(now), Some(0));
        }
        assert_eq!(servers.order(now), [0, 1]);
        // It is still silent: the time begins anew.
        servers.silent(0, now);
        assert_eq!(servers.order(now), [1, 0]);
        // Once it is known to answer Status-Server, no request is risked.
        probes(&mut servers, 1);
        assert_eq!(servers.order(now + 2 * REVIVAL), [1, 0]);
    }

    #[test]
    fn a_single_server_is_not_probed() {
        let now = Instant::now();
        let mut servers = Servers::new(1);
        servers.silent(0, now);
        assert_eq!(servers.poll_timeout(), None);
        assert_eq!(servers.order(now), [0]);
    }
}
