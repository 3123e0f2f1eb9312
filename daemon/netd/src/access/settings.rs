//! `[[access]]` of netd.toml.

use std::path::PathBuf;
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

use super::backoff::jittered;
use super::conversation::Policy;
use super::port::AtStop;
use crate::config::ConfigError;
use crate::uri::Server;

/// How many accesses there may be: keyd keeps places for netd's other connections.
pub(crate) const MAX_ACCESSES: usize = 8;

/// One access, as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Names it towards softsimctl.
    pub name: String,
    /// What carries EAP.
    pub carrier: Carrier,
    /// Wired: the interface.
    pub interface: Option<String>,
    /// Wired: whether everything but EAPOL is kept from passing until it is authorised.
    pub controlled_port: Option<ControlledPort>,
    /// Wired: what becomes of the controlled port when netd ends in good order.
    pub port_at_stop: Option<AtStop>,
    /// Wired: seconds between two EAPOL-Starts.
    pub start_period: Option<u32>,
    /// Wired: EAPOL-Starts without an answer.
    pub max_start: Option<u32>,
    /// Wired: seconds in which the authenticator goes on.
    pub auth_period: Option<u32>,
    /// Wired: seconds before an authenticator that doesn't answer is looked for again.
    pub held_period: Option<u32>,
    /// RADIUS: the server, `HOST:PORT`.
    pub server: Option<String>,
    /// RADIUS: a file with the secret shared with it; a newline at its end is not part of the
    /// secret.
    pub secret_file: Option<PathBuf>,
    /// RADIUS: how this gateway calls itself.
    pub nas_identifier: Option<String>,
    /// The EAP methods, the preferred one first.
    pub methods: Option<Vec<Method>>,
    /// An ephemeral key exchange (RFC 9678).
    pub forward_secrecy: Option<ForwardSecrecy>,
    /// What is shown first: `any`, `pseudonym`, `anonymous`, `suci`, or a NAI.
    pub identity: Option<String>,
    /// Which realm identities get that are made here.
    pub realm: Option<Realm>,
    /// The realm through which the first identity is sent.
    pub decoration_realm: Option<String>,
    /// The access network that we are on.
    pub network_name: Option<String>,
    /// What happens when the server names another.
    pub network_name_policy: Option<NetworkNamePolicy>,
    /// Whether a protected success is asked for where it is offered.
    pub result_indication: Option<bool>,
    /// EAP-AKA: an AUTN whose AMF separation bit is 1.
    pub aka_separation_bit: Option<SeparationBit>,
    /// Seconds after which it authenticates again by itself.
    pub reauthenticate_after: Option<u32>,
    /// Seconds after the first failure; twice as many after the next.
    pub retry_after: Option<u32>,
    /// Seconds after a failure at most.
    pub retry_at_most: Option<u32>,
    /// Whether it begins by itself, or by softsimctl.
    pub automatic: Option<bool>,
}

/// How the controlled port is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlledPort {
    /// By a table of the packet filter's netdev family.
    Nftables,
    /// Not: somebody else does, or nobody.
    None,
}

/// An AUTN made for EAP-AKA', in EAP-AKA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeparationBit {
    /// It is taken.
    Ignore,
    /// It counts as wrong.
    Refuse,
}

/// An access, with everything decided.
#[derive(Debug)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// What carries EAP, and where.
    pub carrier: CarrierSettings,
    /// What the peer may do.
    pub policy: Policy,
    /// When it authenticates again by itself.
    pub reauthenticate_after: Option<Duration>,
    /// After the first failure, and at most.
    pub retry: (Duration, Duration),
    /// Whether it begins by itself.
    pub automatic: bool,
}

/// What carries EAP, and where.
#[derive(Debug)]
pub enum CarrierSettings {
    /// IEEE 802.1X.
    Wired {
        /// The interface.
        interface: String,
        /// The controlled port, where netd keeps it.
        port: Option<AtStop>,
        /// The supplicant's periods.
        timers: Timers,
    },
    /// RFC 3579.
    Radius {
        /// The server.
        server: Server,
        /// The secret shared with it.
        secret_file: PathBuf,
        /// How this gateway calls itself.
        nas_identifier: String,
    },
}

fn field(name: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Field {
        name,
        reason: reason.into(),
    }
}

