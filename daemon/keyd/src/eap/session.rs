//! Sessions: what is left of an authentication, reached by a handle of one connection.

use core::mem;

use softsim_aka::eap::MacKey;
use softsim_aka::{KAusf, KEncr, Msk, NonceS};
use softsim_keyd_proto::requests::{CloseSession, Confirm, EapMac, EapVerify, ExportMsk};
use softsim_keyd_proto::{
    MAX_HANDLES, MacAnswer, Method, PacketFault, Refusal, SecretAnswer, SecretBytes,
};

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
    Answered(Box<Fruit>, Msk),
    /// EAP-Success was received.
    Confirmed(Msk),
    /// MSK was given out.
    Exported,
    /// The server's counter was too small, and the session can only say so.
    CounterTooSmall,
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
    pub(super) fn answered(of: Installation, k_aut: MacKey, fruit: Fruit, msk: Msk) -> Self {
        let stage = Stage::Answered(Box::new(fruit), msk);
        let fast = None;
        Self {
            of,
            k_aut,
            fast,
            stage,
        }
    }

    /// The same, of a fast re-authentication.
    pub(super) fn fast(self, fast: Fast) -> Self {
        let fast = Some(fast);
        Self { fast, ..self }
    }

    /// One that can only say that the counter was too small.
    pub(super) fn counter_too_small(of: Installation, k_aut: MacKey, fast: Fast) -> Self {
        let (fast, stage) = (Some(fast), Stage::CounterTooSmall);
        Self {
            of,
            k_aut,
            fast,
            stage,
        }
    }

    pub(super) fn after_fast(&self) -> Option<&Fast> {
        self.fast.as_ref()
    }

    pub(super) fn counter_was_too_small(&self) -> bool {
        matches!(self.stage, Stage::CounterTooSmall)
    }

    /// What is to be kept, once.
    fn confirm(&mut self) -> Option<Fruit> {
        match mem::replace(&mut self.stage, Stage::Exported) {
            Stage::Answered(fruit, msk) => {
                self.stage = Stage::Confirmed(msk);
                Some(*fruit)
            }
            later => {
                self.stage = later;
                None
            }
        }
    }

    /// MSK, once.
    fn export(&mut self) -> Result<Msk, Refusal> {
        match mem::replace(&mut self.stage, Stage::Exported) {
            Stage::Confirmed(msk) => Ok(msk),
            Stage::Exported => Err(Refusal::AlreadyExported),
            earlier => {
                self.stage = earlier;
                Err(Refusal::NotConfirmed)
            }
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
            .ok_or(Refusal::UnknownHandle { came: handle })
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
        Ok(MacAnswer {
            mac: mac.map_err(Refusal::Packet)?,
        })
    }

    pub(crate) fn eap_verify(
        &mut self,
        client: &mut Client,
        request: EapVerify<'_>,
    ) -> Result<(), Refusal> {
        let session = client.sessions.session(request.handle)?;
        if session.counter_was_too_small() {
            return Err(Refusal::NotConfirmed);
        }
        let message = Message::parse(request.packet, Code::Request, session.method())
            .map_err(Refusal::Packet)?;
        if !message.maced.verify(&session.k_aut) {
            return Err(self.packet_refused(PacketFault::Mac));
        }
        let Some(fast) = &session.fast else {
            return Ok(());
        };
        let counter = message
            .encrypted()
            .and_then(|encrypted| encrypted.counter(&fast.k_encr));
        match counter {
            Ok(counter) if counter == fast.counter => Ok(()),
            Ok(_) => Err(self.packet_refused(PacketFault::Counter)),
            Err(fault) => Err(self.packet_refused(fault)),
        }
    }

    pub(crate) fn confirm(&mut self, client: &mut Client, request: Confirm) -> Result<(), Refusal> {
        let session = client.sessions.session(request.handle)?;
        if session.counter_was_too_small() {
            return Err(Refusal::NotConfirmed);
        }
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

    pub(crate) fn export_msk(
        &mut self,
        client: &mut Client,
        request: ExportMsk,
    ) -> Result<SecretAnswer, Refusal> {
        let session = client.sessions.session(request.handle)?;
        let msk = session.export()?;
        Ok(SecretAnswer {
            secret: SecretBytes::new(msk.as_bytes().to_vec()),
        })
    }

    pub(crate) fn close_session(
        &mut self,
        client: &mut Client,
        request: CloseSession,
    ) -> Result<(), Refusal> {
        client.sessions.close(request.handle)
    }
}
