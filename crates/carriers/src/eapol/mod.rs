//! EAP over LANs (IEEE 802.1X-2010 §8 and §11): the port access entity of a supplicant,
//! without MACsec.
//!
//! ```text
//!   frame --> handle_frame      poll --> Output::Transmit(destination, PDU)
//!    EAP  --> respond   [Supplicant] --> Output::Eap(packet for the peer)
//!             succeeded              --> Output::Abandon, the peer's carrier is gone
//!             failed                 --> Output::Port(open or closed)
//! ```
//!
//! The [`ControlledPort`] opens when the peer accepts an EAP-Success, and closes at the next
//! failure, logoff, silence or loss of the link. Nothing else opens it: if no authenticator
//! answers, it stays closed.

mod frame;
mod port;
mod supplicant;

pub use frame::{Error, Frame, Kind};
pub use port::{ControlledPort, PortStatus};
pub use supplicant::{Output, State, Supplicant, Timers};

/// The EtherType of EAPOL (§11.1.4).
pub const ETHERTYPE: u16 = 0x888e;

/// The destination of EAPOL on a wired LAN: the nearest port access entity (§11.1.1).
pub const PAE_GROUP_ADDRESS: Address = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x03];

/// A MAC address.
pub type Address = [u8; 6];

#[cfg(test)]
mod tests;
