//! What carries EAP for an access: the interface between the driver and its carriers.
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
//! A third one, such as IKEv2 (RFC 7296 §2.16), is a file next to [`wired`](super::wired) and
//! [`radius`](super::radius) whose type implements [`Carrier`]. What its packets look like belongs
//! into a sans-IO module of `softsim_carriers`; here it gets its sockets and timers. Besides, it
//! needs
//!
//! - a variant in [`settings`](super::settings), with the fields of its `[[access]]`;
//! - a variant in [`prepare`](super::prepare), which opens what it needs before netd is confined;
//! - a name in `softsim_client::netd::Carrier`, and its lines in docs/access.md.
//!
//! The driver then gives it orders, back-off and renewal. A carrier whose network doesn't ask for
//! the identity, as RADIUS and IKEv2 don't, asks the peer in the network's place
//! ([`Output::OwnRequest`]); one whose network authenticates us on its own initiative, as IEEE
//! 802.1X does, passes that on, and says that we didn't ask ([`Carrier::asked`]).

use std::time::{Duration, Instant};

use softsim_carriers::radius::{Msk, SessionLimit};
use softsim_client::netd::Port;

use super::Fatal;
use crate::progress::Fault;

/// The state of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not wanted, or without a link.
    Idle,
    /// Waits for the network.
    Connecting,
    /// Carries a conversation.
    Authenticating,
    /// The last conversation succeeded.
    Authenticated,
    /// Rests after a failure.
    Held {
        /// When it tries again by itself.
        until: Instant,
    },
}

/// What a carrier wants done, or tells.
#[derive(Debug)]
pub(super) enum Output {
    /// Give this packet of the network's to the EAP peer.
    Eap {
        /// The packet.
        packet: Vec<u8>,
        /// The MSK that the network sent along.
        msk: Option<Msk>,
    },
    /// Give the EAP peer this packet, which the carrier has made in the network's place.
    OwnRequest(Vec<u8>),
    /// The conversation is over, by our own wish or with the link.
    Abandon,
    /// The conversation is over, and has failed for this reason.
    Failed(Fault),
    /// The conversation is over, since the network sends nothing more: for this reason, unless keyd
    /// has refused something.
    Silent(Fault),
    /// Why the carrier rests now.
    Resting(&'static str),
    /// Something was received that is no part of it.
    Ignored(String),
    /// The interface has another name now.
    Renamed(String),
}

/// What a network agreed to together with EAP-Success.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// Whether it sent its MSK.
    pub(super) msk_received: bool,
    /// How long the session may last.
    pub(super) limit: Option<SessionLimit>,
}

/// What carries EAP between the peer and a network.
///
/// The owner calls [`Self::advance`] until it gives nothing more, after each other call; then it
/// waits for [`Self::receive`] and for [`Self::poll_timeout`].
pub(super) trait Carrier {
    /// Its state.
    fn state(&self) -> State;

    /// The controlled port, where there is one.
    fn port(&self) -> Option<Port> {
        None
    }

    /// Whether the present attempt is one that we asked for, and the network didn't begin by
    /// itself.
    fn asked(&self) -> bool {
        true
    }

    /// Authenticates, or authenticates again, as soon as that is possible; does nothing while a
    /// conversation runs.
    fn connect(&mut self, now: Instant);

    /// Leaves the network, and stays away.
    fn disconnect(&mut self);

    /// Sends the peer's response.
    async fn send(&mut self, eap: &[u8]);

    /// The peer believed an EAP-Success.
    ///
    /// # Errors
    /// The network didn't mean it: the conversation has failed.
    fn succeeded(&mut self, now: Instant) -> Result<Terms, Fault>;

    /// The conversation failed: tries again by itself after `wait`.
    fn failed(&mut self, now: Instant, wait: Duration);

    /// Does what is to be done, and tells what the owner has to know of.
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

    /// Tells the time.
    async fn handle_timeout(&mut self, now: Instant);

    /// Gives up what it holds, in good order: netd ends.
    ///
    /// # Errors
    /// That couldn't be done.
    async fn leave(&mut self) -> Result<(), Fatal> {
        Ok(())
    }
}
