//! The settings of an `[[access]]` in netd.toml: those of every access, and a struct for each
//! carrier.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use softsim_carriers::eapol::Timers;
use softsim_client::netd::Carrier;
use softsim_client::proto::Realm;
use softsim_eap::{
    Config as Peer, ForwardSecrecy, Identity, IdentityKind, Method, Nai, NetworkName,
    NetworkNamePolicy, OuterIdentity,
};
use softsim_link::ethernet::Name;

use super::conversation::Policy;
use super::port::{AtStop, Needed};
use crate::backoff::jittered;
use crate::fields::{Fields, Section};
use crate::uri::Server;

/// The number of accesses that netd may have: keyd keeps room for netd's other connections.
pub(crate) const MAX_ACCESSES: usize = 8;

/// The number of RADIUS servers that an access may have: each may cost an attempt half a minute.
const MAX_SERVERS: usize = 4;

/// The fields that decide how to read the others.
#[derive(Deserialize, Serialize)]
struct Head {
    name: String,
    carrier: Carrier,
}

/// When an access authenticates.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
struct Schedule {
    /// Whether it begins by itself, or on `softsimctl access connect`.
    automatic: bool,
    /// The time after which it authenticates again by itself.
    reauthenticate_after: Option<Seconds>,
    /// The wait after the first failure. It doubles with each failure.
    retry_after: Seconds,
    /// The longest wait after a failure.
    retry_at_most: Seconds,
}

/// What the EAP peer may do.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
struct PeerFields {
    /// The EAP methods, the preferred one first.
    methods: Vec<Method>,
    /// Whether netd uses an ephemeral key exchange (RFC 9678).
    forward_secrecy: ForwardSecrecy,
    /// The first identity: `any`, `pseudonym`, `anonymous`, `suci`, or an NAI.
    identity: String,
    /// The realm of identities that keyd makes. The default depends on the network name.
    realm: Option<Realm>,
    /// The realm to route the first identity through.
    decoration_realm: Option<String>,
    /// The access network that the gateway is on. The default depends on the carrier.
    network_name: Option<String>,
    /// What netd does if the server names another network.
    network_name_policy: NetworkNamePolicy,
    /// Whether netd asks for a protected success if the server offers it.
    result_indication: bool,
    /// What netd does in EAP-AKA with an AUTN whose AMF separation bit is 1.
    aka_separation_bit: SeparationBit,
}

/// IEEE 802.1X on an interface.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct WiredFields {
    interface: String,
    /// Whether only EAPOL passes until the network has authenticated the gateway. It has no
    /// default: it decides whether the gateway can be reached, and nobody should have to guess.
    controlled_port: Option<ControlledPort>,
    /// The state of the controlled port after netd has stopped cleanly.
    #[serde(default)]
    port_at_stop: AtStop,
    /// The socket of the port keeper, if that is a service of its own.
    keeper_socket: Option<PathBuf>,
}

/// The supplicant's periods.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
struct TimerFields {
    /// The time between two EAPOL-Starts.
    start_period: Seconds,
    /// The number of EAPOL-Starts without an answer.
    max_start: u32,
    /// The time that an authenticator has for its next packet.
    auth_period: Seconds,
    /// The time until netd looks again for an authenticator that doesn't answer.
    held_period: Seconds,
}

/// RADIUS to servers that stand in for each other.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct RadiusFields {
    /// The host and port of each server, `HOST:PORT`, the preferred one first.
    servers: Vec<String>,
    /// The files with the secrets that netd shares with the servers: one for all, or one for each.
    /// A newline at its end isn't part of a secret.
    secret_files: Vec<PathBuf>,
    /// The name of this gateway for the servers.
    #[serde(default = "nas_identifier")]
    nas_identifier: String,
}

/// What keeps the controlled port closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ControlledPort {
    /// netd's port keeper, with rules in nf_tables.
    Nftables,
    /// Another program, or none.
    None,
}

