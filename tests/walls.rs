//! The walls between the crates that ARCHITECTURE.md describes, compared with `cargo tree`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

/// Whoever takes it over has the TPM and nothing of the SIM.
#[test]
fn the_keeper_of_the_anchor_links_the_sandbox_and_its_own_messages_only() {
    let mut linked = linked_by("softsim-anchord");
    linked.retain(|name| name.starts_with("softsim-"));
    let expected = [
        "softsim-anchor-proto",
        "softsim-anchord",
        "softsim-args",
        "softsim-sandbox",
    ];
    assert_eq!(linked, expected.map(str::to_owned).into());
    assert_without("softsim-anchord", &["tokio", "tracing", "clap"]);
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
            "softsim-link",
        ],
    );
}

#[test]
fn the_key_process_links_nothing_that_would_carry_secrets_out_of_its_memory() {
    // A logger, a file format and a command-line parser with dependencies don't belong in one
    // process with K. `getrandom` would use the C library's vDSO form, whose state is in ordinary
    // memory.
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

/// The crates that may have unsafe code, and the interfaces of Linux that they need it for.
const UNSAFE: [(&str, &str); 2] = [
    (
        "crates/sandbox",
        "secret memory, processes, seccomp, SOCK_SEQPACKET",
    ),
    ("crates/link", "packet sockets and netlink; not for keyd"),
];

#[test]
fn unsafe_code_stands_in_the_named_crates_only_and_each_block_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let mut exempt = BTreeSet::new();
    for manifest in manifests() {
        let text = fs::read_to_string(&manifest).unwrap();
        if text.contains("\n[lints]\nworkspace = true\n") {
            continue;
        }
        assert!(
            text.contains("\nundocumented_unsafe_blocks = \"deny\"\n"),
            "{manifest}"
        );
        let crate_folder = Path::new(&manifest).parent().unwrap();
        exempt.insert(crate_folder.strip_prefix(root).unwrap().to_owned());
    }
    assert_eq!(exempt, UNSAFE.map(|(folder, _)| folder.into()).into());
}

/// The Cargo.toml of every package of the workspace.
fn manifests() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--no-deps"])
        .args(["--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| package["manifest_path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn nothing_that_ships_links_the_lab_or_the_testkit() {
    for package in [
        "softsim-keyd",
        "softsim-netd",
        "softsim-bridge",
        "softsim-anchord",
        "softsim-ctl",
        "softsim-issuer",
        "softsim-client",
    ] {
        assert_without(
            package,
            &[
                "softsim-lab-aka",
                "softsim-lab-simulators",
                "softsim-lab-hostile",
                "softsim-lab-harness",
                "softsim-testkit",
            ],
        );
    }
}

/// Both daemons link keyd's protocol, the sandbox and the parser of command lines. Besides, they
/// share only the types of a request, and the code that reads a packet: netd decides what to ask
/// keyd by what it reads in a packet, and keyd what to answer.
#[test]
fn what_both_sides_of_the_wall_share_holds_no_key_and_no_state_machine() {
    let ours = |package| {
        let mut linked = linked_by(package);
        linked.retain(|name| name.starts_with("softsim-"));
        linked
    };
    let (keyd, netd) = (ours("softsim-keyd"), ours("softsim-netd"));
    let shared: BTreeSet<_> = keyd.intersection(&netd).cloned().collect();
    let expected = [
        "softsim-args",
        "softsim-eap-packet",
        "softsim-eap-types",
        "softsim-keyd-proto",
        "softsim-sandbox",
    ];
    assert_eq!(shared, expected.map(str::to_owned).into());
    for (package, links) in [
        ("softsim-eap-types", &["softsim-eap-types"][..]),
        (
            "softsim-eap-packet",
            &["softsim-eap-packet", "softsim-eap-types"],
        ),
    ] {
        let links = links.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(ours(package), links);
    }
}

#[test]
fn protocol_crates_are_sans_io() {
    for package in [
        "softsim-eap-packet",
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

#[test]
fn every_path_that_the_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "client-sdk",
        "crates",
        "daemon",
        "docs",
        "fuzz",
        "lab",
        "packaging",
        "policies",
        "testkit",
        "tests",
        "tools",
    ];
    for document in ["ARCHITECTURE.md", "docs/code-structure.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let mut paths = 0;
        // Every second part is between backticks.
        for path in text.split('`').skip(1).step_by(2) {
            let first = path.split('/').next().unwrap_or_default();
            if folders.contains(&first) && path.contains('/') && !path.contains(['*', '\n']) {
                assert!(root.join(path).exists(), "{document} names {path}");
                paths += 1;
            }
        }
        assert!(paths > 20, "{document} names {paths} paths");
    }
}
