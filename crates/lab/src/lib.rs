//! A home network in a box for the demo and the tests.

pub mod auc;
pub mod bootstrap_server;
pub mod coap_server;
pub mod demo;
pub mod dtls_server;
pub mod eap_server;
pub mod eap_sim_db;
pub mod error;
pub mod gateway;
pub mod home;
pub mod hostapd;
pub mod journal;
pub mod management_server;
pub mod pki;
pub mod processes;
pub mod radius_server;
pub mod recorder;
pub mod subscription;
