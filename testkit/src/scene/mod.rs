//! A peer with a SIM, and a conversation of its home network, which sends one request at a time,
//! valid or altered as a test needs it.

mod network;
mod stage;

pub use network::Network;
use softsim_aka::Credentials;
use softsim_eap::{Identity, IdentityKind, Method, Nai};
use softsim_eap_packet::{self as packet, Attribute, Builder, Code, Draft, Packet, Subtype, Type};
pub use stage::{Scene, Step};

use crate::home_network::milenage;
pub use crate::home_network::{Challenge, Reauthentication};
pub use crate::sim::{Permanent, Sim, up_to};

/// The realm of the SIM's own identities.
pub const REALM: &str = "wlan.mnc001.mcc001.3gppnetwork.org";
/// The IMSI of a scene's SIM.
pub const IMSI: &str = "001010123456789";
/// The SIM's permanent identity for EAP-AKA'.
pub const IDENTITY: &str = "6001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
/// The SIM's permanent identity for EAP-AKA.
pub const AKA_IDENTITY: &str = "0001010123456789@wlan.mnc001.mcc001.3gppnetwork.org";
/// The beginning of the SIM's SUCI.
pub const CONCEALED: &str = "type0.rid0.schid1.hnkey1.ecckey";
/// The SIM's anonymous identity.
pub const ANONYMOUS: &str = "anonymous@wlan.mnc001.mcc001.3gppnetwork.org";
/// The re-authentication identity that the server gave in [`Scene::known`].
pub const REAUTHENTICATION_ID: &str = "84eb3418e818baefe@aaa.example";
/// The pseudonym that the server gave in [`Scene::known`].
pub const PSEUDONYM: &str = "7b1c5e0d@aaa.example";

/// The credentials of the SIM and its home network.
fn credentials() -> Credentials {
    milenage([0x51; 16], [0x98; 16])
}

/// An identity of this kind.
pub fn identity(nai: &str, kind: IdentityKind) -> Identity {
    Identity {
        nai: Nai::new(nai).expect("the tests show good identities"),
        kind,
    }
}

/// A request of either method.
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

/// An AKA-Identity request of EAP-AKA'.
pub fn aka_identity(identifier: u8, wanted: &[Attribute<'_>]) -> Vec<u8> {
    request(identifier, Subtype::Identity, wanted).into_bytes()
}

/// A request of any EAP type.
pub fn typed(identifier: u8, kind: Type, data: &[u8]) -> Vec<u8> {
    packet::typed(Code::Request, identifier, kind, data).expect("the tests build what fits")
}

/// The value of AT_IDENTITY in a response.
pub fn at_identity(response: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(response).expect("the peer sends EAP");
    let message = packet.aka().expect("the peer sends the method");
    message.identity().unwrap_or_default().to_vec()
}
