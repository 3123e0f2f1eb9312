//! A SIM as keyd would be, in the test's own process, and the home network that it belongs to.
#![allow(clippy::unwrap_used, clippy::panic)]

use softsim_aka::eap::{AkaPrimeKeys, at_mac, verify_at_mac};
use softsim_aka::kdf::{NetworkName, ck_ik_prime};
use softsim_aka::{Amf, Autn, Credentials, Functions, K, KAut, Opc, Rand, Sqn};
use softsim_eap::packet::{AkaMessage, Packet};
use softsim_eap::{Answer, Ask, ChallengeAnswer};
use softsim_lab::auc::{Auc, Subscriber};
use softsim_usim::{AuthenticationFailure, SeparationBit, SqnParameters, SqnState};

pub(crate) const IMSI: &str = "001010000000001";
pub(crate) const NAI: &str = "6001010000000001@wlan.mnc001.mcc001.3gppnetwork.org";

/// A SIM that answers the peer's asks.
pub(crate) struct Sim {
    algorithm: Functions,
    pub(crate) usim: SqnState,
    pub(crate) keys: Option<AkaPrimeKeys>,
}

impl Sim {
    pub(crate) fn new(floor: u64) -> Self {
        Self::with(&milenage(0x46), floor)
    }

    pub(crate) fn with(credentials: &Credentials, floor: u64) -> Self {
        let usim = SqnState::new(SqnParameters::default(), Sqn::new(floor).unwrap()).unwrap();
        Self {
            algorithm: credentials.functions(),
            usim,
            keys: None,
        }
    }

    pub(crate) fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Challenge { packet, identity } => {
                Answer::Challenge(self.challenge(packet, identity))
            }
            Ask::Verify { packet } => {
                let packet = Packet::parse(packet).unwrap();
                Answer::Verify(mac_is_right(
                    &self.keys.as_ref().unwrap().k_aut,
                    &packet.aka().unwrap(),
                ))
            }
            Ask::Mac { packet } => Answer::Mac(at_mac(&self.keys.as_ref().unwrap().k_aut, packet)),
        }
    }

    fn challenge(&mut self, packet: &[u8], identity: &[u8]) -> ChallengeAnswer {
        let packet = Packet::parse(packet).unwrap();
        let message = packet.aka().unwrap();
        let (rand, autn) = (
            Rand::new(*message.rand().unwrap()),
            Autn::new(*message.autn().unwrap()),
        );
        let verified = match self
            .usim
            .check(&self.algorithm, &rand, &autn, SeparationBit::Required)
        {
            Ok(verified) => verified,
            Err(AuthenticationFailure::SyncFailure(auts)) => {
                return ChallengeAnswer::SyncFailure(*auts.as_bytes());
            }
            Err(_) => return ChallengeAnswer::AutnRejected,
        };
        let name = NetworkName::new(message.kdf_input().unwrap()).unwrap();
        let (ck_prime, ik_prime) =
            ck_ik_prime(&verified.ck, &verified.ik, name, verified.sqn_xor_ak);
        let keys = AkaPrimeKeys::derive(&ck_prime, &ik_prime, identity);
        if !mac_is_right(&keys.k_aut, &message) {
            return ChallengeAnswer::MacInvalid;
        }
        self.usim.accept(&verified).unwrap();
        self.keys = Some(keys);
        ChallengeAnswer::Success {
            res: verified.res.as_bytes().to_vec(),
            res_bits: verified.res.bits(),
        }
    }
}

fn mac_is_right(k_aut: &KAut, message: &AkaMessage<'_>) -> bool {
    match (message.bytes_under_mac(), message.mac()) {
        (Some(packet), Some(mac)) => verify_at_mac(k_aut, &packet, mac),
        _ => false,
    }
}

fn milenage(k: u8) -> Credentials {
    Credentials::Milenage {
        k: K::new([k; 16]),
        opc: Opc::new([0xcd; 16]),
    }
}

pub(crate) fn auc(k: u8, amf: [u8; 2]) -> Auc {
    auc_of(&milenage(k), amf)
}

/// An AuC with one subscriber and RANDs that count up.
pub(crate) fn auc_of(credentials: &Credentials, amf: [u8; 2]) -> Auc {
    let mut count = 0;
    let mut auc = Auc::new(move |octets| {
        count += 1;
        octets.fill(count);
    });
    let subscriber = Subscriber::new(credentials, Amf::new(amf), Sqn::default(), 5);
    auc.insert(IMSI, subscriber);
    auc
}

pub(crate) fn home() -> Auc {
    auc(0x46, [0x80, 0])
}