fn seconds(name: &'static str, value: Option<u32>, default: u64) -> Result<Duration, ConfigError> {
    match value {
        None => Ok(Duration::from_secs(default)),
        Some(0) => Err(field(name, "expected at least 1 second, got 0")),
        Some(seconds) => Ok(Duration::from_secs(seconds.into())),
    }
}

impl Access {
    /// Decides what the file leaves open, and refuses what can't be.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        if self.name.is_empty() || self.name.len() > 32 || self.name.chars().any(char::is_control) {
            return Err(field("access.name", "expected 1 to 32 characters"));
        }
        let default_name = match self.carrier {
            Carrier::Wired => "ETHERNET",
            Carrier::Radius => "WLAN",
        };
        let reauthenticate_after = match self.reauthenticate_after {
            None => None,
            some => Some(seconds("access.reauthenticate_after", some, 0)?),
        };
        Ok(Settings {
            name: self.name.clone(),
            carrier: self.carrier_settings()?,
            policy: self.policy(default_name)?,
            reauthenticate_after,
            retry: (
                seconds("access.retry_after", self.retry_after, 5)?,
                seconds("access.retry_at_most", self.retry_at_most, 600)?,
            ),
            automatic: self.automatic.unwrap_or(true),
        })
    }

    fn carrier_settings(&self) -> Result<CarrierSettings, ConfigError> {
        let wired = [
            ("access.interface", self.interface.is_some()),
            ("access.controlled_port", self.controlled_port.is_some()),
            ("access.port_at_stop", self.port_at_stop.is_some()),
            ("access.start_period", self.start_period.is_some()),
            ("access.max_start", self.max_start.is_some()),
            ("access.auth_period", self.auth_period.is_some()),
            ("access.held_period", self.held_period.is_some()),
        ];
        let radius = [
            ("access.server", self.server.is_some()),
            ("access.secret_file", self.secret_file.is_some()),
            ("access.nas_identifier", self.nas_identifier.is_some()),
        ];
        let (foreign, carrier) = match self.carrier {
            Carrier::Wired => (&radius[..], "wired"),
            Carrier::Radius => (&wired[..], "radius"),
        };
        if let Some((name, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(field(
                name,
                format!("means nothing to the carrier {carrier}"),
            ));
        }
        match self.carrier {
            Carrier::Wired => self.wired(),
            Carrier::Radius => Ok(CarrierSettings::Radius {
                server: Server::with_port(self.server.as_deref().unwrap_or_default())
                    .map_err(|reason| field("access.server", reason))?,
                secret_file: self
                    .secret_file
                    .clone()
                    .ok_or_else(|| field("access.secret_file", "expected a file, got none"))?,
                nas_identifier: self.nas_identifier.clone().unwrap_or("softsim".into()),
            }),
        }
    }

    fn wired(&self) -> Result<CarrierSettings, ConfigError> {
        let name = self.interface.as_deref().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if Name::new(name.as_bytes()).is_none() || !name.chars().all(plain) {
            let expected = "expected 1 to 15 letters, digits, dots, hyphens and underscores";
            return Err(field(
                "access.interface",
                format!("{expected}, got {name:?}"),
            ));
        }
        let port = match (self.controlled_port, self.port_at_stop) {
            (Some(ControlledPort::Nftables), Some(AtStop::Open)) => Some(AtStop::Open),
            (Some(ControlledPort::Nftables), _) => Some(AtStop::Closed),
            (Some(ControlledPort::None), _) => None,
            // Which of the two is wanted decides whether the gateway can be reached: nobody should
            // have to guess.
            (None, _) => {
                return Err(field(
                    "access.controlled_port",
                    "expected \"nftables\" or \"none\", got none",
                ));
            }
        };
        let defaults = Timers::default();
        let max_start = self.max_start.unwrap_or(defaults.max_start);
        if max_start == 0 {
            return Err(field("access.max_start", "expected at least 1, got 0"));
        }
        let held = defaults.held_period.as_secs();
        let timers = Timers {
            start_period: seconds(
                "access.start_period",
                self.start_period,
                defaults.start_period.as_secs(),
            )?,
            max_start,
            auth_period: seconds(
                "access.auth_period",
                self.auth_period,
                defaults.auth_period.as_secs(),
            )?,
            held_period: jittered(seconds("access.held_period", self.held_period, held)?),
        };
        Ok(CarrierSettings::Wired {
            interface: name.to_owned(),
            port,
            timers,
        })
    }

    fn policy(&self, default_name: &str) -> Result<Policy, ConfigError> {
        let mut peer = Peer::new();
        if let Some(methods) = &self.methods {
            let twice = (1..methods.len()).any(|at| methods[..at].contains(&methods[at]));
            if methods.is_empty() || twice {
                let expected = "expected one or two different methods";
                return Err(field("access.methods", expected));
            }
            peer.methods.clone_from(methods);
        }
        peer.forward_secrecy = self.forward_secrecy.unwrap_or(peer.forward_secrecy);
        peer.outer = self.outer()?;
        peer.decoration = self.decoration_realm.clone();
        let name = self.network_name.as_deref().unwrap_or(default_name);
        peer.network_name = NetworkName::new(name)
            .map_err(|error| field("access.network_name", error.to_string()))?;
        peer.network_name_policy = self.network_name_policy.unwrap_or(peer.network_name_policy);
        peer.result_indication = self.result_indication.unwrap_or(peer.result_indication);
        if let Some(bit) = self.aka_separation_bit {
            peer.refuse_separation_bit = bit == SeparationBit::Refuse;
        }
        if !peer.methods.iter().any(|method| peer.allows(*method)) {
            let reason = "EAP-AKA has none, and is the only method here";
            return Err(field("access.forward_secrecy", reason));
        }
        let realm = self.realm.unwrap_or_else(|| realm_of(name));
        Ok(Policy { peer, realm })
    }

    fn outer(&self) -> Result<OuterIdentity, ConfigError> {
        match self.identity.as_deref() {
            None | Some("any") => Ok(OuterIdentity::Any),
            Some("pseudonym") => Ok(OuterIdentity::PseudonymOrPermanent),
            Some("anonymous") => Ok(OuterIdentity::Anonymous),
            Some("suci") => Ok(OuterIdentity::Suci),
            Some(nai) if nai.contains('@') => {
                fixed(nai).map_err(|error| field("access.identity", error.to_string()))
            }
            Some(other) => Err(field(
                "access.identity",
                format!("expected any, pseudonym, anonymous, suci or a NAI, got {other:?}"),
            )),
        }
    }
}

