//! The supplicant's port access entity (IEEE 802.1X-2004 §8.2.11, IEEE 802.1X-2010 §8).
//!
//! # Frames that anybody can forge
//!
//! The standard closes the port when an authentication fails. Nobody protects an EAP-Request or an
//! EAP-Failure before the server has proved itself, so that any station of the LAN could close an
//! open port with two frames. This entity therefore leaves the port open when an attempt that an
//! authenticator began fails or falls silent before that proof, and when an EAP-Failure comes
//! without an attempt. It can't know whether the authenticator has closed its own port, as one does
//! that has restarted. So it sends EAPOL-Start, at once and then once in each heldPeriod, until an
//! authentication succeeds. An authenticator that has closed its port begins an authentication, now
//! or when it answers again. If there is none that answers, the open port lets frames pass to the
//! LAN that had proved itself, and the next authentication that the owner asks for decides.
//!
//! An authenticator that refuses us in answer to [`MAX_REFUSALS`] of these EAPOL-Starts has really
//! closed its port. The session is over then: the port closes, and the entity begins anew as after
//! any failure. Only the first failure after an EAPOL-Start counts, so that whoever forges frames
//! must outrun the authenticator for as many heldPeriods before they close the port.
//!
//! Those attempts decide: what the owner has begun closes the port however it fails, and so does a
//! failure after the server's proof.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use super::received::Received;
use super::{Address, ControlledPort, Frame, Kind, PAE_GROUP_ADDRESS, PortStatus};

/// How many failures in answer to its EAPOL-Starts end a session, with no success between them.
pub const MAX_REFUSALS: u32 = 3;

/// The timers of the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// The time between two EAPOL-Starts (startPeriod).
    pub start_period: Duration,
    /// The number of EAPOL-Starts without an answer after which the entity assumes that there is
    /// no authenticator (maxStart).
    pub max_start: u32,
    /// The time that the authenticator has for its next EAP packet (authPeriod).
    pub auth_period: Duration,
    /// The time until the next attempt after no authenticator answered (heldPeriod). After a
    /// failure, the caller of [`Supplicant::failed`] chooses the time.
    pub held_period: Duration,
}

impl Default for Timers {
    /// The periods of IEEE 802.1X-2004 §8.2.11.1.2, except for startPeriod: with its thirty
    /// seconds, one lost frame would cost half a minute.
    fn default() -> Self {
        Timers {
            start_period: Duration::from_secs(5),
            max_start: 3,
            auth_period: Duration::from_secs(30),
            held_period: Duration::from_secs(60),
        }
    }
}

/// What the entity wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this PDU in a frame with our EtherType.
    Transmit {
        /// The frame's destination.
        destination: Address,
        /// The octets that follow the EtherType.
        pdu: Vec<u8>,
    },
    /// Give this packet to the EAP peer.
    Eap(Vec<u8>),
    /// Tell the EAP peer that whatever it has begun is over: the carrier is lost, or begins anew.
    Abandon,
    /// The controlled port has changed.
    Port(PortStatus),
}

/// The state of the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is no link, or no authentication is wanted.
    Idle,
    /// Waits for an authenticator's first request.
    Connecting,
    /// An EAP conversation runs.
    Authenticating,
    /// The last conversation succeeded.
    Authenticated,
    /// Waits after a failure, or because no authenticator answers.
    Held,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle,
    Connecting { starts: u32, next: Instant },
    Authenticating { until: Instant, began: Began },
    Authenticated(Session),
    Held { until: Instant },
}

/// How an attempt began.
#[derive(Debug, Clone, Copy)]
enum Began {
    /// We asked for it.
    Asked,
    /// An authenticator's request interrupted the state `Held`. If the attempt fails, the entity
    /// waits on until `until`, because anybody can send a request and an EAP-Failure.
    Resting { until: Instant },
    /// An authenticator's request came while the entity was authenticated. Unless the server proves
    /// itself, the session goes on when the attempt fails.
    Authenticated(Session),
    /// It was so, and the server has proved itself since.
    Proved,
}

/// What holds while the entity is authenticated.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// Whether the authenticator may have closed its port since the last success.
    doubted: bool,
    /// When the entity may send the next EAPOL-Start for this reason.
    start: Instant,
    /// Whether it has sent one since the last failure.
    asked: bool,
    /// How many failures came in answer to one.
    refusals: u32,
}

/// A wired supplicant on one interface.
#[derive(Debug)]
pub struct Supplicant {
    timers: Timers,
    link: bool,
    wanted: bool,
    phase: Phase,
    port: ControlledPort,
    /// The address to answer the authenticator at.
    authenticator: Address,
    outputs: VecDeque<Output>,
}

