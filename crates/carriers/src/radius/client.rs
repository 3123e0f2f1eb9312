//! The client. It has one conversation and one outstanding request at a time, and retransmits the
//! request unchanged until it gets a valid answer.

use std::time::{Duration, Instant};

use super::packet::Writer;
use super::{AttributeType, Code, Error, Msk, Packet, Secret};

/// IRT, MRT, MRC and MRD of RFC 5080 §2.2.1.
const INITIAL_RETRANSMISSION_TIME: Duration = Duration::from_secs(2);
const MAX_RETRANSMISSION_TIME: Duration = Duration::from_secs(16);
const MAX_RETRANSMISSION_COUNT: u32 = 5;
const MAX_RETRANSMISSION_DURATION: Duration = Duration::from_secs(30);

/// Service-Type Framed.
const FRAMED: [u8; 4] = [0, 0, 0, 2];
/// Termination-Action RADIUS-Request.
const RADIUS_REQUEST: u32 = 1;
/// The largest EAP packet that a server should send us.
const FRAMED_MTU: [u8; 4] = 1400u32.to_be_bytes();

/// What the server answered.
#[derive(Debug)]
pub enum Answer {
    /// Access-Challenge: the exchange goes on.
    Challenge {
        /// The EAP request.
        eap: Vec<u8>,
    },
    /// Access-Accept: the end.
    Accept {
        /// The EAP packet, EAP-Success.
        eap: Vec<u8>,
        /// The MSK, if the server sent the MS-MPPE keys.
        msk: Option<Msk>,
        /// How long the session may last.
        limit: Option<SessionLimit>,
    },
    /// Access-Reject: the end, whatever the EAP packet in it says.
    Reject {
        /// The EAP packet, EAP-Failure, if there is one.
        eap: Option<Vec<u8>>,
    },
}

/// How long a session may last (RFC 2865 §5.27 and §5.29, RFC 3580 §3.17).
///
/// An Access-Accept should have each attribute once (RFC 2865 §5.44). If a proxy has added its own
/// to the server's, the narrower one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimit {
    /// Session-Timeout.
    pub after: Duration,
    /// Termination-Action RADIUS-Request: the session goes on if the next authentication succeeds.
    /// Otherwise it ends.
    pub reauthenticate: bool,
}

impl SessionLimit {
    fn of(packet: &Packet<'_>) -> Result<Option<Self>, Error> {
        let actions = packet.numbers(AttributeType::TERMINATION_ACTION)?;
        let timeouts = packet.numbers(AttributeType::SESSION_TIMEOUT)?;
        let goes_on = |action: &u32| *action == RADIUS_REQUEST;
        Ok(timeouts.into_iter().min().map(|seconds| SessionLimit {
            after: Duration::from_secs(seconds.into()),
            reauthenticate: !actions.is_empty() && actions.iter().all(goes_on),
        }))
    }
}

/// What to do at the time of [`Client::poll_timeout`].
#[derive(Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Send this datagram, the same as before.
    Retransmit(Vec<u8>),
    /// The server doesn't answer, and the client has given the request up.
    GaveUp,
}

/// The outstanding request.
struct Outstanding {
    identifier: u8,
    authenticator: [u8; 16],
    datagram: Vec<u8>,
    retransmissions: u32,
    wait: Duration,
    next: Instant,
    end: Instant,
}

/// A RADIUS client for EAP.
pub struct Client {
    secret: Secret,
    /// The identity of the latest EAP-Response/Identity.
    user_name: Option<Vec<u8>>,
    nas_identifier: Vec<u8>,
    identifier: u8,
    state: Option<Vec<u8>>,
    outstanding: Option<Outstanding>,
}

impl Client {
    /// Makes a client; `nas_identifier` names this gateway.
    ///
    /// # Errors
    /// [`Error::AttributeLength`] if the name is empty or longer than 253 octets.
    pub fn new(secret: Secret, nas_identifier: &str) -> Result<Self, Error> {
        if !(1..=253).contains(&nas_identifier.len()) {
            return Err(Error::AttributeLength {
                attribute: AttributeType::NAS_IDENTIFIER,
                octets: nas_identifier.len(),
            });
        }
        Ok(Client {
            secret,
            user_name: None,
            nas_identifier: nas_identifier.as_bytes().to_vec(),
            identifier: 0,
            state: None,
            outstanding: None,
        })
    }