/// An identity that somebody chose; it may name the subscriber, unless it names nobody.
pub fn fixed(nai: &str) -> Result<OuterIdentity, softsim_eap::BadNai> {
    let user = nai.split('@').next().unwrap_or_default();
    let kind = match user {
        "" | "anonymous" => IdentityKind::Anonymous,
        _ => IdentityKind::Permanent,
    };
    let nai = Nai::new(nai)?;
    Ok(OuterIdentity::Fixed(Identity { nai, kind }))
}

/// The realm that goes with a network: a 5G core behind an access that isn't 3GPP's, an offload, or
/// any other.
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

    fn settings(text: &str) -> Result<Settings, String> {
        let access: Access = toml::from_str(text).map_err(|error| error.to_string())?;
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

    #[test]
    fn what_cannot_be_is_refused_with_its_field() {
        for (base, more, expected) in [
            (WIRED, "server = '192.0.2.1:1812'", "access.server"),
            (RADIUS, "interface = 'eth1'", "access.interface"),
            (RADIUS, "methods = []", "access.methods"),
            (RADIUS, "methods = ['aka', 'aka']", "access.methods"),
            (RADIUS, "methods = ['sim']", "sim"),
            (
                RADIUS,
                "methods = ['aka']\nforward_secrecy = 'require'",
                "access.forward_secrecy",
            ),
            (RADIUS, "retry_after = 0", "access.retry_after"),
            (RADIUS, "network_name = ''", "access.network_name"),
            (RADIUS, "realm = 'home'", "realm"),
            (RADIUS, "retry = 5", "retry"),
            (WIRED, "max_start = 0", "access.max_start"),
        ] {
            let error = settings(&format!("{base}{more}\n")).unwrap_err();
            assert!(error.contains(expected), "{more}: {error}");
        }
        for (text, expected) in [
            ("name = ''\ncarrier = 'radius'\n", "access.name"),
            ("name = 'x'\ncarrier = 'radius'\n", "access.server"),
            ("name = 'x'\ncarrier = 'wired'\n", "access.interface"),
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
            let error = settings(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
