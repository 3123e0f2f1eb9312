//! softsim-lab, the home network of a machine's gateway. It runs outside of the machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::machine::Machine;
use crate::run::{Result, at};

/// A running lab. It ends when the value is dropped.
pub(super) struct Lab {
    child: Child,
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Lab {
    /// Starts it with these arguments besides the folder, and makes it enrol the gateway whose keyd
    /// has this admin socket.
    pub(super) fn start(
        machine: &Machine,
        programs: &Path,
        admin: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let folder = machine.folder().join("lab");
        let _ = std::fs::remove_dir_all(&folder);
        let mut command = machine.outside(&programs.join("softsim-lab"));
        command
            .arg("serve")
            .arg("--dir")
            .arg(&folder)
            .arg("--admin")
            .arg(admin)
            .args(arguments)
            .stdout(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| format!("softsim-lab: {error}"))?;
        let mut lab = Self {
            child,
            folder,
            variables: BTreeMap::new(),
        };
        let output = lab.child.stdout.take().ok_or("softsim-lab: no output")?;
        for line in BufReader::new(output)
            .lines()
            .map_while(std::io::Result::ok)
        {
            match line.split_once('=') {
                Some((name, value)) => _ = lab.variables.insert(name.into(), value.into()),
                None if line == "READY" => return Ok(lab),
                None => {}
            }
        }
        Err("softsim-lab ended before it was ready".into())
    }

    /// The address of its RADIUS server.
    pub(super) fn radius(&self) -> Result<&str> {
        self.variable("SOFTSIM_RADIUS")
    }

    /// The URI of its bootstrap server.
    pub(super) fn bootstrap_uri(&self) -> Result<String> {
        let server = self.variable("SOFTSIM_BOOTSTRAP_SERVER")?;
        Ok(format!("coaps://{server}"))
    }

    /// The socket of its AuC.
    pub(super) fn auc_socket(&self) -> Result<&str> {
        self.variable("SOFTSIM_AUC_SOCKET")
    }

    /// The authority of its servers' certificates, PEM.
    pub(super) fn authority(&self) -> Result<String> {
        self.file("ca.pem")
    }

    /// The secret of its RADIUS clients.
    pub(super) fn radius_secret(&self) -> Result<String> {
        self.file("radius.secret")
    }

    fn file(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        at(&path, std::fs::read_to_string(&path))
    }

    fn variable(&self, name: &str) -> Result<&str> {
        let value = self.variables.get(name).map(String::as_str);
        value.ok_or(format!("softsim-lab: expected {name}, got nothing of it"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
