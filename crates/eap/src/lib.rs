//! A sans-IO EAP-AKA' peer that asks for AKA and MACs through events.
//!
//! The peer reads and writes packets and decides what happens; it knows no key. Whatever needs one, the check of a
//! challenge or an AT_MAC, leaves as an [`Ask`] and comes back as an [`Answer`] from the process that holds the SIM.
//!
//! ```text
//!   packet --> handle_packet      poll --> Output::Send(packet)
//!                          [Peer]      --> Output::Ask(Challenge | Verify | Mac)
//!   answer --> answer                  --> Output::Note(one line for people)
//!                                      --> Output::Done(Success | Failure)
//! ```
//!
//! RAND's way in: [`Peer::handle_packet`], `Conversation::challenge`, [`Ask::Challenge`] with the whole packet.
//! RES's way back: [`ChallengeAnswer::Success`], `Conversation::challenge_answered`, [`Ask::Mac`], [`Output::Send`].

mod answered;
mod config;
mod conversation;
mod kdf;
mod note;
mod outcome;
pub mod packet;
mod peer;
mod rounds;

pub use config::{BadNai, BadNetworkName, Config, Nai, NetworkName, NetworkNamePolicy};
pub use note::{Direction, Note};
pub use outcome::{Distrust, Outcome, Reason, Unprocessable};
pub use peer::{Answer, Ask, ChallengeAnswer, Output, Peer};
