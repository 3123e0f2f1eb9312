//! Runs a gateway's daemons, its home network and foreign programs, for the demo and the tests.
//!
//! [`home`] is the whole of it: the operator's side around one [`gateway`].
//! - The device: [`processes`] runs the daemons, where it is to be with [`host_files`] and a
//!   [`name_server`] of a test's own; [`recorder`] writes down what they say to each other.
//! - The operator: [`subscription`], and the servers of `softsim-lab-simulators`.
//! - Foreign programs: [`hostapd`] and [`supplicant`], with [`netns`] for interfaces and [`tap`] on
//!   the way to a server.
//! - A test that lacks what it needs says so through [`prerequisite`].

pub mod error;
pub mod gateway;
pub mod home;
pub mod host_files;
pub mod hostapd;
pub mod name_server;
pub mod netns;
pub mod prerequisite;
pub mod processes;
pub mod recorder;
pub mod subscription;
pub mod supplicant;
pub mod tap;
