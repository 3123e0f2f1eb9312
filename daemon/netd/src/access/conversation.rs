//! The EAP peer, whose questions the key process answers: each [`Ask`] becomes one request, and
//! each session handle is closed again.

use softsim_carriers::radius::Msk;
use softsim_client::keyd::{Connection, Error as KeydError};
use softsim_client::netd::{Authentication, Failure};
use softsim_client::proto::requests::{
    AkaChallenge, AkaPrimeChallenge, CloseSession, Confirm, EapMac, EapVerify, EncryptCounter,
    Identity, Reauthenticate,
};
use softsim_client::proto::{self, AkaAnswer, Call, PacketFault, Realm, Refusal, SecretSlice};
use softsim_eap::{
    Answer, Ask, ChallengeAnswer, Config, IdentityKind, IdentityRequest, Method, Nai, Note,
    Outcome, OuterIdentity, Output, Peer, Reason, ReauthenticationAnswer, Success, Unprocessable,
};

use crate::keyd::{Lost, Refused, refusal};
use crate::progress::Fault;

/// The type of AT_MAC (RFC 4187 §10.15).
const AT_MAC: u8 = 11;

/// What the peer and the key process are told once.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The peer's.
    pub peer: Config,
    /// The realm of identities that keyd makes.
    pub realm: Realm,
}

/// What is to be done for the conversation.
#[derive(Debug)]
pub enum Action {
    /// Send this to the server.
    Send(Vec<u8>),
    /// For people to read.
    Note(Note),
    /// It ended. keyd keeps the session of a success until [`Conversation::settle`].
    Ended(Result<Authentication, Fault>),
}

/// How far a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Identities.
    Identity,
    /// Challenge or re-authentication, and what follows.
    Challenge,
}

/// One conversation after another.
#[derive(Debug)]
pub struct Conversation<'k> {
    keyd: &'k mut Connection,
    peer: Peer,
    realm: Realm,
    network_name: String,
    /// keyd's session with the keys of the last challenge or re-authentication.
    handle: Option<u32>,
    /// The MSK that came from the server.
    received: Option<Msk>,
    /// Sessions that are of no more use.
    stale: Vec<u32>,
    stage: Stage,
    over: bool,
    synchronised: bool,
    /// The identity that the network saw first, and what it is.
    shown: Option<(String, IdentityKind)>,
    /// The last refusal of keyd that the peer has no word for.
    refused: Option<Refusal>,
}

