//! The whole process as it is shipped, on one CPU: requests against a bare ping-pong of datagrams
//! of the same size, one sync for many clients against one each, and what the number of profiles
//! costs.
//!
//! Figures of one table are taken in turns of fifty, so that a busy moment of the machine meets all
//! of them alike.
//! `cargo xtask bench` builds the programs and says where they are.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_keyd::vault::{Change, Kek, Table, Vault};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, Call, MAX_ANSWER, PROTOCOL_VERSION, Refusal, Role, decode_answer, encode_request,
};
use softsim_profile::IssuerId;
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Listener, Received};
use softsim_testkit::device::{self, Device, profile_of};
use softsim_testkit::home_network::{HomeNetwork, IDENTITY};
use softsim_testkit::requests;

/// Set in the child process that only sends back what it gets.
const ECHO: &str = "SOFTSIM_BENCH_ECHO";

const TMPFS: &str = "/dev/shm";
const DISK: &str = "/var/tmp";

/// The length of the answer to a challenge.
const ANSWER: usize = 13;

/// The length of the record of sequence numbers.
const RECORD: usize = Table::SEQUENCE.record_length();

/// The connections that one user may have.
const CLIENTS: usize = 16;

/// Longer than any bucket takes to fill.
const REFILL: Duration = Duration::from_secs(3);

fn main() {
    if let Some(path) = std::env::var_os(ECHO) {
        echo(Path::new(&path));
    }
    pin();
    let size = fs::metadata(program("softsim-keyd")).unwrap().len();
    println!("softsim-keyd: {size} octets\n");
    round_trips();
    group_commit();
    capacities();
}

/// Clients and keyd share one CPU, so that no figure depends on where the scheduler puts them.
fn pin() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-c", "-p", "0", &pid])
        .stdout(Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        eprintln!("not pinned: expected taskset (util-linux)");
    }
}

/// A program as it is shipped.
fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("SOFTSIM_BIN_DIR");
    Path::new(&folder.expect("SOFTSIM_BIN_DIR, as `cargo xtask bench` sets it")).join(name)
}

