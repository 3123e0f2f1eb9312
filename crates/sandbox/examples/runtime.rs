//! A tokio runtime as the network daemon has one, started after its sandbox closed.
//!
//!     runtime FOLDER [PLACE]
//!
//! It makes the calls that the daemon makes, and no others; with a place, under the policy without the rule
//! there. As root it is also the name server of 127.0.0.1, which resolvers ask who may read no configuration, and
//! prints the address that it resolved.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
#[path = "shared/reduced.rs"]
mod reduced;

use std::hint::black_box;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, io, thread};

use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::process;
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UdpSocket, UnixDatagram, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).expect("a folder of its own");
    let folder = Path::new(&folder);
    let keyd = Listener::bind(&folder.join("keyd"), 0o600)?;
    let to_keyd = Connection::connect(&folder.join("keyd"))?;
    let control = std::os::unix::net::UnixListener::bind(folder.join("control"))?;
    let client = std::os::unix::net::UnixStream::connect(folder.join("control"))?;
    let name_server = std::net::UdpSocket::bind("127.0.0.1:53").ok();
    control.set_nonblocking(true)?;
    client.set_nonblocking(true)?;

    let rule = PathRule {
        path: folder,
        access: PathAccess::ReadWrite,
    };
    landlock::restrict(&[rule]).expect("landlock");
    match env::args().nth(2) {
        None => seccomp::install(Filter::Netd).expect("seccomp"),
        Some(place) => reduced::install(reduced::NETD, &place),
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        asks_keyd(&keyd, to_keyd).await?;
        serves_control(
            UnixListener::from_std(control)?,
            UnixStream::from_std(client)?,
        )
        .await?;
        exchanges_datagrams().await?;
        keeps_state(folder.to_path_buf()).await?;
        resolves(name_server).await;
        takes_memory();
        let _terminate = signal(SignalKind::terminate())?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        io::Result::Ok(())
    })?;
    runtime.shutdown_background();
    println!("served");
    Ok(())
}

async fn asks_keyd(keyd: &Listener, to_keyd: Connection) -> io::Result<()> {
    let served = keyd.accept()?.expect("a connection");
    to_keyd.send(b"request")?;
    served.send(b"answer")?;
    // tokio has no SOCK_SEQPACKET; its datagram socket makes the same calls.
    let to_keyd = std::os::unix::net::UnixDatagram::from(OwnedFd::from(to_keyd));
    to_keyd.set_nonblocking(true)?;
    let to_keyd = UnixDatagram::from_std(to_keyd)?;
    let mut answer = [0; 64];
    let length = to_keyd.recv(&mut answer).await?;
    assert_eq!(&answer[..length], b"answer");
    Ok(())
}

async fn serves_control(control: UnixListener, mut client: UnixStream) -> io::Result<()> {
    let (mut server, _) = control.accept().await?;
    assert_eq!(server.peer_cred()?.uid(), process::uid());
    client.write_all(b"status\n").await?;
    server.read_exact(&mut [0; 7]).await?;
    Ok(())
}

async fn exchanges_datagrams() -> io::Result<()> {
    let (left, right) = (
        UdpSocket::bind("127.0.0.1:0").await?,
        UdpSocket::bind("[::1]:0").await,
    );
    let address = left.local_addr()?;
    left.send_to(b"to itself", address).await?;
    left.recv_from(&mut [0; 64]).await?;
    if let Ok(right) = right {
        let address = right.local_addr()?;
        right.connect(address).await?;
        right.send(b"to itself").await?;
        right.recv(&mut [0; 64]).await?;
    }
    Ok(())
}

/// Many small blocks, and a large one that grows; then what a lock does that is taken.
fn takes_memory() {
    black_box((0..64).map(|_| vec![1_u8; 64 << 10]).collect::<Vec<_>>());
    let mut large = black_box(vec![1_u8; 1 << 20]);
    large.reserve(4 << 20);
    black_box(large);
    thread::yield_now();
}

/// A version of a file replaces the other, on a thread for what blocks.
async fn keeps_state(folder: std::path::PathBuf) -> io::Result<()> {
    tokio::task::block_in_place(|| replace(&folder, b"one"))?;
    tokio::task::spawn_blocking(move || {
        replace(&folder, b"two")?;
        fs::remove_file(folder.join("state"))
    })
    .await?
}

fn replace(folder: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(folder.join("new"))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(folder.join("new"), folder.join("state"))?;
    fs::File::open(folder)?.sync_all()
}

/// A name that can't be resolved is an error and not the end; an answer is taken with all that the C
/// library's resolver does about it.
async fn resolves(name_server: Option<std::net::UdpSocket>) {
    let Some(name_server) = name_server else {
        assert!(lookup("name.invalid").await.is_err());
        return;
    };
    thread::spawn(move || serve_names(&name_server));
    assert!(lookup("name.invalid").await.is_err());
    let address = lookup("name.example").await.expect("an address");
    println!("{}", address.ip());
}

async fn lookup(name: &'static str) -> io::Result<SocketAddr> {
    let lookup = move || {
        (name, 5684)
            .to_socket_addrs()?
            .next()
            .ok_or(io::ErrorKind::NotFound.into())
    };
    tokio::task::spawn_blocking(lookup).await.expect("no panic")
}

/// Answers a question for an IPv4 address of a name in `example` with 192.0.2.1, any other with nothing.
fn serve_names(socket: &std::net::UdpSocket) {
    let mut message = [0; 512];
    while let Ok((length, resolver)) = socket.recv_from(&mut message) {
        // Header, labels up to the empty one, type and class; what follows is an extension.
        let labels = message[12..length].iter().position(|octet| *octet == 0);
        let end = 12 + labels.expect("a question") + 5;
        let question = message[12..end].to_vec();
        let found = question.ends_with(b"\x07example\0\0\x01\0\x01");
        let mut answer = message[..2].to_vec();
        answer.extend([
            0x81,
            if found || question.ends_with(b"\x07example\0\0\x1c\0\x01") {
                0x80
            } else {
                0x83
            },
        ]);
        answer.extend([0, 1, 0, found.into(), 0, 0, 0, 0]);
        answer.extend(question);
        if found {
            answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        }
        let _ = socket.send_to(&answer, resolver);
    }
}
