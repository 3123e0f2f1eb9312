//! The accounts: Security and Server instances, their meaning, and the check that they are
//! consistent.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::path::Path;
use crate::value::{Instance, Instances};

/// The resource ids of the Security object that are used by name.
mod security {
    pub(super) const URI: u16 = 0;
    pub(super) const BOOTSTRAP: u16 = 1;
    pub(super) const MODE: u16 = 2;
    pub(super) const IDENTITY: u16 = 3;
    pub(super) const SERVER_PUBLIC_KEY: u16 = 4;
    pub(super) const SHORT_SERVER_ID: u16 = 10;
    pub(super) const HOLD_OFF: u16 = 11;
    pub(super) const SERVER_NAME: u16 = 14;
    pub(super) const CERTIFICATE_USAGE: u16 = 15;
}

/// The resource ids of the Server object that are used by name.
mod server {
    pub(super) const SHORT_SERVER_ID: u16 = 0;
    pub(super) const LIFETIME: u16 = 1;
    pub(super) const BINDING: u16 = 7;
}

/// The bootstrap server's and the management servers' accounts.
///
/// They hold no secret. A key that a server writes to /0/x/5 goes to the key process as an
/// [`AccountKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    pub(crate) security: Instances,
    pub(crate) servers: Instances,
}

/// A pre-shared key that the bootstrap server wrote. It is meant for the key process, and is wiped
/// on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountKey {
    /// The Security instance it belongs to.
    pub instance: u16,
    /// The PSK identity (/0/x/3).
    pub identity: Vec<u8>,
    /// The key, 16 octets or more.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AccountKey {{ instance: {}, key: [redacted] }}",
            self.instance
        )
    }
}

/// How a session is secured (/0/x/2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SecurityMode {
    /// A pre-shared key.
    Psk = 0,
    /// The device certificate.
    Certificate = 2,
    /// No security; for tests only.
    NoSec = 3,
}

impl fmt::Display for SecurityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Psk => "pre-shared key mode",
            Self::Certificate => "certificate mode",
            Self::NoSec => "no security",
        })
    }
}

/// The settings for a session with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityAccount {
    /// The Security instance.
    pub instance: u16,
    /// The server's URI, `coaps://host:port` (`coap://` without security).
    pub uri: String,
    /// How the session is secured.
    pub mode: SecurityMode,
    /// The PSK identity; not used in certificate mode.
    pub identity: Vec<u8>,
    /// The server's certificate, or another certificate as the certificate usage says, in DER.
    pub server_certificate: Vec<u8>,
    /// Certificate Usage (RFC 6698 §2.1.1); 3, domain-issued, unless written.
    pub certificate_usage: u8,
    /// The name for SNI and for the check of the server's certificate.
    pub server_name: Option<String>,
    /// Client Hold Off Time in seconds: how long to wait before a client-initiated bootstrap.
    pub hold_off: u32,
}

/// A management server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAccount {
    /// The Short Server ID.
    pub ssid: u16,
    /// The registration's lifetime in seconds.
    pub lifetime: u32,
    /// The binding; `U` unless written.
    pub binding: String,
    /// How to reach it.
    pub security: SecurityAccount,
}

/// Why accounts don't fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// There is more than one bootstrap account.
    #[error("expected at most 1 bootstrap account, got {count}")]
    BootstrapAccounts {
        /// How many there are.
        count: usize,
    },
    /// There is no management server.
    #[error("expected a management server, got none")]
    NoServer,
    /// A mandatory resource is missing or out of range.
    #[error("expected {expected} in {path}")]
    Resource {
        /// Which.
        path: Path,
        /// What was expected there.
        expected: &'static str,
    },
    /// A Short Server ID doesn't name exactly one Security and one Server instance.
    #[error(
        "expected short server id {ssid} in one instance each of /0 and /1, got {security} and {servers}"
    )]
    ServerId {
        /// The id.
        ssid: u16,
        /// Security instances with it.
        security: usize,
        /// Server instances with it.
        servers: usize,
    },
    /// A pre-shared key has fewer than 128 bits, so that it could be guessed offline.
    #[error("expected a key of 16 octets or more in /0/{instance}/5, got {octets}")]
    WeakKey {
        /// The Security instance.
        instance: u16,
        /// The length of the key in octets.
        octets: usize,
    },
}

