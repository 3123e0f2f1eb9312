//! Sessions: the keys that an authentication leaves, which a client reaches by a handle of its
//! connection.

use softsim_aka::eap::MacKey;
use softsim_aka::{KAusf, KEncr, Msk, NonceS};
use softsim_keyd_proto::requests::{CloseSession, Confirm, EapMac, EapVerify};
use softsim_keyd_proto::{
    Counters, MAX_HANDLES, MacAnswer, Method, PacketFault, Refusal, SecretSlice,
};

use super::packet::{Code, Message};
use super::packet_refused;
use crate::akma::Anchored;
use crate::event::Event;
use crate::vault::{Installation, Name, Pseudonyms, Reauthentication, Vault};

/// The sessions of one connection. They are wiped when it ends.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Vec<(u32, Session)>,
    last_handle: u32,
}

/// The state of one authentication.
#[derive(Debug)]
pub(super) struct Session {
    of: Installation,
    k_aut: MacKey,
    /// None after a full authentication.
    fast: Option<FastReauthentication>,
    result: ProtectedResult,
    stage: Stage,
}

/// What a session needs in addition after a fast re-authentication (RFC 4187 §5).
#[derive(Debug)]
pub(super) struct FastReauthentication {
    pub(super) k_encr: KEncr,
    pub(super) counter: u16,
    pub(super) nonce_s: NonceS,
}

/// How far the authentication has come.
#[derive(Debug)]
enum Stage {
    /// keyd has answered the server's request.
    Answered {
        /// Taken by the first Confirm, which EAP-Success permits.
        unconfirmed: Option<Box<Unconfirmed>>,
        /// Compared with the MSK of each Confirm, so that a Confirm may be repeated.
        msk: Msk,
    },
    /// The server's counter was too small. The session can only answer AT_COUNTER_TOO_SMALL.
    CounterTooSmall,
}

/// How far AT_RESULT_IND has brought the two sides (RFC 4187 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtectedResult {
    /// The server didn't send AT_RESULT_IND.
    NotOffered,
    /// The server sent AT_RESULT_IND; our response hasn't carried it yet.
    Offered,
    /// Both sides sent it: EAP-Success counts only after a notification of success.
    Agreed,
    /// The notification of success was verified.
    Succeeded,
}

impl ProtectedResult {
    /// The state after a request that did or didn't carry AT_RESULT_IND.
    pub(super) fn of(offered: bool) -> Self {
        if offered {
            Self::Offered
        } else {
            Self::NotOffered
        }
    }
}

/// The identities and keys of an authentication that Confirm makes the profile's.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    pub(super) pseudonym: Option<Assigned>,
    pub(super) reauthentication: Option<Reauthentication>,
    pub(super) k_ausf: Option<KAusf>,
}

/// A pseudonym that a challenge assigned.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) name: Name,
    /// The username that was shown for the challenge.
    pub(super) shown: Option<Name>,
    /// Whether the exchange began with a SUCI, so that it may be shown once (RFC 9048 §5.2).
    pub(super) one_time: bool,
}

impl Session {
    /// A session of an authentication that passed every check.
    pub(super) fn answered(
        of: Installation,
        k_aut: MacKey,
        result: ProtectedResult,
        unconfirmed: Unconfirmed,
        msk: Msk,
    ) -> Self {
        Self {
            of,
            k_aut,
            fast: None,
            result,
            stage: Stage::Answered {
                unconfirmed: Some(Box::new(unconfirmed)),
                msk,
            },
        }
    }

    /// Turns it into the session of a fast re-authentication.
    pub(super) fn with_fast(self, fast: FastReauthentication) -> Self {
        let fast = Some(fast);
        Self { fast, ..self }
    }

    /// A session that can only answer AT_COUNTER_TOO_SMALL.
    pub(super) fn counter_too_small(
        of: Installation,
        k_aut: MacKey,
        fast: FastReauthentication,
    ) -> Self {
        Self {
            of,
            k_aut,
            fast: Some(fast),
            result: ProtectedResult::NotOffered,
            stage: Stage::CounterTooSmall,
        }
    }

    pub(super) fn fast(&self) -> Option<&FastReauthentication> {
        self.fast.as_ref()
    }

    pub(super) fn counter_was_too_small(&self) -> bool {
        matches!(self.stage, Stage::CounterTooSmall)
    }

    /// Refuses a Confirm that comes too early, or with another MSK than this session's. A carrier
    /// without MSK gives none.
    fn may_succeed(&self, received: Option<Msk>) -> Result<(), Refusal> {
        let Stage::Answered { msk, .. } = &self.stage else {
            return Err(Refusal::CounterTooSmall);
        };
        if self.result == ProtectedResult::Agreed {
            return Err(Refusal::NoProtectedSuccess);
        }
        if received.is_some_and(|received| received != *msk) {
            return Err(Refusal::OtherMsk);
        }
        Ok(())
    }

    /// What Confirm has to store; none when it is repeated.
    fn take_unconfirmed(&mut self) -> Option<Unconfirmed> {
        match &mut self.stage {
            Stage::Answered { unconfirmed, .. } => {
                unconfirmed.take().map(|unconfirmed| *unconfirmed)
            }
            Stage::CounterTooSmall => None,
        }
    }

    fn method(&self) -> Method {
        match self.k_aut {
            MacKey::Aka(_) => Method::Aka,
            MacKey::AkaPrime(_) => Method::AkaPrime,
        }
    }
}