/// One challenge after the other, compared with the ping-pong.
fn round_trips() {
    let directory = tempfile::tempdir_in(TMPFS).unwrap();
    let path = directory.path().join("echo");
    let _echo = spawn(Command::new(std::env::current_exe().unwrap()).env(ECHO, &path));
    let ping_pong = connect(&path);

    let gateways = [
        Gateway::start(TMPFS, 1, Writes::Forgotten),
        Gateway::start(TMPFS, 1, Writes::Stored),
        Gateway::start(DISK, 1, Writes::Stored),
    ];
    let clients = gateways.each_ref().map(|gateway| gateway.connect());
    let mut next = fresh_requests(1);
    let (mut bare, mut memory, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    let mut asked = [(); 3].map(|()| Vec::new());
    let mut in_memory = InMemory::new();
    let file = preallocated();
    for _ in 0..80 {
        let requests: Vec<_> = (0..50).map(|_| next()).collect();
        for request in &requests {
            let start = Instant::now();
            exchange(&ping_pong, request);
            bare.push(start.elapsed());
        }
        memory.extend((0..50).map(|_| in_memory.authenticate()));
        syncs.extend((0..50).map(|at| sync_one(&file, at)));
        for (client, times) in clients.iter().zip(&mut asked) {
            times.extend(requests.iter().map(|request| authenticate(client, request)));
        }
    }

    println!("| one client | p50 | p99 | against the ping-pong |\n|---|---|---|---|");
    let floor = quantile(&mut bare, 50);
    row("bare ppoll ping-pong over SEQPACKET", &mut bare, floor);
    let [forgotten, tmpfs, disk] = &mut asked;
    row("AkaPrimeChallenge without durability", forgotten, floor);
    row("AkaPrimeChallenge, state on tmpfs", tmpfs, floor);
    row("AkaPrimeChallenge, durable on the disk", disk, floor);
    row(
        "the same request in memory, without a process",
        &mut memory,
        floor,
    );
    row(
        "pwrite and fdatasync of a record of the same size",
        &mut syncs,
        floor,
    );
    println!();
    let [floor, memory, sync, forgotten, disk] =
        [&mut bare, &mut memory, &mut syncs, forgotten, disk].map(|of| micros(quantile(of, 50)));
    println!("| p50 | goal | got |\n|---|---|---|");
    let goal = floor + 1.5 * memory;
    println!(
        "| without durability: ping-pong + 1.5 in memory | {goal:.1} µs | {forgotten:.1} µs |"
    );
    let goal = 1.1 * (forgotten + sync);
    println!("| durable: 1.1 (that + one sync) | {goal:.1} µs | {disk:.1} µs |\n");
}

/// A device in this process, with a vault in memory that is never written to.
struct InMemory {
    device: Device,
    next: Box<dyn FnMut() -> Vec<u8>>,
    now: Duration,
}

impl InMemory {
    fn new() -> Self {
        let (home, mut sqn) = (HomeNetwork::default(), 0);
        let next = move || {
            sqn += 32;
            let packet = home.challenge(sqn).packet;
            let challenge = requests::challenge(&packet, IDENTITY);
            encode_request(&challenge, &mut [0; 1024]).unwrap().to_vec()
        };
        Self {
            device: Device::provisioned().0,
            next: Box::new(next),
            now: Duration::ZERO,
        }
    }

    fn authenticate(&mut self) -> Duration {
        let request = (self.next)();
        let mut answer = [0; MAX_ANSWER];
        self.now += Duration::from_secs(1);
        let mut netd = self.device.client(Role::Network);
        let start = Instant::now();
        self.device
            .keyd
            .serve(&mut netd, self.now, &request, &mut answer);
        let took = start.elapsed();
        assert_eq!(answer[..2], [0, 0], "Success");
        took
    }
}

/// A file on the disk with room for records.
fn preallocated() -> File {
    let file = tempfile::tempfile_in(DISK).unwrap();
    file.write_all_at(&[0; 1 << 16], 0).unwrap();
    file.sync_all().unwrap();
    file
}

/// Writes one record of sequence numbers, and waits for it.
fn sync_one(file: &File, at: usize) -> Duration {
    let start = Instant::now();
    let record = [at as u8; RECORD];
    file.write_all_at(&record, (at % 128 * 512) as u64).unwrap();
    file.sync_data().unwrap();
    start.elapsed()
}

fn row(name: &str, times: &mut [Duration], floor: Duration) {
    let (p50, p99) = (quantile(times, 50), quantile(times, 99));
    let ratio = p50.as_secs_f64() / floor.as_secs_f64();
    println!(
        "| {name} | {:.1} µs | {:.1} µs | {ratio:.2} |",
        micros(p50),
        micros(p99)
    );
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Sixteen clients that each wait for their answer, against one sync for each of their requests.
fn group_commit() {
    const ROUNDS: usize = 200;
    let gateway = Gateway::start(DISK, 1, Writes::Stored);
    let clients: Vec<_> = (0..CLIENTS).map(|_| gateway.connect()).collect();
    let file = preallocated();
    let mut next = fresh_requests(1);
    let (mut synced, mut served) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let each = (0..CLIENTS).map(|client| sync_one(&file, round * CLIENTS + client));
        synced += each.sum::<Duration>();
        let requests: Vec<_> = clients.iter().map(|_| next()).collect();
        let start = Instant::now();
        for (client, request) in clients.iter().zip(&requests) {
            client.send(request).unwrap();
        }
        let answers: Vec<_> = clients.iter().map(receive).collect();
        served += start.elapsed();
        for (client, answer) in clients.iter().zip(&answers) {
            close(client, &success(answer).unwrap());
        }
    }
    let rate = |time: Duration| (ROUNDS * CLIENTS) as f64 / time.as_secs_f64();
    let (one_each, together) = (rate(synced), rate(served));
    println!("| durable on the disk | a second | |\n|---|---|---|");
    println!("| pwrite and fdatasync for each request, nothing else | {one_each:.0} | 1 |");
    println!(
        "| {CLIENTS} clients | {together:.0} | {:.1} |\n",
        together / one_each
    );
}

/// Start, memory and latency with few and with many profiles.
fn capacities() {
    println!("| profiles | start to first answer | peak RSS | p50 | p99 |\n|---|---|---|---|---|");
    for count in [1, 100, 1000, 10_000] {
        let state = populated(DISK, count);
        let mut starts = Vec::new();
        let mut memory = 0;
        for _ in 0..21 {
            let (start, peak) = first_answer(&state);
            starts.push(start);
            memory = memory.max(peak);
        }
        let gateway = Gateway::of(state, Writes::Forgotten);
        let client = gateway.connect();
        let mut next = fresh_requests(count);
        let mut times: Vec<_> = (0..2000).map(|_| authenticate(&client, &next())).collect();
        println!(
            "| {count} | {:.1} ms | {} KiB | {:.1} µs | {:.1} µs |",
            micros(quantile(&mut starts, 50)) / 1000.0,
            memory,
            micros(quantile(&mut times, 50)),
            micros(quantile(&mut times, 99)),
        );
    }
}

/// How long it takes from starting the program until it has answered, and the most memory that it
/// took.
fn first_answer(state: &tempfile::TempDir) -> (Duration, u64) {
    let path = state.path().join("network");
    let start = Instant::now();
    let keyd = spawn(&mut keyd(state.path()));
    let client = connect(&path);
    let version = PROTOCOL_VERSION;
    exchange(&client, &encoded(&Hello { version }));
    (start.elapsed(), peak_memory(&keyd))
}

/// A vault with so many profiles, of which the last one is enabled.
fn populated(place: &str, count: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir_in(place).unwrap();
    let state = directory.path().join("state");
    // As keyd makes it, which takes no other.
    fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let kek = Kek::development();
    let storage = Vault::create(&state, &kek, (count, 0)).unwrap();
    let mut vault = Vault::open(storage, &kek).unwrap();
    for number in 1..=count {
        let install = Change::Install {
            profile: profile_of(
                &format!("898821{number:013}"),
                &format!("00101{number:010}"),
                key(number),
                device::OPC,
                0,
            ),
            issuer: IssuerId([1; 32]),
            sequence: number.into(),
            enabled: number == count,
        };
        vault.commit(vec![install]).unwrap();
    }
    directory
}

fn key(number: u32) -> [u8; 16] {
    let mut k = device::K;
    k[..4].copy_from_slice(&number.to_be_bytes());
    k
}

/// Requests for the profile of that number, with a SQN each that is fresh.
fn fresh_requests(number: u32) -> impl FnMut() -> Vec<u8> {
    let home = HomeNetwork {
        credentials: device::milenage(key(number), device::OPC),
        ..HomeNetwork::default()
    };
    let mut sqn = 0;
    move || {
        sqn += 32;
        encoded(&AkaPrimeChallenge {
            iccid: None,
            identity: IDENTITY,
            packet: &home.challenge(sqn).packet,
            forward_secrecy: None,
        })
    }
}

fn encoded(call: &impl Call) -> Vec<u8> {
    encode_request(call, &mut [0; 1024]).unwrap().to_vec()
}

/// One authentication, of which the challenge is timed. Where the bucket is empty, it waits and
/// asks again.
fn authenticate(client: &Socket, request: &[u8]) -> Duration {
    loop {
        let start = Instant::now();
        let answer = exchange(client, request);
        let elapsed = start.elapsed();
        match success(&answer) {
            Ok(session) => {
                close(client, &session);
                return elapsed;
            }
            Err(Refusal::RetryAfter { .. }) => std::thread::sleep(REFILL),
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

/// What closes the session of an answer.
fn success(answer: &[u8]) -> Result<CloseSession, Refusal> {
    match decode_answer::<AkaPrimeChallenge<'_>>(answer).unwrap()? {
        AkaAnswer::Success { handle, .. } => Ok(CloseSession { handle }),
        answer => panic!("expected Success, got {answer:?}"),
    }
}

fn close(client: &Socket, session: &CloseSession) {
    let closed = decode_answer::<CloseSession>(&exchange(client, &encoded(session))).unwrap();
    assert!(matches!(closed, Ok(()) | Err(Refusal::RetryAfter { .. })));
}

fn exchange(client: &Socket, request: &[u8]) -> Vec<u8> {
    client.send(request).unwrap();
    receive(client)
}

fn receive(mut client: &Socket) -> Vec<u8> {
    let mut answer = [0; 256];
    let length = client.read(&mut answer).unwrap();
    answer[..length].to_vec()
}

fn connect(path: &Path) -> Socket {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let address = SockAddr::unix(path).unwrap();
    while socket.connect(&address).is_err() {
        std::thread::yield_now();
    }
    socket
}

/// The least that a server of datagrams does that can have more than one client.
fn echo(path: &Path) -> ! {
    let listener = Listener::bind(path, 0o600).unwrap();
    let mut connection = None;
    let mut buffer = [0; 1024];
    loop {
        let Some(connection) = &connection else {
            poll::wait(&mut [Entry::readable(&listener)], None).unwrap();
            connection = listener.accept().unwrap();
            continue;
        };
        poll::wait(&mut [Entry::readable(connection)], None).unwrap();
        match connection.receive(&mut buffer).unwrap() {
            Received::Datagram(length) => connection.send(&buffer[..length.min(ANSWER)]).unwrap(),
            Received::Nothing => {}
            Received::Truncated | Received::Closed => std::process::exit(0),
        }
    }
}

/// A process that ends with its bench.
struct Spawned(Child);

fn spawn(command: &mut Command) -> Spawned {
    Spawned(command.spawn().unwrap())
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // Gone already, or ended here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether what keyd stores is kept.
#[derive(Clone, Copy)]
enum Writes {
    Stored,
    Forgotten,
}

/// A running keyd, confined.
struct Gateway {
    keyd: Spawned,
    directory: tempfile::TempDir,
}

impl Gateway {
    fn start(place: &str, profiles: u32, writes: Writes) -> Self {
        Self::of(populated(place, profiles), writes)
    }

    fn of(directory: tempfile::TempDir, writes: Writes) -> Self {
        let mut command = match writes {
            Writes::Stored => keyd(directory.path()),
            Writes::Forgotten => {
                let mut forgetful = Command::new(program("examples/without_durability"));
                forgetful.args(["state", "network"].map(|name| directory.path().join(name)));
                forgetful.stderr(Stdio::null());
                forgetful
            }
        };
        let keyd = spawn(&mut command);
        Self { keyd, directory }
    }

    fn connect(&self) -> Socket {
        connect(&self.directory.path().join("network"))
    }
}

/// The most memory that a process ever had, in KiB.
fn peak_memory(process: &Spawned) -> u64 {
    let status = File::open(format!("/proc/{}/status", process.0.id())).unwrap();
    BufReader::new(status)
        .lines()
        .find_map(|line| {
            let line = line.unwrap();
            let peak = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            Some(peak.parse().unwrap())
        })
        .unwrap()
}

fn keyd(directory: &Path) -> Command {
    let mut keyd = Command::new(program("softsim-keyd"));
    keyd.args(["--development-key", "--same-user"]);
    for (option, name) in [("--state", "state"), ("--network", "network")] {
        keyd.arg(option).arg(directory.join(name));
    }
    keyd.stderr(Stdio::null());
    keyd
}