/// What netd does with an AUTN for EAP-AKA' in EAP-AKA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum SeparationBit {
    /// It accepts the AUTN.
    Ignore,
    /// It treats the AUTN as wrong.
    Refuse,
}

/// A whole number of seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "u32", into = "u64")]
struct Seconds(Duration);

impl TryFrom<u32> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        match seconds {
            0 => Err("expected at least 1 second, got 0"),
            seconds => Ok(Self(Duration::from_secs(seconds.into()))),
        }
    }
}

impl From<Seconds> for u64 {
    fn from(Seconds(time): Seconds) -> Self {
        time.as_secs()
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            automatic: true,
            reauthenticate_after: None,
            retry_after: Seconds(Duration::from_secs(5)),
            retry_at_most: Seconds(Duration::from_secs(600)),
        }
    }
}

impl Default for PeerFields {
    fn default() -> Self {
        let peer = Peer::new();
        Self {
            methods: peer.methods,
            forward_secrecy: peer.forward_secrecy,
            identity: "any".into(),
            realm: None,
            decoration_realm: None,
            network_name: None,
            network_name_policy: peer.network_name_policy,
            result_indication: peer.result_indication,
            aka_separation_bit: match peer.refuse_separation_bit {
                true => SeparationBit::Refuse,
                false => SeparationBit::Ignore,
            },
        }
    }
}

impl Default for TimerFields {
    fn default() -> Self {
        let timers = Timers::default();
        Self {
            start_period: Seconds(timers.start_period),
            max_start: timers.max_start,
            auth_period: Seconds(timers.auth_period),
            held_period: Seconds(timers.held_period),
        }
    }
}

fn nas_identifier() -> String {
    "softsim".into()
}

/// The settings of an access, with all defaults applied.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Its name.
    pub(crate) name: String,
    /// Where it is in the file.
    pub(crate) section: Section,
    /// The settings of its carrier.
    pub(super) carrier: CarrierSettings,
    /// What the peer may do.
    pub(super) policy: Policy,
    /// When it authenticates again by itself.
    pub(super) reauthenticate_after: Option<Duration>,
    /// The wait after the first failure, and the longest wait.
    pub(super) retry: (Duration, Duration),
    /// Whether it begins by itself.
    pub(super) automatic: bool,
}

/// The settings of a carrier.
#[derive(Debug)]
pub(super) enum CarrierSettings {
    /// IEEE 802.1X.
    Wired {
        /// The interface, and the state of its controlled port at the end.
        needed: Needed,
        /// The socket of the port keeper, unless netd starts one.
        keeper_socket: Option<PathBuf>,
        /// The supplicant's periods.
        timers: Timers,
    },
    /// RFC 3579.
    Radius {
        /// The servers with the files of their secrets, the preferred one first.
        servers: Vec<(Server, PathBuf)>,
        /// The name of this gateway for the server.
        nas_identifier: String,
    },
}

impl Settings {
    /// Reads one `[[access]]`, applies the defaults, and reports settings that can't work. Relative
    /// paths are relative to this directory. There are none if nothing could be checked with them.
    pub(crate) fn read(
        mut fields: Fields<'_>,
        directory: &Path,
        taken: &mut Taken,
    ) -> Option<Self> {
        fields.name_access();
        taken.check(&mut fields);
        let head: Option<Head> = fields.take();
        let schedule: Option<Schedule> = fields.take();
        let peer: Option<PeerFields> = fields.take();
        let head = head?;
        fields.in_force(&head);
        let Head { name, carrier } = head;
        if name.is_empty() || name.len() > 32 || name.chars().any(char::is_control) {
            fields.wrong("name", format!("expected 1 to 32 characters, got {name:?}"));
        }
        let network_name = match carrier {
            Carrier::Wired => "ETHERNET",
            Carrier::Radius => "WLAN",
        };
        if let Some(schedule) = &schedule {
            fields.in_force(schedule);
        }
        let policy = peer.map(|peer| peer.policy(network_name, &mut fields));
        if fields.is_wrong("carrier") {
            // It decides which fields there are.
            return None;
        }
        let carrier_settings = match carrier {
            Carrier::Wired => WiredFields::settings(&mut fields, directory),
            Carrier::Radius => RadiusFields::settings(&mut fields, directory),
        };
        let section = fields.end(format_args!(" for the carrier {carrier}"));
        let schedule = schedule?;
        Some(Self {
            name,
            section,
            carrier: carrier_settings?,
            policy: policy?,
            reauthenticate_after: schedule.reauthenticate_after.map(|after| after.0),
            retry: (schedule.retry_after.0, schedule.retry_at_most.0),
            automatic: schedule.automatic,
        })
    }

