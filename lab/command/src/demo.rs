//! The demo: runs the journey of a software SIM step by step, and prints a table of what it
//! checked.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use softsim_client::netd::{Direction, Event, MskComparison};
use softsim_client::proto::{Enforcement, KeyMemory};
use softsim_lab_harness::error::{Error, Result};
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd};
use softsim_lab_harness::subscription::found_in;
use softsim_lab_harness::{gateway, recorder};
use softsim_lab_simulators::management_server::ManagementEvent;
use softsim_lwm2m::ContentFormat;

/// How long the management server waits for a device that has bootstrapped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the journey in an empty folder. Returns whether every step succeeded.
///
/// # Errors
/// A step failed.
pub(crate) fn run(folder: &Path, with_hostapd: bool) -> Result<bool> {
    let mut journey = Journey::begin(folder, with_hostapd)?;
    journey.provision()?;
    journey.manage()?;
    journey.authenticate()?;
    let checks = journey.checks()?;
    print_table(&checks);
    Ok(checks.iter().all(|check| check.holds))
}

struct Journey {
    home: Home,
    hostapd: Option<Hostapd>,
    endpoint: String,
    eap: Option<String>,
    times: Vec<(&'static str, Duration)>,
}

/// A line of the table at the end.
struct Check {
    name: &'static str,
    found: String,
    holds: bool,
}

impl Journey {
    fn begin(folder: &Path, with_hostapd: bool) -> Result<Self> {
        let options = Options {
            gateway: gateway::Options {
                record: true,
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let begun = Instant::now();
        let home = Home::start(folder, options)?;
        let hostapd = with_hostapd
            .then(|| home.hostapd(hostapd::Options::default()))
            .transpose()?;
        let mut journey = Self {
            home,
            hostapd,
            endpoint: String::new(),
            eap: None,
            times: Vec::new(),
        };
        let authenticator = journey.authenticator();
        journey.passed(
            "start",
            begun,
            format_args!("keyd, the LwM2M servers, the AuC and {authenticator} are up"),
        );
        Ok(journey)
    }

    /// Enrolment, the sealed profile, and the bootstrap that brings it.
    fn provision(&mut self) -> Result<()> {
        let begun = Instant::now();
        let device = self.home.enrol()?;
        self.endpoint.clone_from(&device.endpoint);
        self.passed(
            "enrol",
            begun,
            format_args!(
                "device {}… made its keys in keyd and is certified",
                &device.endpoint[..16]
            ),
        );

        let begun = Instant::now();
        self.home.plan(&device)?;
        self.passed(
            "seal",
            begun,
            "the operator verified the sealing statement and sealed the profile",
        );

        let begun = Instant::now();
        self.home.start_netd()?;
        self.passed("netd", begun, "netd is confined and connected to keyd");

        let begun = Instant::now();
        let report = self.home.bootstrap()?;
        let got = report
            .package
            .ok_or(Error::Missing("a profile in the bootstrap"))?;
        self.passed(
            "bootstrap",
            begun,
            format_args!("over DTLS came a package, which keyd committed: {got}"),
        );
        Ok(())
    }

    /// The management server reads and observes the SIM.
    fn manage(&mut self) -> Result<()> {
        let begun = Instant::now();
        let registered = self.home.management_server().journal().wait_for(PATIENCE, |event| {
            matches!(event, ManagementEvent::Registered { endpoint, .. } if *endpoint == self.endpoint)
        });
        registered.ok_or(Error::Missing("a registration"))?;
        let path = |text| softsim_lwm2m::Path::parse(text).ok_or(Error::Missing("a path"));
        let iccid = self
            .home
            .read(&self.endpoint, path("/26241/0/1")?, ContentFormat::Text)?;
        if iccid.payload != self.home.subscription().profile.iccid.as_str().as_bytes() {
            return Err(Error::Missing("the profile's ICCID in the SIM object"));
        }
        self.home
            .observe(&self.endpoint, path("/26241/0/0")?, ContentFormat::Text)?;
        self.passed(
            "manage",
            begun,
            "registered; the server read the SIM's ICCID and observes its state",
        );
        Ok(())
    }

    /// EAP-AKA', each message as it passed.
    fn authenticate(&mut self) -> Result<()> {
        let begun = Instant::now();
        let server = self
            .hostapd
            .as_ref()
            .map_or(self.home.radius(), Hostapd::address);
        let (report, events) = self.home.eap_test_at(server)?;
        let msk = match report.msk {
            MskComparison::Equal => "keyd compared the server's MSK: equal",
            MskComparison::NotSent => return Err(Error::Missing("keys from the RADIUS server")),
        };
        let result = format!("Success with {}, {msk}", self.authenticator());
        self.passed("authenticate", begun, format_args!("EAP-AKA': {result}"));
        events.iter().for_each(print_message);
        self.eap = Some(result);
        Ok(())
    }

    fn authenticator(&self) -> &'static str {
        match self.hostapd {
            Some(_) => "hostapd",
            None => "the lab's EAP server",
        }
    }

    fn passed(&mut self, step: &'static str, begun: Instant, what: impl Display) {
        let time = begun.elapsed();
        println!("{:>9} {step:<13} {what}", milliseconds(time));
        self.times.push((step, time));
    }

    fn checks(&mut self) -> Result<Vec<Check>> {
        let keyd = self.home.gateway().status()?.enforcement;
        let netd = self.home.gateway().netd_status()?;
        let pid = self
            .home
            .gateway()
            .keyd()
            .ok_or(Error::Missing("keyd"))?
            .id();
        let times =
            (self.times.iter()).map(|(step, time)| format!("{step} {}", milliseconds(*time)));
        let confined = |abi: u8, calls: u16| abi > 0 && calls > 0;
        Ok(vec![
            Check {
                name: "keyd is confined",
                found: enforced(&keyd),
                holds: confined(keyd.landlock_abi, keyd.seccomp_calls.into())
                    && keyd.key_memory != KeyMemory::Plain,
            },
            Check {
                name: "netd is confined",
                found: format!(
                    "landlock ABI {}, seccomp {} calls",
                    netd.landlock_abi, netd.seccomp_calls
                ),
                holds: confined(netd.landlock_abi, netd.seccomp_calls),
            },
            Check {
                name: "EAP-AKA'",
                found: self.eap.clone().unwrap_or_else(|| "no success".into()),
                holds: self.eap.is_some(),
            },
            Check {
                name: "time",
                found: times.collect::<Vec<_>>().join(", "),
                holds: true,
            },
            memory_check(pid),
            self.traffic_check()?,
            self.log_check()?,
        ])
    }

    /// Checks that the recorded traffic between the daemons holds no key, but does hold what may
    /// pass, which shows that the search works.
    fn traffic_check(&mut self) -> Result<Check> {
        let messages = recorder::read(&self.home.gateway().folder().file("ipc.record"))?;
        let traffic: Vec<u8> = messages
            .into_iter()
            .flat_map(|message| message.octets)
            .collect();
        let subscription = self.home.subscription();
        let found = found_in(&traffic, &subscription.secrets());
        let seen = found_in(&traffic, &subscription.responses());
        Ok(Check {
            name: "daemon traffic",
            found: format!(
                "{} in {} octets between the daemons; RES, which may pass, was {}",
                absent(&found),
                traffic.len(),
                if seen.is_empty() {
                    "not found either"
                } else {
                    "found"
                },
            ),
            holds: found.is_empty() && !seen.is_empty(),
        })
    }

    fn log_check(&mut self) -> Result<Check> {
        let mut logs = Vec::new();
        for name in ["keyd.log", "netd.log"] {
            File::open(self.home.gateway().folder().file(name))?.read_to_end(&mut logs)?;
        }
        let found = found_in(&logs, &self.home.subscription().secrets());
        Ok(Check {
            name: "logs",
            found: format!(
                "{} in {} octets of both daemons' logs",
                absent(&found),
                logs.len()
            ),
            holds: found.is_empty() && !logs.is_empty(),
        })
    }
}

/// Tries to read keyd's memory as the user that it runs as.
fn memory_check(keyd: u32) -> Check {
    let name = "keyd's memory";
    // Reading our own memory in the same way succeeds, so it is keyd that refuses.
    let address = &raw const keyd as u64;
    if let Err(error) = read_memory("self", address) {
        let found = format!("not checked: our own can't be read either ({error})");
        return Check {
            name,
            found,
            holds: false,
        };
    }
    match read_memory(&keyd.to_string(), address) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check {
            name,
            found: format!("reading it as the same user is refused: {error}"),
            holds: true,
        },
        Err(error) => Check {
            name,
            found: format!("expected a refusal, got: {error}"),
            holds: false,
        },
        Ok(()) => Check {
            name,
            found: "can be read; run the demo as an ordinary user".into(),
            holds: false,
        },
    }
}

fn read_memory(process: &str, address: u64) -> io::Result<()> {
    let mut memory = File::open(format!("/proc/{process}/mem"))?;
    memory.seek(SeekFrom::Start(address))?;
    memory.read_exact(&mut [0])
}

fn absent(found: &[&str]) -> String {
    if found.is_empty() {
        "K, OPc, CK and IK are absent".into()
    } else {
        format!("FOUND: {}", found.join(", "))
    }
}

fn enforced(keyd: &Enforcement) -> String {
    format!(
        "landlock ABI {}, seccomp {} calls, key memory {}",
        keyd.landlock_abi, keyd.seccomp_calls, keyd.key_memory
    )
}

fn print_message(event: &Event) {
    if let Event::Message {
        direction, text, ..
    } = event
    {
        let arrow = match direction {
            Direction::Sent => "->",
            Direction::Received => "<-",
        };
        println!("{:>23} {arrow} {text}", "");
    }
}

fn print_table(checks: &[Check]) {
    println!();
    for Check { name, found, holds } in checks {
        println!("{} {name:<17} {found}", if *holds { "ok " } else { "NOT" });
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_our_own_memory_is_no_refusal() {
        assert!(!memory_check(std::process::id()).holds);
    }
}
