//! The far ends of a gateway, for tests and the demo.
//!
//! - Subscription: [`auc`], and [`eap_sim_db`] for hostapd.
//! - Access: [`eap_server`] in [`radius_server`].
//! - Provisioning and management: [`bootstrap_server`] and [`management_server`], on
//!   [`coap_server`], on [`dtls_server`], which accepts clients that [`pki`] certified.
//! - Each server records its events in a [`journal`].

pub mod auc;
pub mod bootstrap_server;
pub mod coap_server;
pub mod dtls_server;
pub mod eap_server;
pub mod eap_sim_db;
pub mod journal;
pub mod management_server;
pub mod pki;
pub mod radius_server;
