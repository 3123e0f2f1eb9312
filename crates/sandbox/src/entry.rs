//! The entry of the key process: a C `main` that prepares memory and never returns.
//!
//! It replaces the Rust runtime's own entry, which would put the stack of `main`, and everything
//! allocated before it, into ordinary memory.

use std::arch::asm;
use std::ffi::{CStr, c_char, c_int};
use std::{panic, ptr};

use crate::memory::{self, Heap, Region, SecretStack};
use crate::{log, process};

/// Exit status after a panic (EX_SOFTWARE).
const EXIT_PANIC: i32 = 70;
/// Exit status if the system lacks something that the process needs to begin, or if memory ran out
/// (EX_OSERR).
const EXIT_SYSTEM: i32 = 71;
/// The syslog level of their log lines.
const CRITICAL: u8 = 2;

/// The least stack besides the part that [`memory::scrub`] wipes, in octets.
const STACK_RESERVE: usize = 16 << 10;

/// Makes this program's `main` run on a secret stack, with a secret heap.
///
/// ```ignore
/// #![no_main]
/// #![forbid(unsafe_code)]
///
/// softsim_sandbox::secret_main!(stack = 128 << 10, heap = 1 << 20, run);
///
/// fn run(args: softsim_sandbox::Args) -> ! {
///     softsim_sandbox::process::exit(0)
/// }
/// ```
///
/// When `run` is called, descriptors 0 to 2 are open, the process makes no core dump and no process
/// of the same user can read it, SIGPIPE and SIGXFSZ are ignored, `RUST_BACKTRACE` is unset, and a
/// panic prints its file and line and exits with status 70. Sizes are in octets. `heap` is the
/// initial size; [`memory::extend_heap`] lets the heap grow. The process must not fork or start
/// threads.
///
/// The macro declares the global allocator and the symbols `main` and `abort`. `examples/echo.rs`
/// is a complete process.
#[macro_export]
macro_rules! secret_main {
    (stack = $stack:expr, heap = $heap:expr, $run:path $(,)?) => {
        #[global_allocator]
        static SECRET_HEAP: $crate::memory::Heap = $crate::memory::Heap::new();

        #[unsafe(no_mangle)]
        extern "C" fn main(
            argc: ::core::ffi::c_int,
            argv: *const *const ::core::ffi::c_char,
        ) -> ::core::ffi::c_int {
            // SAFETY: the C library calls main once, with its arguments.
            unsafe { $crate::entry::start::<{ $stack }, { $heap }>(argc, argv, &SECRET_HEAP, $run) }
        }

        /// The standard library calls this when it can't go on, for example after a failed
        /// allocation.
        #[unsafe(no_mangle)]
        extern "C" fn abort() -> ! {
            $crate::entry::aborted()
        }
    };
}

/// The program's arguments, without its name.
#[derive(Debug)]
pub struct Args {
    next: *const *const c_char,
    left: usize,
}

impl Iterator for Args {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: `next` points into argv, `left` entries before its end.
        let argument = unsafe { *self.next };
        self.next = self.next.wrapping_add(1);
        // SAFETY: entries of argv are strings that live as long as the process.
        Some(unsafe { CStr::from_ptr(argument) }.to_bytes())
    }
}

/// Prepares the process, and calls `run` on a new stack.
///
/// # Safety
/// To be called once, by the C library's startup code, with the arguments of `main`.
pub unsafe fn start<const STACK: usize, const HEAP: usize>(
    argc: c_int,
    argv: *const *const c_char,
    heap: &'static Heap,
    run: fn(Args) -> !,
) -> ! {
    const {
        assert!(
            STACK >= memory::SCRUB_DEPTH + STACK_RESERVE,
            "the stack must be 16 KiB deeper than what is scrubbed"
        );
    }
    open_standard_descriptors();
    require(process::deny_dumps().is_ok(), "can't deny core dumps");
    forget_runtime_settings();
    raise_lock_limit();
    let Ok(stack) = Region::map(STACK) else {
        fatal("can't map the stack");
    };
    let Ok(arena) = Region::map(HEAP) else {
        fatal("can't map the heap");
    };
    memory::record(&stack);
    require(memory::found_heap(heap, arena), "the heap is too small");
    panic::set_hook(Box::new(|panic| report(panic.location())));

    let args = Args {
        next: argv.wrapping_add(1),
        left: usize::try_from(argc).unwrap_or(0).saturating_sub(1),
    };
    let stack = SecretStack::prepare(stack);
    // SAFETY: the stack is mapped and used by nobody else, and this frame is never left.
    unsafe { switch_stack(stack.top(), &Continuation { args, run }) }
}

