//! The network daemon: LwM2M bootstrap and EAP-AKA' through the key process.
//!
//! netd parses every octet that comes from a network and holds no long-term secret: for whatever
//! needs a key it asks softsim-keyd. [`start`] opens everything that netd needs and then confines
//! the process, before netd receives the first datagram and starts the first thread.
//!
//! ```text
//!    start ----> config         opens everything, as the configuration has it; then confines itself
//!      |
//!   control ---> access         the ways into a network, kept open: softsim_eap, softsim_carriers
//!      |            |
//!      v            v
//!    lwm2m ------> keyd         what is asked of the key process
//!      |  \
//!      |   accounts             on disk, rolled to keyd's last transaction
//!      v
//!   session ----> dtls          a server on the network, judged before keyd signs
//!      |
//!      +---> names              the addresses of a server's name
//!      +---> server_socket      which of them answers
//! ```
//!
//! Helper processes do what netd itself may not do: [`names::helper`] resolves names, [`notifier`]
//! talks to the service manager, and [`access::port::keeper`] holds an interface.

pub mod access;
mod accounts;
pub mod args;
mod async_socket;
mod backoff;
mod claim;
mod config;
mod config_error;
mod control;
mod dtls;
mod fields;
mod helper_process;
pub mod keyd;
pub mod log;
mod lwm2m;
pub mod names;
pub mod notifier;
mod progress;
pub mod sandbox;
mod server_socket;
mod session;
pub mod start;
mod state_folder;
mod timer;
mod uri;
