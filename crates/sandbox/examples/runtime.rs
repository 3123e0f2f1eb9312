//! A tokio runtime like the network daemon's, started after the process has confined itself.
//!
//!     runtime FOLDER [PLACE]
//!
//! It makes only system calls that the daemon makes. With a PLACE, the rule at that place is left
//! out of the policy.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
#[path = "shared/reduced.rs"]
mod reduced;

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, io, thread};

use softsim_sandbox::landlock::{self, PathAccess, PathRule};
use softsim_sandbox::passing::Inbox;
use softsim_sandbox::peer::{Membership, Peer};
use softsim_sandbox::process;
use softsim_sandbox::seccomp::{self, Filter};
use softsim_sandbox::seqpacket::{Connection, Listener, Received, pair};
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
    control.set_nonblocking(true)?;
    client.set_nonblocking(true)?;

    fs::write(folder.join("configuration"), b"read again")?;
    let passed = fs::File::open(folder.join("configuration"))?;
    let (inbox, connector) = pair()?;
    let inbox = Inbox::replace_standard_input(inbox)?;

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
        asks_the_connector(&inbox, &connector, passed)?;
        serves_control(
            UnixListener::from_std(control)?,
            UnixStream::from_std(client)?,
        )
        .await?;
        exchanges_datagrams().await?;
        keeps_state(folder.to_path_buf()).await?;
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

/// The file has come another way, because a process can't be its own connector.
fn asks_the_connector(inbox: &Inbox, connector: &Connection, mut file: fs::File) -> io::Result<()> {
    connector.send(b"answer")?;
    let (answer, passed) = inbox.receive(&mut [0; 64])?;
    assert_eq!((answer, passed.is_some()), (Received::Datagram(6), false));
    assert_eq!(file.read(&mut [0; 64])?, 10);
    Ok(())
}

async fn serves_control(control: UnixListener, mut client: UnixStream) -> io::Result<()> {
    let (mut server, _) = control.accept().await?;
    let peer = Peer::of(&server)?;
    assert_eq!(peer.uid, process::uid());
    assert_eq!(peer.is_in(&[u32::MAX], &server), Membership::Stranger);
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

/// Allocates many small blocks, and a large one that grows; then yields, as a lock does that is
/// held.
fn takes_memory() {
    black_box((0..64).map(|_| vec![1_u8; 64 << 10]).collect::<Vec<_>>());
    let mut large = black_box(vec![1_u8; 1 << 20]);
    large.reserve(4 << 20);
    black_box(large);
    thread::yield_now();
}

/// Replaces a file by a new version, on a thread for blocking calls.
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
