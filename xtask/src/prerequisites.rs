//! The prerequisites of the suite besides Rust: a few Debian packages and cargo-deny.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use crate::run::{Result, cargo, in_ci, output, program, succeed, target};

/// A program that tests start, and the Debian package it comes in.
struct Package {
    program: &'static str,
    package: &'static str,
    /// Whether its tests are skipped if it is missing.
    optional: bool,
}

const PACKAGES: &[Package] = &[
    Package {
        program: "hostapd",
        package: "hostapd",
        optional: true,
    },
    Package {
        program: "eapol_test",
        package: "eapoltest",
        optional: true,
    },
    Package {
        program: "wpa_supplicant",
        package: "wpasupplicant",
        optional: true,
    },
    Package {
        program: "nft",
        package: "nftables",
        optional: true,
    },
    Package {
        program: "ip",
        package: "iproute2",
        optional: true,
    },
    Package {
        program: "gcore",
        package: "gdb",
        optional: true,
    },
    Package {
        program: "swtpm",
        package: "swtpm",
        optional: true,
    },
    Package {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        optional: true,
    },
    Package {
        program: "strace",
        package: "strace",
        optional: true,
    },
    Package {
        program: "musl-gcc",
        package: "musl-tools",
        optional: true,
    },
    Package {
        program: "man",
        package: "man-db",
        optional: true,
    },
    Package {
        program: "openssl",
        package: "openssl",
        optional: false,
    },
    Package {
        program: "kill",
        package: "procps",
        optional: false,
    },
];

/// The target of static programs.
#[cfg(target_arch = "x86_64")]
pub(crate) const MUSL_TARGET: &str = "x86_64-unknown-linux-musl";
#[cfg(target_arch = "aarch64")]
pub(crate) const MUSL_TARGET: &str = "aarch64-unknown-linux-musl";

/// A program of a crate, which is installed if it is missing.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Adds the list of a program's crates to the program.
pub(crate) const CARGO_AUDITABLE: Tool = Tool {
    name: "cargo-auditable",
    version: "0.7.7",
};

/// Writes that list as a bill of materials.
pub(crate) const AUDITABLE2CDX: Tool = Tool {
    name: "auditable2cdx",
    version: "0.1.0",
};

/// The programs that `cargo xtask package` needs.
const PACKAGING: &[Package] = &[
    Package {
        program: "dh",
        package: "debhelper",
        optional: false,
    },
    Package {
        program: "podman",
        package: "podman",
        optional: false,
    },
    Package {
        program: "crun",
        package: "crun",
        optional: false,
    },
    Package {
        program: "musl-gcc",
        package: "musl-tools",
        optional: false,
    },
];

/// The programs that `cargo xtask system-test` needs.
const MACHINES: &[Package] = &[
    Package {
        program: "systemd-nspawn",
        package: "systemd-container",
        optional: false,
    },
    Package {
        program: "lintian",
        package: "lintian",
        optional: false,
    },
    Package {
        program: "debootstrap",
        package: "debootstrap",
        optional: false,
    },
    Package {
        program: "ip",
        package: "iproute2",
        optional: false,
    },
    Package {
        program: "hostapd",
        package: "hostapd",
        optional: false,
    },
    Package {
        program: "nft",
        package: "nftables",
        optional: false,
    },
];

/// Debian packages with modules of the name service switch. They are unpacked, never installed:
/// libnss-resolve depends on systemd-resolved, which would replace the machine's resolv.conf by one
/// that doesn't work here.
const NAME_SERVICE_MODULES: [&str; 4] = [
    "libnss-resolve",
    "libnss-mdns",
    "libnss-myhostname",
    "libnss-mymachines",
];

/// Installs missing Debian packages as root; otherwise prints their names.
pub(crate) fn debian_packages() -> Result<()> {
    install_missing(PACKAGES)
}

/// Installs missing packages for `cargo xtask system-test`.
pub(crate) fn system_packages() -> Result<()> {
    install_missing(MACHINES)
}