impl Accounts {
    /// The accounts of a device that leaves the factory: one bootstrap account.
    pub fn factory(uri: &str, mode: SecurityMode) -> Accounts {
        let account = Instance::default()
            .with(security::URI, uri)
            .with(security::BOOTSTRAP, true)
            .with(security::MODE, mode as i64);
        Accounts {
            security: BTreeMap::from([(0, account)]),
            servers: Instances::new(),
        }
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.security.is_empty() && self.servers.is_empty()
    }

    /// The Security instances in canonical form, to compute a digest of them: the JSON to which
    /// these accounts are serialised, with rising ids. The Server instances aren't included,
    /// because management servers may write those.
    pub fn canonical_security(&self) -> Vec<u8> {
        serde_json::to_vec(&self.security).expect("maps with numbers for keys are JSON")
    }

    /// The bootstrap account.
    pub fn bootstrap(&self) -> Option<SecurityAccount> {
        let (&id, instance) = self
            .security
            .iter()
            .find(|(_, instance)| is_bootstrap(instance))?;
        SecurityAccount::read(id, instance).ok()
    }

    /// The management servers, by Security instance.
    pub fn servers(&self) -> Vec<ServerAccount> {
        let management = self
            .security
            .iter()
            .filter(|(_, instance)| !is_bootstrap(instance));
        management
            .filter_map(|(&id, instance)| self.server_account(id, instance).ok())
            .collect()
    }

    /// The management server with this Short Server ID.
    pub fn server(&self, ssid: u16) -> Option<ServerAccount> {
        self.servers()
            .into_iter()
            .find(|server| server.ssid == ssid)
    }

    /// Checks that the accounts are consistent. `allow_no_sec` permits sessions without security.
    pub fn check(&self, allow_no_sec: bool) -> Result<(), Inconsistency> {
        let count = self
            .security
            .values()
            .filter(|instance| is_bootstrap(instance))
            .count();
        if count > 1 {
            return Err(Inconsistency::BootstrapAccounts { count });
        }
        for (&id, instance) in &self.security {
            let account = SecurityAccount::read(id, instance)?;
            account.check(allow_no_sec, is_bootstrap(instance))?;
            if !is_bootstrap(instance) {
                self.server_account(id, instance)?;
            }
        }
        for (&id, instance) in &self.servers {
            let path = Path::Resource(1, id, server::SHORT_SERVER_ID);
            self.unique(read_ssid(instance, server::SHORT_SERVER_ID, path)?)?;
        }
        if self.servers.is_empty() {
            Err(Inconsistency::NoServer)
        } else {
            Ok(())
        }
    }

    fn server_account(&self, id: u16, security: &Instance) -> Result<ServerAccount, Inconsistency> {
        let path = Path::Resource(0, id, security::SHORT_SERVER_ID);
        let ssid = read_ssid(security, security::SHORT_SERVER_ID, path)?;
        let (server_id, server) = self.unique(ssid)?;
        let lifetime = server
            .integer(server::LIFETIME)
            .and_then(|lifetime| u32::try_from(lifetime).ok());
        let binding = server.text(server::BINDING).unwrap_or("U");
        let missing = |resource, expected| Inconsistency::Resource {
            path: Path::Resource(1, server_id, resource),
            expected,
        };
        if !binding.contains('U') {
            return Err(missing(server::BINDING, "a binding with U"));
        }
        Ok(ServerAccount {
            ssid,
            lifetime: lifetime.filter(|lifetime| *lifetime > 0).ok_or(missing(
                server::LIFETIME,
                "a lifetime of 1 to 4294967295 seconds",
            ))?,
            binding: binding.to_owned(),
            security: SecurityAccount::read(id, security)?,
        })
    }

    /// The only Server instance with this Short Server ID, which exactly one Security instance must
    /// have, too.
    fn unique(&self, ssid: u16) -> Result<(u16, &Instance), Inconsistency> {
        let id = Some(i64::from(ssid));
        let security = self
            .security
            .values()
            .filter(|instance| {
                !is_bootstrap(instance) && instance.integer(security::SHORT_SERVER_ID) == id
            })
            .count();
        let mut servers = self
            .servers
            .iter()
            .filter(|(_, instance)| instance.integer(server::SHORT_SERVER_ID) == id);
        match (security, servers.next(), servers.count()) {
            (1, Some((&id, instance)), 0) => Ok((id, instance)),
            (security, first, rest) => Err(Inconsistency::ServerId {
                ssid,
                security,
                servers: usize::from(first.is_some()) + rest,
            }),
        }
    }
}

