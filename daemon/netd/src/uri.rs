//! Where a LwM2M server is: `coaps://HOST[:PORT]` (RFC 7252 §6.2).

use std::{fmt, str::FromStr};

/// The port of CoAP over DTLS.
const COAPS: u16 = 5684;

/// A server's host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address, IPv6 ones without brackets.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(uri: &str) -> Result<Self, String> {
        let wrong = || format!("expected coaps://HOST:PORT, came {}", uri.escape_debug());
        let authority = uri.strip_prefix("coaps://").ok_or_else(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':').ok_or_else(wrong)?),
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None => COAPS,
        };
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn host_and_port_are_taken_apart() {
        for (uri, shown) in [
            ("coaps://lwm2m.example", "lwm2m.example:5684"),
            ("coaps://lwm2m.example:5784/", "lwm2m.example:5784"),
            ("coaps://127.0.0.1:1", "127.0.0.1:1"),
            ("coaps://[2001:db8::1]", "[2001:db8::1]:5684"),
            ("coaps://[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(uri.parse::<Server>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for uri in [
            "coap://host",
            "coaps://",
            "coaps://host:",
            "coaps://host:65536",
            "coaps://host/path",
            "coaps://user@host",
            "coaps://[::1",
            "coaps://[::1]5684",
        ] {
            assert!(uri.parse::<Server>().is_err(), "{uri}");
        }
    }
}
