//! The EAP peer, with keyd behind it. Each [`Ask`] of the peer becomes a request to keyd. The
//! conversation closes each session that keyd opens for it.

use std::time::{Duration, Instant};

use softsim_carriers::radius::Msk;
use softsim_client::keyd::Error;
use softsim_client::netd::{Authentication, Failure};
use softsim_client::proto::requests::{
    AkaChallenge, AkaPrimeChallenge, CloseSession, Confirm, EapMac, EapVerify, EncryptCounter,
    Identity, IdentityRefused, Reauthenticate, Status,
};
use softsim_client::proto::{
    self, AkaAnswer, Call, IdentityPrivacy, PacketFault, Realm, Refusal, SecretSlice,
};
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Config, ForwardSecrecy, IdentityKind, IdentityRequest, Method,
    Nai, Note, Outcome, OuterIdentity, Output, Peer, Reason, ReauthenticationAnswer, Success,
    Unprocessable,
};
use softsim_eap_packet::Kind;

use crate::keyd::{Keyd, RequestError};
use crate::progress::Fault;

mod fast;

use fast::FastRefusals;

/// How many refusals, each at least such a part of keyd's patience after the one before, end it.
const PATIENCE_PARTS: u32 = 4;

/// The type of AT_MAC (RFC 4187 §10.15).
const AT_MAC: u8 = Kind::MAC.0;

/// What an access allows its peer, and what it asks keyd for.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The configuration of the peer.
    pub peer: Config,
    /// The realm of the identities that keyd makes.
    pub realm: Realm,
}

/// What the owner of the conversation has to do.
#[derive(Debug)]
pub enum Action {
    /// Send this packet to the server.
    Send(Vec<u8>),
    /// Show this to people.
    Note(Note),
    /// The conversation has ended. After a success, keyd keeps the session until
    /// [`Conversation::settle`].
    Ended(Result<Authentication, Fault>),
}

/// The stage of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server requests identities.
    Identity,
    /// The server has sent a challenge or a re-authentication.
    Challenge,
}

/// A session of keyd for the keys of a challenge or re-authentication.
#[derive(Clone, Copy, Debug)]
struct Session {
    handle: u32,
    /// The number of the connection that it belongs to.
    connection: u64,
}

/// A sequence of conversations with one peer.
#[derive(Debug)]
pub struct Conversation {
    keyd: Keyd,
    /// The number of the connection to keyd of the last request that belongs to no session.
    connection: u64,
    /// The number of the connection that was lost last.
    lost: u64,
    peer: Peer,
    realm: Realm,
    network_name: String,
    /// The methods that the peer asks for if the server offers another.
    methods: Vec<Method>,
    /// keyd's session for the keys of the last challenge or re-authentication.
    session: Option<Session>,
    /// The MSK that the server sent.
    received: Option<Msk>,
    /// The sessions that nobody needs any more.
    stale: Vec<Session>,
    stage: Stage,
    over: bool,
    synchronised: bool,
    /// The first identity that the network saw, and its kind.
    first_identity: Option<(String, IdentityKind)>,
    /// Whether the server's last word was to ask for an identity for full authentication, inside
    /// the method, and it got a pseudonym.
    full_authentication: bool,
    /// Whether it got a pseudonym in this conversation.
    pseudonym: bool,
    fast_refusals: FastRefusals,
    /// Whether the last re-authentication identity that an authenticator got without our asking,
    /// while the carrier was authorised, has led to no success. Anybody can ask for an identity,
    /// and some authenticators do so as a keep-alive, so that such requests get a pseudonym until
    /// an authentication that the network begins succeeds. They thus cost one re-authentication
    /// identity, and a network that re-authenticates us gets one each time.
    given_away: bool,
    forward_secrecy_required: bool,
    /// Whether the network refused an identity in this conversation so that keyd's patience counts
    /// it.
    counted: bool,
    /// Whether the carrier is authorised already. Then no refusal counts, since anybody on the
    /// wire can ask us for identities, and we aren't kept out.
    authorised: bool,
    /// Whether we asked for the present attempt.
    asked: bool,
    /// Why keyd last left the peer without what it asked for, if the peer itself can't express it.
    refused: Option<RequestError>,
    /// The profile whose SIM refused AUTN.
    challenged: Option<String>,
}

