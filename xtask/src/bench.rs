//! `cargo xtask bench`: the benchmarks, with keyd as it is shipped.

use std::fs;
use std::path::Path;

use crate::binaries;
use crate::run::{Result, cargo, output, program, root, succeed, target};

/// The target for which keyd is shipped, as one static file, if its standard library is installed.
const STATIC: &str = "x86_64-unknown-linux-musl";

const ALGORITHMS: &[[&str; 4]] = &[
    ["--package", "softsim-aka", "--bench", "aka"],
    ["--package", "softsim-keyd", "--bench", "aka"],
];

/// Builds keyd by itself and runs all benchmarks that concern it.
pub(crate) fn run() -> Result<()> {
    let triple = triple()?;
    println!("== programs for {triple}, profile dist");
    let built = target().join(&triple).join("dist");
    let folder = target().join("softsim").join("bench");
    build(&triple, &["--bin", "softsim-keyd"])?;
    copy(&built, &folder, "softsim-keyd")?;
    build(&triple, &["--example", "without_durability"])?;
    copy(&built, &folder, "examples/without_durability")?;

    println!("== the process");
    let mut process = cargo(&["bench", "--locked", "--quiet"]);
    process.args(["--package", "softsim-keyd", "--bench", "process"]);
    succeed(process.env("SOFTSIM_BIN_DIR", &folder))?;
    println!("== an authentication");
    let programs = binaries::build("dist")?;
    let mut authentication = cargo(&["bench", "--locked", "--quiet"]);
    authentication.args(["--package", "softsim", "--bench", "authentication"]);
    succeed(authentication.env("SOFTSIM_BIN_DIR", &programs))?;
    println!("== in memory");
    ALGORITHMS
        .iter()
        .try_for_each(|bench| succeed(cargo(&["bench", "--locked", "--quiet"]).args(bench)))
}

/// The target to build for: the host's, if the shipped one isn't installed.
fn triple() -> Result<String> {
    let libraries = ["--print", "target-libdir", "--target", STATIC];
    if output(&mut program("rustc", &libraries)).is_some_and(|path| Path::new(&path).exists()) {
        return Ok(STATIC.to_owned());
    }
    println!("skipped: {STATIC} is not installed");
    output(&mut program("rustc", &["--print", "host-tuple"])).ok_or("rustc names no host".into())
}

fn build(triple: &str, what: &[&str]) -> Result<()> {
    let mut command = cargo(&["build", "--locked", "--quiet", "--profile", "dist"]);
    command.args(["--package", "softsim-keyd", "--target", triple]);
    // The example's dependencies for tests have some C in them, which needs nothing of a C library.
    command.env("CC_x86_64_unknown_linux_musl", "cc");
    succeed(command.args(what))
}

fn copy(built: &Path, folder: &Path, name: &str) -> Result<()> {
    let (from, to) = (built.join(name), folder.join(name));
    let copied =
        fs::create_dir_all(to.parent().unwrap_or(root())).and_then(|()| fs::copy(&from, &to));
    copied
        .map(drop)
        .map_err(|error| format!("{}: {error}", to.display()))
}
