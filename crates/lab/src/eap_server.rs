//! An EAP-AKA' server without sockets or clock: one conversation, full authentication (RFC 9048, RFC 4187).
//!
//! Responses go in, and each gives the [`Step`] that comes next. The server asks the AuC for vectors and holds the
//! keys of its conversation; it keeps no pseudonyms, so every identity has to name an IMSI in the end.

use std::fmt;

use sha2::{Digest, Sha256};
use softsim_aka::eap::{AkaPrimeKeys, at_mac, verify_at_mac};
use softsim_aka::kdf::{BadNetworkName, NetworkName, ck_ik_prime};
use softsim_aka::{Auts, Msk, Res};
use softsim_eap::packet::{
    self, AkaError, AkaMessage, Attribute, Builder, Code, Draft, Notification, Packet, Subtype,
    Type,
};

use crate::auc::{Auc, AucError, AuthenticationVector};

/// AT_KDF 1: CK' and IK' as in RFC 9048 §3.3, the only function this server has.
const KDF: u16 = 1;

/// How the server leads its conversations.
#[derive(Clone, Debug)]
pub struct Config {
    /// The access network's identity, for AT_KDF_INPUT.
    pub network_name: String,
    /// An identity request to open with, whatever EAP-Response/Identity said.
    pub ask_identity: Option<IdentityRequest>,
    /// The functions to offer in AT_KDF, in order of preference; 1 should be one of them.
    pub kdfs: Vec<u16>,
    /// Whether to offer protected success indications (AT_RESULT_IND).
    pub result_indication: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network_name: "WLAN".into(),
            ask_identity: Some(IdentityRequest::Any),
            kdfs: vec![KDF],
            result_indication: false,
        }
    }
}

/// Which identity AKA-Identity asks for, from the least revealing on (RFC 4187 §4.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityRequest {
    /// AT_ANY_ID_REQ.
    Any,
    /// AT_FULLAUTH_ID_REQ.
    FullAuth,
    /// AT_PERMANENT_ID_REQ.
    Permanent,
}

impl IdentityRequest {
    /// What to ask for when the answer named nobody.
    fn next(self) -> Option<Self> {
        match self {
            Self::Any => Some(Self::FullAuth),
            Self::FullAuth => Some(Self::Permanent),
            Self::Permanent => None,
        }
    }

    fn attribute(self) -> Attribute<'static> {
        match self {
            Self::Any => Attribute::AnyIdReq,
            Self::FullAuth => Attribute::FullauthIdReq,
            Self::Permanent => Attribute::PermanentIdReq,
        }
    }
}

/// What to do after a response.
#[derive(Debug)]
pub enum Step {
    /// Send this request.
    Request(Vec<u8>),
    /// Send EAP-Success: the conversation is over and the peer is who it says.
    Success(Vec<u8>, Box<Session>),
    /// Send EAP-Failure: the conversation is over.
    Failure(Vec<u8>, Reason),
    /// The response is not part of the conversation: do nothing.
    Discard,
}

/// What a successful authentication leaves.
#[derive(Debug)]
pub struct Session {
    /// Who it is.
    pub imsi: String,
    /// For the link.
    pub msk: Msk,
}

/// Why an authentication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No identity that the peer gave names a subscriber.
    UnknownIdentity,
    /// The peer wants another method.
    Nak,
    /// Authentication-Reject: the peer found AUTN bad.
    AuthenticationReject,
    /// Client-Error with this code.
    ClientError(u16),
    /// The response breaks the rules of RFC 4187 §8.1.
    Malformed(AkaError),
    /// The response has no place at this point of the conversation.
    OutOfPlace(Subtype),
    /// AT_MAC is missing or wrong.
    Mac,
    /// AT_RES is missing or wrong.
    Res,
    /// AT_CHECKCODE covers other identity messages than those that passed.
    Checkcode,
    /// The peer's choice in AT_KDF was not on offer, or the copied list was another.
    Kdf,
    /// AUTS is missing or came again right after a resynchronisation.
    Resynchronisation,
    /// The AuC has no vector, or did not believe AUTS.
    Auc(AucError),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIdentity => {
                f.write_str("expected the identity of a subscriber, got none that is known")
            }
            Self::Nak => f.write_str("the peer refuses EAP-AKA'"),
            Self::AuthenticationReject => f.write_str("the peer refuses AUTN"),
            Self::ClientError(code) => write!(f, "the peer reports Client-Error {code}"),
            Self::Malformed(error) => write!(f, "malformed response: {error}"),
            Self::OutOfPlace(subtype) => write!(f, "{subtype} has no place here"),
            Self::Mac => f.write_str("AT_MAC is missing or wrong"),
            Self::Res => f.write_str("AT_RES is missing or wrong"),
            Self::Checkcode => f.write_str("AT_CHECKCODE does not match the identity messages"),
            Self::Kdf => f.write_str("AT_KDF is not what was offered"),
            Self::Resynchronisation => {
                f.write_str("AT_AUTS is missing or resynchronisation did not help")
            }
            Self::Auc(error) => write!(f, "AuC: {error}"),
        }
    }
}

