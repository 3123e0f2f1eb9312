//! A sans-IO peer of EAP-AKA' and EAP-AKA that asks for identities, AKA and MACs through events.
//!
//! The peer reads and writes packets and decides what happens; it knows no key and stores no
//! identity. Whatever needs one, the check of a challenge or an AT_MAC, leaves as an [`Ask`] and
//! comes back as an [`Answer`] from the process that holds the SIM.
//!
//! ```text
//!   packet --> handle_packet      poll --> Output::Send(packet)
//!                          [Peer]      --> Output::Ask(Identity | Challenge | Reauthentication | Verify | EncryptedCounter | Mac)
//!   answer --> answer                  --> Output::Note(one line for people)
//!                                      --> Output::Done(Success | Failure)
//! ```
//!
//! RAND's way in: [`Peer::handle_packet`], `Conversation::challenge`, [`Ask::Challenge`] with the
//! whole packet. RES's way back: [`ChallengeAnswer::Success`], `Conversation::challenge_answered`,
//! [`Ask::Mac`], [`Output::Send`].
//!
//! Which rule of which RFC is kept where, and by which test it is shown, is in
//! `docs/eap-clauses.md`.

mod answered;
mod ask;
mod config;
mod conversation;
mod identity;
mod negotiation;
mod note;
mod outcome;
mod outer;
pub mod packet;
mod peer;
mod rounds;

pub use ask::{Answer, Ask, ChallengeAnswer, ReauthenticationAnswer};
pub use config::{BadNetworkName, Config, ForwardSecrecy, NetworkName, NetworkNamePolicy};
pub use identity::{BadNai, Identity, Nai, OuterIdentity};
pub use note::{Direction, Note};
pub use outcome::{AuthenticationReject, Outcome, Reason, Success, Unprocessable};
pub use peer::{Output, Peer};
pub use softsim_eap_types::{Group, IdentityKind, IdentityRequest, Method};
