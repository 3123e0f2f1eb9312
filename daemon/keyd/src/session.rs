//! EAP-AKA' sessions: what is left of an authentication, reached by a handle of one connection.

use softsim_aka::eap::AkaPrimeKeys;
use softsim_aka::{KAut, Msk};
use softsim_keyd_proto::requests::{CloseSession, Confirm, EapMac, EapVerify, ExportMsk};
use softsim_keyd_proto::{MAX_HANDLES, MacAnswer, PacketFault, Refusal, SecretAnswer, SecretBytes};

use crate::event::Event;
use crate::keyd::{Client, Keyd};
use crate::packet::{Code, Maced};
use crate::vault::Storage;

/// The sessions of one connection; wiped with it.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Vec<Session>,
    last_handle: u32,
}

#[derive(Debug)]
struct Session {
    handle: u32,
    k_aut: KAut,
    /// Whether EAP-Success was received.
    confirmed: bool,
    /// Until it is exported.
    msk: Option<Msk>,
}

impl Sessions {
    /// Whether another session can be opened.
    pub(crate) fn check_room(&self) -> Result<(), Refusal> {
        if self.open.len() < MAX_HANDLES {
            Ok(())
        } else {
            Err(Refusal::TooManyHandles {
                limit: MAX_HANDLES as u8,
            })
        }
    }

    /// Keeps what later requests need of the keys; the others are wiped here. A handle is never used again.
    pub(crate) fn open(&mut self, keys: AkaPrimeKeys) -> u32 {
        self.last_handle = self.last_handle.wrapping_add(1);
        self.open.push(Session {
            handle: self.last_handle,
            k_aut: keys.k_aut,
            confirmed: false,
            msk: Some(keys.msk),
        });
        self.last_handle
    }

    fn session(&mut self, handle: u32) -> Result<&mut Session, Refusal> {
        self.open
            .iter_mut()
            .find(|session| session.handle == handle)
            .ok_or(Refusal::UnknownHandle { came: handle })
    }

    fn close(&mut self, handle: u32) -> Result<(), Refusal> {
        self.session(handle)?;
        self.open.retain(|session| session.handle != handle);
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
        let response = Maced::parse(request.packet, Code::Response).map_err(Refusal::Packet)?;
        let mac = response.compute(&session.k_aut).map_err(Refusal::Packet)?;
        Ok(MacAnswer { mac })
    }

    pub(crate) fn eap_verify(
        &mut self,
        client: &mut Client,
        request: EapVerify<'_>,
    ) -> Result<(), Refusal> {
        let session = client.sessions.session(request.handle)?;
        let maced = Maced::parse(request.packet, Code::Request).map_err(Refusal::Packet)?;
        if maced.verify(&session.k_aut) {
            Ok(())
        } else {
            self.counters.packet_mac_rejected += 1;
            Event::PacketMac.log();
            Err(Refusal::Packet(PacketFault::Mac))
        }
    }

    pub(crate) fn export_msk(
        &mut self,
        client: &mut Client,
        request: ExportMsk,
    ) -> Result<SecretAnswer, Refusal> {
        let session = client.sessions.session(request.handle)?;
        if !session.confirmed {
            return Err(Refusal::NotConfirmed);
        }
        let msk = session.msk.take().ok_or(Refusal::AlreadyExported)?;
        Ok(SecretAnswer {
            secret: SecretBytes::new(msk.as_bytes().to_vec()),
        })
    }

    pub(crate) fn confirm(
        &mut self,
        client: &mut Client,
        request: Confirm,
    ) -> Result<(), Refusal> {
        client.sessions.session(request.handle)?.confirmed = true;
        Ok(())
    }

    pub(crate) fn close_session(
        &mut self,
        client: &mut Client,
        request: CloseSession,
    ) -> Result<(), Refusal> {
        client.sessions.close(request.handle)
    }
}
