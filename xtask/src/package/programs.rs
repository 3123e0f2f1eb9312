//! The programs as they are shipped: the same bytes on every machine with the same compiler,
//! without its paths, and with the list of the crates in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries::{self, Build};
use crate::prerequisites::{self, MUSL_TARGET};
use crate::run::{Result, at, output, program, root, target};

/// The programs that are shipped, in the order of the bills of materials.
pub(super) const SHIPPED: [&str; 6] = [
    "softsim-keyd",
    "softsim-netd",
    "softsim-bridge",
    "softsim-anchord",
    "softsimctl",
    "softsim-issuer",
];

/// Those that are static in the Debian packages, too: they ask for no host name.
const ALWAYS_STATIC: [&str; 2] = ["softsim-keyd", "softsim-anchord"];

/// The folders of the programs.
#[derive(Debug)]
pub(super) struct Programs {
    /// All of them are static.
    pub(super) musl: PathBuf,
    /// Those that resolve host names do it as the host does.
    pub(super) glibc: PathBuf,
}

impl Programs {
    /// Those that were built last.
    pub(super) fn built() -> Self {
        let folder = target().join("softsim/shipped");
        Self {
            musl: folder.join("musl"),
            glibc: folder.join("glibc"),
        }
    }

    /// Builds them, for a time in seconds since 1970.
    pub(super) fn build(time: &str) -> Result<Self> {
        if let Some(reason) = prerequisites::musl_missing() {
            return Err(reason);
        }
        let host = output(&mut program("rustc", &["--print", "host-tuple"]));
        let host = host.ok_or("rustc names no host")?;
        let Self { musl, glibc } = Self::built();
        shipped(MUSL_TARGET, time)?.into_folder(&musl, &SHIPPED)?;
        let others = SHIPPED.map(|name| (name, ALWAYS_STATIC.contains(&name)));
        let named = |wanted| {
            let those = others
                .iter()
                .filter(move |(_, is_static)| *is_static == wanted);
            those.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        shipped(&host, time)?.into_folder(&glibc, &named(false))?;
        for name in named(true) {
            binaries::copy(&musl.join(name), &glibc.join(name))?;
        }
        binaries::check_size_of(&musl.join("softsim-keyd"))?;
        Ok(Self { musl, glibc })
    }

    /// Writes a bill of materials for each program, in CycloneDX's form, from the list that the
    /// program holds.
    pub(super) fn write_bills(&self, folder: &Path) -> Result<()> {
        let reader = prerequisites::tool(&prerequisites::AUDITABLE2CDX)?;
        for name in SHIPPED {
            let mut command = program(&reader.to_string_lossy(), &[]);
            let bill = output(command.arg(self.musl.join(name)));
            let bill = bill.ok_or_else(|| format!("{name}: expected a list of its crates"))?;
            let path = folder.join(format!("{name}.cdx.json"));
            at(&path, fs::write(&path, bill + "\n"))?;
        }
        Ok(())
    }
}

/// How to build for a target. The flags are added to those of `.cargo/config.toml`; RUSTFLAGS would
/// replace them.
fn shipped(triple: &str, time: &str) -> Result<Build> {
    let auditable = prerequisites::tool(&prerequisites::CARGO_AUDITABLE)?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let home = home.ok_or("expected CARGO_HOME or a home directory, got neither")?;
    let real = |path: &Path| at(path, path.canonicalize());
    // The last that fits counts: the target folder is often in the workspace.
    let remapped = [
        (real(root())?, "/softsim"),
        (home, "/cargo"),
        (real(&target())?, "/target"),
    ]
    .map(|(from, to)| format!("\"--remap-path-prefix={}={to}\"", from.display()));
    let flags = format!("target.{triple}.rustflags=[{}]", remapped.join(","));
    Ok(Build::shipped(auditable, triple, flags, time))
}
