//! A process with root's privileges, which reads what it can of another process and writes it out.
//! `tests/redteam` searches the output for secrets.
//!
//! `intruder mem PID`, `readv PID` and `peek PID` read each mapping by /proc/PID/mem, by
//! process_vm_readv(2) and word by word by ptrace(2). `intruder registers PID COUNT` stops the
//! process that often and reads all registers of each thread.
//!
//! The output is a sequence of lines, some with the octets that they announce:
//!
//! ```text
//! got LENGTH START-END NAME         and LENGTH octets
//! refused ERRNO START-END NAME
//! ```

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

const PAGE: usize = 4096;

/// NT_X86_XSTATE of elf.h: all vector registers, however wide.
#[cfg(target_arch = "x86_64")]
const REGISTER_SETS: [(&str, i32); 3] = [
    ("NT_PRSTATUS", libc::NT_PRSTATUS),
    ("NT_PRFPREG", libc::NT_PRFPREG),
    ("NT_X86_XSTATE", 0x202),
];
#[cfg(target_arch = "aarch64")]
const REGISTER_SETS: [(&str, i32); 2] = [
    ("NT_PRSTATUS", libc::NT_PRSTATUS),
    ("NT_PRFPREG", libc::NT_PRFPREG),
];

/// More than the registers of any processor.
const REGISTERS: usize = 16 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut out = Loot(BufWriter::new(io::stdout().lock()));
    let done = match arguments[..] {
        ["mem", process] => by_file(pid(process), &mut out),
        ["readv", process] => by_readv(pid(process), &mut out),
        ["peek", process] => by_peek(pid(process), &mut out),
        ["registers", process, count] => {
            registers(pid(process), count.parse().unwrap_or(0), &mut out)
        }
        _ => Err(io::Error::other(
            "usage: intruder mem|readv|peek PID | registers PID COUNT",
        )),
    };
    match done.and_then(|()| out.0.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("intruder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pid(text: &str) -> i32 {
    text.parse().unwrap_or(0)
}

/// The output.
struct Loot<W: Write>(W);

impl<W: Write> Loot<W> {
    fn got(&mut self, what: &str, octets: &[u8]) -> io::Result<()> {
        writeln!(self.0, "got {} {what}", octets.len())?;
        self.0.write_all(octets)
    }

    fn refused(&mut self, what: &str, error: &io::Error) -> io::Result<()> {
        let errno = error.raw_os_error().unwrap_or(0);
        writeln!(self.0, "refused {errno} {what}")
    }
}

/// A line of /proc/PID/maps.
struct Mapping {
    start: usize,
    end: usize,
    writable: bool,
    what: String,
}

fn mappings(process: i32) -> io::Result<Vec<Mapping>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mapping = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        let (start, end) = range.split_once('-')?;
        let name: Vec<_> = fields.skip(3).collect();
        Some(Mapping {
            start: usize::from_str_radix(start, 16).ok()?,
            end: usize::from_str_radix(end, 16).ok()?,
            writable: permissions.contains('w'),
            what: format!("{range} {permissions} {}", name.join(" ")),
        })
    };
    Ok(maps.lines().filter_map(mapping).collect())
}

/// Reads a mapping in pieces. If a page can't be read, goes on with the pages after it.
fn whole(
    mapping: &Mapping,
    out: &mut Loot<impl Write>,
    mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
) -> io::Result<()> {
    let mut octets = Vec::with_capacity(mapping.end - mapping.start);
    let mut refusal = None;
    let mut page = [0; PAGE];
    for address in (mapping.start..mapping.end).step_by(PAGE) {
        match read(&mut page, address) {
            Ok(length) => octets.extend_from_slice(&page[..length]),
            Err(error) => refusal = Some(error),
        }
    }
    if let Some(error) = refusal {
        out.refused(&mapping.what, &error)?;
    }
    if octets.is_empty() {
        return Ok(());
    }
    out.got(&mapping.what, &octets)
}

fn by_file(process: i32, out: &mut Loot<impl Write>) -> io::Result<()> {
    let memory = File::open(format!("/proc/{process}/mem"))?;
    for mapping in mappings(process)? {
        whole(&mapping, out, |page, address| {
            memory.read_at(page, address as u64)
        })?;
    }
    Ok(())
}

