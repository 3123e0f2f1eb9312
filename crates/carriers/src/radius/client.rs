//! The client. It has one conversation and one outstanding request at a time, and retransmits the
//! request unchanged until it gets a valid answer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packet::Writer;
use super::{AttributeType, Code, Error, Msk, Packet, Secret};

/// IRT, MRT, MRC and MRD of RFC 5080 §2.2.1.
const INITIAL_RETRANSMISSION_TIME: Duration = Duration::from_secs(2);
const MAX_RETRANSMISSION_TIME: Duration = Duration::from_secs(16);
const MAX_RETRANSMISSION_COUNT: u32 = 5;
const MAX_RETRANSMISSION_DURATION: Duration = Duration::from_secs(30);

/// The number of retransmissions after which another server is asked, about 14 seconds.
const RETRANSMISSIONS_BEFORE_ANOTHER: u32 = 2;

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
    /// Send this datagram, the same as before (RFC 5080 §2.2.1).
    Retransmit {
        /// The datagram.
        datagram: Vec<u8>,
        /// How often it was sent again, this time included.
        count: u32,
    },
    /// The server doesn't answer, and the client has given the request up.
    GaveUp(Silence),
}

/// What a client heard of a server that gave no valid answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// How many datagrams it sent.
    pub sent: u32,
    /// Why it ignored the last answer, if there was any.
    pub ignored: Option<Error>,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ignored {
            Some(error) => write!(f, "its answers were ignored: {error}"),
            None => write!(
                f,
                "no answer to {} packets: no RADIUS server is there, it doesn't know this client, \
                 or it has another secret",
                self.sent
            ),
        }
    }
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
    ignored: Option<Error>,
}

/// A RADIUS client for EAP.
pub struct Client {
    secret: Arc<Secret>,
    /// The identity of the latest EAP-Response/Identity.
    user_name: Option<Vec<u8>>,
    nas_identifier: Vec<u8>,
    identifier: u8,
    state: Option<Vec<u8>>,
    outstanding: Option<Outstanding>,
    /// Identifier and authenticator of the request that was answered last.
    answered: Option<(u8, [u8; 16])>,
    max_retransmissions: u32,
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
            secret: Arc::new(secret),
            user_name: None,
            nas_identifier: nas_identifier.as_bytes().to_vec(),
            identifier: 0,
            state: None,
            outstanding: None,
            answered: None,
            max_retransmissions: MAX_RETRANSMISSION_COUNT,
        })
    }

    /// Gives a request up sooner, if there is another server to turn to.
    pub fn set_alternative(&mut self, is_there: bool) {
        self.max_retransmissions = match is_there {
            true => RETRANSMISSIONS_BEFORE_ANOTHER,
            false => MAX_RETRANSMISSION_COUNT,
        };
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
            ignored: None,
        });
        Ok(datagram)
    }

    /// Handles a datagram from the server.
    ///
    /// # Errors
    /// Ignore the datagram. The request stays outstanding, since anybody can send a forgery.
    pub fn handle(&mut self, datagram: &[u8]) -> Result<Answer, Error> {
        let answer = self.judge(datagram);
        if let (Err(error), Some(outstanding)) = (&answer, &mut self.outstanding)
            && !matches!(error, Error::Again(_))
        {
            outstanding.ignored = Some(*error);
        }
        answer
    }

    fn judge(&mut self, datagram: &[u8]) -> Result<Answer, Error> {
        let packet = Packet::parse(datagram)?;
        if let Some((identifier, authenticator)) = &self.answered
            && packet.identifier == *identifier
            && packet.verify_answer(&self.secret, authenticator).is_ok()
        {
            return Err(Error::Again(packet.code));
        }
        let outstanding = self.outstanding.as_ref().ok_or(Error::NothingAsked)?;
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
            code @ (Code::AccessRequest | Code::StatusServer) => {
                return Err(Error::Code(code.octet()));
            }
        };
        // State belongs to the conversation that an Access-Challenge continues (RFC 2865 §5.24).
        self.state = match answer {
            Answer::Challenge { .. } => packet
                .values(AttributeType::STATE)
                .next()
                .map(<[u8]>::to_vec),
            Answer::Accept { .. } | Answer::Reject { .. } => None,
        };
        self.answered = Some((outstanding.identifier, outstanding.authenticator));
        self.outstanding = None;
        Ok(answer)
    }

    /// Gives up the conversation, with its outstanding request and the server's State. Returns what
    /// was heard in answer to the request.
    pub fn abandon(&mut self) -> Option<Silence> {
        self.state = None;
        self.outstanding.take().map(|outstanding| Silence {
            sent: 1 + outstanding.retransmissions,
            ignored: outstanding.ignored,
        })
    }

    /// How often the outstanding request was sent again.
    pub fn retransmissions(&self) -> u32 {
        let outstanding = self.outstanding.as_ref();
        outstanding.map_or(0, |outstanding| outstanding.retransmissions)
    }

    /// Builds a Status-Server, which asks whether the server is there (RFC 5997 §3). It is
    /// never sent again: the next one has another identifier and authenticator (§4.1), 16 octets
    /// from the system's random generator.
    pub fn probe(&mut self, authenticator: [u8; 16]) -> Probe {
        let identifier = self.identifier;
        self.identifier = identifier.wrapping_add(1);
        let datagram = Writer::new(Code::StatusServer, identifier, &authenticator)
            .attribute(AttributeType::NAS_IDENTIFIER, &self.nas_identifier)
            .finish_request(&self.secret);
        Probe {
            secret: Arc::clone(&self.secret),
            identifier,
            authenticator,
            datagram: datagram.expect("the NAS identifier has 1 to 253 octets"),
        }
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
        if now >= outstanding.end || outstanding.retransmissions >= self.max_retransmissions {
            return self.abandon().map(Timeout::GaveUp);
        }
        outstanding.retransmissions += 1;
        let random = outstanding.authenticator[outstanding.retransmissions as usize];
        outstanding.wait = jittered((outstanding.wait * 2).min(MAX_RETRANSMISSION_TIME), random);
        outstanding.next = now + outstanding.wait;
        Some(Timeout::Retransmit {
            datagram: outstanding.datagram.clone(),
            count: outstanding.retransmissions,
        })
    }
}

/// A Status-Server that waits for its answer.
#[derive(Debug)]
pub struct Probe {
    secret: Arc<Secret>,
    identifier: u8,
    authenticator: [u8; 16],
    /// The datagram to send.
    pub datagram: Vec<u8>,
}

impl Probe {
    /// Verifies that a datagram is the answer. Older servers add no Message-Authenticator to it:
    /// whoever forges one learns and changes nothing, but has us ask the server again.
    ///
    /// # Errors
    /// Ignore the datagram, and go on waiting, since anybody can send a forgery.
    pub fn verify(&self, datagram: &[u8]) -> Result<(), Error> {
        let packet = Packet::parse(datagram)?;
        if packet.identifier != self.identifier {
            return Err(Error::Identifier {
                expected: self.identifier,
                got: packet.identifier,
            });
        }
        packet.verify_response_authenticator(&self.secret, &self.authenticator)
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
