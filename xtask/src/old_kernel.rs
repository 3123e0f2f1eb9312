//! `cargo xtask old-kernel`: the sandbox's tests and the journey under Debian 12's own kernel, in
//! qemu.
//!
//! Linux 6.1 has landlock ABI 2, and memfd_secret(2) only if the kernel's command line enables it.
//! Everything must work once without and once with it, and keyd must report what it got.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::binaries;
use crate::demo::ORDINARY;
use crate::initramfs::Archive;
use crate::prerequisites::find;
use crate::run::{Result, cargo, output, passed_in, program, succeed, target};

const QEMU: &str = "qemu-system-x86_64";
/// The package that depends on Debian 12's newest 6.1 kernel for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
const SERIES: &str = "6.1.";
/// The seconds after which a machine counts as hanging.
const PATIENCE: &str = "300";

/// What differs between the boots.
struct Boot {
    /// On the kernel's command line.
    setting: &'static str,
    /// The sandbox's test programs, without the others' end.
    tests: &'static [&'static str],
    /// What keyd has to report.
    key_memory: &'static str,
}

const BOOTS: [Boot; 2] = [
    Boot {
        setting: "secretmem.enable=0",
        tests: &["confinement", "entry", "memory", "seqpacket"],
        key_memory: "mlock",
    },
    Boot {
        setting: "secretmem.enable=1",
        tests: &["memory"],
        key_memory: "memfd_secret",
    },
];

/// The reason why the machine can't be started here, if there is one.
pub(crate) fn missing() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the kernel's package is for x86-64".into());
    }
    if find(QEMU).is_none() {
        return Some(format!(
            "{QEMU} is missing: apt-get install qemu-system-x86"
        ));
    }
    kernel().err()
}

/// Runs both boots with the built programs.
pub(crate) fn run(programs: &Path) -> Result<()> {
    let kernel = kernel()?;
    let initramfs = folder()?.join("initramfs");
    let archive = archive(programs)?;
    write(&initramfs, &archive)?;
    for boot in &BOOTS {
        let console = start(&kernel, &initramfs, boot)?;
        let passed = judge(&console, boot).map_err(|fault| format!("{console}\n{fault}"))?;
        println!("{}: {passed}", boot.setting);
    }
    Ok(())
}

/// Builds what it needs, and runs.
pub(crate) fn build_and_run() -> Result<()> {
    if let Some(reason) = missing() {
        return Err(reason);
    }
    run(&binaries::build("dev")?)
}

fn folder() -> Result<PathBuf> {
    let folder = target().join("old-kernel");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    fs::canonicalize(&folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// The kernel's image, fetched and unpacked once; nothing is installed.
fn kernel() -> Result<PathBuf> {
    let folder = folder()?;
    if let Some(image) = image_in(&folder) {
        return Ok(image);
    }
    let depends = output(&mut program("apt-cache", &["depends", META_PACKAGE]));
    let package = depends.as_deref().and_then(|depends| {
        let packages = depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        packages
            .into_iter()
            .find(|package| package.starts_with("linux-image-"))
    });
    let wanted = format!("linux-image-{SERIES}");
    let Some(package) = package.filter(|package| package.starts_with(&wanted)) else {
        return Err(format!(
            "{META_PACKAGE} of Debian 12 is not among apt's packages"
        ));
    };
    succeed(program("apt-get", &["-q", "download", package]).current_dir(&folder))?;
    let downloaded = fs::read_dir(&folder).ok().and_then(|entries| {
        let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.find(|path| path.extension().is_some_and(|kind| kind == "deb"))
    });
    let downloaded = downloaded.ok_or_else(|| format!("{package} was not downloaded"))?;
    succeed(program("dpkg-deb", &["-x"]).args([&downloaded, &folder]))?;
    image_in(&folder).ok_or_else(|| format!("{package} holds no kernel"))
}

fn image_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder.join("boot")).ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("vmlinuz-")
            .is_some_and(|version| version.starts_with(SERIES))
    })
}