impl std::error::Error for Reason {}

enum State {
    /// EAP-Response/Identity is to come.
    Start,
    /// AKA-Identity was sent.
    Identity(IdentityRequest),
    /// AKA'-Challenge was sent.
    Challenge(Box<Challenge>),
    /// The peer is authenticated, and notified of it.
    Succeeding(Box<Challenge>),
    /// The peer is notified of the failure.
    Failing(Reason),
    /// Success or Failure was sent.
    Over,
}

/// One challenge, and all it takes to judge the response.
struct Challenge {
    imsi: String,
    vector: AuthenticationVector,
    keys: AkaPrimeKeys,
    /// AT_KDF as sent.
    kdfs: Vec<u16>,
    /// Whether this challenge follows a resynchronisation.
    resynchronised: bool,
}

/// The server's side of one conversation.
pub struct Server {
    config: Config,
    state: State,
    /// The identifier of the request that waits for its response.
    identifier: u8,
    /// The identity that goes into the keys: the last one given.
    identity: Vec<u8>,
    /// Over all AKA-Identity messages, for AT_CHECKCODE; none, as long as there was none.
    identity_messages: Option<Sha256>,
}

impl Server {
    /// A conversation that begins with the peer's EAP-Response/Identity.
    ///
    /// # Errors
    /// The configured network name doesn't fit AT_KDF_INPUT.
    pub fn new(config: Config) -> Result<Self, BadNetworkName> {
        NetworkName::new(config.network_name.as_bytes())?;
        Ok(Self {
            config,
            state: State::Start,
            identifier: 0,
            identity: Vec::new(),
            identity_messages: None,
        })
    }

    /// Takes a response and says what comes next.
    pub fn handle(&mut self, auc: &mut Auc, response: &[u8]) -> Step {
        let Ok(response) = Packet::parse(response) else {
            return Step::Discard;
        };
        let started = !matches!(self.state, State::Start);
        if response.code != Code::Response || (started && response.identifier != self.identifier) {
            return Step::Discard;
        }
        self.identifier = response.identifier;
        match (
            std::mem::replace(&mut self.state, State::Over),
            response.typed,
        ) {
            (State::Start, Some((Type::Identity, identity))) => {
                self.identity = identity.to_vec();
                match self.config.ask_identity {
                    Some(request) => self.ask_identity(request),
                    None => self.identified(auc, Some(IdentityRequest::Any)),
                }
            }
            (State::Failing(reason), Some((Type::AkaPrime, _))) => self.fail(reason),
            (State::Identity(_) | State::Challenge(_), Some((Type::Nak, _))) => {
                self.fail(Reason::Nak)
            }
            (
                state @ (State::Identity(_) | State::Challenge(_) | State::Succeeding(_)),
                Some((Type::AkaPrime, _)),
            ) => match response.aka() {
                Ok(message) => self.aka(auc, state, &response, &message),
                Err(error) => self.notify_failure(Reason::Malformed(error)),
            },
            (state, _) => {
                self.state = state;
                Step::Discard
            }
        }
    }

