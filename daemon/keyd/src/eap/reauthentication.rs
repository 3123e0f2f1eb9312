//! Fast re-authentication (RFC 4187 §5): uses the re-authentication context that the last
//! authentication left in the vault, and opens a session.
//!
//! The context moves out of the vault into the session, and Confirm puts it back with the new
//! counter and the server's next re-authentication identity. If keyd stops in between, no context
//! is left, so that no counter is ever accepted twice.

use core::mem;

use softsim_aka::eap::ReauthenticationKeys;
use softsim_aka::{Iv, KEncr};
use softsim_keyd_proto::requests::{EncryptCounter, Reauthenticate};
use softsim_keyd_proto::{EncryptedAnswer, PacketFault, ReauthenticationAnswer, Refusal};
use softsim_sandbox::random;

use super::packet::{self, Nonce};
use super::packet_refused;
use super::session::{FastReauthentication, ProtectedResult, Session, Sessions, Unconfirmed};
use crate::event::Event;
use crate::sim::Sim;
use crate::vault::{Patience, Reauthentication, Root, Slot};

impl Sim<'_> {
    pub(crate) fn reauthenticate(
        &mut self,
        sessions: &mut Sessions,
        request: Reauthenticate<'_>,
    ) -> Result<ReauthenticationAnswer, Refusal> {
        let slot = self.profile_in_use(request.iccid)?;
        sessions.check_room()?;
        let context = self.shown_context(slot, request.identity)?;
        let packet = packet::Reauthentication::parse(request.packet, context.method());
        let packet = packet.map_err(Refusal::Packet)?;
        if !packet.maced.verify(&context.k_aut) {
            return Err(packet_refused(self.counters, PacketFault::Mac));
        }
        let nonce = packet.encrypted.nonce(&context.k_encr);
        let (last, k_encr, k_aut) = (
            context.counter,
            KEncr::new(*context.k_encr.as_bytes()),
            context.k_aut.duplicate(),
        );
        let nonce = nonce.map_err(|fault| packet_refused(self.counters, fault))?;

        let installation = self.vault.installation(slot).ok_or(Refusal::NoProfile)?;
        let Nonce {
            counter, nonce_s, ..
        } = nonce;
        let fast = FastReauthentication {
            k_encr,
            counter,
            nonce_s,
        };
        if counter <= last {
            Event::CounterTooSmall { last, counter }.log();
            let session = Session::counter_too_small(installation, k_aut, fast);
            return Ok(ReauthenticationAnswer::CounterTooSmall {
                handle: sessions.open(session),
                counter,
            });
        }
        let context = self.take_context(slot).ok_or(Refusal::NoReauthentication)?;
        let keys = match &context.root {
            Root::Aka(mk) => ReauthenticationKeys::aka(mk, request.identity, counter, &nonce_s),
            Root::AkaPrime { k_re, .. } => {
                ReauthenticationKeys::aka_prime(k_re, request.identity, counter, &nonce_s)
            }
        };
        let next = (nonce.next).and_then(|name| self.usable_reauthentication(slot, name));
        let unconfirmed = Unconfirmed {
            reauthentication: next.map(|identity| Reauthentication {
                identity,
                shown: false,
                counter,
                ..context
            }),
            ..Unconfirmed::default()
        };
        let result = ProtectedResult::of(packet.result_ind);
        let session =
            Session::answered(installation, k_aut, result, unconfirmed, keys.msk).with_fast(fast);
        self.counters.reauthentications += 1;
        Ok(ReauthenticationAnswer::Fresh {
            handle: sessions.open(session),
            counter,
            nonce_s: *nonce_s.as_bytes(),
        })
    }

    /// The context of the re-authentication identity that was shown to the server.
    fn shown_context(&self, slot: Slot, identity: &[u8]) -> Result<&Reauthentication, Refusal> {
        let identities = self.vault.identities(slot);
        identities
            .and_then(|identities| identities.reauthentication.as_ref())
            .filter(|context| context.shown && context.identity.as_str().as_bytes() == identity)
            .ok_or(Refusal::NoReauthentication)
    }

    /// Takes the context out of the vault; durable before the answer leaves. The network knows the
    /// subscriber, so that it counts from here for how long it refuses pseudonyms.
    fn take_context(&mut self, slot: Slot) -> Option<Reauthentication> {
        self.forget_refusals();
        let taken = self.vault.change_identities(slot, |identities| {
            identities.patience = Patience::default();
            mem::take(&mut identities.reauthentication)
        });
        taken.flatten()
    }
}

pub(crate) fn encrypt_counter(
    sessions: &mut Sessions,
    request: EncryptCounter,
) -> Result<EncryptedAnswer, Refusal> {
    let session = sessions.session(request.handle)?;
    let fast = session.fast().ok_or(Refusal::NoReauthentication)?;
    let too_small = session.counter_was_too_small();
    let mut iv = [0; Iv::LENGTH];
    random::fill(&mut iv);
    let data = packet::counter(&fast.k_encr, &Iv::new(iv), fast.counter, too_small);
    Ok(EncryptedAnswer { iv, data })
}