/// The programs with their libraries, and for each boot a plan of the commands that the first
/// process runs.
fn archive(programs: &Path) -> Result<Vec<u8>> {
    let mut files = Files::default();
    for test in tests()? {
        let name = test_name(&test);
        files.add(&test, &format!("/opt/deps/{name}"))?;
        if let Some(examples) = test.ancestors().nth(2).map(|built| built.join("examples")) {
            for example in ["echo", "probe", "runtime"] {
                files.add(&examples.join(example), &format!("/opt/examples/{example}"))?;
            }
            files.add(&examples.join("init"), "/init")?;
        }
    }
    for daemon in ["softsim-keyd", "softsim-netd", "softsim-lab"] {
        files.add(&programs.join(daemon), &format!("/opt/{daemon}"))?;
    }
    // A test lets a shell tell its own process id; others try to reach a program and a file.
    files.add(Path::new("/bin/sh"), "/bin/sh")?;
    files.archive.file("/bin/true", b"");
    let user = format!("ordinary:x:{ORDINARY}:{ORDINARY}::/:\n");
    files.archive.file("/etc/passwd", user.as_bytes());
    for boot in &BOOTS {
        let tests = boot.tests.iter();
        let mut plan: String = tests
            .map(|test| format!("/opt/deps/{test} --test-threads 1\n"))
            .collect();
        plan.push_str("/opt/softsim-lab demo --dir /tmp/lab\n");
        files.archive.file(boot.setting, plan.as_bytes());
    }
    for mountpoint in ["proc", "sys", "tmp"] {
        files.archive.directory(mountpoint);
    }
    files.archive.console();
    Ok(files.archive.finish())
}

/// `memory` of `…/deps/memory-0123456789abcdef`.
fn test_name(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    name.split('-').next().unwrap_or_default().to_owned()
}

/// Builds the sandbox's test programs, and returns their paths as cargo reports them.
fn tests() -> Result<Vec<PathBuf>> {
    let mut build = cargo(&[
        "test",
        "--no-run",
        "--locked",
        "--package",
        "softsim-sandbox",
    ]);
    let output = build
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("cargo test could not be started: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(messages.into_owned());
    }
    let executables = messages.lines().filter_map(|line| {
        let (kind, rest) = line.trim().strip_prefix("Executable ")?.split_once(" (")?;
        kind.starts_with("tests/")
            .then(|| crate::run::root().join(rest.trim_end_matches(')')))
    });
    Ok(executables.collect())
}

#[derive(Default)]
struct Files {
    archive: Archive,
    there: BTreeSet<String>,
}

impl Files {
    /// A program, with the libraries that it is linked with at their places.
    fn add(&mut self, from: &Path, to: &str) -> Result<()> {
        self.copy(from, to)?;
        let linked = output(program("ldd", &[]).arg(from)).unwrap_or_default();
        for word in linked
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            self.copy(Path::new(word), word)?;
        }
        Ok(())
    }

    fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        if self.there.insert(to.to_owned()) {
            let copied = self.archive.copy(from, to);
            copied.map_err(|error| format!("{}: {error}", from.display()))?;
        }
        Ok(())
    }
}

/// What the machine printed on its console until it ended.
fn start(kernel: &Path, initramfs: &Path, boot: &Boot) -> Result<String> {
    let setting = boot.setting;
    // The part after the dashes is for the first process: the name of its plan.
    let append = format!(
        "console=ttyS0 quiet panic=-1 rdinit=/init lsm=landlock,yama {setting} -- /{setting}"
    );
    let mut machine = program("timeout", &[PATIENCE, QEMU]);
    machine
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1536"])
        .args(["-nographic", "-no-reboot", "-append", &append, "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs);
    let output = machine
        .output()
        .map_err(|error| format!("{QEMU} could not be started: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

/// Checks that every command of the plan succeeded, and that keyd reported what it got.
fn judge(console: &str, boot: &Boot) -> Result<String> {
    let succeeded = console
        .lines()
        .filter(|line| line.starts_with("exit 0 "))
        .count();
    let expected = boot.tests.len() + 1;
    if succeeded != expected {
        return Err(format!("of {expected} commands {succeeded} succeeded"));
    }
    let confined = format!(
        "landlock ABI 2, seccomp 12 calls, key memory {}",
        boot.key_memory
    );
    if !console.contains(&confined) {
        return Err(format!("expected keyd to say: {confined}"));
    }
    let passed: u32 = console.lines().filter_map(passed_in).sum();
    Ok(format!("{passed} tests passed and the journey, {confined}"))
}

fn write(path: &Path, octets: &[u8]) -> Result<()> {
    fs::write(path, octets).map_err(|error| format!("{}: {error}", path.display()))
}
