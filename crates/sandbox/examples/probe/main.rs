//! A process of `secret_main!` that examines itself, or breaks a rule, for `tests/`.
//!
//!     probe TOPIC [ARGUMENT]
//!
//! It exits with status 0 if everything is as it should be. Otherwise it panics, and the message
//! names the line.

#![no_main]
#![allow(clippy::panic)] // It is how the probe says that something is wrong.

mod confined;
mod forbidden;
mod process;
#[path = "../shared/reduced.rs"]
mod reduced;
mod remains;

use std::path::Path;

use softsim_sandbox::process::exit;
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::{Args, log};

softsim_sandbox::secret_main!(stack = 128 << 10, heap = 256 << 10, run);

fn run(args: Args) -> ! {
    log::begin();
    let args: Vec<&str> = args
        .map(|argument| std::str::from_utf8(argument).expect("UTF-8"))
        .collect();
    match args[..] {
        ["forbidden", policy] => forbidden::list(policy),
        #[cfg(target_arch = "x86_64")]
        ["thirty-two-bits", policy] => forbidden::thirty_two_bits(policy),
        ["forbidden", policy, name] => forbidden::attempt(policy, name),
        ["refused"] => forbidden::refused(),
        ["serve"] => confined::serve(|| seccomp::install(Filter::Keyd).expect("seccomp")),
        ["rules", "keyd"] => list(reduced::names(reduced::KEYD)),
        ["rules", "netd"] => list(reduced::names(reduced::NETD)),
        ["serve-without", place] => confined::serve(|| reduced::install(reduced::KEYD, place)),
        ["landlock", folder] => confined::landlock(Path::new(folder)),
        ["landlock-unavailable"] => confined::landlock_unavailable(),
        ["inherited", name] => confined::inherited(name),
        ["notify"] => confined::notify(),
        ["panic"] => confined::panic(),
        ["exhaust"] => confined::exhaust(),
        ["maps"] => remains::maps(),
        ["extend", octets] => remains::extend(octets),
        ["extend-by-need"] => remains::extend_by_need(),
        ["extend-beyond-reason"] => remains::extend_beyond_reason(),
        ["freed"] => remains::freed(),
        ["scrub-stack"] => remains::scrub_stack(),
        ["scrub-shallow"] => remains::scrub_shallow(),
        ["scrub-shallow-too-deep"] => remains::scrub_shallow_too_deep(),
        ["scrub-registers"] => remains::scrub_registers(),
        ["c-heap"] => remains::c_heap(),
        ["guard", which] => remains::guard(which),
        ["kind"] => process::kind(),
        ["wait"] => process::wait(),
        ["peek", pid] => process::peek(pid),
        ["descriptors"] => process::descriptors(),
        ["drop-user", id] => process::drop_user(id),
        ["keep-capabilities"] => process::keep_capabilities(),
        ["keep-no-capability"] => process::keep_no_capability(),
        ["hold-termination"] => process::hold_termination(),
        ["ignore-termination"] => process::ignore_termination(),
        ["log", count] => process::log_lines(count),
        _ => panic!("unknown topic"),
    }
    exit(0)
}

/// Reports on standard error that the process is confined from now on.
fn confined() {
    log::line(6, "confined");
}

fn list(names: Vec<String>) {
    names.iter().for_each(|name| println!("{name}"));
}
