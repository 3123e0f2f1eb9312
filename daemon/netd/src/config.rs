//! The configuration file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use toml::de::DeTable;

use crate::access::settings::{Access, MAX_ACCESSES, Settings};
use crate::config_error::ConfigError;
use crate::dtls::Trust;
use crate::fields::{FieldError, Fields};
use crate::uri::Server;

/// `netd.toml`. Paths are absolute, or relative to the directory of the file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    /// The socket of keyd for the role network.
    pub(crate) keyd_socket: PathBuf,
    /// The socket on which netd listens for softsimctl. netd creates it at the start.
    pub(crate) control_socket: PathBuf,
    /// The folder with the accounts, which must exist.
    pub(crate) state_dir: PathBuf,
    /// The LwM2M endpoint name. The default is the device id in hexadecimal.
    pub(crate) endpoint: Option<String>,
    /// The users that the control socket serves, besides root and netd's own user.
    #[serde(default)]
    pub(crate) control_uids: Vec<u32>,
    /// What netd does if the kernel can't confine it.
    #[serde(default)]
    pub(crate) sandbox: Sandbox,
    /// The factory's bootstrap account.
    pub(crate) bootstrap: Option<Bootstrap>,
    /// The accesses.
    #[serde(skip)]
    pub(crate) access: Vec<Access>,
}

/// Whether netd may run unconfined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sandbox {
    /// netd starts only if landlock and seccomp confine it.
    #[default]
    Require,
    /// netd runs unconfined, for debugging.
    Off,
}

/// The bootstrap server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bootstrap {
    /// `coaps://HOST:PORT`
    pub(crate) uri: String,
    /// PEM files with the server's own certificate, or with certificates of authorities that issue
    /// it.
    pub(crate) server_trust: Vec<PathBuf>,
    /// Whether netd bootstraps by itself while it has no accounts. `softsimctl bootstrap` works in
    /// any case.
    #[serde(default = "yes")]
    pub(crate) automatic: bool,
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads the file, and makes relative paths relative to its directory.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::parse(&text).map_err(|error| error.in_file(path, &text))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        config.resolve_against(directory);
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, FieldError> {
        let mut fields = Fields::of(DeTable::parse(text)?);
        let config: Result<Self, _> = fields.take();
        let accesses = match fields.take_value("access") {
            Some(array) => Fields::of_each(array)?,
            None => Vec::new(),
        };
        // This comes first, since a field that is missing may be one that is misspelt.
        fields.end("")?;
        Ok(Self {
            access: accesses
                .into_iter()
                .map(Access::read)
                .collect::<Result<_, _>>()?,
            ..config?
        })
    }

    /// The settings of all accesses.
    pub(crate) fn accesses(&self) -> Result<Vec<Settings>, ConfigError> {
        let names: BTreeSet<_> = self.access.iter().map(|access| &access.name).collect();
        if self.access.len() > MAX_ACCESSES || names.len() != self.access.len() {
            return Err(ConfigError::Field {
                name: "access",
                reason: format!("expected at most {}, of different names", MAX_ACCESSES),
            });
        }
        // Two supplicants on one wire, or two keepers of one port, would undo each other's work.
        let wired = self.access.iter().filter_map(Access::interface);
        if wired.clone().collect::<BTreeSet<_>>().len() != wired.count() {
            return Err(ConfigError::Field {
                name: "access.interface",
                reason: "expected one access for each interface, got another".into(),
            });
        }
        self.access.iter().map(Access::settings).collect()
    }

    fn resolve_against(&mut self, directory: &Path) {
        let trust = self.bootstrap.iter_mut().flat_map(|b| &mut b.server_trust);
        for path in [
            &mut self.keyd_socket,
            &mut self.control_socket,
            &mut self.state_dir,
        ]
        .into_iter()
        .chain(trust)
        {
            *path = directory.join(&*path);
        }
        for access in &mut self.access {
            access.resolve_against(directory);
        }
    }
}

/// The bootstrap server, with the contents of the files that its configuration names.
#[derive(Clone, Debug)]
pub(crate) struct BootstrapServer {
    /// Its host and port.
    pub(crate) server: Server,
    /// How netd recognises it.
    pub(crate) trust: Trust,
    /// Whether netd bootstraps by itself while it has no accounts.
    pub(crate) automatic: bool,
}

impl Bootstrap {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<BootstrapServer, ConfigError> {
        let uri = |reason: String| ConfigError::Field {
            name: "bootstrap.uri",
            reason,
        };
        let server: Server = self.uri.parse().map_err(uri)?;
        let mut trust = Trust::new(&server.host)
            .map_err(|_| uri(format!("{}: expected a host name or address", self.uri)))?;
        for path in &self.server_trust {
            trust_file(&mut trust, path)?;
        }
        if self.server_trust.is_empty() {
            return Err(ConfigError::Field {
                name: "bootstrap.server_trust",
                reason: "expected a PEM file, got none".into(),
            });
        }
        Ok(BootstrapServer {
            server,
            trust,
            automatic: self.automatic,
        })
    }
}