impl Conversation {
    /// Waits for the first request of a server.
    pub fn new(keyd: Keyd, policy: &Policy) -> Self {
        let first_identity = match &policy.peer.outer {
            OuterIdentity::Fixed(identity) => Some(described(&identity.nai, identity.kind)),
            _ => None,
        };
        Self {
            keyd,
            connection: 0,
            lost: 0,
            peer: Peer::new(policy.peer.clone()),
            realm: policy.realm,
            network_name: policy.peer.network_name.to_string(),
            methods: policy.peer.allowed().collect(),
            session: None,
            received: None,
            stale: Vec::new(),
            stage: Stage::Identity,
            over: false,
            synchronised: false,
            first_identity,
            full_authentication: false,
            pseudonym: false,
            fast_refusals: FastRefusals::default(),
            given_away: false,
            counted: false,
            authorised: false,
            asked: true,
            forward_secrecy_required: policy.peer.forward_secrecy == ForwardSecrecy::Require,
            refused: None,
            challenged: None,
        }
    }

    /// The present stage.
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether keyd has synchronised its SQN.
    pub(super) fn synchronised(&self) -> bool {
        self.synchronised
    }

    /// The first identity that the network saw.
    pub(super) fn first_identity(&self) -> Option<&str> {
        self.first_identity.as_ref().map(|(nai, _)| nai.as_str())
    }

    /// The last refusal of keyd in this conversation.
    pub(super) fn refusal(&self) -> Option<Fault> {
        self.refused.as_ref().map(Fault::from)
    }

    /// The number of the connection to keyd that was lost in this conversation, if one was.
    pub(super) fn lost(&self) -> Option<u64> {
        let lost = matches!(self.refused, Some(RequestError::Lost(_)));
        lost.then_some(self.lost)
    }

    /// Says whether the carrier was authorised when the next packet came, and whether the packet
    /// belongs to an attempt that we asked for.
    pub(super) fn set_authorised(&mut self, authorised: bool, asked: bool) {
        (self.authorised, self.asked) = (authorised, asked);
    }

    /// Whether the server has proved itself, and the conversation goes on.
    pub(super) fn has_proof(&self) -> bool {
        self.peer.has_proof()
    }

    /// The subscriber is another one: what networks refused was not its identity.
    pub(super) fn forget_refusals(&mut self) {
        self.fast_refusals = FastRefusals::default();
        self.given_away = false;
    }

    /// The time after which the next refusal would end another quarter of keyd's patience, if the
    /// network's last one counted and the permanent identity wasn't shown yet. Each refusal ends no
    /// more than one quarter, so that longer waits between attempts only keep the gateway out.
    pub(super) fn patience_quarter(&mut self) -> Option<Duration> {
        if !std::mem::take(&mut self.counted) {
            return None;
        }
        let status = self.call(&Status {}).ok()?;
        let identities = status.identities?;
        let waits = identities.privacy == IdentityPrivacy::Patient
            && identities.pseudonyms > 0
            && identities.shown == 0;
        let patience = Duration::from_secs(status.enforcement.identity_patience.into());
        waits.then(|| patience / PATIENCE_PARTS)
    }

    /// Takes a packet of the server.
    pub fn receive(&mut self, packet: &[u8]) {
        self.peer.handle_packet(packet);
    }

    /// Takes a packet of the server, and the MSK that the server sent with it. Then a success
    /// counts only if keyd has the same MSK.
    pub(super) fn receive_with_msk(&mut self, packet: &[u8], msk: Option<Msk>) {
        self.received = msk;
        self.receive(packet);
    }

    /// Ends the conversation, because the carrier failed, or because the network has rejected us
    /// without an EAP packet that the peer believes.
    pub(super) fn abandon(&mut self, rejected: bool) {
        self.received = None;
        self.over = true;
        match rejected {
            true => self.peer.rejected(),
            false => self.peer.carrier_failed(),
        }
    }

    /// The next thing to do. Call it until it returns `None`, do what it returned, and then call
    /// [`Self::settle`].
    pub fn poll(&mut self) -> Option<Action> {
        while let Some(output) = self.peer.poll() {
            return Some(match output {
                Output::Send(packet) => Action::Send(packet),
                Output::Note(note) => Action::Note(note),
                Output::Refused => {
                    self.count_fast_refusal();
                    self.tell_refusal(true);
                    self.over = true;
                    continue;
                }
                // Whoever abandoned the conversation knows that.
                Output::Done(outcome @ Outcome::Failure(Reason::Carrier)) => {
                    self.end(outcome);
                    continue;
                }
                Output::Done(outcome) => self.end(outcome),
                Output::Ask(ask) => {
                    let answer = self.ask(ask);
                    self.peer.answer(answer);
                    continue;
                }
            });
        }
        None
    }