/// The function to run after the switch, and its arguments.
struct Continuation {
    args: Args,
    run: fn(Args) -> !,
}

/// Continues in `on_secret_stack`, on the stack that ends at `top`.
///
/// # Safety
/// `top` is the end of a mapped stack that nobody uses, a multiple of 16; what `next` points to
/// lives on.
unsafe fn switch_stack(top: *mut u8, next: *const Continuation) -> ! {
    // SAFETY: by the caller's promises. The frame pointer is cleared as the end of the chain of
    // frames; nothing returns to the old stack, and nothing on it waits to be dropped.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "mov rsp, {top}",
            "xor ebp, ebp",
            "call {go_on}",
            "ud2",
            top = in(reg) top,
            go_on = sym on_secret_stack,
            in("rdi") next,
            options(noreturn),
        )
    }
    // SAFETY: as above; the link register is cleared as well.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "mov sp, {top}",
            "mov x29, xzr",
            "mov x30, xzr",
            "bl {go_on}",
            "brk #1",
            top = in(reg) top,
            go_on = sym on_secret_stack,
            in("x0") next,
            options(noreturn),
        )
    }
}

/// The first function on the secret stack.
extern "C" fn on_secret_stack(next: *const Continuation) -> ! {
    // SAFETY: `start` passed its continuation, and its frame stays as it is; it is read once.
    let Continuation { args, run } = unsafe { ptr::read(next) };
    run(args)
}

/// Opens the standard descriptors, as Rust's runtime does: otherwise, the first file that is opened
/// could become standard error.
fn open_standard_descriptors() {
    for fd in 0..3 {
        // SAFETY: the call takes numbers only.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            // The lowest free number is `fd`, since the ones before it are open.
            // SAFETY: the path is a C string.
            let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
            require(opened == fd, "can't open /dev/null");
        }
    }
}

fn forget_runtime_settings() {
    // A log reader that went away, or a file beyond its limit, must cause an error and not end the
    // process.
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // To print a backtrace, a failed allocation would open files, and the filter would kill the
    // process before it reported anything.
    for name in [c"RUST_BACKTRACE", c"RUST_LIB_BACKTRACE"] {
        // SAFETY: no other thread reads the environment yet.
        unsafe { libc::unsetenv(name.as_ptr()) };
    }
}

/// Raises the limit of locked memory to the hard limit. If that fails, keyd reports the fallback to
/// other memory.
fn raise_lock_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit that outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel reads one rlimit that outlives the call.
        unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
    }
}

/// Reports where a panic happened, but not its message, which may hold a secret.
fn report(location: Option<&panic::Location<'_>>) -> ! {
    match location {
        Some(location) => {
            let (file, line) = (location.file(), location.line());
            log::line(CRITICAL, format_args!("panic at {file}:{line}"));
        }
        None => log::line(CRITICAL, "panic"),
    }
    process::exit(EXIT_PANIC)
}

/// Ends the process after the standard library has called `abort`.
pub fn aborted() -> ! {
    fatal("aborted: out of memory, or a defect")
}

fn require(fulfilled: bool, otherwise: &str) {
    if !fulfilled {
        fatal(otherwise);
    }
}

fn fatal(text: &str) -> ! {
    log::line(CRITICAL, text);
    process::exit(EXIT_SYSTEM)
}
