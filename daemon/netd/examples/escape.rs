//! A process confined as netd is, that tries one way out and tells what came of it, for
//! `tests/escape.rs`.
//!
//!     escape OWN-DIRECTORY OTHER-DIRECTORY ATTEMPT

#![forbid(unsafe_code)]
#![allow(clippy::panic)] // It is how a test learns that it asked for the wrong thing.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use softsim_netd::sandbox;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [own, other, attempt] = arguments.as_slice() else {
        panic!("expected three arguments");
    };
    sandbox::enter(Path::new(own)).expect("a sandbox");
    match attempt_at(attempt, Path::new(own), Path::new(other)) {
        Ok(()) => println!("works"),
        Err(error) => println!("{}", error.raw_os_error().unwrap_or(0)),
    }
}

fn attempt_at(attempt: &str, own: &Path, other: &Path) -> io::Result<()> {
    match attempt {
        "write its own file" => fs::write(own.join("accounts"), b"new"),
        "replace its own file" => {
            fs::write(own.join("new"), b"newer")?;
            fs::rename(own.join("new"), own.join("accounts"))
        }
        "open a UDP socket" => UdpSocket::bind("127.0.0.1:0").map(drop),

        "read keyd's state" => fs::read(other.join("state")).map(drop),
        "write keyd's state" => fs::OpenOptions::new()
            .write(true)
            .open(other.join("state"))
            .map(drop),
        "make a file beside it" => fs::write(other.join("new"), b""),
        "remove keyd's state" => fs::remove_file(other.join("state")),
        "rename its own file over it" => fs::rename(own.join("file"), other.join("state")),
        "read the names of hosts" => fs::read("/etc/hosts").map(drop),
        "read the users" => fs::read("/etc/passwd").map(drop),
        "list the root" => fs::File::open("/").map(drop),
        "read its own memory as a file" => fs::File::open("/proc/self/mem").map(drop),
        "read the environment of another" => fs::read("/proc/1/environ").map(drop),
        "open a device" => fs::File::open("/dev/null").map(drop),

        "connect to keyd's administration" => {
            UnixStream::connect(other.join("admin.sock")).map(drop)
        }
        "connect in order" => Socket::new(Domain::UNIX, Type::SEQPACKET, None).map(drop),
        "connect to an abstract socket" => {
            let name = other.join("abstract");
            let address = SocketAddr::from_abstract_name(name.as_os_str().as_bytes())?;
            UnixStream::connect_addr(&address).map(drop)
        }
        "listen for programs" => UnixListener::bind(own.join("socket")).map(drop),
        "connect a datagram pair" => UnixDatagram::pair()?.0.connect(other.join("log")),
        "sendto on a datagram pair" => UnixDatagram::pair()?
            .0
            .send_to(b"TERMINATE", other.join("log"))
            .map(drop),
        "a pair for datagrams in order" => {
            Socket::pair(Domain::UNIX, Type::SEQPACKET, None).map(drop)
        }
        "connect a pair to another socket" => {
            let (pair, _other) = UnixStream::pair()?;
            Socket::from(pair).connect(&SockAddr::unix(other.join("admin.sock"))?)
        }
        "send on a pair to another socket" => {
            let (pair, _other) = UnixStream::pair()?;
            let to = SockAddr::unix(other.join("admin.sock"))?;
            Socket::from(pair).send_to(b"TERMINATE", &to).map(drop)
        }
        "receive a descriptor from the connector" => receive(&io::stdin()),
        "receive a descriptor from another" => receive(&UnixStream::pair()?.0),
        "pass a descriptor out" => pass_out(&UnixStream::pair()?.0),
        "pass a descriptor to the connector" => pass_out(&io::stdin()),
        "send to the system's log" => UnixDatagram::unbound().map(drop),
        "connect by TCP" => TcpStream::connect("127.0.0.1:1").map(drop),
        "listen for TCP" => TcpListener::bind("127.0.0.1:0").map(drop),
        "ask for the network's interfaces" => {
            Socket::new(Domain::from(16), Type::RAW, None).map(drop)
        }

        "read all packets" => Socket::new(Domain::PACKET, Type::RAW, None).map(drop),
        "write raw packets" => Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).map(drop),
        "talk to a virtual machine's host" => {
            Socket::new(Domain::VSOCK, Type::STREAM, None).map(drop)
        }
        "start a program" => Command::new("/bin/true").status().map(drop),
        "make a directory" => fs::create_dir(own.join("directory")),
        "make a link" => symlink("/etc/passwd", own.join("link")),
        "give its file to all" => {
            fs::set_permissions(own.join("file"), fs::Permissions::from_mode(0o666))
        }
        "list its own directory" => fs::read_dir(own)?.next().transpose().map(drop),
        _ => panic!("unknown attempt"),
    }
}

/// With the standard error as the descriptor (SCM_RIGHTS).
fn pass_out(socket: &impl AsFd) -> io::Result<()> {
    let stderr = io::stderr();
    let passed = [stderr.as_fd()];
    let message = SendAncillaryMessage::ScmRights(&passed);
    let mut space = [MaybeUninit::uninit(); 64];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(message));
    sendmsg(
        socket,
        &[IoSlice::new(b"x")],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// Receives a datagram with a descriptor.
fn receive(socket: &impl AsFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); 64];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut octet = [0];
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC | RecvFlags::CMSG_CLOEXEC;
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut octet)],
        &mut control,
        flags,
    )?;
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
        _ => None,
    });
    passed
        .map(drop)
        .ok_or_else(|| io::Error::other("no descriptor"))
}
