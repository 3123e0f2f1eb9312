//! In the sandbox, a process may do what is allowed. For anything else, the kernel kills it or
//! refuses the call.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::time::Duration;

use common::{OrdinaryUser, before_exec, deny_call, end, probe, succeed};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Connection, Received};

#[test]
fn the_key_process_serves_under_its_filter() {
    succeed(&mut probe(&["serve"]));
    succeed(&mut OrdinaryUser::new().probe(&["serve"]));
}

#[test]
fn everything_forbidden_to_the_key_process_kills_it() {
    each_forbidden_call_kills("keyd", 120);
}

#[test]
fn everything_forbidden_to_the_network_daemon_kills_it() {
    each_forbidden_call_kills("netd", 80);
}

#[test]
fn everything_forbidden_to_the_keeper_of_a_port_kills_it() {
    each_forbidden_call_kills("port-keeper", 90);
}

#[test]
fn everything_forbidden_to_the_bridge_and_its_finders_kills_them() {
    each_forbidden_call_kills("bridge", 85);
    each_forbidden_call_kills("finder", 115);
}

#[test]
fn everything_forbidden_to_the_keeper_of_the_anchor_kills_it() {
    each_forbidden_call_kills("anchord", 115);
}

#[test]
fn everything_forbidden_to_the_processes_beside_the_network_daemon_kills_them() {
    each_forbidden_call_kills("names", 75);
    each_forbidden_call_kills("look-up", 90);
    each_forbidden_call_kills("connector", 120);
}