impl Sessions {
    /// Refuses when the connection holds as many sessions as it may.
    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        if self.open.len() < MAX_HANDLES {
            Ok(())
        } else {
            Err(Refusal::TooManyHandles {
                limit: MAX_HANDLES as u8,
            })
        }
    }

    /// Opens a session. A connection never gets the same handle twice.
    pub(super) fn open(&mut self, session: Session) -> u32 {
        self.last_handle = self.last_handle.wrapping_add(1);
        self.open.push((self.last_handle, session));
        self.last_handle
    }

    pub(super) fn session(&mut self, handle: u32) -> Result<&mut Session, Refusal> {
        let mut open = self.open.iter_mut();
        open.find_map(|(of, session)| (*of == handle).then_some(session))
            .ok_or(Refusal::UnknownHandle { got: handle })
    }

    fn close(&mut self, handle: u32) -> Result<(), Refusal> {
        self.session(handle)?;
        self.open.retain(|(of, _)| *of != handle);
        Ok(())
    }
}

pub(crate) fn eap_mac(sessions: &mut Sessions, request: EapMac<'_>) -> Result<MacAnswer, Refusal> {
    let session = sessions.session(request.handle)?;
    let response = Message::parse(request.packet, Code::Response, session.method())
        .map_err(Refusal::Packet)?;
    let extra = match &session.fast {
        Some(fast) if response.is_reauthentication() => &fast.nonce_s.as_bytes()[..],
        None if response.is_reauthentication() => {
            return Err(Refusal::Packet(PacketFault::Type));
        }
        _ => &[],
    };
    let mac = response.maced.compute(&session.k_aut, extra);
    let mac = mac.map_err(Refusal::Packet)?;
    if response.accepts_protected_result() && session.result == ProtectedResult::Offered {
        session.result = ProtectedResult::Agreed;
    }
    Ok(MacAnswer { mac })
}

pub(crate) fn eap_verify(
    sessions: &mut Sessions,
    counters: &mut Counters,
    request: EapVerify<'_>,
) -> Result<(), Refusal> {
    let session = sessions.session(request.handle)?;
    if session.counter_was_too_small() {
        return Err(Refusal::CounterTooSmall);
    }
    let message =
        Message::parse(request.packet, Code::Request, session.method()).map_err(Refusal::Packet)?;
    if !message.maced.verify(&session.k_aut) {
        return Err(packet_refused(counters, PacketFault::Mac));
    }
    if let Some(fast) = &session.fast {
        let counter = message
            .encrypted()
            .and_then(|encrypted| encrypted.counter(&fast.k_encr));
        match counter {
            Ok(counter) if counter == fast.counter => {}
            Ok(_) => return Err(packet_refused(counters, PacketFault::Counter)),
            Err(fault) => return Err(packet_refused(counters, fault)),
        }
    }
    if message.announces_success() && session.result == ProtectedResult::Agreed {
        session.result = ProtectedResult::Succeeded;
    }
    Ok(())
}

pub(crate) fn confirm(
    sessions: &mut Sessions,
    vault: &mut Vault,
    anchored: &mut Option<Anchored>,
    request: Confirm<'_>,
) -> Result<(), Refusal> {
    let received = request.msk.map(received_msk).transpose()?;
    let session = sessions.session(request.handle)?;
    session.may_succeed(received)?;
    let of = session.of;
    // The profile may have been replaced or disabled since.
    if !vault.is_in_use(of) {
        return Err(Refusal::NoProfile);
    }
    if let Some(unconfirmed) = session.take_unconfirmed() {
        store(vault, anchored, of, unconfirmed);
    }
    Ok(())
}

/// Stores the results of a successful authentication. The change is durable before the answer
/// leaves.
fn store(
    vault: &mut Vault,
    anchored: &mut Option<Anchored>,
    of: Installation,
    unconfirmed: Unconfirmed,
) {
    let identities = vault.identities(of.slot());
    let has_context = identities.is_some_and(|identities| identities.reauthentication.is_some());
    if has_context || unconfirmed.pseudonym.is_some() || unconfirmed.reauthentication.is_some() {
        vault.change_identities(of.slot(), |identities| {
            identities.reauthentication = unconfirmed.reauthentication;
            match unconfirmed.pseudonym {
                None => {}
                Some(Assigned { name, one_time, .. }) if one_time => {
                    identities.pseudonyms = Pseudonyms::OneTime { name, spent: false };
                }
                Some(Assigned { name, shown, .. }) => {
                    identities.pseudonyms.confirmed(name, shown.as_ref());
                }
            }
        });
    }
    if let Some(k_ausf) = unconfirmed.k_ausf {
        Event::Anchored.log();
        *anchored = Some(Anchored { of, k_ausf });
    }
}

pub(crate) fn close_session(sessions: &mut Sessions, request: CloseSession) -> Result<(), Refusal> {
    sessions.close(request.handle)
}

/// The MSK that netd received from a RADIUS server.
fn received_msk(SecretSlice(octets): SecretSlice<'_>) -> Result<Msk, Refusal> {
    let msk = octets.try_into().map(Msk::new);
    msk.map_err(|_| Refusal::Field {
        name: "msk".to_owned(),
        expected: format!("{} octets", Msk::LENGTH),
        got: format!("{} octets", octets.len()),
    })
}
