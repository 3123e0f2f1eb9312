//! EAP over LANs (IEEE 802.1X-2010 §8 and §11): the port access entity of a supplicant,
//! without MACsec.
//!
//! ```text
//!   frame --> handle_frame      poll --> Output::Transmit(destination, PDU)
//!    EAP  --> respond   [Supplicant] --> Output::Eap(packet for the peer)
//!             proved                 --> Output::Abandon, the peer's carrier is gone
//!             succeeded              --> Output::Port(open or closed)
//!             failed
//! ```
//!
//! The [`ControlledPort`] opens when the peer accepts an EAP-Success, and closes at the next
//! failure, logoff, silence or loss of the link, but not in an attempt that any station of the LAN
//! may have begun and ended ([`Supplicant`]). Nothing else opens it: if no authenticator answers,
//! it stays closed.
//!
//! An authenticator asks for the identity, and accepts the peer:
//!
//! ```
//! use std::time::Instant;
//!
//! use softsim_carriers::eapol::{Frame, Kind, Output, PortStatus, State, Supplicant, Timers};
//!
//! const AUTHENTICATOR: [u8; 6] = [2, 0, 0, 0, 0, 1];
//! let now = Instant::now();
//! let mut supplicant = Supplicant::new(Timers::default());
//! supplicant.link(now, true);
//! supplicant.connect(now);
//! let Some(Output::Transmit { pdu, .. }) = supplicant.poll() else {
//!     panic!("expected EAPOL-Start");
//! };
//! assert_eq!(Frame::parse(&pdu)?.kind, Kind::Start);
//!
//! // EAP-Request/Identity goes to the peer, whose response goes to the authenticator.
//! let request = Frame::build(Kind::Eap, &[1, 7, 0, 5, 1])?;
//! supplicant.handle_frame(now, AUTHENTICATOR, false, &request)?;
//! let outputs: Vec<_> = std::iter::from_fn(|| supplicant.poll()).collect();
//! assert!(outputs.contains(&Output::Eap(vec![1, 7, 0, 5, 1])));
//! supplicant.respond(b"\x02\x07\x00\x0a\x01alice");
//! assert!(matches!(supplicant.poll(), Some(Output::Transmit { .. })));
//!
//! // EAP-Success alone opens nothing: the peer has to accept it.
//! let success = Frame::build(Kind::Eap, &[3, 8, 0, 4])?;
//! supplicant.handle_frame(now, AUTHENTICATOR, false, &success)?;
//! while supplicant.poll().is_some() {}
//! assert_eq!(supplicant.port().status(), PortStatus::Unauthorised);
//! supplicant.succeeded(now);
//! assert_eq!(supplicant.poll(), Some(Output::Port(PortStatus::Authorised)));
//! assert_eq!(supplicant.state(), State::Authenticated);
//! # Ok::<_, softsim_carriers::eapol::Error>(())
//! ```

mod frame;
mod port;
mod received;
mod supplicant;

pub use frame::{Error, Frame, Kind};
pub use port::{ControlledPort, PortStatus};
pub use supplicant::{MAX_REFUSALS, Output, State, Supplicant, Timers};

/// The EtherType of EAPOL (§11.1.4).
pub const ETHERTYPE: u16 = 0x888e;

/// The destination of EAPOL on a wired LAN: the nearest port access entity (§11.1.1).
pub const PAE_GROUP_ADDRESS: Address = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x03];

/// A MAC address.
pub type Address = [u8; 6];

#[cfg(test)]
mod tests;
