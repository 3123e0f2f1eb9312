//! The parts of EAP-AKA and EAP-AKA' packets that keyd uses: the fields of a challenge and of a
//! re-authentication, and AT_MAC. `softsim-eap-packet` checks that a packet is well-formed.

mod encrypted;
#[cfg(test)]
mod tests;

use core::fmt;

pub(crate) use encrypted::{Encrypted, Next, Nonce, counter};
use softsim_aka::eap::{AT_MAC_LENGTH, MacKey};
use softsim_aka::kdf::NetworkName;
use softsim_aka::{Autn, Iv, Rand};
pub(crate) use softsim_eap_packet::Code;
use softsim_eap_packet::{
    AkaError, AkaMessage, Kind, Notification, Packet, PacketError, Subtype, Type,
};
use softsim_keyd_proto::{Group, Method, PacketFault};

/// The key derivation of RFC 9048 §3.3, the only one there is.
const KDF_AKA_PRIME: u16 = 1;

/// An EAP-Request/AKA-Challenge of either method.
pub(crate) struct Challenge<'p> {
    pub(crate) rand: Rand,
    pub(crate) autn: Autn,
    pub(crate) maced: Maced<'p>,
    pub(crate) encrypted: Option<Encrypted<'p>>,
}

impl<'p> Challenge<'p> {
    pub(crate) fn parse(packet: &'p [u8], method: Method) -> Result<Self, PacketFault> {
        let maced = Maced::read_as(packet, method, Subtype::Challenge)?;
        let message = &maced.message;
        Ok(Self {
            rand: Rand::new(*message.rand().ok_or(missing(Kind::RAND))?),
            autn: Autn::new(*message.autn().ok_or(missing(Kind::AUTN))?),
            encrypted: encrypted_of(message)?,
            maced,
        })
    }

    /// Whether the server offers protected results.
    pub(crate) fn result_ind(&self) -> bool {
        self.maced.message.result_ind()
    }

    /// The access network in AT_KDF_INPUT. The first AT_KDF must be [`KDF_AKA_PRIME`], because the
    /// negotiation is over.
    pub(crate) fn network_name(&self) -> Result<NetworkName<'p>, PacketFault> {
        let kdf = self.maced.message.kdfs().next().ok_or(missing(Kind::KDF))?;
        if kdf != KDF_AKA_PRIME {
            return Err(PacketFault::Kdf);
        }
        network_name(&self.maced.message)?.ok_or(missing(Kind::KDF_INPUT))
    }

    /// The server's ephemeral public key. The first AT_KDF_FS must be the agreed group.
    pub(crate) fn public_key(&self, agreed: Group) -> Result<&'p [u8], PacketFault> {
        let message = &self.maced.message;
        let group = message.kdfs_fs().next().ok_or(missing(Kind::KDF_FS))?;
        let padded = message.pub_ecdhe().ok_or(missing(Kind::PUB_ECDHE))?;
        // Points must be compressed, and not in another short form (SEC 1 §2.3.3).
        let of_its_form = match agreed {
            Group::X25519 => true,
            Group::P256 => matches!(padded.first(), Some(2 | 3)),
        };
        match agreed.public_key(padded) {
            Some(key) if group == agreed.number() && of_its_form => Ok(key),
            _ => Err(PacketFault::PublicKey),
        }
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({:?}, {:?})", self.rand, self.autn)
    }
}

/// An EAP-Request/AKA-Reauthentication of either method.
#[derive(Debug)]
pub(crate) struct Reauthentication<'p> {
    pub(crate) maced: Maced<'p>,
    pub(crate) encrypted: Encrypted<'p>,
    /// Whether the server offers protected results.
    pub(crate) result_ind: bool,
}

impl<'p> Reauthentication<'p> {
    pub(crate) fn parse(packet: &'p [u8], method: Method) -> Result<Self, PacketFault> {
        let maced = Maced::read_as(packet, method, Subtype::Reauthentication)?;
        let encrypted = encrypted_of(&maced.message)?;
        Ok(Self {
            encrypted: encrypted.ok_or(missing(Kind::ENCR_DATA))?,
            result_ind: maced.message.result_ind(),
            maced,
        })
    }
}

/// Any other packet of a session, of which keyd uses AT_MAC and AT_ENCR_DATA.
#[derive(Debug)]
pub(crate) struct Message<'p> {
    pub(crate) maced: Maced<'p>,
}

