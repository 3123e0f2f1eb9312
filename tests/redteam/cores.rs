//! Core dumps: gcore(1) of a running process, and the kernel's dump of a crashing one.

use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::yield_now;
use std::{fmt, fs};

use softsim_client::keyd::Connection;
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_testkit::processes::thorough;

use crate::control::Control;
use crate::intruder::Report;
use crate::search::Search;
use crate::target::Target;

/// Everything that gcore can dump: `-a` includes mappings with MADV_DONTDUMP.
const EVERYTHING: &[&str] = &["-a"];
/// What the kernel would dump with every bit of coredump_filter set.
const FILTERED: &[&str] = &[];

#[test]
fn a_core_that_gcore_writes_of_keyd_holds_nothing_secret() {
    let Some(target) = gcore_of("gcore of keyd") else {
        return;
    };
    let (keyd, search, secrets) = (target.keyd(), target.search(), target.secrets());
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start(&secrets, folder.path());
    let times = if thorough() { 5 } else { 1 };
    fs::write(format!("/proc/{keyd}/coredump_filter"), "0xff").unwrap();
    for options in [EVERYTHING, FILTERED] {
        let found = gcore(&control.id(), options, &search);
        println!("redteam: control, gcore {options:?}: {found}");
        assert!(found.memory.hits.all_of(&secrets), "{found}");

        let idle = gcore(&keyd, options, &search);
        println!("redteam: keyd idle, gcore {options:?}: {idle}");
        assert!(
            idle.memory.hits.is_empty() && idle.registers.hits.is_empty(),
            "{idle}"
        );
        target.while_working(|| {
            for _ in 0..times {
                let working = gcore(&keyd, options, &search);
                println!("redteam: keyd working, gcore {options:?}: {working}");
                assert!(working.memory.hits.is_empty(), "{working}");
            }
        });
    }
    target.still_works();
}

#[test]
fn a_core_that_gcore_writes_of_netd_holds_nothing_that_is_keyds_alone() {
    let Some(target) = gcore_of("gcore of netd") else {
        return;
    };
    let (netd, search) = (target.netd(), target.search());
    let working = target.while_working(|| gcore(&netd, EVERYTHING, &search));
    println!("redteam: netd working, gcore: {working}");
    assert!(
        working.memory.hits.is_empty() && working.registers.hits.is_empty(),
        "{working}"
    );
    target.still_works();
}

#[test]
fn the_kernel_writes_no_core_of_keyd() {
    let Some(mut target) = Target::new("a core of keyd") else {
        return;
    };
    let (secrets, search) = (target.secrets(), target.search());
    let folder = tempfile::tempdir().unwrap();
    let mut control = Control::start(&secrets, folder.path());
    assert!(end(&mut control.child, "ABRT").core_dumped());
    if let Some(core) = files_in(folder.path()).first() {
        let found = Core::search(&fs::read(core).unwrap(), &search);
        println!("redteam: control, core of the kernel: {found}");
        assert!(found.memory.hits.all_of(&secrets), "{found}");
    } else {
        println!("redteam: control, core of the kernel: went where core_pattern sends it");
    }

    for signal in ["SEGV", "ABRT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut keyd = keyd_in(&mut target, folder.path());
        let process = keyd.id().to_string();
        let mut lift = Command::new("prlimit");
        lift.args(["--core=unlimited", "--pid", &process]);
        let lifted = lift.stderr(Stdio::null()).status().unwrap().success();
        let ended = end(&mut keyd, signal);
        let limit = if lifted {
            "lifted"
        } else {
            "0, as root may not lift it here"
        };
        println!("redteam: keyd, SIG{signal} with the limit {limit}: {ended}");
        assert!(!ended.core_dumped(), "{ended}");
        assert!(files_in(folder.path()).is_empty());
    }
}

/// The secrets found in a core, in its register notes and in its memory.
#[derive(Default)]
struct Core {
    registers: Report,
    memory: Report,
}

impl Core {
    fn search(core: &[u8], search: &Search) -> Self {
        let mut found = Self::default();
        let notes = notes(core);
        found.registers.add(&core[notes.clone()], "notes", search);
        found.memory.add(&core[..notes.start], "head", search);
        found.memory.add(&core[notes.end..], "memory", search);
        found
    }
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registers: {}; memory: {}", self.registers, self.memory)
    }
}

/// The range of PT_NOTE in an ELF-64 file.
fn notes(core: &[u8]) -> Range<usize> {
    const PT_NOTE: u64 = 4;
    let number = |at: usize, length: usize| {
        let octets = core[at..at + length].iter().rev();
        octets.fold(0, |number, octet| number << 8 | u64::from(*octet))
    };
    let (table, count) = (number(0x20, 8) as usize, number(0x38, 2) as usize);
    let entry = (0..count)
        .map(|index| table + 56 * index)
        .find(|at| number(*at, 4) == PT_NOTE);
    let entry = entry.unwrap();
    let start = number(entry + 8, 8) as usize;
    start..start + number(entry + 32, 8) as usize
}

fn gcore_of(test: &str) -> Option<Target> {
    if Command::new("gcore")
        .stderr(Stdio::null())
        .output()
        .is_err()
    {
        skip(&format!("{test}: gdb is not installed"));
        return None;
    }
    Target::new(test)
}

fn gcore(process: &str, options: &[&str], search: &Search) -> Core {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("gcore");
    command
        .args(options)
        .arg("-o")
        .arg(folder.path().join("core"))
        .arg(process);
    let output = command.output().unwrap();
    let core = fs::read(folder.path().join(format!("core.{process}")));
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    Core::search(
        &core.unwrap_or_else(|error| panic!("{error}: {}", said())),
        search,
    )
}

/// Starts the target's keyd in a directory in which it could dump a core.
fn keyd_in(target: &mut Target, folder: &Path) -> Child {
    target.home.gateway_mut().stop();
    let gateway = target.home.gateway();
    let (files, sockets) = (gateway.folder(), gateway.sockets());
    let mut command = Command::new(binaries().unwrap().join("softsim-keyd"));
    command
        .arg("--state")
        .arg(files.file("keyd"))
        .arg("--kek-file")
        .arg(files.file("kek"))
        .arg("--same-user")
        .arg("--network")
        .arg(&sockets.network)
        .arg("--admin")
        .arg(&sockets.admin);
    let keyd = command
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while Connection::connect(&sockets.admin).is_err() {
        yield_now();
    }
    keyd
}

fn end(child: &mut Child, signal: &str) -> ExitStatus {
    let process = child.id().to_string();
    let sent = Command::new("kill").args(["-s", signal, &process]).status();
    assert!(sent.unwrap().success());
    child.wait().unwrap()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
