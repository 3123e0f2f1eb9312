//! The host and port of a server: `coaps://HOST[:PORT]` (RFC 7252 §6.2) for LwM2M, `HOST:PORT` for
//! RADIUS.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::names::wire::Name;

/// The default port of CoAP over DTLS.
const COAPS: u16 = 5684;

/// A server's host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name or an address; IPv6 addresses without brackets.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(uri: &str) -> Result<Self, String> {
        let wrong = || format!("expected coaps://HOST:PORT, got {}", uri.escape_debug());
        let authority = uri.strip_prefix("coaps://").ok_or_else(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        Self::parse(authority, Some(COAPS)).ok_or_else(wrong)
    }
}

impl Server {
    /// Whether the host is an address, and no name.
    pub(crate) fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Parses the address of a RADIUS server, `HOST:PORT`.
    pub(crate) fn with_port(authority: &str) -> Result<Self, String> {
        let wrong = || format!("expected HOST:PORT, got {}", authority.escape_debug());
        Self::parse(authority, None).ok_or_else(wrong)
    }

    fn parse(authority: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port {
            "" => default_port?,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        let bracketed = authority.starts_with('[');
        let valid = match host.parse::<IpAddr>() {
            Ok(address) => address.is_ipv6() == bracketed,
            Err(_) => !bracketed && Name::new(host).is_some(),
        };
        valid.then(|| Self {
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
    fn a_radius_server_has_a_port() {
        for authority in ["aaa.example:1812", "192.0.2.1:1812", "[2001:db8::1]:1812"] {
            assert_eq!(Server::with_port(authority).unwrap().to_string(), authority);
        }
        for authority in [
            "aaa.example",
            "192.0.2.1",
            "2001:db8::1",
            "[2001:db8::1]",
            ":1812",
        ] {
            assert!(Server::with_port(authority).is_err(), "{authority}");
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
            "coaps://[host]",
            "coaps://::1",
            "coaps://h%20st",
        ] {
            assert!(uri.parse::<Server>().is_err(), "{uri}");
        }
    }
}
