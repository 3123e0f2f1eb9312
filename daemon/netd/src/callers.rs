//! Whom the control socket serves.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::AsFd;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use softsim_sandbox::passwd::{self, NameError};
use softsim_sandbox::peer::{MAX_GROUPS, Membership, Overflow, Peer};
use softsim_sandbox::process;

use crate::checks::{Finding, Kind};
use crate::config::Config;

/// A user or a group as the configuration names it: by name or number. It is looked up only at the
/// start, since a confined netd can't read /etc/passwd.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;

        impl Visitor<'_> for NameOrNumber {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a number")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Name, E> {
                Ok(Name(number.to_string()))
            }
        }

        deserializer.deserialize_any(NameOrNumber)
    }
}

/// The users and groups that the control socket serves, besides root and netd's own user.
#[derive(Debug)]
pub(crate) struct Callers {
    users: Vec<u32>,
    groups: Vec<u32>,
    overflow: Overflow,
}

impl Callers {
    /// Looks the users and groups of a configuration up, and says which aren't there.
    pub(crate) fn of(config: &Config) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut numbers = |field: &str, names: &[Name], look_up: LookUp| {
            let number = |Name(name): &Name| {
                let place = || config.section.place(field);
                let found = look_up(name.as_ref());
                let found = found.map_err(|error| {
                    let problem = error.to_string();
                    findings.push(Finding::error(Kind::Configuration, place(), problem));
                });
                found.ok()
            };
            names.iter().filter_map(number).collect()
        };
        let callers = Self {
            users: numbers("control_users", &config.control_users, passwd::user),
            groups: numbers("control_groups", &config.control_groups, passwd::group),
            overflow: Overflow::of_this_system(),
        };
        (callers, findings)
    }

    /// Why a peer, that of `socket`, isn't served, if so.
    pub(crate) fn refusal(&self, peer: Peer, socket: &impl AsFd) -> Option<String> {
        let uid = peer.uid;
        if uid == 0 || uid == process::uid() {
            return None;
        }
        if uid == self.overflow.uid {
            return Some(format!(
                "expected a user that softsim-netd can tell from others, got uid {uid}, which stands for all that \
                 have no number there: the likely cause is PrivateUsers=yes in its unit"
            ));
        }
        if self.users.contains(&uid) {
            return None;
        }
        let why = match peer.is_in(&self.groups, socket) {
            Membership::Member => return None,
            Membership::Stranger => String::new(),
            Membership::TooManyGroups => {
                format!(", who is in more than {MAX_GROUPS} groups, so that none of them counts")
            }
        };
        Some(format!(
            "expected root, netd's user, one of control_users or a member of one of control_groups, got uid {uid}{why}"
        ))
    }
}

/// Looks a name up.
type LookUp = fn(&OsStr) -> Result<u32, NameError>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn users_and_members_of_groups_are_served_and_others_learn_why_not() {
        let callers = Callers {
            users: vec![4242],
            groups: vec![7],
            overflow: Overflow {
                uid: 65534,
                gid: 65534,
            },
        };
        let (socket, _other) = UnixStream::pair().unwrap();
        let refusal = |uid, gid| callers.refusal(Peer { uid, gid }, &socket);
        for (uid, gid) in [(0, 9), (process::uid(), 9), (4242, 9), (4243, 7)] {
            assert_eq!(refusal(uid, gid), None, "{uid} {gid}");
        }
        let stranger = refusal(4243, 9).unwrap();
        assert!(stranger.ends_with("one of control_groups, got uid 4243"));
        let hidden = refusal(65534, 7).unwrap();
        assert!(hidden.contains("PrivateUsers=yes"), "{hidden}");
    }
}
