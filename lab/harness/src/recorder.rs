//! Records every message between netd and keyd's network socket.
//!
//! The demo and the tests search the record for values that must never pass there: K, OPc, CK, IK.
//! The record does hold values that may pass, RES and the MSKs that servers sent, so only its owner
//! may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};

/// The size of the buffer, which is longer than any message of the protocol.
const BUFFER: usize = 64 << 10;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The network daemon.
    Netd,
    /// The key process.
    Keyd,
}

/// One recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub sender: Sender,
    /// The datagram.
    pub octets: Vec<u8>,
}

/// Reads a record: for each message an octet `>` (from netd) or `<` (from keyd), its length in four
/// octets, big endian, and its octets.
pub fn read(record: &Path) -> io::Result<Vec<Message>> {
    let octets = fs::read(record)?;
    let mut rest = octets.as_slice();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let (message, behind) = message(rest)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a record"))?;
        messages.push(message);
        rest = behind;
    }
    Ok(messages)
}

fn message(record: &[u8]) -> Option<(Message, &[u8])> {
    let (sender, rest) = record.split_first()?;
    let sender = match sender {
        b'>' => Sender::Netd,
        b'<' => Sender::Keyd,
        _ => return None,
    };
    let (length, rest) = rest.split_first_chunk()?;
    let (octets, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let octets = octets.to_vec();
    Some((Message { sender, octets }, rest))
}

/// A running recorder; ends when it is dropped.
pub struct Recorder {
    /// Closed to end the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Listens at `path`, passes everything on to keyd's socket at `keyd`, and appends it to
    /// `record`.
    pub fn start(path: &Path, keyd: &Path, record: &Path) -> io::Result<Self> {
        let mut proxy = Proxy {
            listener: Listener::bind(path, 0o600)?,
            keyd: keyd.to_owned(),
            record: OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(record)?,
            pairs: Vec::new(),
        };
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new()
            .name("recorder".into())
            .spawn(move || {
                if let Err(error) = proxy.run(&stopped) {
                    eprintln!("softsim-lab: recorder: {error}");
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Proxy {
    listener: Listener,
    keyd: PathBuf,
    record: File,
    pairs: Vec<Pair>,
}

struct Pair {
    netd: Connection,
    keyd: Connection,
}

impl Proxy {
    fn run(&mut self, stopped: &UnixStream) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let mut entries = vec![Entry::readable(stopped), Entry::readable(&self.listener)];
            for pair in &self.pairs {
                entries.extend([Entry::readable(&pair.netd), Entry::readable(&pair.keyd)]);
            }
            poll::wait(&mut entries, None)?;
            if entries[0].ready() {
                return Ok(());
            }
            let record = &mut self.record;
            let mut sides = entries[2..].chunks(2);
            // If one side closes, fails or doesn't read, both connections end, as they would
            // without the recorder.
            self.pairs.retain(|pair| {
                sides.next().is_none_or(|side| {
                    (!side[0].ready() || pass(&pair.netd, &pair.keyd, b'>', record, &mut buffer))
                        && (!side[1].ready()
                            || pass(&pair.keyd, &pair.netd, b'<', record, &mut buffer))
                })
            });
            if entries[1].ready()
                && let Some(netd) = self.listener.accept()?
                && let Ok(keyd) = Connection::connect(&self.keyd)
            {
                self.pairs.push(Pair { netd, keyd });
            }
        }
    }
}

/// Records one datagram and passes it on. Returns false if the connection is over.
fn pass(
    from: &Connection,
    to: &Connection,
    sender: u8,
    record: &mut File,
    buffer: &mut [u8],
) -> bool {
    match from.receive(buffer) {
        Ok(Received::Datagram(length)) => {
            let octets = &buffer[..length];
            let mut entry = vec![sender];
            entry.extend((length as u32).to_be_bytes());
            entry.extend(octets);
            record.write_all(&entry).is_ok() && to.send(octets).is_ok()
        }
        Ok(Received::Nothing) => true,
        Ok(Received::Truncated | Received::Closed) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    /// Waits for the next thing on a connection.
    fn receive(connection: &Connection) -> Option<Vec<u8>> {
        let mut buffer = [0; 64];
        let mut entries = [Entry::readable(connection)];
        poll::wait(&mut entries, Some(Duration::from_secs(60))).unwrap();
        match connection.receive(&mut buffer).unwrap() {
            Received::Datagram(length) => Some(buffer[..length].to_vec()),
            _ => None,
        }
    }

    fn accept(listener: &Listener) -> Connection {
        let mut entries = [Entry::readable(listener)];
        poll::wait(&mut entries, Some(Duration::from_secs(60))).unwrap();
        listener.accept().unwrap().unwrap()
    }

    #[test]
    fn messages_pass_unchanged_in_both_directions_and_are_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let [proxy, keyd, record] =
            ["proxy", "keyd", "record"].map(|name| folder.path().join(name));
        let listener = Listener::bind(&keyd, 0o600).unwrap();
        let recorder = Recorder::start(&proxy, &keyd, &record).unwrap();
        let netd = Connection::connect(&proxy).unwrap();
        let keyd = accept(&listener);
        netd.send(b"request").unwrap();
        assert_eq!(receive(&keyd).unwrap(), b"request");
        keyd.send(b"answer").unwrap();
        assert_eq!(receive(&netd).unwrap(), b"answer");
        drop(recorder);
        let messages = read(&record).unwrap();
        assert_eq!(
            messages,
            [(Sender::Netd, &b"request"[..]), (Sender::Keyd, b"answer")].map(|(sender, octets)| {
                Message {
                    sender,
                    octets: octets.to_vec(),
                }
            })
        );
    }

    #[test]
    fn the_end_of_one_side_is_the_end_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let [proxy, keyd, record] =
            ["proxy", "keyd", "record"].map(|name| folder.path().join(name));
        let listener = Listener::bind(&keyd, 0o600).unwrap();
        let _recorder = Recorder::start(&proxy, &keyd, &record).unwrap();
        let netd = Connection::connect(&proxy).unwrap();
        drop(accept(&listener));
        assert_eq!(receive(&netd), None);
    }

    #[test]
    fn a_truncated_record_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        fs::write(&record, b">\0\0\0\x09request").unwrap();
        assert_eq!(
            read(&record).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