    /// Has keyd close the sessions that are over. Call it when nobody waits.
    pub fn settle(&mut self) {
        if self.over {
            self.stale.extend(self.session.take());
        }
        while let Some(session) = self.stale.pop() {
            let Session { handle, connection } = session;
            // If keyd doesn't, it closes the session with the connection.
            let _ = self.keyd.call_over(connection, &CloseSession { handle });
        }
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        match (ask, self.session) {
            (
                Ask::Identity {
                    method,
                    any_method,
                    wanted,
                    inside,
                },
                _,
            ) => self.identity(method, any_method, wanted, inside),
            (
                Ask::Challenge {
                    method: Method::AkaPrime,
                    packet,
                    identity,
                    group,
                    ..
                },
                _,
            ) => self.challenge(&AkaPrimeChallenge {
                iccid: None,
                identity: &identity,
                packet: &packet,
                forward_secrecy: group,
            }),
            (
                Ask::Challenge {
                    method: Method::Aka,
                    packet,
                    identity,
                    refuse_separation_bit,
                    ..
                },
                _,
            ) => self.challenge(&AkaChallenge {
                iccid: None,
                identity: &identity,
                packet: &packet,
                refuse_separation_bit,
            }),
            (
                Ask::Reauthentication {
                    packet, identity, ..
                },
                _,
            ) => self.reauthentication(&packet, &identity),
            (Ask::Verify { packet }, Some(session)) => self.verify(session, &packet),
            (Ask::Mac { packet }, Some(session)) => self.mac(session, &packet),
            (Ask::EncryptedCounter, Some(session)) => self.encrypted_counter(session),
            (Ask::Verify { .. } | Ask::Mac { .. } | Ask::EncryptedCounter, None) => {
                Answer::Unavailable
            }
        }
    }

    fn verify(&mut self, session: Session, packet: &[u8]) -> Answer {
        let handle = session.handle;
        match self.call_in(session, &EapVerify { handle, packet }) {
            Ok(()) => Answer::Verify(true),
            Err(RequestError::Refused(Refusal::Packet(_))) => Answer::Verify(false),
            Err(error) => self.unavailable(error),
        }
    }

    fn mac(&mut self, session: Session, packet: &[u8]) -> Answer {
        let handle = session.handle;
        match self.call_in(session, &EapMac { handle, packet }) {
            Ok(answer) => Answer::Mac(answer.mac),
            Err(error) => self.unavailable(error),
        }
    }

    fn encrypted_counter(&mut self, session: Session) -> Answer {
        let handle = session.handle;
        match self.call_in(session, &EncryptCounter { handle }) {
            Ok(proto::EncryptedAnswer { iv, data }) => Answer::Encrypted { iv, data },
            Err(error) => self.unavailable(error),
        }
    }

    fn identity(
        &mut self,
        method: Method,
        any_method: bool,
        wanted: IdentityRequest,
        inside: bool,
    ) -> Answer {
        if std::mem::replace(&mut self.over, false) {
            // A new conversation begins: the network has seen no identity of it yet.
            self.first_identity = None;
            self.stage = Stage::Identity;
            self.refused = None;
            self.pseudonym = false;
            self.counted = false;
        }
        self.full_authentication = false;
        let unasked = self.authorised && !self.asked;
        let refused = !inside && self.fast_refusals.are_too_many(Instant::now());
        let wanted = match wanted {
            IdentityRequest::Any if refused || unasked && self.given_away => {
                IdentityRequest::FullAuthentication
            }
            wanted => wanted,
        };
        let inside = inside && !self.authorised;
        let network_name = std::mem::take(&mut self.network_name);
        let given = self.call(&Identity {
            iccid: None,
            method,
            any_method,
            kind: wanted,
            inside,
            realm: self.realm,
            network_name: &network_name,
        });
        self.network_name = network_name;
        match given {
            Ok(proto::IdentityAnswer { nai, kind }) => match Nai::new(nai) {
                Ok(nai) => {
                    self.first_identity
                        .get_or_insert_with(|| described(&nai, kind));
                    self.pseudonym |= kind == IdentityKind::Pseudonym;
                    self.given_away |= unasked && kind == IdentityKind::Reauthentication;
                    self.full_authentication = inside
                        && wanted == IdentityRequest::FullAuthentication
                        && kind == IdentityKind::Pseudonym;
                    Answer::Identity(softsim_eap::Identity { nai, kind })
                }
                Err(_) => Answer::Unavailable,
            },
            Err(
                refused @ RequestError::Refused(
                    Refusal::IdentityWithheld | Refusal::NoHomeNetworkKey,
                ),
            ) => {
                self.refused = Some(refused);
                self.counted |= inside && wanted == IdentityRequest::Permanent;
                Answer::Withheld
            }
            Err(error) => self.unavailable(error),
        }
    }

