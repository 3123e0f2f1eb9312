//! Functions for tests that run the programs.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, io};

use softsim_aka::{Amf, Credentials, K, Opc, Sqn};
use softsim_client::netd::Event;
use softsim_lab_harness::gateway::Enrolled;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::netns::{INTERFACE, Namespace};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::binaries;
use softsim_lab_simulators::auc::Subscriber;

/// Whether all of these programs are built; if not, the test is skipped.
pub fn built(test: &str, programs: &[&str]) -> bool {
    let folder = binaries().unwrap();
    let missing = |program: &&&str| !folder.join(program).is_file();
    match programs.iter().find(missing) {
        Some(program) => {
            let folder = folder.display();
            skip(&format!("{test}: {program} is not built in {folder}"));
            false
        }
        None => true,
    }
}

/// Starts a lab in a directory, with a gateway that is enrolled, bootstrapped and registered.
pub fn bootstrapped(folder: &Path) -> (Home, Enrolled) {
    let mut home = Home::start(&folder.join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    home.start_netd().unwrap();
    home.bootstrap().unwrap();
    (home, device)
}

/// How long a test waits for a datagram that must not arrive. One that arrives takes microseconds.
pub const A_WHILE: Duration = Duration::from_millis(200);

/// Whether a UDP datagram arrives.
pub fn udp(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> bool {
    let bind = |namespace: &Namespace| {
        let socket = namespace.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)));
        socket.unwrap().unwrap()
    };
    let (sender, receiver) = (bind(from), bind(to));
    receiver.set_read_timeout(Some(A_WHILE)).unwrap();
    let to = (address, receiver.local_addr().unwrap().port());
    // If the sending host drops the packet, send_to may fail.
    sender.send_to(b"hello", to).is_ok() && receiver.recv(&mut [0; 8]).is_ok()
}

/// Receives the next message to the service manager, within the socket's timeout. It repeats a
/// receive that a signal interrupted, because the kernel doesn't restart one with a timeout
/// (signal(7)).
pub fn service_manager_message(manager: &UnixDatagram) -> io::Result<String> {
    let mut word = [0; 64];
    loop {
        match manager.recv(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return Ok(String::from_utf8_lossy(&word[..received?]).into_owned()),
        }
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether the test should run long, because `SOFTSIM_THOROUGH` is set, as `cargo xtask soak` and
/// `cargo xtask redteam` do.
pub fn thorough() -> bool {
    env::var_os("SOFTSIM_THOROUGH").is_some()
}

/// The last 40 lines of a program's output.
pub fn end_of(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A subscriber whose credentials no SIM of the tests has.
pub fn stranger() -> Subscriber {
    let credentials = Credentials::Milenage {
        k: K::new([0x5a; 16]),
        opc: Opc::new([0xcd; 16]),
    };
    Subscriber::new(&credentials, Amf::new([0x80, 0]), Sqn::default(), 5)
}

/// The texts of the messages among these events.
pub fn messages(events: Vec<Event>) -> Vec<String> {
    let messages = events.into_iter().filter_map(|event| match event {
        Event::Message { text, .. } => Some(text),
        _ => None,
    });
    messages.collect()
}

/// An `[[access]]` for a wired port that authenticates only on command, with the additional lines
/// `more`. hostapd uses the network name WLAN for every network.
pub fn wired_access(controlled_port: &str, more: &str) -> String {
    format!(
        "[[access]]\nname = 'wired'\ncarrier = 'wired'\ninterface = '{INTERFACE}'\nautomatic = false\n\
         controlled_port = '{controlled_port}'\nnetwork_name = 'WLAN'\n{more}"
    )
}
