//! Runs the programs that people run by hand, and checks what they do when standard output is
//! closed or full and that they leave no core dump.

use std::fs::{self, File, OpenOptions};
use std::io::{PipeWriter, pipe};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A test holds this lock while it starts a process. Between fork and exec, the child has a copy of
/// each descriptor of the parent, which could keep another test's pipe open.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program in a directory, and returns its exit status and standard error.
pub fn run(
    program: &str,
    directory: &Path,
    arguments: &[&str],
    stdout: impl Into<Stdio>,
) -> (ExitStatus, String) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(directory)
        .stdout(stdout)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let child = {
        let _alone = alone();
        command.spawn().unwrap()
    };
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

/// Asserts that each command of a program ends without a word if the reader of its standard output
/// has gone (128 + SIGPIPE), and says in one line if its standard output is a full device
/// (EX_IOERR). Every run has a directory of its own within this one.
pub fn tells_of_its_output(program: &str, directory: &Path, commands: &[&[&str]]) {
    let name = Path::new(program).file_name().unwrap().display();
    let full = format!("{name}: standard output: No space left on device (os error 28)\n");
    for (number, arguments) in commands.iter().enumerate() {
        let outputs: [(&str, Stdio, _, _); 2] = [
            ("unread", unread().into(), 141, ""),
            ("full", full_device().into(), 74, &full),
        ];
        for (output, stdout, code, says) in outputs {
            let directory = directory.join(format!("{output}-{number}"));
            fs::create_dir(&directory).unwrap();
            let (status, said) = run(program, &directory, arguments, stdout);
            let ended = (status.code(), said.as_str());
            assert_eq!(ended, (Some(code), says), "{output} {arguments:?}");
        }
    }
}

/// The writing end of a pipe whose reading end is closed.
fn unread() -> PipeWriter {
    let _alone = alone();
    pipe().unwrap().1
}

fn full_device() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// Starts a program in a directory, under a limit that allows core dumps. A shell splits `words`
/// into arguments.
pub fn with_cores(program: &str, directory: &Path, words: &str) -> Child {
    let _alone = alone();
    Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -c unlimited; exec {program} {words}"),
        ])
        .current_dir(directory)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Makes a FIFO, so that a program that opens it blocks.
pub fn fifo(directory: &Path, name: &str) {
    let made = Command::new("mkfifo")
        .args(["-m", "600", name])
        .current_dir(directory)
        .status();
    assert!(made.unwrap().success());
}

/// Waits until the program has set its limit for core dumps to zero, sends SIGABRT, and asserts
/// that it dumped no core. A shell has what it starts in the background ignore SIGQUIT, which a
/// test and its programs would inherit.
pub fn leaves_no_core(mut child: Child) {
    let limits = format!("/proc/{}/limits", child.id());
    let name = format!("/proc/{}/comm", child.id());
    let has_none = || {
        // The process may still be the shell, whose limit isn't the program's.
        if !fs::read_to_string(&name).unwrap().starts_with("softsim") {
            return false;
        }
        let limits = fs::read_to_string(&limits).unwrap();
        let mut lines = limits.lines();
        let core = lines.find(|line| line.starts_with("Max core file size"));
        core.is_some_and(|line| line.split_whitespace().nth(4) == Some("0"))
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while !has_none() && Instant::now() < patience {
        sleep(Duration::from_millis(10));
    }
    let limited = has_none();
    let sent = Command::new("kill")
        .args(["-ABRT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let status = child.wait().unwrap();
    assert!(limited, "a core may be written to a file");
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped(), "whatever core_pattern says");
}
