//! The settings of an `[[access]]` in netd.toml: those of every access, and a struct for each
//! carrier.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use softsim_carriers::eapol::Timers;
use softsim_client::netd::Carrier;
use softsim_client::proto::Realm;
use softsim_eap::{
    Config as Peer, ForwardSecrecy, Identity, IdentityKind, Method, Nai, NetworkName,
    NetworkNamePolicy, OuterIdentity,
};
use softsim_link::ethernet::Name;

use super::conversation::Policy;
use super::port::AtStop;
use crate::backoff::jittered;
use crate::config_error::ConfigError;
use crate::fields::{FieldError, Fields};
use crate::uri::Server;

/// The number of accesses that netd may have: keyd keeps room for netd's other connections.
pub(crate) const MAX_ACCESSES: usize = 8;

/// An `[[access]]` of the file.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The name of the access for softsimctl.
    pub(crate) name: String,
    schedule: Schedule,
    peer: PeerFields,
    carrier: CarrierFields,
}

/// The fields that decide how to read the others.
#[derive(Deserialize)]
struct Head {
    name: String,
    carrier: Carrier,
}

/// When an access authenticates.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
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

/// The settings of the carrier.
#[derive(Clone, Debug)]
enum CarrierFields {
    Wired(WiredFields, TimerFields),
    Radius(RadiusFields),
}

/// IEEE 802.1X on an interface.
#[derive(Clone, Debug, Deserialize)]
struct WiredFields {
    interface: String,
    /// Whether only EAPOL passes until the network has authenticated the gateway. It has no
    /// default: it decides whether the gateway can be reached, and nobody should have to guess.
    controlled_port: Option<ControlledPort>,
    /// The state of the controlled port after netd has stopped cleanly.
    #[serde(default)]
    port_at_stop: AtStop,
}

/// The supplicant's periods.
#[derive(Clone, Debug, Deserialize)]
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

/// RADIUS to a server.
#[derive(Clone, Debug, Deserialize)]
struct RadiusFields {
    /// The host and port of the server, `HOST:PORT`.
    server: String,
    /// A file with the secret that netd shares with the server. A newline at its end isn't part of
    /// the secret.
    secret_file: PathBuf,
    /// The name of this gateway for the server.
    #[serde(default = "nas_identifier")]
    nas_identifier: String,
}

/// What keeps the controlled port closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ControlledPort {
    /// netd's port keeper, with rules in nf_tables.
    Nftables,
    /// Another program, or none.
    None,
}

/// What netd does with an AUTN for EAP-AKA' in EAP-AKA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SeparationBit {
    /// It accepts the AUTN.
    Ignore,
    /// It treats the AUTN as wrong.
    Refuse,
}

/// A whole number of seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
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
    pub(super) name: String,
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
        /// The interface.
        interface: String,
        /// The state of the controlled port at the end, if netd keeps one.
        port: Option<AtStop>,
        /// The supplicant's periods.
        timers: Timers,
    },
    /// RFC 3579.
    Radius {
        /// The server.
        server: Server,
        /// The file with the secret.
        secret_file: PathBuf,
        /// The name of this gateway for the server.
        nas_identifier: String,
    },
}

impl Access {
    /// Reads one `[[access]]`.
    pub(crate) fn read(mut fields: Fields<'_>) -> Result<Self, FieldError> {
        let Head { name, carrier } = fields.take()?;
        let schedule = fields.take()?;
        let peer = fields.take()?;
        let own = match carrier {
            Carrier::Wired => fields
                .take()
                .and_then(|wired| Ok(CarrierFields::Wired(wired, fields.take()?))),
            Carrier::Radius => fields.take().map(CarrierFields::Radius),
        };
        // This comes first, since a field that is missing may be one that is misspelt.
        fields.end(format_args!(" for the carrier {carrier}"))?;
        Ok(Self {
            name,
            schedule,
            peer,
            carrier: own?,
        })
    }

    /// The interface of a wired access.
    pub(crate) fn interface(&self) -> Option<&str> {
        match &self.carrier {
            CarrierFields::Wired(wired, _) => Some(&wired.interface),
            CarrierFields::Radius(_) => None,
        }
    }

