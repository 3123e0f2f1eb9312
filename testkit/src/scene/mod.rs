//! A peer with a SIM, and a home network that plays its side one request at a time, by the book or
//! bent as a test wants it.

mod network;
mod stage;

pub use network::{Challenge, Network, Reauthentication};
use softsim_aka::{Credentials, K, Opc};
use softsim_eap::{Identity, IdentityKind, Method, Nai};
use softsim_eap_packet::{self as packet, Attribute, Builder, Code, Draft, Packet, Subtype, Type};
pub use stage::{Scene, Step};

pub use crate::sim::{Permanent, Sim, up_to};

/// The realm of every identity that names none of its own.
pub const REALM: &str = "wlan.mnc001.mcc001.3gppnetwork.org";
/// The IMSI of a scene's SIM.
pub const IMSI: &str = "001010123456789";
/// Its permanent identity for EAP-AKA'.
pub const IDENTITY: &str = "6001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
/// Its permanent identity for EAP-AKA.
pub const AKA_IDENTITY: &str = "0001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
/// How its SUCI begins.
pub const CONCEALED: &str = "type0.rid0.schid1.hnkey1.ecckey";
/// Its realm with nobody in front.
pub const ANONYMOUS: &str = "anonymous@wlan.mnc001.mcc001.3gppnetwork.org";
/// What [`Scene::known`] is known by.
pub const REAUTHENTICATION_ID: &str = "84eb3418e818baefe@aaa.example";
/// The other name that it is known by.
pub const PSEUDONYM: &str = "7b1c5e0d@aaa.example";

/// What both sides share.
fn credentials() -> Credentials {
    Credentials::Milenage {
        k: K::new([0x51; 16]),
        opc: Opc::new([0x98; 16]),
    }
}

/// An identity of this kind.
pub fn identity(nai: &str, kind: IdentityKind) -> Identity {
    Identity {
        nai: Nai::new(nai).expect("the tests show good identities"),
        kind,
    }
}

/// A request of a method.
pub fn request_of(
    method: Method,
    identifier: u8,
    subtype: Subtype,
    attributes: &[Attribute<'_>],
) -> Draft {
    let builder = Builder::new(Code::Request, identifier, method.into(), subtype);
    let builder = attributes
        .iter()
        .fold(builder, |builder, attribute| builder.attribute(*attribute));
    builder.finish().expect("the tests build what fits")
}

/// A request of EAP-AKA'.
pub fn request(identifier: u8, subtype: Subtype, attributes: &[Attribute<'_>]) -> Draft {
    request_of(Method::AkaPrime, identifier, subtype, attributes)
}

/// A request for an identity, of EAP-AKA'.
pub fn aka_identity(identifier: u8, wanted: &[Attribute<'_>]) -> Vec<u8> {
    request(identifier, Subtype::Identity, wanted).into_bytes()
}

/// A request of another type.
pub fn typed(identifier: u8, kind: Type, data: &[u8]) -> Vec<u8> {
    packet::typed(Code::Request, identifier, kind, data).expect("the tests build what fits")
}

/// The value of AT_IDENTITY in a response.
pub fn at_identity(response: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(response).expect("the peer sends EAP");
    let message = packet.aka().expect("the peer sends the method");
    message.identity().unwrap_or_default().to_vec()
}
