//! The container images, made by podman from nothing but a static program.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use super::archive::tar;
use super::copy;
use super::programs::{Programs, SHIPPED};
use crate::run::{Result, at, program, root, succeed, target};

const IMAGES: [&str; 3] = ["keyd", "netd", "tools"];

/// The folders of the images besides their programs, with their modes.
const FOLDERS: [(&str, u32); 6] = [
    ("keyd/state", 0o700),
    ("keyd/run/softsim-network", 0o750),
    ("keyd/run/softsim-admin", 0o700),
    ("netd/state", 0o700),
    ("netd/run/softsim-netd", 0o700),
    ("bin", 0o755),
];

/// Makes the images and the compose file in a folder.
pub(super) fn build(folder: &Path, programs: &Programs, time: &str) -> Result<()> {
    let context = target().join("softsim/images");
    let _ = fs::remove_dir_all(&context);
    for (folder, mode) in FOLDERS {
        let folder = context.join(folder);
        at(&folder, fs::create_dir_all(&folder))?;
        at(
            &folder,
            fs::set_permissions(&folder, Permissions::from_mode(mode)),
        )?;
    }
    for name in SHIPPED {
        copy(&programs.musl.join(name), &context.join("bin"))?;
    }
    for image in IMAGES {
        one(folder, &context, image, time)?;
    }
    let _ = fs::remove_dir_all(&context);
    let _ = fs::remove_dir_all(run_root());
    copy(&root().join("packaging/oci/compose.yaml"), folder)
}

/// Makes one image. The archive is ours, because podman's has the present
/// time.
fn one(folder: &Path, context: &Path, image: &str, time: &str) -> Result<()> {
    let file = root().join(format!("packaging/oci/Containerfile.{image}"));
    let name = format!("localhost/softsim-{image}:latest");
    let mut build = podman(context, &["build", "--quiet", "--timestamp", time]);
    build.args(["--tag", &name, "--file"]).arg(file);
    succeed(build.arg(context).stdout(Stdio::null()))?;
    let layout = context.join(format!("softsim-{image}"));
    let mut save = podman(context, &["save", "--quiet", "--format=oci-dir"]);
    succeed(save.arg("--output").arg(&layout).arg(&name))?;
    let archive = folder.join(format!("softsim-{image}.oci.tar"));
    tar(&layout, &archive, time, "--transform=s,^[^/]*/,,")
}

/// podman's folder for what lives as long as a command. Its path has at most 50 octets, so that it
/// isn't below the target folder.
fn run_root() -> PathBuf {
    env::temp_dir().join(format!("softsim-images-{}", process::id()))
}

/// podman with a store of its own, so that it leaves nothing in the user's.
fn podman(context: &Path, arguments: &[&str]) -> Command {
    let mut command = program(
        "podman",
        &["--storage-driver=vfs", "--cgroup-manager=cgroupfs"],
    );
    command.arg("--root").arg(context.join("store"));
    command.arg("--runroot").arg(run_root());
    command.args(arguments);
    command
}
