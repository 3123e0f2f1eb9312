//! Runs `examples/probe` for the tests.

#![allow(dead_code)] // Each test file uses a part.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

/// A user without privileges.
pub(crate) const NOBODY: u32 = 65534;

/// Writes the reason for which a test is skipped to the file that `SOFTSIM_SKIPS` names. CI treats
/// a skipped test as a failure.
pub(crate) fn skip(reason: &str) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "a prerequisite is missing: {reason}"
    );
    println!("skipped: {reason}");
    if let Some(skips) = env::var_os("SOFTSIM_SKIPS") {
        let mut skips = File::options().append(true).open(skips).unwrap();
        writeln!(skips, "{reason}").unwrap();
    }
}

/// An example of this crate, which `cargo test` has built beside the test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let built = test
        .ancestors()
        .nth(2)
        .expect("target/PROFILE")
        .join("examples")
        .join(name);
    assert!(
        built.exists(),
        "{} is missing: run `cargo build --examples`",
        built.display()
    );
    built
}

/// The command for the probe with this topic and its argument.
pub(crate) fn probe(args: &[&str]) -> Command {
    let mut command = Command::new(example("probe"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the command, and asserts that it ends with status 0.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("the probe starts");
    assert!(
        output.status.success(),
        "{command:?}: {} {}",
        output.status,
        stderr(&output)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs the command until a signal ends it, and returns the signal.
pub(crate) fn signal(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the probe starts");
    (output.status.signal(), stderr(&output))
}

/// How a process ended, and the number and arguments of the system call in which it was.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) call: [u64; 7],
    pub(crate) stderr: String,
}

/// Runs the command under ptrace(2), and reads its registers at its end. Only so does a test learn
/// which system call a filter killed.
///
/// The kernel tells nobody else which call a filter killed.
#[allow(clippy::zombie_processes)] // waitpid(2) below sees more than std's wait.
pub(crate) fn end(command: &mut Command) -> End {
    // SAFETY: takes no memory; the child becomes the tracee of the thread that started it.
    let traced = || match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let mut child = before_exec(command.stderr(Stdio::piped()), traced)
        .spawn()
        .expect("the probe starts");
    let pid = child.id() as libc::pid_t;
    let trace = |request, data: libc::c_long| {
        // SAFETY: none of these requests writes to memory of this process.
        let done = unsafe { libc::ptrace(request, pid, 0, data) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
    };
    let mut call = [0; 7];
    let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL;
    let mut set = false;
    let status = loop {
        let mut status = 0;
        // SAFETY: the kernel writes one status.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        if !libc::WIFSTOPPED(status) {
            break ExitStatus::from_raw(status);
        }
        // The tracee first stops when it has executed the new program.
        if !set {
            trace(libc::PTRACE_SETOPTIONS, options.into());
            set = true;
            trace(libc::PTRACE_CONT, 0);
        } else if status >> 8 == libc::SIGTRAP | libc::PTRACE_EVENT_EXIT << 8 {
            call = registers(pid);
            trace(libc::PTRACE_CONT, 0);
        } else {
            trace(libc::PTRACE_CONT, libc::WSTOPSIG(status).into());
        }
    };
    let stderr = io::read_to_string(child.stderr.take().expect("piped")).expect("UTF-8");
    End {
        status,
        call,
        stderr,
    }
}

/// The number and the arguments of the call that the tracee is in.
fn registers(pid: libc::pid_t) -> [u64; 7] {
    // SAFETY: plain numbers, for which zeros are valid.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let mut place = libc::iovec {
        iov_base: (&raw mut registers).cast(),
        iov_len: size_of_val(&registers),
    };
    const GENERAL: usize = 1; // NT_PRSTATUS
    // SAFETY: the kernel writes at most `iov_len` octets to the registers.
    let read = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid, GENERAL, &raw mut place) };
    assert_eq!(read, 0, "{}", io::Error::last_os_error());
    #[cfg(target_arch = "x86_64")]
    let call = {
        let r = registers;
        [r.orig_rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9]
    };
    #[cfg(target_arch = "aarch64")]
    let call = {
        let r = registers.regs;
        [r[8], r[0], r[1], r[2], r[3], r[4], r[5]]
    };
    call
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn is_root() -> bool {
    softsim_sandbox::process::uid() == 0
}

/// Runs the probe without privileges. Root runs it as `nobody`, from a copy, because `nobody` may
/// have no access to the build directory.
pub(crate) struct OrdinaryUser {
    copy: Option<TempDir>,
}

impl OrdinaryUser {
    pub(crate) fn new() -> OrdinaryUser {
        if !is_root() {
            return OrdinaryUser { copy: None };
        }
        let folder = TempDir::new().expect("a temporary directory");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("the owner may");
        // Another process makes the copy. Otherwise another test could fork while the file is open
        // for writing, and executing it would fail (ETXTBSY).
        let copied = Command::new("cp")
            .arg(example("probe"))
            .arg(folder.path())
            .status();
        assert!(copied.expect("cp starts").success());
        OrdinaryUser { copy: Some(folder) }
    }

    pub(crate) fn probe(&self, args: &[&str]) -> Command {
        let Some(copy) = &self.copy else {
            return probe(args);
        };
        let mut command = Command::new(copy.path().join("probe"));
        command.args(args).stdin(Stdio::null()).current_dir("/");
        command.uid(NOBODY).gid(NOBODY);
        command
    }
}

/// Adds an action in the child between fork and exec.
pub(crate) fn before_exec(
    command: &mut Command,
    action: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) -> &mut Command {
    // SAFETY: the actions in these tests are plain system calls, which are safe after a fork.
    unsafe { command.pre_exec(action) }
}

/// Makes the kernel answer EPERM to one system call, as container runtimes do.
pub(crate) fn deny_call(number: libc::c_long) -> std::io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            number as u32,
        ),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    softsim_sandbox::process::no_new_privileges()?;
    let program = libc::sock_fprog {
        len: 4,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies four instructions.
    match unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
