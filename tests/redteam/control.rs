//! The control is a process with the same secrets in ordinary memory, where every method must find
//! them.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs};

use softsim_aka::{AlgorithmSet, K, Milenage, Opc, Rand};
use softsim_lab_harness::subscription::Secret;

/// The environment variable with the name of the file of the control's secrets. Without it, the
/// test that serves as the control does nothing.
const SECRETS: &str = "SOFTSIM_CONTROL_SECRETS";

/// A running control, killed when it is dropped.
pub(crate) struct Control {
    pub(crate) child: Child,
    /// Its standard output, which stays open because the control may print more.
    _said: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl Control {
    /// Starts it with K and OPc as its first secrets, in a directory in which it may leave a core.
    pub(crate) fn start(secrets: &[Secret], cores: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let lines = secrets.iter().map(|secret| hex::encode(&*secret.octets));
        fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let script = "ulimit -c unlimited; exec \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .arg(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture"]);
        command.arg("control::keeps_its_secrets_in_ordinary_memory");
        command
            .env(SECRETS, &file)
            .current_dir(cores)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap() == "ready"));
        Self {
            child,
            _said: said,
            _folder: folder,
        }
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The process has already ended if the test made it dump a core.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "is the control itself: it is started by the other tests, and ends when it is killed"]
fn keeps_its_secrets_in_ordinary_memory() {
    let Some(file) = env::var_os(SECRETS) else {
        return;
    };
    let text = fs::read_to_string(file).unwrap();
    let secrets: Vec<_> = (text.lines())
        .map(|line| hex::decode(line).unwrap())
        .collect();
    let key = |number: usize| -> [u8; 16] { secrets[number].as_slice().try_into().unwrap() };
    println!("\nready");
    std::io::stdout().flush().unwrap();
    let mut rand = [0; 16];
    loop {
        let milenage = Milenage::new(&K::new(key(0)), &Opc::new(key(1)));
        let output = milenage.f2345(&Rand::new(rand));
        rand.copy_from_slice(output.ck.as_bytes());
        black_box(&secrets);
    }
}
