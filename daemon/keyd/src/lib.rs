//! The key process: holds the SIM, answers a fixed table of requests, talks to no network.
