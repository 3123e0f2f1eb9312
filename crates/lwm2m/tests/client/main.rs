//! The client's interface, towards servers and the application, with one module for each behaviour.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bootstrap;
mod common;
mod content;
mod hostile;
mod leshan;
mod lossy_link;
mod management;
mod registration;
