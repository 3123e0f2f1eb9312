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
//!                                      --> Output::Refused, the identity that the server saw
//!                                      --> Output::Done(Success | Failure)
//! ```
//!
//! RAND takes this path: [`Peer::handle_packet`], `Conversation::challenge`, [`Ask::Challenge`]
//! with the whole packet. RES takes this path back: [`ChallengeAnswer::Success`],
//! `Conversation::challenge_answered`, [`Ask::Mac`], [`Output::Send`].
//!
//! `docs/eap-clauses.md` lists the rules of the RFCs, the module that implements each, and the
//! tests that show it.
//!
//! A conversation in which this example takes the place of the server and of the SIM:
//!
//! ```
//! use softsim_eap::{
//!     Answer, Ask, ChallengeAnswer, Config, Identity, IdentityKind, Nai, Outcome, Output, Peer,
//! };
//!
//! /// What the SIM's holder answers; here, it believes every challenge.
//! fn sim(ask: Ask) -> Answer {
//!     match ask {
//!         Ask::Identity { .. } => Answer::Identity(Identity {
//!             nai: Nai::new("6001010000000001@wlan.example").unwrap(),
//!             kind: IdentityKind::Permanent,
//!         }),
//!         Ask::Challenge { .. } => Answer::Challenge(ChallengeAnswer::Success {
//!             res: vec![0x28; 8],
//!             res_bits: 64,
//!             public_key: None,
//!         }),
//!         Ask::Mac { .. } => Answer::Mac([0x4d; 16]),
//!         other => panic!("unexpected {other:?}"),
//!     }
//! }
//!
//! /// Gives the peer a packet; returns what it sends and how the conversation ended.
//! fn exchange(peer: &mut Peer, packet: &[u8]) -> (Vec<u8>, Option<Outcome>) {
//!     let (mut sent, mut outcome) = (Vec::new(), None);
//!     peer.handle_packet(packet);
//!     while let Some(output) = peer.poll() {
//!         match output {
//!             Output::Send(packet) => sent = packet,
//!             Output::Ask(ask) => peer.answer(sim(ask)),
//!             Output::Done(done) => outcome = Some(done),
//!             Output::Note(_) | Output::Refused => {}
//!         }
//!     }
//!     (sent, outcome)
//! }
//!
//! let mut peer = Peer::new(Config::new());
//! let (identity, _) = exchange(&mut peer, &[1, 1, 0, 5, 1]);
//! assert_eq!(&identity[5..], b"6001010000000001@wlan.example");
//!
//! // EAP-Request/AKA'-Challenge: AT_RAND, AT_AUTN, AT_KDF, AT_KDF_INPUT, AT_MAC.
//! let attributes = [
//!     &[1, 5, 0, 0][..], &[0x23; 16], &[2, 5, 0, 0], &[0xaf; 16], &[24, 1, 0, 1],
//!     &[23, 2, 0, 4], b"WLAN", &[11, 5, 0, 0], &[0x6d; 16],
//! ];
//! let attributes = attributes.concat();
//! let challenge = [&[1, 2, 0, 8 + attributes.len() as u8, 50, 1, 0, 0], &attributes[..]].concat();
//! let (response, _) = exchange(&mut peer, &challenge);
//! assert_eq!((response[0], response[4], response[5]), (2, 50, 1));
//! assert!(response.windows(8).any(|octets| octets == [0x28; 8]), "AT_RES holds RES");
//!
//! let (_, outcome) = exchange(&mut peer, &[3, 2, 0, 4]);
//! assert!(matches!(outcome, Some(Outcome::Success(_))));
//! ```

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
