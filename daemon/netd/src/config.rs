//! The configuration file.

use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use softsim_sandbox::regular_file;
use toml::Table;

use crate::access::settings::{MAX_ACCESSES, Settings, Taken};
use crate::callers::Name;
use crate::checks::{Finding, Kind, Place};
use crate::dtls::Trust;
use crate::fields::{Document, Fields, Section};
use crate::files::{self, Files};
use crate::log::Detail;
use crate::uri::Server;

/// `netd.toml`. Paths are absolute, or relative to the directory of the file.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Config {
    /// The socket of keyd for the role network.
    pub(crate) keyd_socket: PathBuf,
    /// The socket on which netd listens for softsimctl. netd creates it at the start.
    pub(crate) control_socket: PathBuf,
    /// The socket on which netd listens for those who only look, if any. netd creates it at the
    /// start.
    pub(crate) monitor_socket: Option<PathBuf>,
    /// The folder with the accounts, which must exist.
    pub(crate) state_dir: PathBuf,
    /// The LwM2M endpoint name. The default is the device id in hexadecimal.
    pub(crate) endpoint: Option<String>,
    /// The users that the control socket serves, besides root and netd's own user.
    #[serde(default)]
    pub(crate) control_users: Vec<Name>,
    /// The groups whose members it serves.
    #[serde(default)]
    pub(crate) control_groups: Vec<Name>,
    /// What netd does if the kernel can't confine it.
    #[serde(default)]
    pub(crate) sandbox: Sandbox,
    /// Which events the log has.
    #[serde(default)]
    pub(crate) log: Detail,
    /// Everything as it is in the file, to compare with another version of it.
    #[serde(skip)]
    pub(crate) table: Table,
    /// Where these fields are.
    #[serde(skip)]
    pub(crate) section: Section,
    /// The factory's bootstrap account.
    #[serde(skip)]
    pub(crate) bootstrap: Option<Bootstrap>,
    /// The accesses.
    #[serde(skip)]
    pub(crate) accesses: Vec<Settings>,
}

/// Whether netd may run unconfined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sandbox {
    /// netd starts only if landlock and seccomp confine it.
    #[default]
    Require,
    /// netd runs unconfined, for debugging.
    Off,
}

/// The bootstrap server.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    /// Where its fields are.
    pub(crate) section: Section,
    /// Its host and port.
    pub(crate) server: Server,
    /// Its name, which no certificate has yet.
    trust: Trust,
    /// PEM files with the server's own certificate, or with certificates of authorities that issue
    /// it.
    pub(crate) server_trust: Vec<PathBuf>,
    automatic: bool,
}

/// The fields of `[bootstrap]`.
#[derive(Deserialize, Serialize)]
struct BootstrapFields {
    /// `coaps://HOST:PORT`
    uri: String,
    server_trust: Vec<PathBuf>,
    /// Whether netd bootstraps by itself while it has no accounts. `softsimctl bootstrap` works in
    /// any case.
    #[serde(default = "yes")]
    automatic: bool,
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads the file, and makes relative paths relative to its directory.
    ///
    /// With an error, what is wrong is left out or has a stand-in: the configuration serves to find
    /// more errors, and for nothing else.
    pub(crate) fn read(path: &Path) -> (Option<Self>, Vec<Finding>) {
        let read = regular_file::open(path).and_then(files::read);
        match read.and_then(|octets| text(&octets).map(|text| Self::parse(path, text))) {
            Ok(read) => read,
            Err(error) => {
                let file = Some(path.to_owned());
                let place = Place {
                    file,
                    ..Place::default()
                };
                let finding = Finding::error(Kind::Configuration, place, error.to_string());
                (None, vec![finding])
            }
        }
    }

    /// Reads the text of the file at `path`, as [`Self::read`] does.
    pub(crate) fn parse(path: &Path, text: &str) -> (Option<Self>, Vec<Finding>) {
        let document = Document::new(path, text);
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let config = (document.fields()).and_then(|fields| Self::of(fields, directory));
        let config = config.map(|config| Self {
            table: toml::from_str(text).unwrap_or_default(),
            ..config
        });
        (config, document.into_findings())
    }