/// Installs missing packages for `cargo xtask package`.
pub(crate) fn packaging() -> Result<()> {
    install_missing(PACKAGING)
}

fn install_missing(wanted: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = wanted
        .iter()
        .filter(|wanted| find(wanted.program).is_none())
        .collect();
    let names: Vec<&str> = missing.iter().map(|wanted| wanted.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if is_root() {
        return install(&names);
    }
    let advice = format!(
        "missing Debian packages: apt-get install {}",
        names.join(" ")
    );
    if in_ci() || missing.iter().any(|wanted| !wanted.optional) {
        return Err(advice);
    }
    println!("{advice}\nTests that need them are skipped.");
    Ok(())
}

/// The reason why nothing can be built for musl, if there is one. It adds the target if rustup can.
pub(crate) fn musl_missing() -> Option<String> {
    if find("musl-gcc").is_none() {
        return Some("musl-gcc is missing".into());
    }
    let add = program("rustup", &["target", "add", MUSL_TARGET]).output();
    let added = add.is_ok_and(|added| added.status.success());
    (!added).then(|| format!("rustup can't add the target {MUSL_TARGET}"))
}

/// A folder with modules of the name service switch, which tests mount over the C library's own.
pub(crate) fn name_service_modules() -> Result<PathBuf> {
    // Other packages than those before are in another folder.
    let folder = target()
        .join("softsim/name-service-modules")
        .join(NAME_SERVICE_MODULES.join("+"));
    let modules = folder.join("modules");
    if modules.is_dir() {
        return Ok(modules);
    }
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut download = program("apt-get", &["-q", "download"]);
    download.args(NAME_SERVICE_MODULES).current_dir(&folder);
    succeed(&mut download)?;
    let unpacked = folder.join("unpacked");
    for package in files_of(&folder).map_err(failed)? {
        let mut unpack = program("dpkg-deb", &["--extract"]);
        succeed(unpack.arg(&package).arg(&unpacked))?;
    }
    let new = folder.join("new");
    fs::create_dir(&new).map_err(failed)?;
    for library in ["lib", "usr/lib"].map(|library| unpacked.join(library)) {
        for triplet in files_of(&library).map_err(failed)? {
            for module in files_of(&triplet).map_err(failed)? {
                let name = module.file_name().unwrap_or_default();
                fs::copy(&module, new.join(name)).map_err(failed)?;
            }
        }
    }
    fs::rename(&new, &modules).map_err(failed)?;
    Ok(modules)
}

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The program, if it is on the search path or in the folders of system administration.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Whether this process may install packages.
pub(crate) fn is_root() -> bool {
    output(&mut program("id", &["-u"])).is_some_and(|uid| uid == "0")
}

/// A cargo-deny to run: the installed one, or one built below the target folder.
pub(crate) fn cargo_deny() -> Result<Command> {
    if output(&mut cargo(&["deny", "--version"])).is_some() {
        return Ok(cargo(&["deny"]));
    }
    let mut command = program(&tool(&CARGO_DENY)?.to_string_lossy(), &[]);
    command.arg("deny");
    Ok(command)
}

/// The path of a tool, which is built below the target folder if it isn't there.
pub(crate) fn tool(tool: &Tool) -> Result<PathBuf> {
    let Tool { name, version } = tool;
    let tools = target().join("tools");
    let built = tools.join("bin").join(name);
    if !built.is_file() {
        println!("building {name} {version} (once)");
        let mut install = cargo(&["install", "--locked", "--quiet", name]);
        install.args(["--version", version, "--root"]).arg(&tools);
        // Its build results would only fill the disk.
        install.env_remove("CARGO_TARGET_DIR");
        succeed(&mut install)?;
    }
    Ok(built)
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        // Another installation may be running: wait for its lock, but not for ever.
        let mut command = program("apt-get", &["-q", "-o", "DPkg::Lock::Timeout=300"]);
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        succeed(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}
