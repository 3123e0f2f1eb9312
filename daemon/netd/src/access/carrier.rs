//! The interface between the driver of an access and what carries its EAP packets.
//!
//! ```text
//!   driver      orders, back-off, renewal, waiting           knows no carrier
//!      |
//!   exchange    the EAP peer and its carrier, back to back
//!      |    \
//!   Carrier  conversation ---> keyd
//!      ^
//!   wired, radius
//! ```
//!
//! # Another carrier
//!
//! A third carrier, such as IKEv2 (RFC 7296 §2.16), is a file next to [`wired`](super::wired) and
//! [`radius`](super::radius). Its type implements [`Carrier`], and owns the sockets and timers. The
//! format and the state machine of its packets belong in a sans-IO module of `softsim_carriers`. A
//! carrier also needs
//!
//! - a variant in [`settings`](super::settings), with the fields of its `[[access]]`;
//! - a variant in [`prepare`](super::prepare), which opens what it needs before netd is confined;
//! - a name in `softsim_client::netd::Carrier`, and its lines in docs/access.md;
//! - a new request of keyd, if the carrier computes something with MSK, as IKEv2 does for its AUTH
//!   payload: keyd's MSK never leaves keyd.
//!
//! The driver then provides orders, back-off and renewal. If the network doesn't request the
//! identity, as with RADIUS and IKEv2, the carrier requests it from the peer in the network's place
//! ([`Output::OwnRequest`]). If the network may begin an authentication by itself, as with IEEE
//! 802.1X, the carrier reports which attempts it asked for ([`Carrier::asked`]).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use softsim_carriers::radius::{Msk, SessionLimit};
use softsim_client::netd::Port;
use softsim_eap::{Direction, Note};

use super::Fatal;
use crate::progress::Fault;

/// The state of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has no order to connect, or no link.
    Idle,
    /// It waits for the network.
    Connecting,
    /// It carries a conversation.
    Authenticating,
    /// The last conversation succeeded.
    Authenticated,
    /// It rests after a failure.
    Held {
        /// When it tries again by itself.
        until: Instant,
    },
}

/// What the owner of a carrier has to do, or to know.
#[derive(Debug)]
pub(super) enum Output {
    /// Give this packet of the network to the EAP peer.
    Eap {
        /// The packet.
        packet: Vec<u8>,
        /// The MSK that the network sent along.
        msk: Option<Msk>,
    },
    /// Give the EAP peer this packet, which the carrier made in the network's place.
    OwnRequest(Vec<u8>),
    /// Whatever the peer has begun is over, because of an order, because the link is lost, or
    /// because the carrier begins anew.
    Abandon,
    /// The conversation has failed, for this reason.
    Failed(Fault),
    /// The conversation has failed, because the network sends nothing more. The reason is what keyd
    /// refused, or else this one.
    Silent(Fault),
    /// The carrier rests now, for this reason.
    Resting(Cow<'static, str>),
    /// A message of the carrier's own passed, or it learned something from the network: for those
    /// who watch.
    Note(Note),
    /// The carrier received something that doesn't belong to the access.
    Ignored(String),
    /// The interface has another name now.
    Renamed(String),
}

/// A note about a message of a carrier, which isn't EAP.
pub(super) fn note(direction: Direction, message: String) -> Output {
    Output::Note(Note {
        direction,
        identifier: None,
        message,
        attributes: Vec::new(),
        remark: None,
        is_warning: false,
    })
}

/// What the network sent together with EAP-Success.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// Whether the network sent an MSK.
    pub(super) msk_received: bool,
    /// How long the session may last.
    pub(super) limit: Option<SessionLimit>,
}

/// What carries EAP between the peer and a network.
///
/// After each call of another method, the owner calls [`Self::advance`] until it returns nothing
/// more. Then it waits for [`Self::receive`] and for [`Self::poll_timeout`].
pub(super) trait Carrier {
    /// The state of the carrier.
    fn state(&self) -> State;

    /// The state of the controlled port, if there is one.
    fn port(&self) -> Option<Port> {
        None
    }

    /// The server that is asked, or that authorised the access, if the carrier has several.
    fn server(&self) -> Option<String> {
        None
    }

    /// Whether the network already lets our traffic pass, so that a refusal now isn't one of a
    /// network that we can't get into.
    fn is_authorised(&self) -> bool {
        false
    }

    /// Whether the carrier asked for the present attempt. If not, the network began it.
    fn asked(&self) -> bool {
        true
    }

    /// Authenticates as soon as that is possible, even if it is authenticated already. Does nothing
    /// while a conversation runs.
    fn connect(&mut self, now: Instant);

    /// Leaves the network, until the next [`Self::connect`].
    fn disconnect(&mut self);

    /// Sends a response of the peer.
    async fn send(&mut self, eap: &[u8]);

    /// The network has proved itself in the present attempt.
    fn proved(&mut self) {}

    /// The peer accepted an EAP-Success.
    ///
    /// # Errors
    /// The network itself didn't report a success. The conversation has failed.
    fn succeeded(&mut self, now: Instant) -> Result<Terms, Fault>;

    /// The conversation failed. The carrier rests, and tries again by itself after `wait`; or it
    /// stays authenticated, because anybody may have begun the conversation and let it fail.
    fn failed(&mut self, now: Instant, wait: Duration);

    /// Asks the network at once to authenticate again, if the carrier is authenticated and an
    /// attempt of the network has failed since. keyd has returned, without which it had to fail.
    fn ask_again(&mut self, _: Instant) {}

    /// Does the work that is left, and returns what the owner has to do or to know.
    ///
    /// # Errors
    /// netd can't go on with the access.
    async fn advance(&mut self) -> Result<Option<Output>, Fatal>;

    /// Waits for the network, and takes what it sends. May be cancelled.
    ///
    /// # Errors
    /// netd can't go on with the access.
    async fn receive(&mut self) -> Result<(), Fatal>;

    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// Handles the timers that are due.
    async fn handle_timeout(&mut self, now: Instant);

    /// Releases what the carrier holds, because netd stops cleanly.
    ///
    /// # Errors
    /// The carrier can't release it.
    async fn leave(&mut self) -> Result<(), Fatal> {
        Ok(())
    }
}