    /// All of it as a file, with its defaults. Files with secrets are only named.
    pub(crate) fn in_full(&self) -> String {
        let bootstrap = self.bootstrap.iter();
        let bootstrap = bootstrap.map(|bootstrap| ("[bootstrap]", &bootstrap.section));
        let accesses = self.accesses.iter();
        let accesses = accesses.map(|access| ("[[access]]", &access.section));
        let tables = bootstrap.chain(accesses);
        tables.fold(self.section.in_full(), |text, (head, section)| {
            format!("{text}\n{head}\n{}", section.in_full())
        })
    }

    /// The other files that the configuration names: those with certificates, then those with
    /// secrets.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let trust = self.bootstrap.iter().flat_map(|b| &b.server_trust);
        let secrets = self.accesses.iter().flat_map(Settings::servers);
        trust
            .map(PathBuf::as_path)
            .chain(secrets.map(|(_, file)| file.as_path()))
    }

    /// The sockets of the port keepers that are services of their own.
    pub(crate) fn keepers(&self) -> impl Iterator<Item = &Path> {
        self.accesses.iter().filter_map(Settings::keeper_socket)
    }

    fn of(mut fields: Fields<'_>, directory: &Path) -> Option<Self> {
        let own = fields.take().map(|own: Self| Self {
            keyd_socket: directory.join(own.keyd_socket),
            control_socket: directory.join(own.control_socket),
            monitor_socket: own.monitor_socket.map(|path| directory.join(path)),
            state_dir: directory.join(own.state_dir),
            ..own
        });
        if let Some(own) = &own {
            fields.in_force(own);
        }
        let bootstrap = fields
            .table("bootstrap", "bootstrap.")
            .and_then(|fields| Bootstrap::read(fields, directory));
        let tables = fields.tables("access");
        if tables.len() > MAX_ACCESSES {
            let reason = format!("expected at most {MAX_ACCESSES}, got {}", tables.len());
            fields.wrong("access", reason);
        }
        let mut taken = Taken::default();
        let accesses = (tables.into_iter())
            .filter_map(|fields| Settings::read(fields, directory, &mut taken))
            .collect();
        let section = fields.end("");
        Some(Self {
            section,
            bootstrap,
            accesses,
            ..own?
        })
    }
}

/// The text of a file.
pub(crate) fn text(octets: &[u8]) -> io::Result<&str> {
    str::from_utf8(octets).map_err(|error| io::Error::other(error.to_string()))
}

/// The bootstrap server, with the contents of the files that its configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootstrapServer {
    /// Its host and port.
    pub(crate) server: Server,
    /// How netd recognises it.
    pub(crate) trust: Trust,
    /// Whether netd bootstraps by itself while it has no accounts.
    pub(crate) automatic: bool,
}

impl Bootstrap {
    fn read(mut fields: Fields<'_>, directory: &Path) -> Option<Self> {
        let mut own: BootstrapFields = fields.take()?;
        for file in &mut own.server_trust {
            *file = directory.join(&*file);
        }
        fields.in_force(&own);
        let server = own.uri.parse::<Server>();
        let server = server.map_err(|reason| fields.wrong("uri", reason)).ok();
        let trust = server.and_then(|server| {
            let trust = Trust::new(&server.host).ok();
            if trust.is_none() {
                let got = &server.host;
                fields.wrong(
                    "uri",
                    format!("expected a host name or address, got {got:?}"),
                );
            }
            Some((server, trust?))
        });
        if own.server_trust.is_empty() {
            fields.wrong("server_trust", "expected a PEM file, got none");
        }
        let section = fields.end(" of [bootstrap]");
        let (server, trust) = trust?;
        Some(Self {
            section,
            server,
            trust,
            server_trust: own.server_trust,
            automatic: own.automatic,
        })
    }

    /// Takes the contents of the files.
    pub(crate) fn load(&self, files: &Files) -> Result<BootstrapServer, Vec<Finding>> {
        let mut trust = self.trust.clone();
        let findings: Vec<_> = (self.server_trust.iter())
            .filter_map(|path| trust_file(&mut trust, path, files).err())
            .map(|problem| {
                let place = self.section.place("server_trust");
                Finding::error(Kind::Configuration, place, problem)
            })
            .collect();
        if !findings.is_empty() {
            return Err(findings);
        }
        Ok(BootstrapServer {
            server: self.server.clone(),
            trust,
            automatic: self.automatic,
        })
    }
}