/// Whether a Security instance is the bootstrap server's.
pub(crate) fn is_bootstrap(security: &Instance) -> bool {
    security.boolean(security::BOOTSTRAP) == Some(true)
}

/// The Short Server ID in a Security or Server instance: 1 to 65534.
fn read_ssid(instance: &Instance, resource: u16, path: Path) -> Result<u16, Inconsistency> {
    let ssid = instance
        .integer(resource)
        .and_then(|ssid| u16::try_from(ssid).ok());
    ssid.filter(|ssid| (1..u16::MAX).contains(ssid))
        .ok_or(Inconsistency::Resource {
            path,
            expected: "a short server id of 1 to 65534",
        })
}

/// The Short Server ID of a Server instance.
pub(crate) fn server_ssid(instance: &Instance) -> Option<u16> {
    instance
        .integer(server::SHORT_SERVER_ID)
        .and_then(|ssid| u16::try_from(ssid).ok())
}

/// The Short Server ID and URI of a Security instance, as Bootstrap-Discover shows them.
pub(crate) fn security_summary(instance: &Instance) -> (Option<i64>, Option<&str>) {
    let ssid = instance
        .integer(security::SHORT_SERVER_ID)
        .filter(|_| !is_bootstrap(instance));
    (ssid, instance.text(security::URI))
}

impl SecurityAccount {
    fn read(id: u16, instance: &Instance) -> Result<SecurityAccount, Inconsistency> {
        let missing = |resource, expected| Inconsistency::Resource {
            path: Path::Resource(0, id, resource),
            expected,
        };
        let octets = |resource| instance.opaque(resource).unwrap_or_default().to_vec();
        let mode = match instance.integer(security::MODE) {
            Some(0) => SecurityMode::Psk,
            Some(2) => SecurityMode::Certificate,
            Some(3) => SecurityMode::NoSec,
            _ => {
                return Err(missing(
                    security::MODE,
                    "security mode 0 (PSK), 2 (certificate) or 3 (NoSec)",
                ));
            }
        };
        let usage = instance.integer(security::CERTIFICATE_USAGE).unwrap_or(3);
        Ok(SecurityAccount {
            instance: id,
            uri: instance
                .text(security::URI)
                .ok_or(missing(security::URI, "a URI"))?
                .to_owned(),
            mode,
            identity: octets(security::IDENTITY),
            server_certificate: octets(security::SERVER_PUBLIC_KEY),
            certificate_usage: u8::try_from(usage).ok().filter(|usage| *usage <= 3).ok_or(
                missing(security::CERTIFICATE_USAGE, "a certificate usage of 0 to 3"),
            )?,
            server_name: instance
                .text(security::SERVER_NAME)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            hold_off: instance
                .integer(security::HOLD_OFF)
                .and_then(|hold| u32::try_from(hold).ok())
                .unwrap_or(0),
        })
    }

    fn check(&self, allow_no_sec: bool, bootstrap: bool) -> Result<(), Inconsistency> {
        let fault = |resource, expected| {
            Err(Inconsistency::Resource {
                path: Path::Resource(0, self.instance, resource),
                expected,
            })
        };
        let scheme = if self.mode == SecurityMode::NoSec {
            "coap://"
        } else {
            "coaps://"
        };
        if self.mode == SecurityMode::NoSec && !allow_no_sec {
            return fault(security::MODE, "a security mode other than NoSec");
        }
        if self.uri.strip_prefix(scheme).is_none_or(str::is_empty) {
            return fault(security::URI, "a URI whose scheme fits the security mode");
        }
        // The factory's bootstrap account may have no certificate, because the host can configure
        // trust anchors.
        if self.mode == SecurityMode::Certificate
            && !bootstrap
            && self.server_certificate.is_empty()
        {
            return fault(security::SERVER_PUBLIC_KEY, "the server's certificate");
        }
        if self.mode == SecurityMode::Psk && self.identity.is_empty() {
            return fault(security::IDENTITY, "a PSK identity");
        }
        Ok(())
    }
}