/// Asserts that the filter kills the probe in each forbidden call with these arguments.
fn each_forbidden_call_kills(policy: &str, at_least: usize) {
    let calls = succeed(&mut probe(&["forbidden", policy]));
    assert!(calls.lines().count() >= at_least);
    for line in calls.lines() {
        let fields: Vec<&str> = line.splitn(8, ' ').collect();
        let name = fields[7];
        let end = end(&mut probe(&["forbidden", policy, name]));
        assert_eq!(end.status.signal(), Some(libc::SIGSYS), "{policy}: {name}");
        assert_eq!(end.stderr, "confined\n", "{policy}: {name}");
        for (found, expected) in end.call.iter().zip(&fields) {
            assert_eq!(&format!("{found:x}"), expected, "{policy}: {name}");
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn system_calls_of_the_32_bit_interface_kill_the_process() {
    for policy in [
        "keyd",
        "netd",
        "names",
        "look-up",
        "connector",
        "port-keeper",
        "anchord",
    ] {
        let end = end(&mut probe(&["thirty-two-bits", policy]));
        assert_eq!(end.stderr, "confined\n");
        match end.status.signal() {
            Some(libc::SIGSYS) => assert_eq!(end.call[0], 4),
            // The kernel was built without this interface.
            other => assert_eq!(other, Some(libc::SIGSEGV)),
        }
    }
}

#[test]
fn without_any_one_rule_of_the_key_process_it_dies_of_that_call() {
    succeed(&mut probe(&["serve-without", "all"]));
    for (place, name) in rules("keyd").iter().enumerate() {
        let end = end(&mut probe(&["serve-without", &place.to_string()]));
        assert_eq!(end.status.signal(), Some(libc::SIGSYS), "{name}");
        assert_eq!(end.call[0], number(name));
    }
}

#[test]
fn without_any_one_rule_of_the_network_daemon_its_runtime_dies() {
    let folder = tempfile::tempdir().unwrap();
    let without = |place: &str| {
        let own = folder.path().join(place);
        fs::create_dir(&own).unwrap();
        let mut command = Command::new(common::example("runtime"));
        command.arg(own).arg(place).output().unwrap()
    };
    assert!(without("all").status.success());
    for (place, name) in rules("netd").iter().enumerate() {
        let status = without(&place.to_string()).status;
        if status.success() {
            let reason = NOT_EVERY_TIME.iter().find(|(call, _)| call == name);
            assert!(reason.is_some(), "nothing needs {name}");
        } else {
            assert_eq!(status.signal(), Some(libc::SIGSYS), "{name}");
        }
    }
}

/// Rules that the runtime doesn't need in this test, and what needs them.
const NOT_EVERY_TIME: &[(&str, &str)] = &[
    ("epoll_pwait", "musl: epoll_wait"),
    ("open", "musl: openat"),
    ("fcntl", "musl: F_SETFD"),
    ("prctl", "newer versions of glibc: names of maps"),
    ("socket", "a machine without IPv6"),
    ("rt_sigreturn", "the end by a signal: tests/journey.rs"),
    ("restart_syscall", "a stop in a wait"),
    (
        "clock_gettime",
        "a machine whose vDSO doesn't know the time",
    ),
    ("madvise", "a thread that ends while others go on"),
    ("exit", "a thread that ends while others go on"),
];

fn rules(policy: &str) -> Vec<String> {
    let rules = succeed(&mut probe(&["rules", policy]));
    assert!(rules.lines().count() >= 12);
    rules.lines().map(str::to_owned).collect()
}

fn number(name: &str) -> u64 {
    let number = match name {
        "ppoll" => libc::SYS_ppoll,
        "accept4" => libc::SYS_accept4,
        "getsockopt" => libc::SYS_getsockopt,
        "recvfrom" => libc::SYS_recvfrom,
        "sendto" => libc::SYS_sendto,
        "close" => libc::SYS_close,
        "pwrite64" => libc::SYS_pwrite64,
        "fdatasync" => libc::SYS_fdatasync,
        "getrandom" => libc::SYS_getrandom,
        "clock_gettime" => libc::SYS_clock_gettime,
        "write" => libc::SYS_write,
        "exit_group" => libc::SYS_exit_group,
        _ => panic!("the test doesn't know the number of {name}"),
    };
    number as u64
}

#[test]
fn a_process_that_was_stopped_in_its_wait_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut echo = Command::new(common::example("echo"))
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(echo.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("landlock ABI "), "{line}");

    let client = Connection::connect(&path).unwrap();
    let answer = || {
        client.send(b"datagram").unwrap();
        let soon = Some(Duration::from_secs(60));
        poll::wait(&mut [Entry::readable(&client)], soon).unwrap();
        client.receive(&mut [0; 16]).unwrap()
    };
    assert_eq!(answer(), Received::Datagram(8));
    stop_and_continue(echo.id() as libc::pid_t);
    assert_eq!(answer(), Received::Datagram(8));
    echo.kill().unwrap();
    assert_eq!(echo.wait().unwrap().signal(), Some(libc::SIGKILL));
}

fn stop_and_continue(child: libc::pid_t) {
    // SAFETY: the call takes numbers only; the child is not reaped yet.
    let stopping = unsafe { libc::kill(child, libc::SIGSTOP) };
    // Otherwise the second signal could cancel the first. SAFETY: waits for the stop without
    // reaping the child; no status is asked for.
    let stopped = unsafe { libc::waitpid(child, ptr::null_mut(), libc::WUNTRACED) };
    // SAFETY: the call takes numbers only; the child is not reaped yet.
    let continued = unsafe { libc::kill(child, libc::SIGCONT) };
    assert_eq!((stopping, stopped, continued), (0, child, 0));
}

#[test]
fn what_the_c_library_only_tries_is_refused_to_the_network_daemon() {
    succeed(&mut probe(&["refused"]));
}

#[test]
fn landlock_leaves_the_paths_of_its_rules_and_nothing_else() {
    let name = format!("softsim-landlock-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let user = OrdinaryUser::new();
    let mut command = user.probe(&["landlock", folder.path().to_str().unwrap()]);
    let abi = succeed(command.env("PROBE_ABSTRACT_SOCKET", &name));
    assert!(abi.trim().parse::<u32>().unwrap() >= 1);
}

#[test]
fn a_refused_landlock_is_an_error() {
    let mut command = probe(&["landlock-unavailable"]);
    before_exec(&mut command, || {
        deny_call(libc::SYS_landlock_create_ruleset)
    });
    succeed(&mut command);
}

#[test]
fn a_tokio_runtime_lives_under_the_filter_of_the_network_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(common::example("runtime"));
    let output = succeed(command.arg(folder.path()));
    assert_eq!(output, "served\n");
}
