//! Which of several servers a client asks, and when it returns to one that didn't serve.
//!
//! Silence to a request makes a server dead. One that answers requests but no Status-Server is not
//! dead, and only a dead one is sent any. A dead server that has answered Status-Server before is
//! alive again once it has answered three of them in a row, half a minute apart, so that one that
//! comes and goes isn't asked in turns with the next. One that doesn't answer Status-Server, or
//! that hasn't answered any for an hour, may not know it: five minutes after it was silent, a
//! request shows whether it is alive. The same holds for one that answers requests so that the
//! client can't use it: its answer to Status-Server would say nothing about that.
//!
//! # RFC 3539 and RFC 5997
//!
//! RFC 5997 §4.3 applies the watchdog of RFC 3539 §3.4.1, with Status-Server as its message. As
//! there, Tw is 30 seconds, plus or minus 2; a dead server gets one Status-Server in each Tw, which
//! is never sent again; three answers in a row bring it back, and an unanswered one makes their
//! count begin anew (NumDWA of RFC 3539, appendix A). This module differs in these points:
//!
//! - Fail-over. There, silence to a request isn't enough, since it may be the fault of a server
//!   behind the one that is asked: only silence to the watchdog is. Here it is, whatever causes it,
//!   since the next server may know another way. The authentication then doesn't wait for another
//!   Tw, and a server that isn't dead gets no Status-Server at all.
//! - Failback. Without answers to Status-Server, a request is risked. Its answer brings the server
//!   back at once.
//! - RFC 5997 judges each address and port by itself. The addresses of one name are one server
//!   here: the client asks them all, and uses the one that answers.

use std::time::{Duration, Instant};

/// The time between two Status-Servers without jitter, Twinit of RFC 3539 §3.4.1.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// How much shorter or longer it may be (RFC 3539 §3.4.1).
const JITTER: Duration = Duration::from_secs(2);

/// How many Status-Servers in a row a dead server has to answer.
const ANSWERS: u32 = 3;

/// After so many Status-Servers in a row without an answer, about an hour, a server may no longer
/// know them.
const UNANSWERED: u32 = 120;

/// When a server that doesn't answer Status-Server is asked again.
const REVIVAL: Duration = Duration::from_secs(300);

/// The servers, in the order in which the client prefers them.
#[derive(Debug)]
pub struct Servers(Vec<Server>);

#[derive(Debug, Default)]
struct Server {
    /// Whether it answers Status-Server, as far as is known.
    answers_status: bool,
    dead: Option<Dead>,
}

#[derive(Debug)]
struct Dead {
    since: Instant,
    /// The Status-Servers to it. None if it answers, and yet can't serve.
    probes: Option<Probes>,
}

#[derive(Debug)]
struct Probes {
    next: Instant,
    /// How many in a row it has answered.
    answered: u32,
    /// How many in a row it hasn't answered, the one under way included.
    unanswered: u32,
}

impl Server {
    fn is_alive(&self, now: Instant) -> bool {
        self.dead.as_ref().is_none_or(|dead| {
            let answers_tell = self.answers_status && dead.probes.is_some();
            !answers_tell && now >= dead.since + REVIVAL
        })
    }

    fn probes(&self) -> Option<&Probes> {
        self.dead.as_ref()?.probes.as_ref()
    }
}