impl Supplicant {
    /// A supplicant without a link, which doesn't authenticate yet.
    pub fn new(timers: Timers) -> Self {
        Supplicant {
            timers,
            link: false,
            wanted: false,
            phase: Phase::Idle,
            port: ControlledPort::default(),
            authenticator: PAE_GROUP_ADDRESS,
            outputs: VecDeque::new(),
        }
    }

    /// The next output. Call it after each of the other calls, until it returns `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The state of the entity.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Connecting { .. } => State::Connecting,
            Phase::Authenticating { .. } => State::Authenticating,
            Phase::Authenticated(_) => State::Authenticated,
            Phase::Held { .. } => State::Held,
        }
    }

    /// While the entity is connecting: how many EAPOL-Starts it has sent, and after how many it
    /// gives up.
    pub fn starts(&self) -> Option<(u32, u32)> {
        match self.phase {
            Phase::Connecting { starts, .. } => Some((starts, self.timers.max_start)),
            _ => None,
        }
    }

    /// The controlled port.
    pub fn port(&self) -> &ControlledPort {
        &self.port
    }

    /// Reports that the interface has a link, or has lost it. A lost link ends the authentication.
    pub fn link(&mut self, now: Instant, up: bool) {
        if self.link == up {
            return;
        }
        self.link = up;
        self.authenticator = PAE_GROUP_ADDRESS;
        match (up, self.wanted) {
            (true, true) => self.start(now),
            (true, false) => {}
            (false, _) => self.leave(Phase::Idle),
        }
    }

    /// Authenticates now, or as soon as there is a link. If the port is open, it stays open while
    /// the entity authenticates again. An attempt that runs already is enough, unless it may be
    /// anybody's and leave an old session as it is.
    pub fn connect(&mut self, now: Instant) {
        self.wanted = true;
        let runs = match self.phase {
            Phase::Authenticating { began, .. } => !matches!(began, Began::Authenticated(_)),
            _ => false,
        };
        if self.link && !runs {
            self.start(now);
        }
    }

    /// Logs off, until the next [`Supplicant::connect`].
    pub fn disconnect(&mut self) {
        self.wanted = false;
        if !matches!(self.phase, Phase::Idle | Phase::Held { .. }) {
            self.transmit(Kind::Logoff, &[]);
        }
        self.leave(Phase::Idle);
    }

    /// Sends the EAP peer's response.
    pub fn respond(&mut self, eap: &[u8]) {
        if !matches!(self.phase, Phase::Idle) {
            self.transmit(Kind::Eap, eap);
        }
    }

    /// Reports that the EAP peer accepted an EAP-Success.
    pub fn succeeded(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle) {
            return;
        }
        self.phase = Phase::Authenticated(Session {
            doubted: false,
            start: now + self.timers.held_period,
            asked: false,
            refusals: 0,
        });
        let change = self.port.authorise();
        self.outputs.extend(change.map(Output::Port));
    }

    /// If the authenticator may have closed its port, asks it at once to begin, although the last
    /// EAPOL-Start is less than a heldPeriod ago. It's for a caller that could not answer then.
    pub fn ask_again(&mut self, now: Instant) {
        if let Phase::Authenticated(session @ Session { doubted: true, .. }) = self.phase {
            self.doubt(
                now,
                Session {
                    start: now,
                    ..session
                },
            );
        }
    }

    /// Reports that the server has proved itself in the present attempt.
    pub fn proved(&mut self) {
        if let Phase::Authenticating { began, .. } = &mut self.phase
            && matches!(began, Began::Authenticated(_))
        {
            *began = Began::Proved;
        }
    }

    /// Whether we began the present attempt, and not an authenticator.
    pub fn asked(&self) -> bool {
        let Phase::Authenticating { began, .. } = self.phase else {
            return false;
        };
        matches!(began, Began::Asked)
    }

    /// Reports that the EAP peer's conversation failed. The entity waits for `held`, unless the
    /// authenticator sends a request earlier. If the attempt interrupted a wait, that wait goes on
    /// and gets no longer. If it interrupted a session and the server has not proved itself, the
    /// session goes on, except after [`MAX_REFUSALS`].
    pub fn failed(&mut self, now: Instant, held: Duration) {
        let Phase::Authenticating { began, .. } = self.phase else {
            return;
        };
        let until = match began {
            Began::Authenticated(session) => return self.refused(now, session, held),
            Began::Resting { until } => until,
            Began::Asked | Began::Proved => now + held,
        };
        self.phase = Phase::Held { until };
        self.close();
    }

    /// Handles the octets that follow the EtherType in a frame from `source`. `unicast` says
    /// whether the frame was addressed to us alone.
    ///
    /// # Errors
    /// [`super::Error`] says why the octets aren't a PDU, or why the EAP packet in it isn't one of
    /// an authenticator. Nothing has changed then.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        source: Address,
        unicast: bool,
        pdu: &[u8],
    ) -> Result<(), super::Error> {
        let frame = Frame::parse(pdu)?;
        if frame.kind != Kind::Eap || !self.link || matches!(self.phase, Phase::Idle) {
            return Ok(());
        }
        let (received, packet) = Received::parse(frame.body)?;
        // On a LAN of two stations, both sides use the group address. An authenticator that sends
        // to our own address gets its answer at its own address.
        self.authenticator = match unicast {
            true => source,
            false => PAE_GROUP_ADDRESS,
        };
        match received {
            Received::Query => self.requested(now, true),
            Received::Method => self.requested(now, false),
            Received::Failure => {
                if let Phase::Authenticated(session) = self.phase {
                    self.refused(now, session, self.timers.held_period);
                }
            }
            Received::Success => {}
        }
        self.outputs.push_back(Output::Eap(packet.to_vec()));
        Ok(())
    }

    /// When to call [`Supplicant::handle_timeout`]. The time may change with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Authenticated(session) => session.doubted.then_some(session.start),
            Phase::Connecting { next, .. } => Some(next),
            Phase::Authenticating { until, .. } | Phase::Held { until } => Some(until),
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.phase {
            Phase::Connecting { starts, .. } if starts < self.timers.max_start => {
                self.phase = Phase::Connecting {
                    starts: starts + 1,
                    next: now + self.timers.start_period,
                };
                self.transmit(Kind::Start, &[]);
            }
            Phase::Connecting { .. } => {
                let until = now + self.timers.held_period;
                self.leave(Phase::Held { until });
            }
            Phase::Authenticating {
                began: Began::Authenticated(session),
                ..
            } => {
                self.abandon();
                self.refused(now, session, self.timers.held_period);
            }
            Phase::Authenticating { .. } => {
                self.leave(Phase::Idle);
                self.start(now);
            }
            Phase::Authenticated(session) => self.doubt(now, session),
            Phase::Held { .. } => self.start(now),
            Phase::Idle => {}
        }
    }

    /// Asks the authenticator to begin.
    fn start(&mut self, now: Instant) {
        self.authenticator = PAE_GROUP_ADDRESS;
        self.abandon();
        self.phase = Phase::Connecting {
            starts: 0,
            next: now,
        };
        self.handle_timeout(now);
    }

    /// Handles an EAP request. While the port is open, only a method begins an attempt: some
    /// authenticators send EAP-Request/Identity as a keep-alive, and nothing after it.
    fn requested(&mut self, now: Instant, query: bool) {
        let began = match self.phase {
            Phase::Authenticated(_) if query => return,
            Phase::Authenticated(session) => Began::Authenticated(session),
            Phase::Held { until } => Began::Resting { until },
            Phase::Authenticating { began, .. } => began,
            Phase::Idle | Phase::Connecting { .. } => Began::Asked,
        };
        let until = match (self.phase, began) {
            // Otherwise, forged requests would keep an attempt from ever falling silent, and with
            // it the next EAPOL-Start.
            (Phase::Authenticating { until, .. }, Began::Authenticated(_)) => until,
            _ => now + self.timers.auth_period,
        };
        self.phase = Phase::Authenticating { until, began };
    }

    /// Handles a failure that anybody may have forged. It ends the session, and the entity waits
    /// for `held`, if the authenticator has refused us too often.
    fn refused(&mut self, now: Instant, mut session: Session, held: Duration) {
        session.refusals += u32::from(mem::take(&mut session.asked));
        if session.refusals < MAX_REFUSALS {
            self.doubt(now, session);
        } else {
            self.leave(Phase::Held { until: now + held });
        }
    }

    /// Goes on with a session that the authenticator may have ended, and asks it to begin, at most
    /// once in a heldPeriod. The module's documentation says why.
    fn doubt(&mut self, now: Instant, mut session: Session) {
        session.doubted = true;
        if now >= session.start {
            session.start = now + self.timers.held_period;
            session.asked = true;
            self.authenticator = PAE_GROUP_ADDRESS;
            self.transmit(Kind::Start, &[]);
        }
        self.phase = Phase::Authenticated(session);
    }

    fn leave(&mut self, next: Phase) {
        self.abandon();
        self.phase = next;
        self.close();
    }

    /// Ends what the peer has begun. While the port was open, it may have shown an identity to an
    /// authenticator that only asked for it.
    fn abandon(&mut self) {
        if matches!(
            self.phase,
            Phase::Authenticating { .. } | Phase::Authenticated(_)
        ) {
            self.outputs.push_back(Output::Abandon);
        }
    }

    fn close(&mut self) {
        let change = self.port.close();
        self.outputs.extend(change.map(Output::Port));
    }

    fn transmit(&mut self, kind: Kind, body: &[u8]) {
        // EAP's own length field has sixteen bits, too.
        if let (true, Ok(pdu)) = (self.link, Frame::build(kind, body)) {
            self.outputs.push_back(Output::Transmit {
                destination: self.authenticator,
                pdu,
            });
        }
    }
}