impl<'p> Message<'p> {
    pub(crate) fn parse(packet: &'p [u8], code: Code, method: Method) -> Result<Self, PacketFault> {
        let maced = Maced::read(packet, code, method)?;
        Ok(Self { maced })
    }

    /// Whether it is a re-authentication, whose response covers NONCE_S.
    pub(crate) fn is_reauthentication(&self) -> bool {
        self.maced.message.subtype == Subtype::Reauthentication
    }

    /// Whether it is a response that accepts the server's offer of protected results (RFC 4187
    /// §10.14).
    pub(crate) fn accepts_protected_result(&self) -> bool {
        let message = &self.maced.message;
        let answers = matches!(
            message.subtype,
            Subtype::Challenge | Subtype::Reauthentication
        );
        answers && message.result_ind()
    }

    /// Whether it is the notification of success, which precedes EAP-Success (RFC 4187 §10.19).
    pub(crate) fn announces_success(&self) -> bool {
        let message = &self.maced.message;
        message.subtype == Subtype::Notification
            && message.notification() == Some(Notification::SUCCESS)
    }

    pub(crate) fn encrypted(&self) -> Result<Encrypted<'p>, PacketFault> {
        encrypted_of(&self.maced.message)?.ok_or(missing(Kind::ENCR_DATA))
    }
}

/// A packet with its AT_MAC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maced<'p> {
    message: AkaMessage<'p>,
    mac: &'p [u8; AT_MAC_LENGTH],
}

impl<'p> Maced<'p> {
    /// Parses the message of a packet, which must use all octets.
    fn read(packet: &'p [u8], code: Code, method: Method) -> Result<Self, PacketFault> {
        let read = Packet::parse(packet).map_err(|error| match error {
            PacketError::Code(_) | PacketError::DataInResult { .. } => PacketFault::Type,
            _ => PacketFault::Length,
        })?;
        // netd has removed padding that a link adds to a packet.
        if read.bytes().len() != packet.len() {
            return Err(PacketFault::Length);
        }
        let of_method = |(kind, _): (Type, _)| kind.octet() == method.number();
        if read.code != code || !read.typed.is_some_and(of_method) {
            return Err(PacketFault::Type);
        }
        let message = read.aka().map_err(|error| match error {
            AkaError::NoSubtype { .. } => PacketFault::Length,
            _ => PacketFault::Attribute,
        })?;
        network_name(&message)?;
        let mac = message.mac().ok_or(missing(Kind::MAC))?;
        Ok(Self { message, mac })
    }

    /// Parses the message of a request with one subtype.
    fn read_as(packet: &'p [u8], method: Method, subtype: Subtype) -> Result<Self, PacketFault> {
        let read = Self::read(packet, Code::Request, method)?;
        if read.message.subtype != subtype {
            return Err(PacketFault::Type);
        }
        Ok(read)
    }

    /// Whether AT_MAC is right. Takes constant time.
    // Not inlined, because each caller would get a copy.
    #[inline(never)]
    pub(crate) fn verify(&self, k_aut: &MacKey) -> bool {
        let zeroed = self.message.bytes_under_mac();
        zeroed.is_some_and(|zeroed| k_aut.verifies(&zeroed, &[], self.mac))
    }

    /// Computes AT_MAC. Its place in the packet must hold zeros.
    pub(crate) fn compute(
        &self,
        k_aut: &MacKey,
        extra: &[u8],
    ) -> Result<[u8; AT_MAC_LENGTH], PacketFault> {
        if self.mac != &[0; AT_MAC_LENGTH] {
            return Err(PacketFault::Mac);
        }
        Ok(k_aut.at_mac(self.message.bytes(), extra))
    }
}

fn network_name<'p>(message: &AkaMessage<'p>) -> Result<Option<NetworkName<'p>>, PacketFault> {
    let name = message.kdf_input().map(NetworkName::new);
    name.transpose().map_err(|_| PacketFault::Attribute)
}

/// AT_IV and AT_ENCR_DATA, neither of which may come alone (RFC 4187 §10.12).
fn encrypted_of<'p>(message: &AkaMessage<'p>) -> Result<Option<Encrypted<'p>>, PacketFault> {
    match (message.iv(), message.encr_data()) {
        (None, None) => Ok(None),
        (Some(iv), Some(data)) => Ok(Some(Encrypted::new(Iv::new(*iv), data))),
        _ => Err(PacketFault::Encrypted),
    }
}

fn missing(attribute: Kind) -> PacketFault {
    PacketFault::Missing(attribute.0)
}