    /// The interface of a wired access, and whether netd keeps its controlled port.
    pub(crate) fn interface(&self) -> Option<(&str, bool)> {
        match &self.carrier {
            CarrierSettings::Wired { needed, .. } => {
                Some((&needed.interface, needed.at_stop.is_some()))
            }
            CarrierSettings::Radius { .. } => None,
        }
    }

    /// The socket of the port keeper of a wired access, unless netd starts one.
    pub(crate) fn keeper_socket(&self) -> Option<&Path> {
        match &self.carrier {
            CarrierSettings::Wired { keeper_socket, .. } => keeper_socket.as_deref(),
            CarrierSettings::Radius { .. } => None,
        }
    }

    /// The servers of a RADIUS access, with the files of their secrets.
    pub(crate) fn servers(&self) -> &[(Server, PathBuf)] {
        match &self.carrier {
            CarrierSettings::Wired { .. } => &[],
            CarrierSettings::Radius { servers, .. } => servers,
        }
    }
}

/// What only one access can have, with the line of the access that has it.
#[derive(Debug, Default)]
pub(crate) struct Taken(BTreeMap<(&'static str, String), usize>);

impl Taken {
    fn check(&mut self, fields: &mut Fields<'_>) {
        for (field, why) in [
            ("name", "a name that no other access has"),
            // Two supplicants on one wire, or two keepers of one port, would undo each other's
            // work.
            ("interface", "one access for each interface"),
            ("keeper_socket", "one access for each port keeper"),
        ] {
            let Some((value, line)) = fields.text(field) else {
                continue;
            };
            if let Some(first) = self.0.get(&(field, value.clone())) {
                let reason = format!("expected {why}, got {value:?}, which line {first} has");
                fields.wrong(field, reason);
            } else {
                self.0.insert((field, value), line);
            }
        }
    }
}

impl WiredFields {
    fn settings(fields: &mut Fields<'_>, directory: &Path) -> Option<CarrierSettings> {
        let (wired, timers) = (fields.take::<Self>(), fields.take::<TimerFields>());
        let (mut wired, timers) = (wired?, timers?);
        wired.keeper_socket = wired.keeper_socket.map(|socket| directory.join(socket));
        fields.in_force(&wired);
        fields.in_force(&timers);
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = &*wired.interface;
        if Name::new(name.as_bytes()).is_none() || !name.chars().all(plain) {
            let expected = "expected 1 to 15 letters, digits, dots, hyphens and underscores";
            fields.wrong("interface", format!("{expected}, got {name:?}"));
        }
        if wired.controlled_port.is_none() {
            let expected = "expected \"nftables\" or \"none\", got none";
            fields.wrong("controlled_port", expected);
        }
        if timers.max_start == 0 {
            fields.wrong("max_start", "expected at least 1, got 0");
        }
        Some(CarrierSettings::Wired {
            needed: Needed {
                interface: wired.interface,
                at_stop: match wired.controlled_port {
                    Some(ControlledPort::Nftables) => Some(wired.port_at_stop),
                    Some(ControlledPort::None) | None => None,
                },
            },
            keeper_socket: wired.keeper_socket,
            timers: Timers {
                start_period: timers.start_period.0,
                max_start: timers.max_start,
                auth_period: timers.auth_period.0,
                held_period: jittered(timers.held_period.0),
            },
        })
    }
}

impl RadiusFields {
    fn settings(fields: &mut Fields<'_>, directory: &Path) -> Option<CarrierSettings> {
        let mut radius: Self = fields.take()?;
        for file in &mut radius.secret_files {
            *file = directory.join(&*file);
        }
        fields.in_force(&radius);
        let (count, files) = (radius.servers.len(), radius.secret_files.len());
        if !(1..=MAX_SERVERS).contains(&count) {
            let reason = format!("expected 1 to {MAX_SERVERS} servers, got {count}");
            fields.wrong("servers", reason);
        }
        if files != 1 && files != count {
            let reason = format!("expected one file, or one for each server, got {files}");
            fields.wrong("secret_files", reason);
        }
        let mut servers = Vec::new();
        let mut files = radius.secret_files.iter().cycle();
        for authority in &radius.servers {
            match (Server::with_port(authority), files.next()) {
                (Ok(server), Some(file)) => servers.push((server, file.clone())),
                (Err(reason), _) => fields.wrong("servers", reason),
                (Ok(_), None) => {}
            }
        }
        Some(CarrierSettings::Radius {
            servers,
            nas_identifier: radius.nas_identifier,
        })
    }
}

impl PeerFields {
    /// Reports what is wrong.
    fn policy(mut self, network_name: &str, fields: &mut Fields<'_>) -> Policy {
        let name = self.network_name.get_or_insert_with(|| network_name.into());
        let name = name.clone();
        let realm = *self.realm.get_or_insert_with(|| realm_of(&name));
        fields.in_force(&self);
        let methods = self.methods;
        let twice = (1..methods.len()).any(|at| methods[..at].contains(&methods[at]));
        if methods.is_empty() || twice {
            fields.wrong("methods", "expected one or two different methods");
        }
        let mut peer = Peer::new();
        match NetworkName::new(&name) {
            Ok(name) => peer.network_name = name,
            Err(error) => fields.wrong("network_name", error.to_string()),
        }
        match outer(&self.identity) {
            Ok(outer) => peer.outer = outer,
            Err(reason) => fields.wrong("identity", reason),
        }
        peer.methods = methods;
        peer.forward_secrecy = self.forward_secrecy;
        peer.decoration = self.decoration_realm;
        peer.network_name_policy = self.network_name_policy;
        peer.result_indication = self.result_indication;
        peer.refuse_separation_bit = self.aka_separation_bit == SeparationBit::Refuse;
        // Without methods, something else is wrong.
        if *peer.methods == [Method::Aka] && !peer.allows(Method::Aka) {
            let reason = "EAP-AKA has none, and is the only method here";
            fields.wrong("forward_secrecy", reason);
        }
        Policy { peer, realm }
    }
}

/// The first identity: a kind, or an NAI.
fn outer(identity: &str) -> Result<OuterIdentity, String> {
    match identity {
        "any" => Ok(OuterIdentity::Any),
        "pseudonym" => Ok(OuterIdentity::PseudonymOrPermanent),
        "anonymous" => Ok(OuterIdentity::Anonymous),
        "suci" => Ok(OuterIdentity::Suci),
        nai if nai.contains('@') => fixed(nai).map_err(|error| error.to_string()),
        other => Err(format!(
            "expected any, pseudonym, anonymous, suci or an NAI, got {other:?}"
        )),
    }
}

/// Why an identity that the user chose is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadIdentity {
    /// RFC 7542 §2.2 allows no spaces.
    #[error("expected an NAI, which has no spaces, got one with {0:?}")]
    Space(char),
    /// It can't be sent.
    #[error(transparent)]
    Nai(#[from] softsim_eap::BadNai),
}

/// An identity that the user chose. Unless it is anonymous, it may name the subscriber.
pub(super) fn fixed(nai: &str) -> Result<OuterIdentity, BadIdentity> {
    if let Some(space) = nai.chars().find(|character| character.is_whitespace()) {
        return Err(BadIdentity::Space(space));
    }
    let user = nai.split('@').next().unwrap_or_default();
    let kind = match user {
        "" | "anonymous" => IdentityKind::Anonymous,
        _ => IdentityKind::Permanent,
    };
    let nai = Nai::new(nai)?;
    Ok(OuterIdentity::Fixed(Identity { nai, kind }))
}

/// The default realm for a network: a 5G core behind an access that isn't 3GPP's, an offload, or
/// any other network.
fn realm_of(network_name: &str) -> Realm {
    match network_name {
        "5G:NSWO" => Realm::Nswo,
        name if name.starts_with("5G:") => Realm::NaiFiveGc,
        _ => Realm::Wlan,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::fields::Document;

    fn settings(text: &str) -> Result<Settings, String> {
        let document = Document::new(Path::new("netd.toml"), text);
        let read = |fields| Settings::read(fields, Path::new(""), &mut Taken::default());
        let settings = document.fields().and_then(read);
        let findings = document.into_findings();
        let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
        match shown.is_empty() {
            true => Ok(settings.unwrap()),
            false => Err(shown.join("\n")),
        }
    }

    const WIRED: &str =
        "name = 'uplink'\ncarrier = 'wired'\ninterface = 'eth1'\ncontrolled_port = 'nftables'\n";
    const RADIUS: &str = "name = 'aaa'\ncarrier = 'radius'\nservers = ['192.0.2.1:1812']\nsecret_files = ['secret']\n";

    #[test]
    fn the_network_is_named_after_the_carrier_and_a_closed_port_stays_closed() {
        let wired = settings(WIRED).unwrap();
        assert_eq!(wired.policy.peer.network_name.to_string(), "ETHERNET");
        let CarrierSettings::Wired { needed, .. } = wired.carrier else {
            panic!()
        };
        assert_eq!(needed.at_stop, Some(AtStop::Closed));
        let radius = settings(RADIUS).unwrap();
        assert_eq!(radius.policy.peer.network_name.to_string(), "WLAN");
        assert!(radius.automatic && radius.reauthenticate_after.is_none());
    }

    #[test]
    fn the_realm_goes_with_the_network_unless_it_is_named() {
        for (more, expected) in [
            ("", Realm::Wlan),
            ("network_name = '5G:NSWO'", Realm::Nswo),
            (
                "network_name = '5G:mnc001.mcc001.3gppnetwork.org'",
                Realm::NaiFiveGc,
            ),
            ("network_name = '5G:NSWO'\nrealm = '5gc'", Realm::FiveGc),
        ] {
            let settings = settings(&format!("{RADIUS}{more}\n")).unwrap();
            assert_eq!(settings.policy.realm, expected, "{more}");
        }
    }

    #[test]
    fn an_identity_is_a_kind_or_a_nai() {
        let outer = |value| {
            settings(&format!("{RADIUS}identity = '{value}'\n")).map(|s| s.policy.peer.outer)
        };
        assert_eq!(outer("suci").unwrap(), OuterIdentity::Suci);
        assert_eq!(
            outer("pseudonym").unwrap(),
            OuterIdentity::PseudonymOrPermanent
        );
        for (nai, expected) in [
            ("@realm.example", IdentityKind::Anonymous),
            ("anonymous@realm.example", IdentityKind::Anonymous),
            ("0001@realm.example", IdentityKind::Permanent),
        ] {
            let OuterIdentity::Fixed(identity) = outer(nai).unwrap() else {
                panic!()
            };
            assert_eq!(identity.kind, expected, "{nai}");
        }
        assert!(
            outer("imsi")
                .unwrap_err()
                .contains("identity: expected any")
        );
        assert!(
            outer("x y@realm.example")
                .unwrap_err()
                .contains("no spaces")
        );
        assert!(fixed("x y").is_err());
    }

    #[test]
    fn servers_share_a_secret_or_have_one_each() {
        for (files, expected) in [("'s'", ["s", "s"]), ("'s', '/t'", ["s", "/t"])] {
            let servers = "servers = ['a:1', 'b:2']";
            let text =
                format!("name = 'x'\ncarrier = 'radius'\n{servers}\nsecret_files = [{files}]\n");
            let settings = settings(&text).unwrap();
            let got: Vec<_> = settings.servers().iter().map(|(_, file)| file).collect();
            assert_eq!(got, expected.map(Path::new), "{files}");
        }
    }

    /// Asserts that the text is refused, and that the error says `expected`.
    fn assert_refused(text: &str, expected: &str) {
        let error = settings(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_field() {
        for (base, more, expected) in [
            (
                WIRED,
                "servers = []",
                "line 5, access \"uplink\", servers: unknown field `servers` for the carrier wired",
            ),
            (
                RADIUS,
                "interface = 'eth1'",
                "unknown field `interface` for the carrier radius",
            ),
            (
                RADIUS,
                "keeper_socket = '/run/softsim-port/eth1.sock'",
                "unknown field `keeper_socket` for the carrier radius",
            ),
            (
                WIRED,
                "keeper_socket = 1",
                "line 5, access \"uplink\", keeper_socket: expected path string, got integer `1`",
            ),
            (RADIUS, "methods = []", "methods: expected"),
            (RADIUS, "methods = ['aka', 'aka']", "methods: expected"),
            (RADIUS, "methods = ['sim']", "sim"),
            (
                RADIUS,
                "methods = ['aka']\nforward_secrecy = 'require'",
                "line 6, access \"aaa\", forward_secrecy: EAP-AKA has none",
            ),
            (
                RADIUS,
                "retry_after = 0",
                "line 5, access \"aaa\", retry_after: expected at least 1 second, got 0",
            ),
            (
                RADIUS,
                "automatic = 'no'",
                "line 5, access \"aaa\", automatic: expected a boolean, got string",
            ),
            (
                RADIUS,
                "network_name = ''",
                "line 5, access \"aaa\", network_name: ",
            ),
            (RADIUS, "realm = 'home'", "line 5, access \"aaa\", realm: "),
            (RADIUS, "retry = 5", "`retry_after`, `retry_at_most`"),
            (WIRED, "max_start = 0", "max_start: expected at least 1"),
        ] {
            assert_refused(&format!("{base}{more}\n"), expected);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, expected) in [
            (
                "name = ''\ncarrier = 'wired'\ninterface = 'eth1'\n",
                "line 1, access \"\", name: expected 1 to 32",
            ),
            ("carrier = 'radius'\n", "name: expected a value, got none"),
            ("name = 'x'\n", "carrier: expected a value, got none"),
            (
                "name = 'x'\ncarrier = 'radius'\n",
                "servers: expected a value, got none",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\n",
                "interface: expected a value, got none",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\ninterfaec = 'eth1'\n",
                "unknown field `interfaec`",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\ninterface = 'a;b'\n",
                "interface: expected 1 to 15",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\ninterface = 'eth1'\n",
                "controlled_port: expected",
            ),
            ("name = 'x'\ncarrier = 'wifi'\n", "wifi"),
            (
                "name = 'x'\ncarrier = 'radius'\nservers = []\nsecret_files = ['s']\n",
                "line 3, access \"x\", servers: expected 1 to 4 servers, got 0",
            ),
            (
                "name = 'x'\ncarrier = 'radius'\nservers = ['x:1', 'y']\nsecret_files = ['s']\n",
                "line 3, access \"x\", servers: expected HOST:PORT, got y",
            ),
            (
                "name = 'x'\ncarrier = 'radius'\nservers = ['x:1']\nsecret_files = ['s', 't']\n",
                "line 4, access \"x\", secret_files: expected one file, or one for each server, got 2",
            ),
        ] {
            assert_refused(text, expected);
        }
    }
}
