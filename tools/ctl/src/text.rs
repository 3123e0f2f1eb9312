//! Formats the reports of netd for people.

use softsim_client::netd::{
    Access, AccessState, Authentication, Direction, Event, Happening, Management, MskComparison,
    Report, What,
};
use softsim_client::time::utc;

/// An event in lines.
pub(crate) fn event(event: &Event) -> Vec<String> {
    match event {
        Event::Step { microseconds, text } => {
            vec![format!("{}   {text}", milliseconds(*microseconds))]
        }
        Event::Message {
            microseconds,
            direction,
            text,
            remark,
            access,
        } => {
            let message = message(*direction, text, remark.as_deref());
            let access = access.as_ref().map(|name| format!("{name} "));
            let (at, access) = (milliseconds(*microseconds), access.unwrap_or_default());
            vec![format!("{at} {access}{message}")]
        }
        Event::Access {
            microseconds,
            access,
        } => vec![format!(
            "{} {}",
            milliseconds(*microseconds),
            self::access(access)
        )],
        Event::Happened(happening) => vec![self::happening(happening)],
        Event::Done { report } => summary(report),
        // It goes to standard error, as every failure.
        Event::Failed { .. } => Vec::new(),
    }
}

/// What an event says happened, without its time; none at the end of a command.
pub(crate) fn what_happened(event: &Event) -> Option<String> {
    match event {
        Event::Step { text, .. } => Some(text.clone()),
        Event::Message {
            direction,
            text,
            remark,
            ..
        } => {
            let text = remarked(text, remark.as_deref());
            Some(match direction {
                Direction::Sent => format!("sent: {text}"),
                Direction::Received => format!("received: {text}"),
            })
        }
        Event::Access { access, .. } => Some(self::access(access)),
        Event::Happened(_) | Event::Done { .. } | Event::Failed { .. } => None,
    }
}

/// A message in a line.
fn message(direction: Direction, text: &str, remark: Option<&str>) -> String {
    let arrow = match direction {
        Direction::Sent => "->",
        Direction::Received => "<-",
    };
    format!("{arrow} {}", remarked(text, remark))
}

fn remarked(text: &str, remark: Option<&str>) -> String {
    match remark {
        Some(remark) => format!("{text} ({remark})"),
        None => text.into(),
    }
}

/// Something that happened, in a line with its time.
fn happening(happening: &Happening) -> String {
    let because = |reason: &Option<String>| {
        let reason = reason.as_ref().map(|reason| format!(": {reason}"));
        reason.unwrap_or_default()
    };
    let what = match &happening.what {
        What::Access { access } => format!("access {}", self::access(access)),
        What::Message {
            access,
            direction,
            text,
            remark,
        } => format!(
            "access {access} {}",
            message(*direction, text, remark.as_deref())
        ),
        What::Keyd { lost: None } => "softsim-keyd serves".into(),
        What::Keyd { lost } => format!("softsim-keyd is lost{}", because(lost)),
        What::Management { management } => self::management(management),
        What::Accounts { transaction, fault } => match transaction {
            Some(transaction) => format!("accounts of transaction {transaction}{}", because(fault)),
            None => format!("no accounts{}", because(fault)),
        },
        What::Reload { fault: None } => "the configuration was read again".into(),
        What::Reload { fault } => format!("the configuration in force stays{}", because(fault)),
        What::Missed { events } => format!("{events} events were missed"),
    };
    format!("{} {what}", utc(happening.time / 1000))
}

fn milliseconds(microseconds: u64) -> String {
    format!("{:>8}.{:03} ms", microseconds / 1000, microseconds % 1000)
}

fn summary(report: &Report) -> Vec<String> {
    match report {
        Report::Status(status) => vec![management(&status.management)],
        Report::Bootstrap(bootstrap) => vec![format!(
            "bootstrapped: {}; {}",
            bootstrap.package.as_deref().unwrap_or("no package"),
            management(&bootstrap.management)
        )],
        Report::Access(accesses) => table(&accesses.accesses),
        Report::EapTest(test) => {
            let msk = match test.msk {
                MskComparison::Equal => "the MSK equals the server's MS-MPPE keys",
                MskComparison::NotSent => "the server sent no MS-MPPE keys",
            };
            let synchronised = match test.synchronised {
                true => ", SQN synchronised",
                false => "",
            };
            vec![format!(
                "EAP-Success with {} as {}{synchronised}; {msk}; {}",
                agreed(&test.authentication),
                test.identity,
                milliseconds(test.microseconds).trim_start()
            )]
        }
    }
}

/// The state of management, in words.
pub(crate) fn management(management: &Management) -> String {
    match management {
        Management::NotBootstrapped { reason: None } => "not bootstrapped".into(),
        Management::NotBootstrapped {
            reason: Some(reason),
        } => format!("not bootstrapped: {reason}"),
        Management::Bootstrapping => "bootstrapping".into(),
        Management::Unregistered { reason: None } => "not registered".into(),
        Management::Unregistered {
            reason: Some(reason),
        } => format!("not registered: {reason}"),
        Management::Registered { server, location } => {
            format!("registered with {server} as {location}")
        }
    }
}

/// The agreed method and properties, in words.
fn agreed(authentication: &Authentication) -> String {
    let mut text = authentication.method.clone();
    if authentication.reauthenticated {
        text.push_str(", fast re-authentication");
    }
    if authentication.forward_secrecy {
        text.push_str(", forward secrecy");
    }
    text
}

/// One access in a line.
pub(crate) fn access(access: &Access) -> String {
    let mut text = format!("{} {}", access.name, access.state);
    if let Some(port) = access.port {
        text.push_str(&format!(", port {port}"));
    }
    if let Some(server) = &access.server {
        text.push_str(&format!(", server {server}"));
    }
    if let (AccessState::Authorised, Some(authentication)) = (&access.state, &access.authentication)
    {
        text.push_str(&format!(
            ": {}, shown first: {}",
            agreed(authentication),
            authentication.identity
        ));
    }
    text
}

/// All accesses, with their counters.
fn table(accesses: &[Access]) -> Vec<String> {
    match accesses {
        [] => vec!["no accesses: the configuration of softsim-netd has no [[access]]".into()],
        accesses => accesses.iter().flat_map(rows).collect(),
    }
}

fn rows(access: &Access) -> [String; 3] {
    let counters = &access.counters;
    let next = match access.next_seconds {
        Some(seconds) => format!(", next attempt in {seconds} s"),
        None => String::new(),
    };
    let renamed = match &access.renamed {
        Some(before) => format!(" (called {before} when netd started)"),
        None => String::new(),
    };
    [
        self::access(access),
        format!(
            "    {} at {}{renamed}, for {} s{next}",
            access.carrier, access.at, access.seconds
        ),
        format!(
            "    {} attempts, {} successes ({} fast re-authentications), {} failures",
            counters.attempts, counters.successes, counters.reauthentications, counters.failures,
        ),
    ]
}