    /// Builds the datagram that carries an EAP response, which replaces an outstanding request. The
    /// identity of an EAP-Response/Identity becomes the User-Name of this request and of the
    /// following ones (RFC 3579 §2.1).
    ///
    /// `authenticator` must be 16 octets from the system's random generator, new for each call: the
    /// keys in the answer are encrypted under it.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the EAP packet doesn't fit, [`Error::AttributeLength`] if the identity
    /// doesn't fit, [`Error::NoUserName`] if there was no identity. Nothing has changed then.
    pub fn request(
        &mut self,
        now: Instant,
        authenticator: [u8; 16],
        eap: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let identifier = self.identifier;
        let identity = identity(eap).or(self.user_name.as_deref());
        let user_name = identity.ok_or(Error::NoUserName)?.to_vec();
        let writer = Writer::new(Code::AccessRequest, identifier, &authenticator)
            .attribute(AttributeType::USER_NAME, &user_name)
            .attribute(AttributeType::NAS_IDENTIFIER, &self.nas_identifier)
            .attribute(AttributeType::SERVICE_TYPE, &FRAMED)
            .attribute(AttributeType::FRAMED_MTU, &FRAMED_MTU)
            .eap(eap);
        let writer = match &self.state {
            Some(state) => writer.attribute(AttributeType::STATE, state),
            None => writer,
        };
        let datagram = writer.finish_request(&self.secret)?;
        self.user_name = Some(user_name);
        self.identifier = identifier.wrapping_add(1);
        let wait = jittered(INITIAL_RETRANSMISSION_TIME, authenticator[0]);
        self.outstanding = Some(Outstanding {
            identifier,
            authenticator,
            datagram: datagram.clone(),
            retransmissions: 0,
            wait,
            next: now + wait,
            end: now + MAX_RETRANSMISSION_DURATION,
        });
        Ok(datagram)
    }

    /// Handles a datagram from the server.
    ///
    /// # Errors
    /// Ignore the datagram. The request stays outstanding, since anybody can send a forgery.
    pub fn handle(&mut self, datagram: &[u8]) -> Result<Answer, Error> {
        let outstanding = self.outstanding.as_ref().ok_or(Error::NothingAsked)?;
        let packet = Packet::parse(datagram)?;
        if packet.identifier != outstanding.identifier {
            return Err(Error::Identifier {
                expected: outstanding.identifier,
                got: packet.identifier,
            });
        }
        packet.verify_answer(&self.secret, &outstanding.authenticator)?;
        let eap = packet.eap()?;
        let missing = Error::NoEapMessage(packet.code);
        let answer = match packet.code {
            Code::AccessChallenge => Answer::Challenge {
                eap: eap.ok_or(missing)?,
            },
            Code::AccessAccept => Answer::Accept {
                eap: eap.ok_or(missing)?,
                msk: Msk::from_accept(&packet, &self.secret, &outstanding.authenticator)?,
                limit: SessionLimit::of(&packet)?,
            },
            Code::AccessReject => Answer::Reject { eap },
            Code::AccessRequest => return Err(Error::Code(1)),
        };
        // State belongs to the conversation that an Access-Challenge continues (RFC 2865 §5.24).
        self.state = match answer {
            Answer::Challenge { .. } => packet
                .values(AttributeType::STATE)
                .next()
                .map(<[u8]>::to_vec),
            Answer::Accept { .. } | Answer::Reject { .. } => None,
        };
        self.outstanding = None;
        Ok(answer)
    }

    /// Gives up the conversation, with its outstanding request and the server's State.
    pub fn abandon(&mut self) {
        self.outstanding = None;
        self.state = None;
    }

    /// When to call [`Client::handle_timeout`]; `None` if no request is outstanding. The time may
    /// change with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outstanding
            .as_ref()
            .map(|outstanding| outstanding.next.min(outstanding.end))
    }

    /// Runs the timer; `None` if it isn't due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        let outstanding = self.outstanding.as_mut()?;
        if now < outstanding.next.min(outstanding.end) {
            return None;
        }
        if now >= outstanding.end || outstanding.retransmissions == MAX_RETRANSMISSION_COUNT {
            self.abandon();
            return Some(Timeout::GaveUp);
        }
        outstanding.retransmissions += 1;
        let random = outstanding.authenticator[outstanding.retransmissions as usize];
        outstanding.wait = jittered((outstanding.wait * 2).min(MAX_RETRANSMISSION_TIME), random);
        outstanding.next = now + outstanding.wait;
        Some(Timeout::Retransmit(outstanding.datagram.clone()))
    }
}

/// The identity of an EAP-Response/Identity (RFC 3748 §5.1).
fn identity(eap: &[u8]) -> Option<&[u8]> {
    match eap {
        [2, _, _, _, 1, identity @ ..] if !identity.is_empty() => Some(identity),
        _ => None,
    }
}

/// Makes a wait up to a tenth longer or shorter (RFC 5080 §2.2.1). The Request Authenticator is the
/// source of randomness.
fn jittered(wait: Duration, random: u8) -> Duration {
    wait * (1152 + u32::from(random)) / 1280
}
