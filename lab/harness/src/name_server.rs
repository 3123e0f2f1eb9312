//! A name server (RFC 1035) for the names that a test makes up.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};

/// The port of name servers.
const DNS: u16 = 53;

/// Octets of a message's header.
const HEADER: usize = 12;

const NAME_ERROR: u8 = 3;

/// The names that it knows. It answers NXDOMAIN for any other.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// The addresses of each name, in lower case and without the root's dot.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Whether every answer is too long for UDP.
    pub long: bool,
}

/// A running name server, over UDP and TCP, which ends when the value is dropped.
#[derive(Debug)]
pub struct NameServer {
    _runtime: Runtime,
}

impl NameServer {
    /// Serves at port 53 of an address, in the network namespace of this thread.
    ///
    /// # Errors
    /// The port is in use, or the process may not use it.
    pub fn start(address: IpAddr, zone: Zone) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("names")
            .enable_all()
            .build()?;
        let at = SocketAddr::from((address, DNS));
        let zone = Arc::new(zone);
        let socket = runtime.block_on(UdpSocket::bind(at))?;
        let listener = runtime.block_on(TcpListener::bind(at))?;
        runtime.spawn(over_udp(socket, Arc::clone(&zone)));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(over_tcp(stream, Arc::clone(&zone)));
            }
        });
        Ok(Self { _runtime: runtime })
    }
}

async fn over_udp(socket: UdpSocket, zone: Arc<Zone>) -> io::Result<()> {
    let mut query = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut query).await?;
        if let Some(answer) = zone.answer(&query[..length], zone.long) {
            socket.send_to(&answer, from).await?;
        }
    }
}

async fn over_tcp(mut stream: TcpStream, zone: Arc<Zone>) -> io::Result<()> {
    loop {
        let mut query = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut query).await?;
        let answer = zone
            .answer(&query, false)
            .ok_or(io::ErrorKind::InvalidData)?;
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
}

impl Zone {
    /// The answer to a query of one question. If `truncated`, it only says that there is an answer.
    fn answer(&self, query: &[u8], truncated: bool) -> Option<Vec<u8>> {
        let (name, kind, end) = question(query)?;
        let known = self.names.get(name.as_str());
        let records = known
            .into_iter()
            .flatten()
            .filter_map(|address| match (kind, address) {
                (1, IpAddr::V4(address)) => Some(address.octets().to_vec()),
                (28, IpAddr::V6(address)) => Some(address.octets().to_vec()),
                _ => None,
            });
        let records: Vec<_> = records
            .take(if truncated { 0 } else { usize::MAX })
            .collect();
        let code = if known.is_some() { 0 } else { NAME_ERROR };
        // A response, recursion desired and available.
        let flags = [0x81 | (u8::from(truncated) << 1), 0x80 | code];
        let mut answer = [
            &query[..2],
            &flags,
            &[0, 1, 0, u8::try_from(records.len()).ok()?],
        ]
        .concat();
        answer.extend([0; 4]);
        answer.extend(&query[HEADER..end]);
        for record in records {
            // The name of the question, its type, class IN, for a minute.
            answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
            answer.push(u8::try_from(record.len()).ok()?);
            answer.extend(record);
        }
        Some(answer)
    }
}

/// The name, the type, and the end of the question.
fn question(query: &[u8]) -> Option<(String, u8, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
    let kind = *query.get(at + 1)?;
    query.get(at + 3)?;
    Some((labels.join("."), kind, at + 4))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_is_answered_and_another_is_unknown() {
        let mut zone = Zone::default();
        zone.names
            .insert("a.example".into(), vec!["192.0.2.1".parse().unwrap()]);
        let query = |name: &[u8], kind| {
            let header = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            [&header[..], name, &[0, kind, 0, 1]].concat()
        };
        let known = query(b"\x01A\x07example\0", 1);
        let answer = zone.answer(&known, false).unwrap();
        assert_eq!(answer[..8], [7, 9, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(answer.ends_with(&[0, 4, 192, 0, 2, 1]));
        let truncated = zone.answer(&known, true).unwrap();
        assert_eq!(truncated[2..8], [0x83, 0x80, 0, 1, 0, 0]);
        let other_kind = zone
            .answer(&query(b"\x01a\x07example\0", 28), false)
            .unwrap();
        assert_eq!(other_kind[3..8], [0x80, 0, 1, 0, 0]);
        let unknown = zone
            .answer(&query(b"\x01b\x07example\0", 1), false)
            .unwrap();
        assert_eq!(unknown[3], 0x83);
        assert_eq!(zone.answer(&known[..20], false), None);
    }
}
