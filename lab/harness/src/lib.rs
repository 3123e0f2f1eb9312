//! Runs a gateway's daemons, its home network and foreign programs, for the demo and the tests.
//!
//! [`home`] ties everything together: the operator's side around one [`gateway`].
//! - The device: [`processes`] runs the daemons, if need be with [`host_files`] and a
//!   [`name_server`] for one test; [`recorder`] records the messages between them.
//! - The operator: [`subscription`], and the servers of `softsim-lab-simulators`.
//! - Foreign programs: [`hostapd`], [`supplicant`] and [`swtpm`], with [`netns`] for interfaces and
//!   [`tap`] on the path to a server.
//! - A test that can't run on a machine reports that through [`prerequisite`].

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
pub mod swtpm;
pub mod tap;
