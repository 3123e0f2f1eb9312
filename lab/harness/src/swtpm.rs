//! Runs swtpm: a TPM 2.0 that is a process, with its state in a folder.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::supplicant::find;

/// How long swtpm may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = "swtpm";

/// A running TPM, which is killed when it is dropped, as by a power cut. It serves one connection
/// at a time.
pub struct Swtpm {
    child: Child,
    socket: PathBuf,
}

/// Why no TPM can be run here, if that is so.
pub fn missing() -> Option<&'static str> {
    (find(PROGRAM).is_none()).then_some("swtpm is missing")
}

impl Swtpm {
    /// Starts it with the state that is in the folder, or a new one.
    ///
    /// # Errors
    /// It can't be run, or doesn't listen.
    pub fn start(folder: &Path) -> io::Result<Self> {
        let state = folder.join("state");
        fs::create_dir_all(&state)?;
        let socket = folder.join("tpm.sock");
        let _ = fs::remove_file(&socket);
        let program = find(PROGRAM).ok_or(io::ErrorKind::NotFound)?;
        let child = Command::new(program)
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args([
                "--server",
                &format!("type=unixio,path={}", socket.display()),
            ])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let swtpm = Self { child, socket };
        let end = Instant::now() + PATIENCE;
        while !swtpm.socket.exists() {
            if Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(Duration::from_millis(1));
        }
        Ok(swtpm)
    }

    /// A connection, which stands for an open device.
    ///
    /// # Errors
    /// swtpm has ended.
    pub fn open(&self) -> io::Result<UnixStream> {
        let end = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(&self.socket) {
                // Its socket is there before it listens.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    if Instant::now() > end {
                        return Err(error);
                    }
                    sleep(Duration::from_millis(1));
                }
                opened => return opened,
            }
        }
    }

    /// Sends a command, and returns the response.
    ///
    /// # Errors
    /// swtpm has ended.
    pub fn command(&self, command: &[u8]) -> io::Result<Vec<u8>> {
        let mut tpm = self.open()?;
        tpm.write_all(command)?;
        let mut response = vec![0; 4096];
        let length = tpm.read(&mut response)?;
        response.truncate(length);
        Ok(response)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        // It doesn't matter if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