    fn challenge<C: Call<Answer = AkaAnswer>>(&mut self, request: &C) -> Answer {
        self.begin_session();
        let answer = match self.call(request) {
            Ok(AkaAnswer::Success {
                handle,
                res,
                public_key,
            }) => {
                self.open_session(handle);
                let res = res.expose().to_vec();
                let res_bits = u16::try_from(res.len() * 8).unwrap_or(u16::MAX);
                ChallengeAnswer::Success {
                    res,
                    res_bits,
                    public_key,
                }
            }
            Ok(AkaAnswer::SynchronisationFailure { auts }) => {
                self.synchronised = true;
                ChallengeAnswer::SyncFailure(auts)
            }
            Err(refused @ RequestError::Refused(Refusal::Autn(_))) => {
                self.refused = Some(refused);
                let status = self.call(&Status {}).ok();
                let profile = status.and_then(|status| status.profile);
                self.challenged = profile.map(|profile| profile.iccid);
                ChallengeAnswer::AutnRejected
            }
            Err(RequestError::Refused(Refusal::Packet(
                PacketFault::Mac | PacketFault::Missing(AT_MAC),
            ))) => ChallengeAnswer::MacInvalid,
            Err(RequestError::Refused(Refusal::Packet(PacketFault::PublicKey))) => {
                ChallengeAnswer::PublicKeyInvalid
            }
            Err(error) => return self.unavailable(error),
        };
        Answer::Challenge(answer)
    }

    fn reauthentication(&mut self, packet: &[u8], identity: &[u8]) -> Answer {
        self.begin_session();
        let answer = match self.call(&Reauthenticate {
            iccid: None,
            identity,
            packet,
        }) {
            Ok(proto::ReauthenticationAnswer::Fresh {
                handle, nonce_s, ..
            }) => {
                self.open_session(handle);
                ReauthenticationAnswer::Fresh { nonce_s }
            }
            Ok(proto::ReauthenticationAnswer::CounterTooSmall { handle, .. }) => {
                self.open_session(handle);
                ReauthenticationAnswer::CounterTooSmall
            }
            Err(
                refused @ RequestError::Refused(Refusal::Packet(_) | Refusal::NoReauthentication),
            ) => {
                self.refused = Some(refused);
                ReauthenticationAnswer::Invalid
            }
            Err(error) => return self.unavailable(error),
        };
        Answer::Reauthentication(answer)
    }

    /// Nobody needs the keys of the last challenge any more.
    fn begin_session(&mut self) {
        self.stale.extend(self.session.take());
        self.received = None;
        if self.lost().is_some() {
            self.refused = None;
        }
        self.stage = Stage::Challenge;
        self.over = false;
        self.full_authentication = false;
        self.pseudonym = false;
    }

    /// keyd has opened a session in the last call.
    fn open_session(&mut self, handle: u32) {
        let connection = self.connection;
        self.session = Some(Session { handle, connection });
    }

    fn call<C: Call>(&mut self, request: &C) -> Result<C::Answer, RequestError> {
        let (connection, answer) = self.keyd.call_numbered(request);
        self.connection = connection;
        self.note_loss(connection, answer)
    }

    /// Asks for something in a session. If its connection is no more, the session is lost with it,
    /// as if keyd had ended now.
    fn call_in<C: Call>(
        &mut self,
        session: Session,
        request: &C,
    ) -> Result<C::Answer, RequestError> {
        let answer = self.keyd.call_over(session.connection, request);
        self.note_loss(session.connection, answer)
    }

    fn note_loss<T>(
        &mut self,
        connection: u64,
        answer: Result<T, Error>,
    ) -> Result<T, RequestError> {
        let answer = answer.map_err(RequestError::from);
        if let Err(RequestError::Lost(_)) = answer {
            self.lost = connection;
        }
        answer
    }

    fn unavailable(&mut self, error: RequestError) -> Answer {
        self.refused = Some(error);
        Answer::Unavailable
    }