    fn aka(
        &mut self,
        auc: &mut Auc,
        state: State,
        response: &Packet<'_>,
        message: &AkaMessage<'_>,
    ) -> Step {
        match (state, message.subtype) {
            (_, Subtype::ClientError) => self.fail(Reason::ClientError(
                message.client_error_code().unwrap_or(0),
            )),
            (State::Identity(asked), Subtype::Identity) => {
                self.remember_identity_message(response.bytes());
                self.identity = message.identity().unwrap_or_default().to_vec();
                self.identified(auc, asked.next())
            }
            (State::Challenge(challenge), Subtype::Challenge) => {
                match (message.res(), message.kdfs().as_slice()) {
                    (None, [choice]) => self.negotiated(challenge, *choice),
                    _ => self.responded(challenge, message),
                }
            }
            (State::Challenge(_), Subtype::AuthenticationReject) => {
                self.fail(Reason::AuthenticationReject)
            }
            (State::Challenge(challenge), Subtype::SynchronizationFailure) => {
                self.resynchronise(auc, *challenge, message)
            }
            (State::Succeeding(challenge), Subtype::Notification) => {
                match authentic(&challenge.keys, message) {
                    true => self.succeed(*challenge),
                    false => self.fail(Reason::Mac),
                }
            }
            (_, subtype) => self.notify_failure(Reason::OutOfPlace(subtype)),
        }
    }

    fn ask_identity(&mut self, request: IdentityRequest) -> Step {
        self.state = State::Identity(request);
        let draft = finish(
            self.request(Subtype::Identity)
                .attribute(request.attribute()),
        );
        self.remember_identity_message(draft.bytes());
        Step::Request(draft.into_bytes())
    }

    /// An identity is there: go on to the challenge, ask for a more telling one, or give up.
    fn identified(&mut self, auc: &mut Auc, more: Option<IdentityRequest>) -> Step {
        match (
            imsi(&self.identity)
                .filter(|imsi| auc.knows(imsi))
                .map(str::to_owned),
            more,
        ) {
            (Some(imsi), _) => {
                let kdfs = self.config.kdfs.clone();
                self.challenge(auc, imsi, kdfs, false)
            }
            (None, Some(request)) => self.ask_identity(request),
            (None, None) => self.notify_failure(Reason::UnknownIdentity),
        }
    }

    /// Gets a vector and sends it (RFC 9048 §3.3).
    fn challenge(
        &mut self,
        auc: &mut Auc,
        imsi: String,
        kdfs: Vec<u16>,
        resynchronised: bool,
    ) -> Step {
        let vector = match auc.vector(&imsi) {
            Ok(vector) => vector,
            Err(error) => return self.notify_failure(Reason::Auc(error)),
        };
        let name = NetworkName::new(self.config.network_name.as_bytes())
            .expect("checked when the server was made");
        let (ck_prime, ik_prime) =
            ck_ik_prime(&vector.ck, &vector.ik, name, vector.autn.sqn_xor_ak());
        let keys = AkaPrimeKeys::derive(&ck_prime, &ik_prime, &self.identity);
        self.send_challenge(Box::new(Challenge {
            imsi,
            vector,
            keys,
            kdfs,
            resynchronised,
        }))
    }

    fn send_challenge(&mut self, challenge: Box<Challenge>) -> Step {
        let checkcode = self.checkcode();
        let mut builder = self
            .request(Subtype::Challenge)
            .attribute(Attribute::Rand(challenge.vector.rand.as_bytes()))
            .attribute(Attribute::Autn(challenge.vector.autn.as_bytes()));
        for kdf in &challenge.kdfs {
            builder = builder.attribute(Attribute::Kdf(*kdf));
        }
        builder = builder
            .attribute(Attribute::KdfInput(self.config.network_name.as_bytes()))
            .attribute(Attribute::Checkcode(&checkcode));
        if self.config.result_indication {
            builder = builder.attribute(Attribute::ResultInd);
        }
        let packet = authenticated(&challenge.keys, builder);
        self.state = State::Challenge(challenge);
        Step::Request(packet)
    }

    /// The peer chose a function other than the first: the same challenge again, with the choice in front of the
    /// whole list (RFC 9048 §3.2).
    fn negotiated(&mut self, mut challenge: Box<Challenge>, choice: u16) -> Step {
        let first_offer = challenge.kdfs == self.config.kdfs;
        let offered = challenge.kdfs.iter().skip(1).any(|kdf| *kdf == choice);
        if !first_offer || !offered || choice != KDF {
            return self.notify_failure(Reason::Kdf);
        }
        challenge.kdfs.insert(0, choice);
        self.send_challenge(challenge)
    }

