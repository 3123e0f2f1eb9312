//! Sessions: what is left of an authentication, reached by a handle of one connection.

use softsim_aka::eap::MacKey;
use softsim_aka::{KAusf, KEncr, Msk, NonceS};
use softsim_keyd_proto::requests::{CloseSession, Confirm, EapMac, EapVerify};
use softsim_keyd_proto::{MAX_HANDLES, MacAnswer, Method, PacketFault, Refusal, SecretSlice};

use super::packet::{Code, Message};
use crate::akma::Anchored;
use crate::event::Event;
use crate::keyd::{Client, Keyd};
use crate::vault::{Installation, Pseudonym, Reauthentication, Storage};

/// The sessions of one connection; wiped with it.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Vec<(u32, Session)>,
    last_handle: u32,
}

/// One authentication.
#[derive(Debug)]
pub(super) struct Session {
    of: Installation,
    k_aut: MacKey,
    fast: Option<Fast>,
    result: ProtectedResult,
    stage: Stage,
}

/// What a fast re-authentication has, and a full one hasn't.
#[derive(Debug)]
pub(super) struct Fast {
    pub(super) k_encr: KEncr,
    pub(super) counter: u16,
    pub(super) nonce_s: NonceS,
}

/// How far a session is.
#[derive(Debug)]
enum Stage {
    /// The server's request was answered.
    Answered {
        /// Gone once EAP-Success was received.
        fruit: Option<Box<Fruit>>,
        /// To compare with, also when a Confirm is repeated.
        msk: Msk,
    },
    /// The server's counter was too small, and the session can only say so.
    CounterTooSmall,
}

/// How far AT_RESULT_IND has brought the two sides (RFC 4187 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtectedResult {
    /// The server doesn't use it.
    NotOffered,
    /// The server would, and we haven't said so.
    Offered,
    /// Both do: EAP-Success counts only after its notification.
    Agreed,
    /// The notification of success has come.
    Succeeded,
}

impl ProtectedResult {
    /// As the server's request has it.
    pub(super) fn of(offered: bool) -> Self {
        if offered {
            Self::Offered
        } else {
            Self::NotOffered
        }
    }
}

/// What EAP-Success makes of a session.
#[derive(Debug, Default)]
pub(super) struct Fruit {
    pub(super) pseudonym: Option<Pseudonym>,
    pub(super) reauthentication: Option<Reauthentication>,
    pub(super) k_ausf: Option<KAusf>,
}

impl Session {
    /// Of an authentication whose every part held.
    pub(super) fn answered(
        of: Installation,
        k_aut: MacKey,
        result: ProtectedResult,
        fruit: Fruit,
        msk: Msk,
    ) -> Self {
        Self {
            of,
            k_aut,
            fast: None,
            result,
            stage: Stage::Answered {
                fruit: Some(Box::new(fruit)),
                msk,
            },
        }
    }

    /// The same, of a fast re-authentication.
    pub(super) fn fast(self, fast: Fast) -> Self {
        let fast = Some(fast);
        Self { fast, ..self }
    }

    /// One that can only say that the counter was too small.
    pub(super) fn counter_too_small(of: Installation, k_aut: MacKey, fast: Fast) -> Self {
        Self {
            of,
            k_aut,
            fast: Some(fast),
            result: ProtectedResult::NotOffered,
            stage: Stage::CounterTooSmall,
        }
    }

    pub(super) fn after_fast(&self) -> Option<&Fast> {
        self.fast.as_ref()
    }

    pub(super) fn counter_was_too_small(&self) -> bool {
        matches!(self.stage, Stage::CounterTooSmall)
    }

    /// Whether EAP-Success may count, with the MSK that came with it where one did.
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

    /// What is to be kept, once.
    fn confirm(&mut self) -> Option<Fruit> {
        match &mut self.stage {
            Stage::Answered { fruit, .. } => fruit.take().map(|fruit| *fruit),
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
    /// Whether another session can be opened.
    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        if self.open.len() < MAX_HANDLES {
            Ok(())
        } else {
            Err(Refusal::TooManyHandles {
                limit: MAX_HANDLES as u8,
            })
        }
    }

    /// A handle is never used again.
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

impl<S: Storage> Keyd<S> {
    pub(crate) fn eap_mac(
        &mut self,
        client: &mut Client,
        request: EapMac<'_>,
    ) -> Result<MacAnswer, Refusal> {
        let session = client.sessions.session(request.handle)?;
        let response = Message::parse(request.packet, Code::Response, session.method())
            .map_err(Refusal::Packet)?;
        let extra = match &session.fast {
            Some(fast) if response.reauthentication => &fast.nonce_s.as_bytes()[..],
            None if response.reauthentication => return Err(Refusal::Packet(PacketFault::Type)),
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
        &mut self,
        client: &mut Client,
        request: EapVerify<'_>,
    ) -> Result<(), Refusal> {
        let session = client.sessions.session(request.handle)?;
        if session.counter_was_too_small() {
            return Err(Refusal::CounterTooSmall);
        }
        let message = Message::parse(request.packet, Code::Request, session.method())
            .map_err(Refusal::Packet)?;
        if !message.maced.verify(&session.k_aut) {
            return Err(self.packet_refused(PacketFault::Mac));
        }
        if let Some(fast) = &session.fast {
            let counter = message
                .encrypted()
                .and_then(|encrypted| encrypted.counter(&fast.k_encr));
            match counter {
                Ok(counter) if counter == fast.counter => {}
                Ok(_) => return Err(self.packet_refused(PacketFault::Counter)),
                Err(fault) => return Err(self.packet_refused(fault)),
            }
        }
        if message.tells_success() && session.result == ProtectedResult::Agreed {
            session.result = ProtectedResult::Succeeded;
        }
        Ok(())
    }

    pub(crate) fn confirm(
        &mut self,
        client: &mut Client,
        request: Confirm<'_>,
    ) -> Result<(), Refusal> {
        let received = request.msk.map(received_msk).transpose()?;
        let session = client.sessions.session(request.handle)?;
        session.may_succeed(received)?;
        let of = session.of;
        // The profile may have been replaced since, or taken out of use.
        if !self.is_in_use(of) {
            return Err(Refusal::NoProfile);
        }
        if let Some(fruit) = session.confirm() {
            self.keep(of, fruit);
        }
        Ok(())
    }

    /// Makes an authentication's fruit the profile's; durable before the answer leaves.
    fn keep(&mut self, of: Installation, fruit: Fruit) {
        let names = self.vault.identities(of.slot());
        let started = names.is_some_and(|names| names.reauthentication.is_some());
        if started || fruit.pseudonym.is_some() || fruit.reauthentication.is_some() {
            self.vault.change_identities(of.slot(), |names| {
                names.reauthentication = fruit.reauthentication;
                names.pseudonym = fruit.pseudonym.or(names.pseudonym.take());
            });
        }
        if let Some(k_ausf) = fruit.k_ausf {
            Event::Anchored.log();
            self.anchored = Some(Anchored { of, k_ausf });
        }
    }

    pub(crate) fn close_session(
        &mut self,
        client: &mut Client,
        request: CloseSession,
    ) -> Result<(), Refusal> {
        client.sessions.close(request.handle)
    }
}

/// The MSK that came from a server.
fn received_msk(SecretSlice(octets): SecretSlice<'_>) -> Result<Msk, Refusal> {
    let msk = octets.try_into().map(Msk::new);
    msk.map_err(|_| Refusal::Field {
        name: "msk".to_owned(),
        expected: format!("{} octets", Msk::LENGTH),
        got: format!("{} octets", octets.len()),
    })
}
