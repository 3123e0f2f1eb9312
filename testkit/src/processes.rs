//! What the tests that run the programs share.

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

/// A gateway that was enrolled, bootstrapped and registered, in a folder.
pub fn bootstrapped(folder: &Path) -> (Home, Enrolled) {
    let mut home = Home::start(&folder.join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    home.start_netd().unwrap();
    home.bootstrap().unwrap();
    (home, device)
}

/// How long something that doesn't come is waited for; what comes takes microseconds.
pub const A_WHILE: Duration = Duration::from_millis(200);

/// Whether a datagram arrives.
pub fn udp(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> bool {
    let bind = |namespace: &Namespace| {
        let socket = namespace.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)));
        socket.unwrap().unwrap()
    };
    let (sender, receiver) = (bind(from), bind(to));
    receiver.set_read_timeout(Some(A_WHILE)).unwrap();
    let to = (address, receiver.local_addr().unwrap().port());
    // A packet that is dropped on its way out may be an error, too.
    sender.send_to(b"hello", to).is_ok() && receiver.recv(&mut [0; 8]).is_ok()
}

/// The next message to a service manager, within its socket's time. A wait with a time limit that
/// was interrupted isn't taken up again by itself (signal(7)).
pub fn told(manager: &UnixDatagram) -> io::Result<String> {
    let mut word = [0; 64];
    loop {
        match manager.recv(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return Ok(String::from_utf8_lossy(&word[..received?]).into_owned()),
        }
    }
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether there is time: `cargo xtask soak` and `cargo xtask redteam` set `SOFTSIM_THOROUGH`.
pub fn thorough() -> bool {
    env::var_os("SOFTSIM_THOROUGH").is_some()
}

/// The last lines of what a program wrote.
pub fn end_of(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A subscription that is nobody's here.
pub fn stranger() -> Subscriber {
    let credentials = Credentials::Milenage {
        k: K::new([0x5a; 16]),
        opc: Opc::new([0xcd; 16]),
    };
    Subscriber::new(&credentials, Amf::new([0x80, 0]), Sqn::default(), 5)
}

/// The messages among what happened.
pub fn messages(events: Vec<Event>) -> Vec<String> {
    let messages = events.into_iter().filter_map(|event| match event {
        Event::Message { text, .. } => Some(text),
        _ => None,
    });
    messages.collect()
}

/// An `[[access]]` to the wired port of a cable, which authenticates when it is told to; `more` are
/// lines of its own. hostapd calls every network WLAN.
pub fn wired_access(controlled_port: &str, more: &str) -> String {
    format!(
        "[[access]]\nname = 'wired'\ncarrier = 'wired'\ninterface = '{INTERFACE}'\nautomatic = false\n\
         controlled_port = '{controlled_port}'\nnetwork_name = 'WLAN'\n{more}"
    )
}
