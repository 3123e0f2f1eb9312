//! A sans-IO peer of EAP-AKA' and EAP-AKA that asks for identities, AKA and MACs through events.
//!
//! The peer parses and builds packets, and runs the state machine. It knows no key and stores no
//! identity. When it needs one, for example to check a challenge or to compute an AT_MAC, it asks
//! the process that holds the SIM with an [`Ask`], and receives an [`Answer`].
//!
//! ```text
//!   packet --> handle_packet      poll --> Output::Send(packet)
//!                          [Peer]      --> Output::Ask(Identity | Challenge | Reauthentication | Verify | EncryptedCounter | Mac)
//!   answer --> answer                  --> Output::Note(one line for people)
//!                                      --> Output::Done(Success | Failure)
//! ```
//!
//! RAND takes this path: [`Peer::handle_packet`], `Conversation::challenge`, [`Ask::Challenge`]
//! with the whole packet. RES takes this path back: [`ChallengeAnswer::Success`],
//! `Conversation::challenge_answered`, [`Ask::Mac`], [`Output::Send`].
//!
//! `docs/eap-clauses.md` lists the rules of the RFCs, the module that implements each, and the
//! tests that show it.

mod answered;
mod ask;
mod config;
mod conversation;
mod identity;
mod negotiation;
mod note;
mod outcome;
mod outer;
mod peer;
mod rounds;

pub use ask::{Answer, Ask, ChallengeAnswer, ReauthenticationAnswer};
pub use config::{BadNetworkName, Config, ForwardSecrecy, NetworkName, NetworkNamePolicy};
pub use identity::{BadNai, Identity, Nai, OuterIdentity};
pub use note::{Direction, Note};
pub use outcome::{AuthenticationReject, Outcome, Reason, Success, Unprocessable};
pub use peer::{Output, Peer};
pub use softsim_eap_types::{Group, IdentityKind, IdentityRequest, Method};
