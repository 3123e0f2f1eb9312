//! Names that a server chooses reach a terminal or a log only as text: softsimctl and netd with a
//! management server whose Location-Path attacks the reader's terminal.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use softsim_client::netd::Management;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::processes::binaries;
use softsim_sandbox::text::is_plain;
use softsim_testkit::processes::built;

const PROGRAMS: [&str; 3] = ["softsim-keyd", "softsim-netd", "softsimctl"];

/// A text that sets the window's title, forges a log line and a kernel message, clears the screen
/// by a C1 control and reverses the writing direction.
const HOSTILE: &str = "\x1b]0;owned\x07\r\nmanagement       registered\n<0>kernel: forged\u{9b}2J\u{7f}\u{202e}\u{2028}";

fn softsimctl(home: &Home, arguments: &[&str]) -> Output {
    let sockets = home.gateway().sockets();
    Command::new(binaries().unwrap().join("softsimctl"))
        .args(arguments)
        .env("SOFTSIM_ADMIN_SOCKET", &sockets.admin)
        .env("SOFTSIM_NETD_SOCKET", &sockets.netd)
        .output()
        .unwrap()
}

/// Returns a program's output after asserting that it consists of lines of printable characters.
fn plain(octets: Vec<u8>) -> String {
    let text = String::from_utf8(octets).unwrap();
    let plain = text.lines().all(|line| line.chars().all(is_plain));
    assert!(plain, "{}", text.escape_debug());
    text
}

#[test]
fn nothing_that_a_server_wrote_reaches_a_terminal_or_a_log_as_more_than_text() {
    if !built("hostile texts", &PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    home.management_server().name_locations(HOSTILE);
    home.start_netd().unwrap();

    let bootstrap = softsimctl(&home, &["bootstrap"]);
    assert!(bootstrap.status.success());
    let status = home.gateway().netd_status().unwrap();
    let Management::Registered { location, .. } = status.management else {
        panic!("{status:?}")
    };
    assert!(location.contains(HOSTILE), "netd has it as it came");

    let text = plain(bootstrap.stdout);
    assert!(text.contains("\\u{1b}]0;owned\\u{7}\\r\\n"), "{text}");
    let text = plain(softsimctl(&home, &["status"]).stdout);
    let about = |line: &&str| line.starts_with("management");
    assert_eq!(
        text.lines().filter(about).count(),
        1,
        "no line is forged: {text}"
    );

    let json = plain(softsimctl(&home, &["--json", "status"]).stdout);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["netd"]["management"]["location"], location,
        "JSON says the same"
    );

    // A failure goes to standard error, and repeats an argument of the command line.
    let failed = softsimctl(&home, &["access", "connect", HOSTILE]);
    assert!(!failed.status.success() && plain(failed.stderr).contains("owned"));
    let usage = softsimctl(&home, &[HOSTILE]);
    assert_eq!(usage.status.code(), Some(64));
    assert!(plain(usage.stderr).contains("forged"));

    let log = plain(fs::read(home.gateway().folder().file("netd.log")).unwrap());
    assert!(log.contains("owned") && !log.contains("\n<0>"), "{log}");
}