    /// The file with the secret of a RADIUS access.
    pub(crate) fn secret_file(&self) -> Option<&Path> {
        match &self.carrier {
            CarrierFields::Wired(..) => None,
            CarrierFields::Radius(radius) => Some(&radius.secret_file),
        }
    }

    /// Makes relative paths relative to this directory.
    pub(crate) fn resolve_against(&mut self, directory: &Path) {
        match &mut self.carrier {
            CarrierFields::Wired(..) => {}
            CarrierFields::Radius(radius) => {
                radius.secret_file = directory.join(&radius.secret_file);
            }
        }
    }

    /// Applies the defaults, and refuses settings that can't work.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        if self.name.is_empty() || self.name.len() > 32 || self.name.chars().any(char::is_control) {
            let expected = "expected 1 to 32 characters";
            return Err(ConfigError::field("access.name", expected));
        }
        let (carrier, network_name) = match &self.carrier {
            CarrierFields::Wired(wired, timers) => (wired.settings(timers)?, "ETHERNET"),
            CarrierFields::Radius(radius) => (radius.settings()?, "WLAN"),
        };
        Ok(Settings {
            name: self.name.clone(),
            carrier,
            policy: self.peer.policy(network_name)?,
            reauthenticate_after: self.schedule.reauthenticate_after.map(|after| after.0),
            retry: (self.schedule.retry_after.0, self.schedule.retry_at_most.0),
            automatic: self.schedule.automatic,
        })
    }
}

