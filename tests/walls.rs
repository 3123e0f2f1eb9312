//! The walls between the crates, as ARCHITECTURE.md draws them, held against `cargo tree`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that `package`, built by itself, links.
fn linked_by(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "cargo tree failed for {package}");
    let linked: BTreeSet<_> = shown
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert!(linked.contains(package), "cargo tree shows no {package}");
    linked
}

fn assert_without(package: &str, forbidden: &[&str]) {
    let linked = linked_by(package);
    let found: Vec<_> = forbidden
        .iter()
        .filter(|name| linked.contains(**name))
        .collect();
    assert!(found.is_empty(), "{package} links {found:?}");
}

#[test]
fn the_network_daemon_links_nothing_that_touches_k() {
    assert_without(
        "softsim-netd",
        &[
            "softsim-aka",
            "softsim-usim",
            "softsim-profile",
            "softsim-keyd",
        ],
    );
}

#[test]
fn the_bridge_links_nothing_that_touches_k_and_no_runtime() {
    assert_without(
        "softsim-bridge",
        &[
            "softsim-aka",
            "softsim-usim",
            "softsim-profile",
            "softsim-keyd",
            "softsim-eap",
            "tokio",
            "tracing",
            "clap",
        ],
    );
}

#[test]
fn the_client_sdk_links_nothing_that_touches_k() {
    assert_without(
        "softsim-client",
        &[
            "softsim-aka",
            "softsim-usim",
            "softsim-profile",
            "softsim-keyd",
        ],
    );
}

#[test]
fn the_key_process_links_no_runtime_and_no_network_protocol() {
    assert_without(
        "softsim-keyd",
        &[
            "tokio",
            "dimpl",
            "coap-lite",
            "rustls",
            "softsim-eap",
            "softsim-coap",
            "softsim-lwm2m",
            "softsim-carriers",
        ],
    );
}

#[test]
fn the_key_process_links_nothing_that_would_carry_secrets_out_of_its_memory() {
    // A logger, a command-line parser and a file format have no place beside K; `getrandom` would
    // take the C library's vDSO form, whose state lies in ordinary memory.
    assert_without(
        "softsim-keyd",
        &[
            "tracing",
            "secrecy",
            "clap",
            "toml",
            "argon2",
            "serde_json",
            "getrandom",
        ],
    );
}

#[test]
fn protocol_crates_are_sans_io() {
    for package in [
        "softsim-eap",
        "softsim-carriers",
        "softsim-coap",
        "softsim-lwm2m",
        "softsim-aka",
        "softsim-usim",
        "softsim-profile",
    ] {
        assert_without(
            package,
            &[
                "tokio",
                "mio",
                "libc",
                "rustix",
                "socket2",
                "softsim-sandbox",
            ],
        );
    }
}
