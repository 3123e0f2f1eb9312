//! A home network in a box for the demo and the tests.
//!
//! [`home`] is the whole of it: the operator's side around one [`gateway`].
//! - Subscription: [`subscription`], [`auc`], [`eap_sim_db`] for hostapd.
//! - Access: [`eap_server`] in [`radius_server`], or [`hostapd`]; [`tap`] on the way to either,
//!   [`netns`] for interfaces, and [`supplicant`] for the peers that are not ours.
//! - Tests of a peer: [`hostile`], a server that does what a server may not.
//! - Provisioning and management: [`bootstrap_server`] and [`management_server`], on
//!   [`coap_server`], on [`dtls_server`], which takes clients that [`pki`] certified.
//! - The device: [`processes`] runs the daemons, where it is to be with [`host_files`] and a
//!   [`name_server`] of a test's own; [`recorder`] writes down what they say to each other.

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
pub mod host_files;
pub mod hostapd;
pub mod hostile;
pub mod journal;
pub mod management_server;
pub mod name_server;
pub mod netns;
pub mod pki;
pub mod prerequisite;
pub mod processes;
pub mod radius_server;
pub mod recorder;
pub mod subscription;
pub mod supplicant;
pub mod tap;