fn by_readv(process: i32, out: &mut Loot<impl Write>) -> io::Result<()> {
    for mapping in mappings(process)? {
        whole(&mapping, out, |page, address| {
            let local = libc::iovec {
                iov_base: page.as_mut_ptr().cast(),
                iov_len: page.len(),
            };
            let remote = libc::iovec {
                iov_base: address as *mut libc::c_void,
                iov_len: page.len(),
            };
            // SAFETY: the kernel writes to `page` only, which is borrowed for the call, and checks
            // the address in the other process.
            let read = unsafe { libc::process_vm_readv(process, &local, 1, &remote, 1, 0) };
            usize::try_from(read).map_err(|_| io::Error::last_os_error())
        })?;
    }
    Ok(())
}

fn by_peek(process: i32, out: &mut Loot<impl Write>) -> io::Result<()> {
    let thread = Seized::new(process)?;
    thread.stop()?;
    // Reading word by word is slow, so it reads only what the process itself may have written.
    for mapping in mappings(process)?.into_iter().filter(|of| of.writable) {
        whole(&mapping, out, |page, address| {
            for (place, word) in page.chunks_exact_mut(8).enumerate() {
                word.copy_from_slice(&thread.peek(address + 8 * place)?.to_ne_bytes());
            }
            Ok(PAGE)
        })?;
    }
    thread.go_on()
}

fn registers(process: i32, count: u32, out: &mut Loot<impl Write>) -> io::Result<()> {
    let mut threads = Vec::new();
    for stop in 0..count {
        seize_more(process, &mut threads)?;
        for thread in std::mem::take(&mut threads) {
            if thread.stop().is_err() {
                continue; // It has ended, as threads do.
            }
            for (name, set) in REGISTER_SETS {
                let what = format!("{stop} {} {name}", thread.0);
                match thread.registers(set) {
                    Ok(octets) => out.got(&what, &octets)?,
                    Err(error) => out.refused(&what, &error)?,
                }
            }
            thread.go_on()?;
            threads.push(thread);
        }
        if threads.is_empty() {
            return Err(io::Error::other("the process has ended"));
        }
        // The intervals differ, so that they don't coincide with what the process does regularly.
        sleep(Duration::from_micros(u64::from(stop * 73 % 401)));
    }
    Ok(())
}

/// The threads that exist and are not seized yet.
fn seize_more(process: i32, threads: &mut Vec<Seized>) -> io::Result<()> {
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = pid(&entry?.file_name().to_string_lossy());
        if threads.iter().any(|seized| seized.0 == thread) {
            continue;
        }
        match Seized::new(thread) {
            Ok(seized) => threads.push(seized),
            // The thread has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A thread that is traced, until this process ends.
struct Seized(i32);

impl Seized {
    fn new(thread: i32) -> io::Result<Self> {
        request(libc::PTRACE_SEIZE, thread, 0, 0)?;
        Ok(Self(thread))
    }

    fn stop(&self) -> io::Result<()> {
        request(libc::PTRACE_INTERRUPT, self.0, 0, 0)?;
        let mut status = 0;
        // SAFETY: the kernel writes one number to a place that outlives the call.
        let waited = unsafe { libc::waitpid(self.0, &mut status, libc::__WALL) };
        if waited == self.0 && libc::WIFSTOPPED(status) {
            return Ok(());
        }
        Err(io::Error::other("it has ended"))
    }

    fn go_on(&self) -> io::Result<()> {
        request(libc::PTRACE_CONT, self.0, 0, 0)
    }

    fn peek(&self, address: usize) -> io::Result<i64> {
        let mut word: i64 = 0;
        // The C library's PTRACE_PEEKDATA returns the word; the system call writes it to the last
        // argument. SAFETY: the kernel writes one word to a place that outlives the call.
        let peeked = unsafe {
            libc::syscall(
                libc::SYS_ptrace,
                libc::c_long::from(libc::PTRACE_PEEKDATA),
                libc::c_long::from(self.0),
                address,
                &raw mut word,
            )
        };
        if peeked == 0 {
            Ok(word)
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn registers(&self, set: i32) -> io::Result<Vec<u8>> {
        let mut octets = vec![0u8; REGISTERS];
        let mut buffer = libc::iovec {
            iov_base: octets.as_mut_ptr().cast(),
            iov_len: octets.len(),
        };
        let address = (&raw mut buffer) as usize;
        request(libc::PTRACE_GETREGSET, self.0, set as usize, address)?;
        octets.truncate(buffer.iov_len);
        Ok(octets)
    }
}

fn request(
    what: impl Into<libc::c_long>,
    thread: i32,
    address: usize,
    data: usize,
) -> io::Result<()> {
    // SAFETY: of the requests made here only PTRACE_GETREGSET writes to this process: to the buffer
    // that `data` describes, which the caller holds.
    let done = unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            what.into(),
            libc::c_long::from(thread),
            address,
            data,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
