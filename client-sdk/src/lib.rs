//! Client SDK of softsim: typed requests to the key process and the network daemon.