impl WiredFields {
    fn settings(&self, timers: &TimerFields) -> Result<CarrierSettings, ConfigError> {
        let name = &*self.interface;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if Name::new(name.as_bytes()).is_none() || !name.chars().all(plain) {
            let expected = "expected 1 to 15 letters, digits, dots, hyphens and underscores";
            let reason = format!("{expected}, got {name:?}");
            return Err(ConfigError::field("access.interface", reason));
        }
        let port = match self.controlled_port {
            Some(ControlledPort::Nftables) => Some(self.port_at_stop),
            Some(ControlledPort::None) => None,
            None => {
                let expected = "expected \"nftables\" or \"none\", got none";
                return Err(ConfigError::field("access.controlled_port", expected));
            }
        };
        if timers.max_start == 0 {
            let expected = "expected at least 1, got 0";
            return Err(ConfigError::field("access.max_start", expected));
        }
        Ok(CarrierSettings::Wired {
            interface: name.to_owned(),
            port,
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
    fn settings(&self) -> Result<CarrierSettings, ConfigError> {
        Ok(CarrierSettings::Radius {
            server: Server::with_port(&self.server)
                .map_err(|reason| ConfigError::field("access.server", reason))?,
            secret_file: self.secret_file.clone(),
            nas_identifier: self.nas_identifier.clone(),
        })
    }
}

impl PeerFields {
    fn policy(&self, network_name: &str) -> Result<Policy, ConfigError> {
        let methods = &self.methods;
        let twice = (1..methods.len()).any(|at| methods[..at].contains(&methods[at]));
        if methods.is_empty() || twice {
            let expected = "expected one or two different methods";
            return Err(ConfigError::field("access.methods", expected));
        }
        let name = self.network_name.as_deref().unwrap_or(network_name);
        let mut peer = Peer::new();
        peer.methods.clone_from(methods);
        peer.forward_secrecy = self.forward_secrecy;
        peer.outer = self.outer()?;
        peer.decoration.clone_from(&self.decoration_realm);
        peer.network_name = NetworkName::new(name)
            .map_err(|error| ConfigError::field("access.network_name", error.to_string()))?;
        peer.network_name_policy = self.network_name_policy;
        peer.result_indication = self.result_indication;
        peer.refuse_separation_bit = self.aka_separation_bit == SeparationBit::Refuse;
        if !methods.iter().any(|method| peer.allows(*method)) {
            let reason = "EAP-AKA has none, and is the only method here";
            return Err(ConfigError::field("access.forward_secrecy", reason));
        }
        let realm = self.realm.unwrap_or_else(|| realm_of(name));
        Ok(Policy { peer, realm })
    }

    fn outer(&self) -> Result<OuterIdentity, ConfigError> {
        let wrong = |reason| ConfigError::field("access.identity", reason);
        match &*self.identity {
            "any" => Ok(OuterIdentity::Any),
            "pseudonym" => Ok(OuterIdentity::PseudonymOrPermanent),
            "anonymous" => Ok(OuterIdentity::Anonymous),
            "suci" => Ok(OuterIdentity::Suci),
            nai if nai.contains('@') => fixed(nai).map_err(|error| wrong(error.to_string())),
            other => Err(wrong(format!(
                "expected any, pseudonym, anonymous, suci or an NAI, got {other:?}"
            ))),
        }
    }
}

/// An identity that the user chose. Unless it is anonymous, it may name the subscriber.
pub(super) fn fixed(nai: &str) -> Result<OuterIdentity, softsim_eap::BadNai> {
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

    use toml::de::DeTable;

    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let parsed = DeTable::parse(text).map_err(|error| error.to_string())?;
        let access = Access::read(Fields::of(parsed))
            .map_err(|error| error.in_file(Path::new("netd.toml"), text).to_string())?;
        access.settings().map_err(|error| error.to_string())
    }

    const WIRED: &str =
        "name = 'uplink'\ncarrier = 'wired'\ninterface = 'eth1'\ncontrolled_port = 'nftables'\n";
    const RADIUS: &str =
        "name = 'aaa'\ncarrier = 'radius'\nserver = '192.0.2.1:1812'\nsecret_file = 'secret'\n";

    #[test]
    fn the_network_is_named_after_the_carrier_and_a_closed_port_stays_closed() {
        let wired = settings(WIRED).unwrap();
        assert_eq!(wired.policy.peer.network_name.to_string(), "ETHERNET");
        let CarrierSettings::Wired { port, .. } = wired.carrier else {
            panic!()
        };
        assert_eq!(port, Some(AtStop::Closed));
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
        assert!(outer("imsi").unwrap_err().contains("access.identity"));
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
                "server = '192.0.2.1:1812'",
                "line 5, server = '192.0.2.1:1812': unknown field `server` for the carrier wired",
            ),
            (
                RADIUS,
                "interface = 'eth1'",
                "unknown field `interface` for the carrier radius",
            ),
            (RADIUS, "methods = []", "access.methods"),
            (RADIUS, "methods = ['aka', 'aka']", "access.methods"),
            (RADIUS, "methods = ['sim']", "sim"),
            (
                RADIUS,
                "methods = ['aka']\nforward_secrecy = 'require'",
                "access.forward_secrecy",
            ),
            (
                RADIUS,
                "retry_after = 0",
                "line 5, retry_after = 0: expected at least 1 second, got 0",
            ),
            (
                RADIUS,
                "automatic = 'no'",
                "line 5, automatic = 'no': invalid type",
            ),
            (RADIUS, "network_name = ''", "access.network_name"),
            (RADIUS, "realm = 'home'", "line 5, realm = 'home': "),
            (RADIUS, "retry = 5", "`retry_after`, `retry_at_most`"),
            (WIRED, "max_start = 0", "access.max_start"),
        ] {
            assert_refused(&format!("{base}{more}\n"), expected);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, expected) in [
            (
                "name = ''\ncarrier = 'wired'\ninterface = 'eth1'\n",
                "access.name",
            ),
            ("carrier = 'radius'\n", "missing field `name`"),
            ("name = 'x'\n", "missing field `carrier`"),
            ("name = 'x'\ncarrier = 'radius'\n", "missing field `server`"),
            (
                "name = 'x'\ncarrier = 'wired'\n",
                "missing field `interface`",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\ninterfaec = 'eth1'\n",
                "unknown field `interfaec`",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\ninterface = 'a;b'\n",
                "access.interface",
            ),
            (
                "name = 'x'\ncarrier = 'wired'\ninterface = 'eth1'\n",
                "access.controlled_port",
            ),
            ("name = 'x'\ncarrier = 'wifi'\n", "wifi"),
        ] {
            assert_refused(text, expected);
        }
    }
}
