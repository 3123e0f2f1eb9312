//! What an authentication costs: in memory, and over the socket against a bare ping-pong of datagrams of
//! the same size, in one run and pinned to one CPU.
//!
//! The durable figures depend on the disk under the temporary directory; `/dev/shm` stands for none.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::panic)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::keyd::Connection;
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, Call, MAX_ANSWER, PROTOCOL_VERSION, Refusal, Role, decode_answer, encode_request,
};

#[path = "../tests/keyd/fixture.rs"]
mod fixture;
#[path = "../tests/keyd/home_network.rs"]
mod home_network;
#[path = "../tests/keyd/over_the_socket.rs"]
mod over_the_socket;

use fixture::{Device, Operator};
use home_network::{HomeNetwork, IDENTITY};
use over_the_socket::provision;

/// Set in the child process that only sends back what it gets.
const ECHO: &str = "SOFTSIM_BENCH_ECHO";

fn main() {
    if let Some(path) = std::env::var_os(ECHO) {
        echo(Path::new(&path));
    }
    pin();
    let mut criterion = Criterion::default().configure_from_args();
    in_memory(&mut criterion);
    over_the_socket(&mut criterion);
    criterion.final_summary();
}

/// Both sides of each ping-pong share one CPU, so that no figure depends on where the scheduler puts them.
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

fn challenge(packet: &[u8]) -> AkaPrimeChallenge<'_> {
    AkaPrimeChallenge {
        iccid: None,
        identity: IDENTITY,
        packet,
    }
}

fn encoded(call: &impl Call) -> Vec<u8> {
    encode_request(call, &mut [0; 1024]).unwrap().to_vec()
}

/// Requests with a SQN each that is fresh, one after the other.
fn fresh_requests() -> impl FnMut() -> Vec<u8> {
    let (home, mut sqn) = (HomeNetwork::default(), 0);
    move || {
        sqn += 32;
        encoded(&challenge(&home.challenge(sqn).packet))
    }
}

fn in_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("in memory");
    for (name, durable) in [
        ("AkaPrimeChallenge", false),
        ("AkaPrimeChallenge, durable", true),
    ] {
        let (mut device, _) = Device::provisioned();
        let mut next = fresh_requests();
        let mut answer = [0; MAX_ANSWER];
        let mut now = Duration::ZERO;
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                &mut next,
                |request| {
                    now += Duration::from_secs(1);
                    let mut netd = device.client(Role::Network);
                    let length = device.keyd.serve(&mut netd, now, request, &mut answer);
                    assert_eq!(answer[..2], [0, 0], "Success");
                    if durable {
                        device.keyd.flush().unwrap();
                    }
                    black_box(length)
                },
                BatchSize::SmallInput,
            );
        });
    }
    let mut device = Device::blank();
    let mut answer = [0; MAX_ANSWER];
    let hello = encoded(&Hello {
        version: PROTOCOL_VERSION,
    });
    let (mut admin, mut now) = (device.client(Role::Admin), Duration::ZERO);
    group.bench_function("Hello", |bencher| {
        bencher.iter(|| {
            now += Duration::from_secs(1);
            device.keyd.serve(&mut admin, now, &hello, &mut answer)
        });
    });
}

fn over_the_socket(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("over SEQPACKET, one CPU");
    group.sample_size(20);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo");
    let _echo = spawn(Command::new(std::env::current_exe().unwrap()).env(ECHO, &path));
    let socket = connect(&path);
    let request = fresh_requests()();
    group.bench_function("bare ping-pong", |bencher| {
        bencher.iter(|| exchange(&socket, &request));
    });

    for (name, place) in [
        ("AkaPrimeChallenge", PathBuf::from("/dev/shm")),
        ("AkaPrimeChallenge, durable", std::env::temp_dir()),
    ] {
        let gateway = Gateway::start(&place);
        let netd = connect(&gateway.directory.path().join("network"));
        let mut next = fresh_requests();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                (0..count)
                    .map(|_| authenticate(&netd, &next()))
                    .sum::<Duration>()
            });
        });
    }
}

/// One authentication, of which the challenge is timed.
fn authenticate(netd: &Socket, request: &[u8]) -> Duration {
    let (answer, elapsed) = timed::<AkaPrimeChallenge<'_>>(netd, request);
    let AkaAnswer::Success { handle, .. } = answer else {
        panic!("expected Success, came {answer:?}");
    };
    timed::<CloseSession>(netd, &encoded(&CloseSession { handle }));
    elapsed
}

/// Asks until it is answered; the waiting that a rate limit asks for is not timed.
fn timed<C: Call>(netd: &Socket, request: &[u8]) -> (C::Answer, Duration) {
    loop {
        let start = Instant::now();
        let answer = exchange(netd, request);
        let elapsed = start.elapsed();
        match decode_answer::<C>(&answer).unwrap() {
            Ok(answer) => return (answer, elapsed),
            // Longer than told, for the bucket to gain some hundred requests.
            Err(Refusal::RetryAfter { milliseconds }) => {
                std::thread::sleep(Duration::from_millis(u64::from(milliseconds) + 50));
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

fn connect(path: &Path) -> Socket {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    while socket.connect(&SockAddr::unix(path).unwrap()).is_err() {
        std::thread::yield_now();
    }
    socket
}

fn exchange(mut socket: &Socket, request: &[u8]) -> Vec<u8> {
    socket.send(request).unwrap();
    let mut answer = [0; 256];
    let length = socket.read(&mut answer).unwrap();
    answer[..length].to_vec()
}

/// The least that a server of datagrams does.
fn echo(path: &Path) -> ! {
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(length @ 1..) => socket.send(&buffer[..length]).unwrap(),
            _ => std::process::exit(0),
        };
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

/// A running keyd, confined, with one profile.
struct Gateway {
    _keyd: Spawned,
    directory: tempfile::TempDir,
}

impl Gateway {
    fn start(place: &Path) -> Self {
        let directory = tempfile::tempdir_in(place).unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut keyd = spawn(
            Command::new(env!("CARGO_BIN_EXE_softsim-keyd"))
                .arg("--development-key")
                .arg("--state")
                .arg(path("state"))
                .arg("--network")
                .arg(path("network"))
                .arg("--admin")
                .arg(path("admin"))
                .stderr(Stdio::piped()),
        );
        let mut line = String::new();
        BufReader::new(keyd.0.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        eprint!("{line}");
        let mut admin = Connection::connect(&path("admin")).unwrap();
        provision(&mut admin, &Operator::new());
        Self {
            _keyd: keyd,
            directory,
        }
    }
}
