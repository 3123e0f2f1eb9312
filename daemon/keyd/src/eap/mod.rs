//! EAP-AKA and EAP-AKA': challenges, fast re-authentications, and the sessions that they open.
//!
//! keyd checks a packet in a fixed order: its shape, then AUTN, then AT_MAC, then the encrypted
//! attributes. The state changes only if every check succeeds, and the change is durable before the
//! answer leaves.

mod challenge;
mod packet;
mod reauthentication;
mod session;

pub(crate) use reauthentication::encrypt_counter;
pub(crate) use session::{Sessions, close_session, confirm, eap_mac, eap_verify};
use softsim_aka::{Autn, Rand};
use softsim_keyd_proto::{AutnFault, Counters, PacketFault, Refusal};
use softsim_usim::{AuthenticationFailure, SeparationBit, Verified};

use crate::event::Event;
use crate::sim::Sim;
use crate::vault::{Slot, Vault};

impl Sim<'_> {
    /// Checks an AUTN without using up its SQN. If it is genuine but its SQN is out of range, the
    /// result is AUTS.
    pub(crate) fn check_autn(
        &mut self,
        slot: Slot,
        (rand, autn): (&Rand, &Autn),
        separation_bit: SeparationBit,
    ) -> Result<Result<Verified, [u8; 14]>, Refusal> {
        let stored = self.vault.profile(slot).ok_or(Refusal::NoProfile)?;
        let algorithm = stored.profile.credentials.functions();
        let failure = match stored.sqn().check(&algorithm, rand, autn, separation_bit) {
            Ok(verified) => return Ok(Ok(verified)),
            Err(failure) => failure,
        };
        let fault = match failure {
            AuthenticationFailure::SyncFailure(auts) => {
                self.counters.synchronisation_failures += 1;
                Event::SynchronisationFailure.log();
                return Ok(Err(*auts.as_bytes()));
            }
            AuthenticationFailure::MacFailure => AutnFault::Mac,
            AuthenticationFailure::SeparationBit if autn.amf().separation_bit() => {
                AutnFault::SeparationBitSet
            }
            AuthenticationFailure::SeparationBit => AutnFault::SeparationBit,
        };
        self.counters.autn_rejected += 1;
        if let (AutnFault::Mac, Some(installation)) = (fault, self.vault.installation(slot)) {
            self.mac_failures.add(installation);
        }
        let iccid = stored.profile.iccid.as_str();
        Event::Autn { iccid, fault }.log();
        Err(Refusal::Autn(fault))
    }
}

/// Uses up the SQN of a checked AUTN. The change is durable before the answer leaves, because
/// the loop flushes first.
pub(crate) fn use_up(vault: &mut Vault, slot: Slot, verified: &Verified) {
    vault
        .change_sqn(slot, |sqn| sqn.accept(verified))
        .expect("the profile was there a moment ago")
        .expect("nothing used the SQN since it was checked");
}

/// Counts and logs a packet that its server built wrongly, or that somebody on the path
/// changed.
fn packet_refused(counters: &mut Counters, fault: PacketFault) -> Refusal {
    if fault == PacketFault::Mac {
        counters.packet_mac_rejected += 1;
    }
    Event::Packet(fault).log();
    Refusal::Packet(fault)
}

/// Whether this is the name of a 5G network (RFC 9048 §5.3.1).
pub(crate) fn is_5g(network_name: &[u8]) -> bool {
    network_name.starts_with(b"5G:")
}