    /// AT_MAC, then everything that AT_MAC protects.
    fn responded(&mut self, challenge: Box<Challenge>, message: &AkaMessage<'_>) -> Step {
        if !authentic(&challenge.keys, message) {
            return self.notify_failure(Reason::Mac);
        }
        if message
            .checkcode()
            .is_some_and(|checkcode| checkcode != self.checkcode())
        {
            return self.notify_failure(Reason::Checkcode);
        }
        let xres = &challenge.vector.xres;
        let right =
            |(bits, res)| bits == xres.bits() && Res::new(res).is_ok_and(|res| res == *xres);
        if !message.res().is_some_and(right) {
            return self.notify_failure(Reason::Res);
        }
        if self.config.result_indication && message.result_ind() {
            let success = Attribute::Notification(Notification::SUCCESS.0);
            let packet = authenticated(
                &challenge.keys,
                self.request(Subtype::Notification).attribute(success),
            );
            self.state = State::Succeeding(challenge);
            return Step::Request(packet);
        }
        self.succeed(*challenge)
    }

    /// A new vector, once (RFC 4187 §6.3.1); the list of functions stays the same (RFC 9048 §3.2).
    fn resynchronise(
        &mut self,
        auc: &mut Auc,
        challenge: Challenge,
        message: &AkaMessage<'_>,
    ) -> Step {
        if message.kdfs() != challenge.kdfs {
            return self.notify_failure(Reason::Kdf);
        }
        let Some(auts) = message.auts().filter(|_| !challenge.resynchronised) else {
            return self.notify_failure(Reason::Resynchronisation);
        };
        match auc.resynchronise(&challenge.imsi, &challenge.vector.rand, &Auts::new(*auts)) {
            Ok(_) => self.challenge(auc, challenge.imsi, challenge.kdfs, true),
            Err(error) => self.notify_failure(Reason::Auc(error)),
        }
    }

    fn succeed(&mut self, challenge: Challenge) -> Step {
        let Challenge {
            imsi,
            keys: AkaPrimeKeys { msk, .. },
            ..
        } = challenge;
        Step::Success(
            packet::success(self.identifier).to_vec(),
            Box::new(Session { imsi, msk }),
        )
    }

    /// Failure at once: after a message with which the peer ended the conversation (RFC 4187 §6.3.2).
    fn fail(&mut self, reason: Reason) -> Step {
        Step::Failure(packet::failure(self.identifier).to_vec(), reason)
    }

    /// Failure that the server has found: a notification goes first (RFC 4187 §6.3.2).
    fn notify_failure(&mut self, reason: Reason) -> Step {
        let failure = Attribute::Notification(Notification::FAILURE.0);
        let draft = finish(self.request(Subtype::Notification).attribute(failure));
        self.state = State::Failing(reason);
        Step::Request(draft.into_bytes())
    }

    fn request(&mut self, subtype: Subtype) -> Builder {
        self.identifier = self.identifier.wrapping_add(1);
        Builder::new(Code::Request, self.identifier, Type::AkaPrime, subtype)
    }

    fn remember_identity_message(&mut self, packet: &[u8]) {
        self.identity_messages
            .get_or_insert_default()
            .update(packet);
    }

    /// AT_CHECKCODE's value: SHA-256 over the AKA-Identity messages, empty without any (RFC 4187 §10.13, RFC 9048 §3).
    fn checkcode(&self) -> Vec<u8> {
        self.identity_messages
            .clone()
            .map_or_else(Vec::new, |hash| hash.finalize().to_vec())
    }
}

/// The IMSI in a permanent identity of EAP-AKA': `6<IMSI>@<realm>` (TS 23.003 §14.3).
fn imsi(identity: &[u8]) -> Option<&str> {
    std::str::from_utf8(identity)
        .ok()?
        .split('@')
        .next()?
        .strip_prefix('6')
}

fn finish(builder: Builder) -> Draft {
    builder
        .finish()
        .expect("the server's attributes fit, the network name by NetworkName")
}

fn authenticated(keys: &AkaPrimeKeys, builder: Builder) -> Vec<u8> {
    let draft = finish(builder.mac());
    let mac = at_mac(&keys.k_aut, draft.bytes());
    draft.with_mac(&mac)
}

fn authentic(keys: &AkaPrimeKeys, message: &AkaMessage<'_>) -> bool {
    match (message.bytes_under_mac(), message.mac()) {
        (Some(packet), Some(mac)) => verify_at_mac(&keys.k_aut, &packet, mac),
        _ => false,
    }
}

#[cfg(test)]
#[path = "eap_server_tests.rs"]
mod tests;
