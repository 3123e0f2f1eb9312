//! The network daemon: LwM2M bootstrap and EAP-AKA' through the key process.
//!
//! netd parses every octet that comes from a network and holds no long-term secret: it asks
//! softsim-keyd for whatever needs a key. [`start`] opens everything that netd needs and then
//! confines the process, before netd receives the first datagram and starts the first thread.
//!
//! ```text
//!    start ----> checks         of the configuration, and of what it names
//!      |                        opens what the configuration names; then confines the process
//!      |
//!   control ---> access         keeps connections to networks up: softsim_eap, softsim_carriers
//!      |            |
//!      v            v
//!    lwm2m ------> keyd         what is asked of the key process
//!      |  \
//!      |   accounts             on disk, as of keyd's last transaction
//!      v
//!   session ----> dtls          verifies a server's certificate before keyd signs
//!      |
//!      +---> names              the addresses of a server's name
//!      +---> server_socket      which of them answers
//! ```
//!
//! Helper processes do what netd itself may not do: [`connector::process`] connects to keyd and
//! talks to the service manager, [`names::helper`] resolves names, and [`access::port::keeper`]
//! holds an interface.

pub mod access;
mod accounts;
pub mod args;
mod async_socket;
mod audience;
mod backoff;
mod callers;
pub mod checks;
mod claim;
mod config;
pub mod connector;
mod control;
mod dtls;
mod events;
mod fields;
mod files;
mod helper_process;
pub mod keyd;
pub mod listening;
pub mod log;
mod lwm2m;
pub mod names;
mod progress;
mod reload;
pub mod sandbox;
#[cfg(test)]
mod scripted_keyd;
mod server_socket;
mod session;
pub mod start;
mod timer;
mod uri;