/// Tw, drawn from an octet.
fn interval(random: u8) -> Duration {
    PROBE_INTERVAL - JITTER + 2 * JITTER * u32::from(random) / 255
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

    /// Whether a server is dead, or answers without being able to serve.
    pub fn is_dead(&self, server: usize) -> bool {
        self.0[server].dead.is_some()
    }

    /// A server has given a valid answer to a request.
    pub fn answered(&mut self, server: usize) {
        self.0[server].dead = None;
    }

    /// A server was silent to a request. `random` must be an octet from the system's random
    /// generator, from which the time of the first Status-Server is drawn.
    pub fn silent(&mut self, server: usize, now: Instant, random: u8) {
        let dead = self.0[server].dead.take();
        let before = dead.and_then(|dead| dead.probes);
        let (next, unanswered) = match before {
            Some(probes) => (probes.next, probes.unanswered),
            None => (now + interval(random), 0),
        };
        self.0[server].dead = Some(Dead {
            since: now,
            probes: Some(Probes {
                next,
                answered: 0,
                unanswered,
            }),
        });
    }

    /// A server answers, but the client can't use it: its answers are invalid, or it never
    /// decides.
    pub fn unusable(&mut self, server: usize, now: Instant) {
        self.0[server].dead = Some(Dead {
            since: now,
            probes: None,
        });
    }

    /// When [`Self::probe`] returns the next server; `None` if none is dead. A single server isn't
    /// probed: nothing depends on it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let several = self.0.len() > 1;
        let next = self.0.iter().filter_map(Server::probes).map(|of| of.next);
        next.min().filter(|_| several)
    }

    /// The server to send a Status-Server now. `random` is as for [`Self::silent`], and draws the
    /// time of the next one.
    pub fn probe(&mut self, now: Instant, random: u8) -> Option<usize> {
        let due = self.poll_timeout().filter(|due| now >= *due)?;
        let is_due = |server: &Server| server.probes().is_some_and(|of| of.next == due);
        let index = self.0.iter().position(is_due)?;
        let server = &mut self.0[index];
        let probes = server.dead.as_mut()?.probes.as_mut()?;
        if probes.unanswered > 0 {
            probes.answered = 0;
        }
        server.answers_status &= probes.unanswered < UNANSWERED;
        probes.unanswered += 1;
        probes.next = now + interval(random);
        Some(index)
    }

    /// A server has answered Status-Server. Returns whether that makes it alive again.
    pub fn probe_answered(&mut self, server: usize) -> bool {
        let server = &mut self.0[server];
        server.answers_status = true;
        let Some(Dead {
            probes: Some(probes),
            ..
        }) = &mut server.dead
        else {
            return false;
        };
        probes.unanswered = 0;
        probes.answered += 1;
        let alive = probes.answered >= ANSWERS;
        if alive {
            server.dead = None;
        }
        alive
    }

    /// The client sends no Status-Server for a while: the answers so far are in no row with those
    /// that follow.
    pub fn pause(&mut self) {
        for dead in self.0.iter_mut().filter_map(|server| server.dead.as_mut()) {
            if let Some(probes) = &mut dead.probes {
                probes.answered = 0;
            }
        }
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
            let server = servers.probe(now, 127).unwrap();
            servers.probe_answered(server);
        }
        now
    }

    #[test]
    fn a_server_that_is_silent_to_a_request_comes_last_until_it_answers_one() {
        let now = Instant::now();
        let mut servers = Servers::new(3);
        assert_eq!(servers.order(now), [0, 1, 2]);
        servers.silent(0, now, 127);
        assert_eq!(servers.order(now), [1, 2, 0]);
        servers.silent(2, now, 127);
        assert_eq!(servers.order(now), [1, 0, 2]);
        servers.answered(0);
        assert_eq!(servers.order(now), [0, 1, 2]);
    }

    #[test]
    fn three_answers_in_a_row_and_not_fewer_bring_a_dead_server_back() {
        let start = Instant::now();
        let mut servers = Servers::new(2);
        servers.silent(0, start, 127);
        assert_eq!(servers.probe(start, 127), None);
        let now = probes(&mut servers, 2);
        assert!(now >= start + 2 * (PROBE_INTERVAL - JITTER));
        assert_eq!(servers.order(now), [1, 0]);
        // One that isn't answered makes it begin anew.
        let now = servers.poll_timeout().unwrap();
        assert_eq!(servers.probe(now, 127), Some(0));
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
        servers.silent(0, start, 127);
        let mut now = start;
        while now < start + REVIVAL {
            assert_eq!(servers.order(now), [1, 0]);
            now = servers.poll_timeout().unwrap();
            assert_eq!(servers.probe(now, 127), Some(0));
        }
        assert_eq!(servers.order(now), [0, 1]);
        // It is still silent: the time begins anew.
        servers.silent(0, now, 127);
        assert_eq!(servers.order(now), [1, 0]);
        // Once it is known to answer Status-Server, no request is risked.
        probes(&mut servers, 1);
        assert_eq!(servers.order(now + 2 * REVIVAL), [1, 0]);
    }

    #[test]
    fn a_server_that_answers_no_status_server_any_more_is_asked_again_after_a_while() {
        let start = Instant::now();
        let mut servers = Servers::new(2);
        servers.silent(0, start, 127);
        probes(&mut servers, 2);
        let mut now = start;
        while servers.order(now) == [1, 0] {
            assert!(now < start + Duration::from_secs(70 * 60));
            now = servers.poll_timeout().unwrap();
            assert_eq!(servers.probe(now, 127), Some(0));
        }
        assert!(now > start + Duration::from_secs(50 * 60));
        // It is still silent: the next request is risked five minutes later, not another hour.
        servers.silent(0, now, 127);
        assert_eq!(servers.order(now), [1, 0]);
        assert_eq!(servers.order(now + REVIVAL), [0, 1]);
    }

    #[test]
    fn a_server_that_answers_but_cannot_serve_is_asked_again_after_a_while_and_not_probed() {
        let now = Instant::now();
        let mut servers = Servers::new(2);
        servers.silent(0, now, 127);
        probes(&mut servers, 1);
        servers.unusable(0, now);
        assert_eq!(servers.poll_timeout(), None);
        assert!(
            !servers.probe_answered(0),
            "what was under way tells nothing"
        );
        assert_eq!(servers.order(now), [1, 0]);
        assert_eq!(servers.order(now + REVIVAL), [0, 1]);
    }

    #[test]
    fn answers_before_a_pause_are_in_no_row_with_those_after_it() {
        let now = Instant::now();
        let mut servers = Servers::new(2);
        servers.silent(0, now, 127);
        probes(&mut servers, 2);
        servers.pause();
        let now = probes(&mut servers, 2);
        assert_eq!(servers.order(now), [1, 0]);
        let now = probes(&mut servers, 1);
        assert_eq!(servers.order(now), [0, 1]);
    }

    #[test]
    fn gateways_that_lost_a_server_together_do_not_probe_it_together() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        for (random, expected) in [(0, seconds(28)), (255, seconds(32))] {
            let mut servers = Servers::new(2);
            servers.silent(0, start, random);
            let first = servers.poll_timeout().unwrap();
            servers.probe(first, random);
            let second = servers.poll_timeout().unwrap();
            assert_eq!([first - start, second - first], [expected; 2]);
        }
    }

    #[test]
    fn a_single_server_is_not_probed() {
        let now = Instant::now();
        let mut servers = Servers::new(1);
        servers.silent(0, now, 127);
        assert_eq!(servers.poll_timeout(), None);
        assert_eq!(servers.order(now), [0]);
    }
}
