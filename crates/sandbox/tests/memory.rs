//! No part of a secret is in memory that another process or a later request could read.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};

use common::{OrdinaryUser, before_exec, deny_call, is_root, probe, signal, skip, stderr, succeed};

const SYS_MEMFD_SECRET: libc::c_long = 447;

/// Whether this kernel has secret memory, determined without the crate.
fn kernel_has_secret_memory() -> bool {
    // SAFETY: the call takes numbers only; the descriptor stays open for the life of the test.
    unsafe { libc::syscall(SYS_MEMFD_SECRET, libc::O_CLOEXEC) >= 0 }
}

#[test]
fn stack_and_heap_lie_in_the_secret_maps() {
    succeed(&mut probe(&["maps"]));
    succeed(&mut OrdinaryUser::new().probe(&["maps"]));
}

#[test]
fn the_heap_grows_by_areas_of_the_same_kind() {
    for octets in ["300001", "524288", "1000000"] {
        let kinds = succeed(&mut probe(&["extend", octets]));
        let (before, after) = kinds.trim().split_once(' ').unwrap();
        assert_eq!(before, after);
    }
    succeed(&mut probe(&["extend-by-need"]));
    succeed(&mut probe(&["extend-beyond-reason"]));
}

#[test]
fn area_beyond_the_lock_limit_lowers_the_kind_of_all_key_memory() {
    let user = OrdinaryUser::new();
    let mut command = user.probe(&["extend", "524288"]);
    limit_locked_memory(&mut command, (128 + 256 + 256) << 10);
    let kinds = succeed(&mut command);
    // The memory may be ordinary: some kernels don't count secret memory against the limit of
    // locked memory.
    let (before, after) = kinds.trim().split_once(' ').unwrap();
    assert!(before != "plain" && after != before, "{kinds}");
}

#[test]
fn freed_memory_is_wiped() {
    succeed(&mut probe(&["freed"]));
}

#[test]
fn the_scrub_wipes_the_stack_below_it() {
    succeed(&mut probe(&["scrub-stack"]));
}

#[test]
fn the_shallow_scrub_wipes_as_deep_as_it_says_and_notices_what_lies_deeper() {
    succeed(&mut probe(&["scrub-shallow"]));
    let output = probe(&["scrub-shallow-too-deep"]).output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    assert!(stderr(&output).contains("scrub.rs:"));
}

#[test]
fn the_scrub_wipes_the_registers() {
    succeed(&mut probe(&["scrub-registers"]));
}

#[test]
fn the_heap_of_the_c_library_is_not_used() {
    succeed(&mut probe(&["c-heap"]));
}

#[test]
fn guard_pages_lie_around_stack_and_heap() {
    for which in [
        "below the stack",
        "above the stack",
        "below the heap",
        "above the heap",
    ] {
        let (signal, stderr) = signal(&mut probe(&["guard", which]));
        assert_eq!(signal, Some(libc::SIGSEGV), "{which}");
        assert!(stderr.contains("confined"), "{which}");
    }
}

#[test]
fn the_kind_of_key_memory_is_what_the_kernel_gave() {
    let kind = succeed(&mut OrdinaryUser::new().probe(&["kind"]));
    if kernel_has_secret_memory() {
        assert_eq!(kind, "memfd_secret 0\n");
    } else {
        assert!(
            kind.starts_with("mlock ") || kind.starts_with("plain "),
            "{kind}"
        );
    }
}

#[test]
fn where_secret_memory_is_refused_the_memory_is_locked() {
    let mut command = probe(&["kind"]);
    before_exec(&mut command, || deny_call(SYS_MEMFD_SECRET));
    assert_eq!(succeed(&mut command), format!("mlock {}\n", libc::EPERM));

    for topic in ["maps", "freed", "extend-by-need", "scrub-stack", "serve"] {
        let mut command = probe(&[topic]);
        before_exec(&mut command, || deny_call(SYS_MEMFD_SECRET));
        succeed(&mut command);
    }
}

#[test]
fn beyond_the_lock_limit_memory_is_plain_and_said_to_be() {
    let user = OrdinaryUser::new();
    let mut command = user.probe(&["kind"]);
    limit_locked_memory(&mut command, 64 << 10);
    let expected = if kernel_has_secret_memory() {
        libc::EAGAIN
    } else {
        libc::ENOSYS
    };
    assert_eq!(succeed(&mut command), format!("plain {expected}\n"));
}

#[test]
fn a_soft_lock_limit_is_raised_to_what_stack_and_heap_need() {
    let user = OrdinaryUser::new();
    let mut command = user.probe(&["kind"]);
    before_exec(&mut command, || set_lock_limit(0, (128 + 256) << 10));
    assert!(!succeed(&mut command).starts_with("plain"));
}

fn limit_locked_memory(command: &mut Command, octets: u64) {
    before_exec(command, move || set_lock_limit(octets, octets));
}

fn set_lock_limit(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the kernel reads one rlimit.
    match unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A waiting probe, and the addresses that it printed; it is killed on drop.
struct Waiting {
    child: Child,
    stack: u64,
    heap: u64,
}

impl Waiting {
    fn start(mut command: Command) -> Waiting {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (stack, heap) = line.trim().split_once(' ').unwrap();
        Waiting {
            child,
            stack: u64::from_str_radix(stack, 16).unwrap(),
            heap: u64::from_str_radix(heap, 16).unwrap(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_same_user_can_neither_read_nor_trace_the_process() {
    let user = OrdinaryUser::new();
    let target = Waiting::start(user.probe(&["wait"]));
    succeed(&mut user.probe(&["peek", &target.child.id().to_string()]));
}

#[test]
fn root_reads_neither_stack_nor_heap_of_secret_memory() {
    if !kernel_has_secret_memory() {
        return;
    }
    if !is_root() {
        skip("root_reads_neither_stack_nor_heap_of_secret_memory: needs root");
        return;
    }
    let target = Waiting::start(probe(&["wait"]));
    let memory = File::open(format!("/proc/{}/mem", target.child.id())).unwrap();
    let mut word = [0; 8];
    assert!(memory.read_exact_at(&mut word, target.stack).is_err());
    assert!(memory.read_exact_at(&mut word, target.heap).is_err());

    // The same read of ordinary memory succeeds, so the kernel protects the secret memory and not
    // the file.
    let mut command = probe(&["wait"]);
    before_exec(&mut command, || deny_call(SYS_MEMFD_SECRET));
    let target = Waiting::start(command);
    let memory = File::open(format!("/proc/{}/mem", target.child.id())).unwrap();
    memory.read_exact_at(&mut word, target.heap).unwrap();
    assert_eq!(u64::from_ne_bytes(word), 0x5ee7);
}