fn trust_file(trust: &mut Trust, path: &Path, files: &Files) -> Result<(), String> {
    for certificate in certificates(path, files)? {
        trust
            .anchor(&certificate)
            .map_err(|fault| format!("{}: {fault}", path.display()))?;
        trust.pin(&certificate);
    }
    Ok(())
}

/// The certificates in a PEM file, of which there is at least one.
pub(crate) fn certificates(
    path: &Path,
    files: &Files,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |reason: String| format!("{}: {reason}", path.display());
    let pem = files.contents(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("expected certificates in PEM, got none".into()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn parse(text: &str) -> (Option<Config>, Vec<String>) {
        let (config, findings) = Config::parse(Path::new("/etc/softsim/netd.toml"), text);
        let shown = findings.iter().map(|finding| {
            let shown = finding.to_string();
            let place = "/etc/softsim/netd.toml: ";
            shown.strip_prefix(place).unwrap().to_owned()
        });
        (config, shown.collect())
    }

    const MINIMAL: &str = "keyd_socket = 'network.sock'\n\
        control_socket = '/run/softsim/netd.sock'\n\
        state_dir = 'state'\n";

    #[test]
    fn paths_are_relative_to_the_file() {
        let (config, findings) = parse(MINIMAL);
        assert_eq!(findings, [""; 0]);
        let config = config.unwrap();
        assert_eq!(config.keyd_socket, Path::new("/etc/softsim/network.sock"));
        assert_eq!(config.control_socket, Path::new("/run/softsim/netd.sock"));
        assert_eq!(config.sandbox, Sandbox::Require);
    }

    #[test]
    fn the_printed_configuration_has_every_setting_and_reads_as_the_same() {
        let text = format!(
            "{MINIMAL}[bootstrap]\nuri = 'coaps://x'\nserver_trust = ['x.pem', '/y.pem']\n\
             [[access]]\nname = 'a \"quoted\" one'\ncarrier = 'wired'\ninterface = 'eth1'\n\
             controlled_port = 'none'\nreauthenticate_after = 3600\n\
             keeper_socket = 'eth1.sock'\n\
             [[access]]\nname = 'b'\ncarrier = 'radius'\nservers = ['x:1', 'y:1']\n\
             secret_files = ['secret']\nnetwork_name = '5G:NSWO'\n"
        );
        let printed = parse(&text).0.unwrap().in_full();
        for expected in [
            "keyd_socket = \"/etc/softsim/network.sock\"\n",
            "# endpoint is not set, which is the default\n",
            "sandbox = \"require\"  # default\n",
            "\n[bootstrap]\nuri = \"coaps://x\"\nserver_trust = [\"/etc/softsim/x.pem\", \"/y.pem\"]\n\
             automatic = true  # default\n",
            "methods = [\"aka-prime\", \"aka\"]  # default\n",
            "network_name = \"ETHERNET\"  # default\n",
            "realm = \"wlan\"  # default\n",
            "realm = \"nswo\"  # default\n",
            "start_period = 5  # default\n",
            "reauthenticate_after = 3600\n",
            "keeper_socket = \"/etc/softsim/eth1.sock\"\n",
            "secret_files = [\"/etc/softsim/secret\"]\n",
        ] {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
        let (again, findings) = Config::parse(Path::new("/elsewhere/netd.toml"), &printed);
        assert!(findings.is_empty(), "{findings:#?}");
        let again = again.unwrap().in_full();
        assert_eq!(again, printed.replace("  # default\n", "\n"));
    }

    /// A setting that no code prints would be a default that nobody sees.
    #[test]
    fn the_printed_configuration_has_each_setting_that_netd_knows() {
        let (_, findings) = parse(&format!("{MINIMAL}nonsense = 1\n"));
        let known = findings[0].split("one of `").nth(1).unwrap();
        let printed = parse(MINIMAL).0.unwrap().in_full();
        for name in known.trim_end_matches('`').split("`, `") {
            let setting = |line: &str| {
                line.starts_with(&format!("{name} = ")) || line.starts_with(&format!("# {name} is"))
            };
            let is_table = ["bootstrap", "access"].contains(&name);
            assert_eq!(printed.lines().any(setting), !is_table, "{name}: {printed}");
        }
    }

    #[test]
    fn the_manual_has_every_field_and_no_other() {
        let page = softsim_testkit::manual::page("softsim-netd.toml.5");
        let documented = |part: &str| {
            let (_, part) = page.split_once(&format!("\n.Ss {part}\n")).unwrap();
            let end = part.find("\n.Ss ").or(part.find("\n.Sh ")).unwrap();
            softsim_testkit::manual::entries(&part[..end], "Ic")
        };
        // What is said of an unknown field names all known ones.
        let known = |table: &str| {
            let (_, findings) = parse(&format!("{MINIMAL}{table}unknown = 1\n"));
            let named = findings.iter().find_map(|finding| {
                let (_, named) = finding.split_once("expected one of `")?;
                named.strip_suffix('`')
            });
            named.unwrap().split("`, `").map(str::to_owned).collect()
        };
        let every = documented("Every access");
        let bootstrap = "[bootstrap]\nuri = 'coaps://x'\nserver_trust = ['x.pem']\n";
        for (part, table, more) in [
            ("Top level", "", Default::default()),
            ("The bootstrap server", bootstrap, Default::default()),
            (
                "Wired accesses",
                "[[access]]\nname = 'x'\ncarrier = 'wired'\n",
                every.clone(),
            ),
            (
                "RADIUS accesses",
                "[[access]]\nname = 'x'\ncarrier = 'radius'\n",
                every,
            ),
        ] {
            let fields: BTreeSet<String> = known(table);
            assert_eq!(&documented(part) | &more, fields, "{part}");
        }
    }

    #[test]
    fn netd_bootstraps_by_itself_unless_told_otherwise() {
        let server = "[bootstrap]\nuri = 'coaps://x'\nserver_trust = ['x.pem']\n";
        for (more, expected) in [("", true), ("automatic = false\n", false)] {
            let (config, _) = parse(&format!("{MINIMAL}{server}{more}"));
            assert_eq!(config.unwrap().bootstrap.unwrap().automatic, expected);
        }
    }

    #[test]
    fn an_error_names_the_line_and_the_field() {
        for (extra, expected) in [
            (
                "state_directory = '/x'\n",
                "line 4, state_directory: unknown field `state_directory`, expected one of `keyd_socket`",
            ),
            ("acess = []\n", "`access`"),
            (
                "endpoint = 5\n",
                "line 4, endpoint: expected a string, got integer `5`",
            ),
            (
                "sandbox = 'maybe'\n",
                "line 4, sandbox: expected `require` or `off`, got `maybe`",
            ),
            (
                "control_users = [\n1,\ntrue]\n",
                "line 6, control_users: expected a name or a number, got boolean `true`",
            ),
            (
                "[bootstrap]\nuri = 'coaps://x'\n",
                "line 4, bootstrap.server_trust: expected a value, got none",
            ),
            (
                "[bootstrap]\nurl = 'coaps://x'\n",
                "line 5, bootstrap.url: unknown field `url` of [bootstrap], expected one of `uri`",
            ),
            (
                "bootstrap = 1\n",
                "line 4, bootstrap: expected a table, got integer",
            ),
            (
                "access = 5\n",
                "line 4, access: expected [[access]], an array of tables, got integer",
            ),
            (
                "[[access]]\nname = 'x'\n",
                "line 4, access \"x\", carrier: expected a value, got none",
            ),
            (
                "[[access]]\nname = 'x'\ncarrier = 'wifi'\n",
                "line 6, access \"x\", carrier: expected `wired` or `radius`, got `wifi`",
            ),
            ("endpoint = \n", "line 4, endpoint =: "),
        ] {
            let (_, findings) = parse(&format!("{MINIMAL}{extra}"));
            let found = findings.iter().any(|finding| finding.contains(expected));
            assert!(found, "{expected}: {findings:#?}");
        }
    }

    /// Two errors of every table, of types and of values.
    #[test]
    fn all_errors_are_found_at_once() {
        let text = "\
            keyd_socket = 1\n\
            stat_dir = 'state'\n\
            [bootstrap]\n\
            uri = 'coap://x'\n\
            server_trust = []\n\
            [[access]]\n\
            name = 'a'\n\
            carrier = 'wired'\n\
            interface = 'a;b'\n\
            start_period = 0\n\
            methods = []\n\
            [[access]]\n\
            name = 'b'\n\
            carrier = 'radius'\n\
            servers = ['x']\n\
            realm = 'home'\n\
            network_name = ''\n\
            [[access]]\n\
            carrier = 'satellite'\n\
            retry_after = -1\n";
        let (_, findings) = parse(text);
        let expected = [
            "control_socket: expected a value",
            "state_dir: expected a value",
            "line 1, keyd_socket: expected ",
            "line 2, stat_dir: unknown field",
            "line 4, bootstrap.uri: expected coaps://HOST:PORT",
            "line 5, bootstrap.server_trust: expected a PEM file",
            "line 6, access \"a\", controlled_port: expected \"nftables\" or \"none\"",
            "line 9, access \"a\", interface: expected 1 to 15 letters",
            "line 10, access \"a\", start_period: expected at least 1 second",
            "line 11, access \"a\", methods: expected one or two",
            "line 12, access \"b\", secret_files: expected a value",
            "line 15, access \"b\", servers: expected HOST:PORT",
            "line 16, access \"b\", realm: expected one of ",
            "line 17, access \"b\", network_name: ",
            "line 18, name: expected a value",
            "line 19, carrier: expected `wired` or `radius`",
            "line 20, retry_after: expected a whole number, got integer `-1`",
        ];
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.starts_with(expected), "{findings:#?}");
        }
        assert_eq!(findings.len(), expected.len(), "{findings:#?}");
    }

    #[test]
    fn accesses_differ_in_their_names_and_interfaces_and_both_lines_are_named() {
        let wired = |name: &str, interface: &str| {
            format!(
                "[[access]]\nname = '{name}'\ncarrier = 'wired'\ninterface = '{interface}'\n\
                 controlled_port = 'none'\n"
            )
        };
        for (two, expected) in [
            (wired("b", "eth2"), None),
            (
                wired("a", "eth2"),
                Some(
                    "line 10, access \"a\", name: expected a name that no other access has, got \"a\", which line 5 has",
                ),
            ),
            (
                wired("b", "eth1"),
                Some(
                    "line 12, access \"b\", interface: expected one access for each interface, got \"eth1\", which line 7 has",
                ),
            ),
        ] {
            let (_, findings) = parse(&format!("{MINIMAL}{}{two}", wired("a", "eth1")));
            assert_eq!(findings, expected.as_slice());
        }
    }

    #[test]
    fn there_may_be_eight_accesses() {
        let accesses = |count| {
            (0..count).fold(MINIMAL.to_owned(), |text, at| {
                text + &format!(
                    "[[access]]\nname = 'a{at}'\ncarrier = 'radius'\nservers = ['x:1']\nsecret_files = ['x']\n"
                )
            })
        };
        assert_eq!(parse(&accesses(8)).1, [""; 0]);
        assert_eq!(
            parse(&accesses(9)).1,
            ["line 4, access: expected at most 8, got 9"]
        );
    }

    #[test]
    fn a_bootstrap_server_that_cannot_be_used_is_an_error_at_start() {
        for uri in ["coap://localhost", "coaps://", "coaps://a b"] {
            let text = format!("{MINIMAL}[bootstrap]\nuri = '{uri}'\nserver_trust = ['x']\n");
            let (_, findings) = parse(&text);
            assert_eq!(findings.len(), 1);
            assert!(findings[0].starts_with("line 5, bootstrap.uri: expected "));
        }
    }

    #[test]
    fn every_trust_file_without_certificates_is_an_error_at_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).display().to_string();
        fs::write(file("empty.pem"), "nothing here\n").unwrap();
        let (empty, missing) = (file("empty.pem"), file("missing.pem"));
        let (config, _) = parse(&format!(
            "{MINIMAL}[bootstrap]\nuri = 'coaps://x'\nserver_trust = ['{empty}', '{missing}']\n"
        ));
        let findings = config
            .unwrap()
            .bootstrap
            .unwrap()
            .load(&Files::System)
            .unwrap_err();
        let problems: Vec<_> = findings.iter().map(|finding| &*finding.problem).collect();
        assert_eq!(problems.len(), 2);
        assert_eq!(
            problems[0],
            format!("{empty}: expected certificates in PEM, got none")
        );
        assert!(problems[1].starts_with(&missing));
    }
}
