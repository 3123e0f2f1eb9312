//! The first process of a virtual machine: runs the commands of a plan as an ordinary user, and
//! ends it.
//!
//!     init PLAN
//!
//! A plan has one command a line, whose words are separated by spaces. The console shows `run
//! COMMAND` before and `exit STATUS COMMAND` after each command, and `end` at the end.

use std::error::Error;
use std::ffi::CStr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs, io, mem, ptr};

/// A user without privileges, but not the one that stands for users without a number.
const ORDINARY: u32 = 65533;

/// The limit of locked memory that service managers set since kernel 5.16, in octets.
const LOCKED_MEMORY: libc::rlim_t = 8 << 20;

fn main() {
    // The firmware may have left the line unfinished.
    println!();
    if let Err(error) = prepare().and_then(|()| run()) {
        println!("init: {error}");
    }
    println!("end");
    // SAFETY: ends the machine; it takes a number only.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
}

fn prepare() -> Result<(), Box<dyn Error>> {
    mount(c"proc", c"/proc", c"")?;
    mount(c"sysfs", c"/sys", c"")?;
    mount(c"devtmpfs", c"/dev", c"")?;
    mount(c"tmpfs", c"/tmp", c"mode=1777")?;
    loopback_up()?;
    let limit = libc::rlimit {
        rlim_cur: LOCKED_MEMORY,
        rlim_max: LOCKED_MEMORY,
    };
    // SAFETY: the kernel reads one rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) })?;
    Ok(())
}

fn run() -> Result<(), Box<dyn Error>> {
    let plan = env::args().nth(1).ok_or("no plan is named")?;
    for line in fs::read_to_string(plan)?.lines() {
        let mut words = line.split(' ');
        let program = words.next().ok_or("an empty line in the plan")?;
        println!("run {line}");
        let status = Command::new(program)
            .args(words)
            .current_dir("/tmp")
            .env_clear()
            .uid(ORDINARY)
            .gid(ORDINARY)
            .status();
        match status {
            Ok(status) => println!("exit {} {line}", status.code().unwrap_or(-1)),
            Err(error) => println!("exit {error} {line}"),
        }
    }
    Ok(())
}

fn mount(kind: &CStr, at: &CStr, options: &CStr) -> io::Result<()> {
    let (kind, at) = (kind.as_ptr(), at.as_ptr());
    // SAFETY: all pointers are C strings.
    check(unsafe { libc::mount(kind, at, kind, 0, options.as_ptr().cast()) })
}

/// 127.0.0.1 and its network.
fn loopback_up() -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    // SAFETY: plain numbers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // SAFETY: three octets into a field of sixteen.
    unsafe { ptr::copy_nonoverlapping(c"lo".as_ptr(), request.ifr_name.as_mut_ptr(), 3) };
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads one request.
    check(unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