fn trust_file(trust: &mut Trust, path: &Path) -> Result<(), ConfigError> {
    let pem = fs::read(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |reason: String| ConfigError::Field {
        name: "bootstrap.server_trust",
        reason: format!("{}: {reason}", path.display()),
    };
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        trust
            .anchor(&certificate)
            .map_err(|fault| wrong(fault.to_string()))?;
        trust.pin(&certificate);
        count += 1;
    }
    match count {
        0 => Err(wrong("expected certificates in PEM, got none".into())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("netd.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    const MINIMAL: &str = "keyd_socket = 'network.sock'\n\
        control_socket = '/run/softsim/netd.sock'\n\
        state_dir = 'state'\n";

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = read(MINIMAL).unwrap();
        assert!(config.keyd_socket.is_absolute() && config.keyd_socket.ends_with("network.sock"));
        assert_eq!(config.control_socket, Path::new("/run/softsim/netd.sock"));
        assert_eq!(config.sandbox, Sandbox::Require);
    }

    #[test]
    fn netd_bootstraps_by_itself_unless_told_otherwise() {
        let server = "[bootstrap]\nuri = 'coaps://x'\nserver_trust = ['x.pem']\n";
        for (more, expected) in [("", true), ("automatic = false\n", false)] {
            let config = read(&format!("{MINIMAL}{server}{more}")).unwrap();
            assert_eq!(config.bootstrap.unwrap().automatic, expected);
        }
    }

    #[test]
    fn an_error_names_the_field() {
        for (extra, field) in [
            ("state_directory = '/x'\n", "state_directory"),
            ("endpoint = 5\n", "endpoint"),
            ("sandbox = 'maybe'\n", "sandbox"),
            ("[bootstrap]\nuri = 'coaps://x'\n", "server_trust"),
            ("[bootstrap]\nurl = 'coaps://x'\n", "url"),
            (
                "acess = []\n",
                "unknown field `acess`, expected one of `keyd_socket`",
            ),
            ("acess = []\n", "`access`"),
            (
                "access = 5\n",
                "access = 5: expected an array of tables, got integer",
            ),
            (
                "[[access]]\nname = 'x'\n",
                "line 4, [[access]]: missing field `carrier`",
            ),
            (
                "[[access]]\nname = 'x'\ncarrier = 'wifi'\n",
                "line 6, carrier = 'wifi': unknown variant `wifi`",
            ),
        ] {
            let error = read(&format!("{MINIMAL}{extra}")).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let error = read("control_socket = 'x'\n").unwrap_err().to_string();
        assert!(error.contains("keyd_socket"), "{error}");
    }

    #[test]
    fn accesses_differ_in_their_names_and_interfaces() {
        let wired = |name: &str, interface: &str| {
            format!(
                "[[access]]\nname = '{name}'\ncarrier = 'wired'\ninterface = '{interface}'\n\
                 controlled_port = 'none'\n"
            )
        };
        for (two, expected) in [
            (wired("b", "eth2"), Ok(2)),
            (wired("a", "eth2"), Err("access: ")),
            (wired("b", "eth1"), Err("access.interface: ")),
        ] {
            let config = read(&format!("{MINIMAL}{}{two}", wired("a", "eth1"))).unwrap();
            match (config.accesses(), expected) {
                (Ok(accesses), Ok(expected)) => assert_eq!(accesses.len(), expected),
                (got, expected) => {
                    let (got, expected) = (got.unwrap_err().to_string(), expected.unwrap_err());
                    assert!(got.starts_with(expected), "{got}");
                }
            }
        }
    }

    #[test]
    fn a_bootstrap_server_that_cannot_be_used_is_an_error_at_start() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        fs::write(&empty, "nothing here\n").unwrap();
        for (uri, trust, field) in [
            ("coap://localhost", vec![], "bootstrap.uri"),
            ("coaps://", vec![], "bootstrap.uri"),
            ("coaps://a b", vec![], "bootstrap.uri"),
            ("coaps://localhost", vec![], "bootstrap.server_trust"),
            ("coaps://localhost", vec![empty], "bootstrap.server_trust"),
        ] {
            let bootstrap = Bootstrap {
                uri: uri.into(),
                server_trust: trust,
                automatic: true,
            };
            let error = bootstrap.load().unwrap_err().to_string();
            assert!(error.starts_with(field), "{uri}: {error}");
        }
    }
}
