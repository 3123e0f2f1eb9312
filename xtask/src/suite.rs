//! `cargo xtask test`: every check of the project, those first that fail fastest.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::prerequisites::{self, find};
use crate::run::{Result, cargo, in_ci, passed_in, succeed, target};
use crate::{binaries, demo, old_kernel, style};

/// What ran, and what didn't.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: Vec<String>,
}

impl Outcome {
    /// Prints the count and what was skipped. Fails if a test failed, and in CI if one was skipped.
    pub(crate) fn report(&self) -> Result<()> {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        println!();
        for test in skipped {
            println!("skipped: {test}");
        }
        println!(
            "{passed} passed, {failed} failed, {} skipped",
            skipped.len()
        );
        match (failed, in_ci() && !skipped.is_empty()) {
            (0, false) => Ok(()),
            (0, true) => Err("a prerequisite is missing: in CI nothing may be skipped".into()),
            (1.., _) => Err("a case failed".into()),
        }
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
        self
    }
}

/// Runs the suite, and fails if anything failed.
pub(crate) fn run() -> Result<Outcome> {
    step("Debian packages", prerequisites::debian_packages)?;
    step("formatting", || {
        // Stable rustfmt warns about each unstable option, once for each crate.
        succeed(cargo(&["fmt", "--all", "--check"]).stderr(Stdio::null()))?;
        style::check()
    })?;
    step("lints", || {
        let check = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
        ];
        succeed(cargo(&check).args(["--", "--deny", "warnings"]))?;
        // The workspace links both features of this crate; keyd and the issuer link one each.
        for half in ["open", "seal"] {
            let check = [
                "clippy",
                "--locked",
                "--quiet",
                "--package",
                "softsim-profile",
            ];
            succeed(cargo(&check).args(["--features", half, "--", "--deny", "warnings"]))?;
        }
        Ok(())
    })?;
    step("documentation", || {
        let build = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
        succeed(cargo(&build).env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("licences, bans and sources", || {
        succeed(&mut cargo(&["fetch", "--locked"]))?;
        succeed(
            prerequisites::cargo_deny()?
                .args(["--offline", "check"])
                .args(["bans", "licenses", "sources"]),
        )
    })?;
    let programs = step("programs", || binaries::build("dev"))?;
    let no_musl = prerequisites::musl_missing();
    let static_programs = match no_musl {
        None => Some(step("static programs", binaries::build_static)?),
        Some(_) => None,
    };
    if cfg!(target_arch = "x86_64") && static_programs.is_some() {
        step("size of keyd", binaries::check_size)?;
    }
    let modules = prerequisites::name_service_modules();
    let tests = step("tests", || {
        tests(
            &programs,
            static_programs.as_deref(),
            modules.as_deref().ok(),
        )
    })?;
    step("demo", || demo::journey(&programs, &[]))?;
    step("demo with the programs of one `cargo build`", || {
        demo::journey(&binaries::build_together()?, &[])
    })?;
    let mut skipped = tests.skipped;
    skipped.extend(no_musl.map(|reason| format!("static programs: {reason}")));
    skipped.extend(
        (modules.err()).map(|reason| format!("modules of the name service switch: {reason}")),
    );
    if find("hostapd").is_some() {
        step("demo with hostapd", || {
            demo::journey(&programs, &["--hostapd"])
        })?;
    } else {
        skipped.push("demo with hostapd: hostapd is missing".into());
    }
    match old_kernel::missing() {
        None => step("an old kernel", || old_kernel::run(&programs))?,
        Some(reason) => skipped.push(format!("an old kernel: {reason}")),
    }
    Ok(Outcome {
        passed: tests.passed,
        failed: 0,
        skipped,
    })
}

fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = work();
    println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

/// Runs all of cargo's tests with programs that were built as they are shipped.
fn tests(
    programs: &Path,
    static_programs: Option<&Path>,
    name_service_modules: Option<&Path>,
) -> Result<Outcome> {
    let skips = Skips::new()?;
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    command
        .env("SOFTSIM_BIN_DIR", programs)
        .env(
            "SOFTSIM_STATIC_BIN_DIR",
            static_programs.unwrap_or(Path::new("")),
        )
        .env(
            "SOFTSIM_NAME_SERVICE_MODULES",
            name_service_modules.unwrap_or(Path::new("")),
        )
        .env("SOFTSIM_SKIPS", &skips.0)
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("cargo test could not be started: {error}"))?;
    let mut passed = 0;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout)
            .split(b'\n')
            .map_while(std::io::Result::ok)
        {
            let line = String::from_utf8_lossy(&line);
            let _ = writeln!(std::io::stdout(), "{line}");
            passed += passed_in(&line).unwrap_or(0);
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("cargo test ended with {status}"));
    }
    Ok(Outcome {
        passed,
        failed: 0,
        skipped: skips.read(),
    })
}

/// The file in which tests record that they were skipped, because cargo hides the output of passing
/// tests.
struct Skips(PathBuf);

impl Skips {
    fn new() -> Result<Self> {
        let path = target().join("softsim/skipped");
        fs::write(&path, "").map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn read(&self) -> Vec<String> {
        let skipped = fs::read_to_string(&self.0).unwrap_or_default();
        skipped.lines().map(str::to_owned).collect()
    }
}