    fn end(&mut self, outcome: Outcome) -> Action {
        self.over = true;
        self.stage = Stage::Identity;
        let received = self.received.take();
        let success = match outcome {
            Outcome::Success(success) => success,
            Outcome::Failure(reason) => {
                self.tell_refusal(self.is_refusal(&reason));
                return Action::Ended(Err(self.fault(reason)));
            }
        };
        let Some(session) = self.session else {
            let reason = "success without a session of softsim-keyd";
            let otherwise = Fault::new(Failure::Internal, reason);
            return Action::Ended(Err(self.refusal().unwrap_or(otherwise)));
        };
        let msk = received.as_ref().map(|msk| SecretSlice(msk.expose()));
        let handle = session.handle;
        Action::Ended(match self.call_in(session, &Confirm { handle, msk }) {
            Ok(()) => {
                if success.reauthenticated {
                    self.fast_refusals = FastRefusals::default();
                }
                self.given_away &= self.asked;
                Ok(self.authentication(&success))
            }
            Err(error) => {
                let fault = Fault::from(&error);
                self.refused = Some(error);
                Err(fault)
            }
        })
    }

    /// Whether the network let the authentication fail because of the identity that it saw. Silence
    /// is no failure of this kind, and neither is a message that we reject: a network that sends a
    /// challenge knows the identity.
    ///
    /// With required forward secrecy, the permanent identity is never shown, and keyd hasn't heard
    /// of a network that asks for it.
    fn is_refusal(&self, reason: &Reason) -> bool {
        match reason {
            Reason::Notified(_)
            | Reason::Unprocessable(
                Unprocessable::IdentityOrder | Unprocessable::IdentityRequests { .. },
            ) => true,
            Reason::Unprocessable(Unprocessable::IdentityWithheld) => self.forward_secrecy_required,
            _ => false,
        }
    }

    /// What comes while the carrier is authorised may be anybody's.
    fn count_fast_refusal(&mut self) {
        let first = self.first_identity.as_ref().map(|(_, kind)| *kind);
        if first == Some(IdentityKind::Reauthentication) && !self.authorised {
            self.fast_refusals.count(Instant::now());
        }
    }

    /// If the network refused a pseudonym, tells keyd, so that the network sees another identity
    /// next. It counts for keyd's patience if the network had asked for an identity for full
    /// authentication, unless the permanent identity is never shown.
    fn tell_refusal(&mut self, refused: bool) {
        let full_authentication = std::mem::take(&mut self.full_authentication);
        if std::mem::take(&mut self.pseudonym) && refused && !self.authorised {
            let counts = full_authentication && !self.forward_secrecy_required;
            let refused = IdentityRefused {
                iccid: None,
                counts,
            };
            // Without keyd, it is as if the network had not answered.
            self.counted |= self.call(&refused).is_ok() && counts;
        }
    }

    fn authentication(&self, success: &Success) -> Authentication {
        let kind = self.first_identity.as_ref().map(|(_, kind)| *kind);
        Authentication {
            method: success.method.to_string(),
            identity: kind.map_or_else(|| "unknown".into(), |kind| kind.to_string()),
            reauthenticated: success.reauthenticated,
            forward_secrecy: success.forward_secrecy,
            session_id: hex::encode(success.session_id),
        }
    }

    fn fault(&self, reason: Reason) -> Fault {
        let refusal = match &self.refused {
            Some(lost @ RequestError::Lost(_)) => return lost.into(),
            Some(RequestError::Refused(refusal)) => Some(refusal),
            None => None,
        };
        let failure = match (&reason, refusal) {
            (_, Some(Refusal::RetryAfter { .. })) => Failure::Busy,
            (Reason::Carrier, _) => Failure::Unavailable,
            (Reason::Unprocessable(Unprocessable::Sim | Unprocessable::IdentityWithheld), _) => {
                Failure::Refused
            }
            (Reason::Unprocessable(_) | Reason::NoCommonMethod { .. }, _) => Failure::Protocol,
            _ => Failure::Refused,
        };
        match (refusal, &self.challenged) {
            (Some(refusal @ Refusal::Autn(_)), Some(iccid)) => {
                Fault::new(failure, format!("profile {iccid}: {refusal}"))
            }
            (Some(refusal), _) => Fault::new(failure, format!("{reason} ({refusal})")),
            (None, _) if matches!(reason, Reason::NoCommonMethod { .. }) => {
                let methods = self.methods.iter().map(Method::to_string);
                let asked = methods.collect::<Vec<_>>().join(" or ");
                Fault::new(failure, format!("{reason}, and we asked for {asked}"))
            }
            (None, _) => Fault::new(failure, reason),
        }
    }
}

fn described(nai: &Nai, kind: IdentityKind) -> (String, IdentityKind) {
    let text = String::from_utf8_lossy(nai.as_bytes());
    (text.into_owned(), kind)
}