impl<'k> Conversation<'k> {
    /// Waits for a server's first request.
    pub fn new(keyd: &'k mut Connection, policy: &Policy) -> Self {
        let shown = match &policy.peer.outer {
            OuterIdentity::Fixed(identity) => Some(described(&identity.nai, identity.kind)),
            _ => None,
        };
        Self {
            keyd,
            peer: Peer::new(policy.peer.clone()),
            realm: policy.realm,
            network_name: policy.peer.network_name.to_string(),
            handle: None,
            received: None,
            stale: Vec::new(),
            stage: Stage::Identity,
            over: false,
            synchronised: false,
            shown,
            refused: None,
        }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the SQN was synchronised.
    pub fn synchronised(&self) -> bool {
        self.synchronised
    }

    /// The identity that was shown first.
    pub fn shown(&self) -> Option<&str> {
        self.shown.as_ref().map(|(nai, _)| nai.as_str())
    }

    /// Why keyd refused last, in this conversation.
    pub fn refusal(&self) -> Option<Fault> {
        self.refused
            .clone()
            .map(|refusal| Refused::ByKeyd(refusal).into())
    }

    /// Takes a packet of the server's.
    pub fn receive(&mut self, packet: &[u8]) {
        self.peer.handle_packet(packet);
    }

    /// Takes a packet of the server's with the MSK that it sent along: a success counts only where
    /// keyd finds it to be ours.
    pub fn receive_with_msk(&mut self, packet: &[u8], msk: Option<Msk>) {
        self.received = msk;
        self.receive(packet);
    }

    /// The carrier has failed.
    pub fn abandon(&mut self) {
        self.received = None;
        self.peer.carrier_failed();
    }

    /// What is to be done next; call until `None`, then [`Self::settle`] once that is done.
    pub fn poll(&mut self) -> Result<Option<Action>, Lost> {
        while let Some(output) = self.peer.poll() {
            return Ok(Some(match output {
                Output::Send(packet) => Action::Send(packet),
                Output::Note(note) => Action::Note(note),
                Output::Done(outcome) => Action::Ended(self.ended(outcome)?),
                Output::Ask(ask) => {
                    let answer = self.ask(ask)?;
                    self.peer.answer(answer);
                    continue;
                }
            }));
        }
        Ok(None)
    }

    /// Has keyd forget the sessions that are over: when nobody waits for it.
    pub fn settle(&mut self) -> Result<(), Lost> {
        if self.over {
            self.stale.extend(self.handle.take());
        }
        while let Some(handle) = self.stale.pop() {
            // Only the loss of keyd matters: it forgets the handle with the connection.
            let _ = refusal(self.keyd.call(&CloseSession { handle }))?;
        }
        Ok(())
    }

    fn ask(&mut self, ask: Ask) -> Result<Answer, Lost> {
        match (ask, self.handle) {
            (Ask::Identity { method, wanted }, _) => self.identity(method, wanted),
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
            (Ask::Verify { packet }, Some(handle)) => {
                let verified = self.call(&EapVerify {
                    handle,
                    packet: &packet,
                })?;
                Ok(match verified {
                    Ok(()) => Answer::Verify(true),
                    Err(Refusal::Packet(_)) => Answer::Verify(false),
                    Err(refusal) => self.unavailable(refusal),
                })
            }
            (Ask::Mac { packet }, Some(handle)) => {
                let mac = self.call(&EapMac {
                    handle,
                    packet: &packet,
                })?;
                Ok(match mac {
                    Ok(answer) => Answer::Mac(answer.mac),
                    Err(refusal) => self.unavailable(refusal),
                })
            }
            (Ask::EncryptedCounter, Some(handle)) => {
                let encrypted = self.call(&EncryptCounter { handle })?;
                Ok(match encrypted {
                    Ok(proto::EncryptedAnswer { iv, data }) => Answer::Encrypted { iv, data },
                    Err(refusal) => self.unavailable(refusal),
                })
            }
            (Ask::Verify { .. } | Ask::Mac { .. } | Ask::EncryptedCounter, None) => {
                Ok(Answer::Unavailable)
            }
        }
    }

    fn identity(&mut self, method: Method, wanted: IdentityRequest) -> Result<Answer, Lost> {
        if std::mem::replace(&mut self.over, false) {
            // Another conversation: what the network sees first of it counts.
            self.shown = None;
            self.stage = Stage::Identity;
            self.refused = None;
        }
        let network_name = std::mem::take(&mut self.network_name);
        let given = self.call(&Identity {
            iccid: None,
            method,
            kind: wanted,
            realm: self.realm,
            network_name: &network_name,
        });
        self.network_name = network_name;
        Ok(match given? {
            Ok(proto::IdentityAnswer { nai, kind }) => match Nai::new(nai) {
                Ok(nai) => {
                    self.shown.get_or_insert_with(|| described(&nai, kind));
                    Answer::Identity(softsim_eap::Identity { nai, kind })
                }
                Err(_) => Answer::Unavailable,
            },
            Err(refusal @ (Refusal::IdentityWithheld | Refusal::NoHomeNetworkKey)) => {
                self.refused = Some(refusal);
                Answer::Withheld
            }
            Err(refusal) => self.unavailable(refusal),
        })
    }

    fn challenge<C: Call<Answer = AkaAnswer>>(&mut self, request: &C) -> Result<Answer, Lost> {
        self.begin_session();
        let answer = match self.call(request)? {
            Ok(AkaAnswer::Success {
                handle,
                res,
                public_key,
            }) => {
                self.handle = Some(handle);
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
            Err(refusal @ Refusal::Autn(_)) => {
                self.refused = Some(refusal);
                ChallengeAnswer::AutnRejected
            }
            Err(Refusal::Packet(PacketFault::Mac | PacketFault::Missing(AT_MAC))) => {
                ChallengeAnswer::MacInvalid
            }
            Err(Refusal::Packet(PacketFault::PublicKey)) => ChallengeAnswer::PublicKeyInvalid,
            Err(refusal) => return Ok(self.unavailable(refusal)),
        };
        Ok(Answer::Challenge(answer))
    }

    fn reauthentication(&mut self, packet: &[u8], identity: &[u8]) -> Result<Answer, Lost> {
        self.begin_session();
        let answer = match self.call(&Reauthenticate {
            iccid: None,
            identity,
            packet,
        })? {
            Ok(proto::ReauthenticationAnswer::Fresh {
                handle, nonce_s, ..
            }) => {
                self.handle = Some(handle);
                ReauthenticationAnswer::Fresh { nonce_s }
            }
            Ok(proto::ReauthenticationAnswer::CounterTooSmall { handle, .. }) => {
                self.handle = Some(handle);
                ReauthenticationAnswer::CounterTooSmall
            }
            Err(refusal @ (Refusal::Packet(_) | Refusal::NoReauthentication)) => {
                self.refused = Some(refusal);
                ReauthenticationAnswer::Invalid
            }
            Err(refusal) => return Ok(self.unavailable(refusal)),
        };
        Ok(Answer::Reauthentication(answer))
    }

    /// The keys of the challenge before are of no more use.
    fn begin_session(&mut self) {
        self.stale.extend(self.handle.take());
        self.received = None;
        self.stage = Stage::Challenge;
        self.over = false;
    }

    /// Asks keyd, and tells its refusals from its loss.
    fn call<C: Call>(&mut self, request: &C) -> Result<Result<C::Answer, Refusal>, Lost> {
        match self.keyd.call(request) {
            Ok(answer) => Ok(Ok(answer)),
            Err(error @ KeydError::Refused(Refusal::Storage)) => Err(Lost(error)),
            Err(KeydError::Refused(refusal)) => Ok(Err(refusal)),
            Err(KeydError::TooLong { request }) => Ok(Err(Refusal::TooLong {
                request,
                limit: request.max_length() as u32,
            })),
            Err(error) => Err(Lost(error)),
        }
    }

    fn unavailable(&mut self, refusal: Refusal) -> Answer {
        self.refused = Some(refusal);
        Answer::Unavailable
    }

    fn ended(&mut self, outcome: Outcome) -> Result<Result<Authentication, Fault>, Lost> {
        self.over = true;
        self.stage = Stage::Identity;
        let received = self.received.take();
        let success = match outcome {
            Outcome::Success(success) => success,
            Outcome::Failure(reason) => return Ok(Err(self.fault(reason))),
        };
        let Some(handle) = self.handle else {
            return Ok(Err(no_session()));
        };
        let msk = received.as_ref().map(|msk| SecretSlice(msk.expose()));
        match refusal(self.keyd.call(&Confirm { handle, msk }))? {
            Ok(()) => Ok(Ok(self.authentication(&success))),
            Err(refused) => Ok(Err(refused.into())),
        }
    }

    fn authentication(&self, success: &Success) -> Authentication {
        let kind = self.shown.as_ref().map(|(_, kind)| *kind);
        Authentication {
            method: success.method.to_string(),
            identity: kind.map_or_else(|| "unknown".into(), |kind| kind.to_string()),
            reauthenticated: success.reauthenticated,
            forward_secrecy: success.forward_secrecy,
            session_id: hex::encode(success.session_id),
        }
    }

    fn fault(&self, reason: Reason) -> Fault {
        let failure = match (&reason, &self.refused) {
            (_, Some(Refusal::RetryAfter { .. })) => Failure::Busy,
            (Reason::Carrier, _) => Failure::Unavailable,
            (Reason::Unprocessable(Unprocessable::Sim | Unprocessable::IdentityWithheld), _) => {
                Failure::Refused
            }
            (Reason::Unprocessable(_) | Reason::NoCommonMethod { .. }, _) => Failure::Protocol,
            _ => Failure::Refused,
        };
        match &self.refused {
            Some(refusal) => Fault::new(failure, format!("{reason} ({refusal})")),
            None => Fault::new(failure, reason),
        }
    }
}

fn no_session() -> Fault {
    Fault::new(
        Failure::Internal,
        "success without a session of softsim-keyd",
    )
}

fn described(nai: &Nai, kind: IdentityKind) -> (String, IdentityKind) {
    let text = String::from_utf8_lossy(nai.as_bytes());
    (text.into_owned(), kind)
}
