//! A SIM and a home network for the tests: they share K and OPc, and each plays its side by the
//! book.

mod network;
mod scene;
mod session;
mod sim;

pub use network::{Challenge, Network, Reauthentication};
pub use scene::{Scene, Step};
pub use sim::Sim;
use softsim_aka::{Milenage, Opc};
use softsim_eap::{Identity, IdentityKind, Method, Nai};
use softsim_eap_packet::{self as packet, Attribute, Builder, Code, Draft, Packet, Subtype, Type};

pub const REALM: &str = "wlan.mnc001.mcc001.3gppnetwork.org";
pub const IMSI: &str = "001010123456789";
pub const IDENTITY: &str = "6001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
pub const AKA_IDENTITY: &str = "0001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
pub const ANONYMOUS: &str = "anonymous@wlan.mnc001.mcc001.3gppnetwork.org";
/// What [`Scene::known`] is known by.
pub const REAUTHENTICATION_ID: &str = "84eb3418e818baefe@aaa.example";
pub const PSEUDONYM: &str = "7b1c5e0d@aaa.example";
pub const K_OPC: [[u8; 16]; 2] = [[0x51; 16], [0x98; 16]];

fn milenage([k, opc]: [[u8; 16]; 2]) -> Milenage {
    Milenage::new(&softsim_aka::K::new(k), &Opc::new(opc))
}

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

pub fn aka_identity(identifier: u8, wanted: &[Attribute<'_>]) -> Vec<u8> {
    request(identifier, Subtype::Identity, wanted).into_bytes()
}

pub fn typed(identifier: u8, kind: Type, data: &[u8]) -> Vec<u8> {
    packet::typed(Code::Request, identifier, kind, data).expect("the tests build what fits")
}

/// The value of AT_IDENTITY in a response.
pub fn at_identity(response: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(response).expect("the peer sends EAP");
    let message = packet.aka().expect("the peer sends the method");
    message.identity().unwrap_or_default().to_vec()
}
