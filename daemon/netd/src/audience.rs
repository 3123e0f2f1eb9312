//! Who is at the other end of a connection, and what observers don't get to see.
//!
//! Observers get states, names and numbers. What names the device or the subscriber, or is in words
//! that a network, a server or the key process may have chosen, is withheld from them: the endpoint
//! name, which may be the device id; the path of a registration, which may hold it; reasons, which
//! may name a profile or quote a server; the words and values in a message; and session ids.

use std::fmt;

use softsim_client::netd::{
    Access, AccessState, Accesses, Command, Event, Failure, Happening, Management, Report, Status,
    What,
};

use crate::progress::Fault;

/// In place of a text that observers don't get to see.
const WITHHELD: &str = "withheld from observers";

/// Whom a socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The control socket: those who may give orders.
    Administrators,
    /// The monitor socket: those who may look.
    Observers,
}

/// The name of the socket.
impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Administrators => "control",
            Self::Observers => "monitor",
        })
    }
}

impl Audience {
    /// Refuses observers a command that orders something.
    pub(crate) fn admit(self, command: Command) -> Result<Command, Fault> {
        if self == Self::Administrators || command.only_looks() {
            return Ok(command);
        }
        Err(not_for_observers())
    }

    /// The event as the audience gets to see it.
    pub(crate) fn shown(self, event: Event) -> Event {
        match self {
            Self::Administrators => event,
            Self::Observers => observed(event),
        }
    }
}

fn not_for_observers() -> Fault {
    let reason = "expected status, access-status, access-watch or events on the monitor socket, \
                  got an order, which the control socket takes";
    Fault::new(Failure::Refused, reason)
}

fn observed(event: Event) -> Event {
    match event {
        Event::Message {
            microseconds,
            direction,
            text,
            remark: _,
            access,
        } => Event::Message {
            microseconds,
            direction,
            text: names(text),
            remark: None,
            access,
        },
        Event::Access {
            microseconds,
            access,
        } => Event::Access {
            microseconds,
            access: self::access(access),
        },
        Event::Happened(happening) => Event::Happened(Happening {
            what: what(happening.what),
            ..happening
        }),
        Event::Done { report } => match report {
            Report::Status(status) => done(Report::Status(self::status(status))),
            Report::Access(Accesses { accesses }) => done(Report::Access(Accesses {
                accesses: accesses.into_iter().map(access).collect(),
            })),
            Report::Bootstrap(_) | Report::EapTest(_) => failed(not_for_observers()),
        },
        Event::Step { .. } => failed(not_for_observers()),
        // It is about the command itself.
        Event::Failed { .. } => event,
    }
}

fn done(report: Report) -> Event {
    Event::Done { report }
}

fn failed(Fault { failure, reason }: Fault) -> Event {
    Event::Failed { failure, reason }
}

fn what(what: What) -> What {
    match what {
        What::Access { access } => What::Access {
            access: self::access(access),
        },
        What::Message {
            access,
            direction,
            text,
            remark: _,
        } => What::Message {
            access,
            direction,
            text: names(text),
            remark: None,
        },
        What::Keyd { lost } => What::Keyd {
            lost: withheld(lost),
        },
        What::Management { management } => What::Management {
            management: self::management(management),
        },
        What::Accounts { transaction, fault } => What::Accounts {
            transaction,
            fault: withheld(fault),
        },
        What::Reload { fault } => What::Reload {
            fault: withheld(fault),
        },
        What::Missed { .. } => what,
    }
}

fn status(status: Status) -> Status {
    Status {
        release: status.release,
        uptime: status.uptime,
        endpoint: withheld(status.endpoint),
        landlock_abi: status.landlock_abi,
        seccomp_calls: status.seccomp_calls,
        keyd_lost: withheld(status.keyd_lost),
        accounts: status.accounts,
        accounts_fault: withheld(status.accounts_fault),
        management: management(status.management),
        accesses: status.accesses.into_iter().map(access).collect(),
    }
}

fn access(mut access: Access) -> Access {
    access.state = match access.state {
        AccessState::Idle { .. } => AccessState::Idle {
            reason: WITHHELD.into(),
        },
        AccessState::Held { .. } => AccessState::Held {
            reason: WITHHELD.into(),
        },
        state @ (AccessState::Identity | AccessState::Challenge | AccessState::Authorised) => state,
    };
    if let Some(authentication) = &mut access.authentication {
        authentication.session_id = WITHHELD.into();
    }
    access
}

fn management(management: Management) -> Management {
    match management {
        Management::NotBootstrapped { reason } => Management::NotBootstrapped {
            reason: withheld(reason),
        },
        Management::Unregistered { reason } => Management::Unregistered {
            reason: withheld(reason),
        },
        Management::Registered {
            server,
            location: _,
        } => Management::Registered {
            server,
            location: WITHHELD.into(),
        },
        Management::Bootstrapping => Management::Bootstrapping,
    }
}

/// The names in a message up to the first value, behind which a network may have put anything.
fn names(mut text: String) -> String {
    text.truncate(text.find('=').unwrap_or(text.len()));
    text
}

/// That there is a text, but not which.
fn withheld(text: Option<String>) -> Option<String> {
    text.map(|_| WITHHELD.into())
}

#[cfg(test)]
mod tests;
