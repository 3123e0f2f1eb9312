//! The workspace's own commands. `cargo xtask` without a command lists them.

mod bench;
mod binaries;
mod demo;
mod initramfs;
mod long;
mod old_kernel;
mod package;
mod prerequisites;
mod run;
mod style;
mod suite;
mod system_test;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test             formatting, lints, licences, unit, vector, integration and interop tests
  system-test      the shipped packages and images: the daemons as services under a real systemd, in
                   a container, and in containers of podman: some minutes
  ci               both, with one count
  release-check    what takes longer: the same octets twice, soak, redteam and bench
  demo [--hostapd] [--release]
                   the whole journey of a software SIM, with separate sandboxed processes;
                   --hostapd puts Debian's hostapd in the authenticator's place
  soak             keyd killed 1,000 times under load, both daemons 100 times in a bootstrap, a
                   gateway over a lossy link, and a hostile netd's long walk: some minutes
  redteam          root looks for keyd's secrets in memory, cores and registers, idle and working,
                   and reports what was found, and how often
  bench            keyd as it is shipped against a bare ping-pong, netd's authentication beside
                   eapol_test's against hostapd, and the algorithms
  package [--verify]
                   what is shipped, in target/package: Debian packages, an archive with static
                   programs, container images, bills of materials and checksums;
                   --verify builds everything twice, in two folders, and compares the bytes
  old-kernel       the sandbox's tests and the journey under Debian 12's kernel 6.1, in qemu
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["test"] => suite::run().and_then(|outcome| outcome.report()),
        ["system-test"] => system_test::run().and_then(|outcome| outcome.report()),
        ["ci"] => suite::run()
            .and_then(|tests| Ok(tests.and(system_test::run()?)))
            .and_then(|outcome| outcome.report()),
        ["release-check"] => release_check(),
        ["demo", options @ ..] => demo::run(options),
        ["package", options @ ..] => package::run(options),
        ["soak"] => long::soak(),
        ["redteam"] => long::redteam(),
        ["bench"] => bench::run(),
        ["old-kernel"] => old_kernel::build_and_run(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The runs before a release that are too long for every change.
fn release_check() -> run::Result<()> {
    package::run(&["--verify"])?;
    long::soak()?;
    long::redteam()?;
    bench::run()
}
