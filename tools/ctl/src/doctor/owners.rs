//! The checks of users, groups, and who owns the files and sockets of the daemons.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::host::{Host, KEYD, NETD};
use crate::finding::Finding;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// keyd's state folder, unless its command line names another.
const STATE: &str = "/var/lib/softsim/keyd";

pub(super) fn users(host: &Host) -> Vec<Finding> {
    named(host, "users", PASSWD, &[KEYD, NETD])
}

pub(super) fn groups(host: &Host) -> Vec<Finding> {
    let groups = ["softsim-network", "softsim-admin", "softsim-app"];
    named(host, "groups", GROUP, &groups)
}

/// Whether a table has all these names.
fn named(host: &Host, name: &'static str, table: &str, expected: &[&str]) -> Vec<Finding> {
    let mut missing = Vec::new();
    for expected in expected {
        match host.number(table, expected) {
            Ok(Some(_)) => {}
            Ok(None) => missing.push(*expected),
            Err(error) => return vec![Finding::unexamined(name, format!("{table}: {error}"))],
        }
    }
    vec![match missing.is_empty() {
        true => Finding::fine(name, expected.join(", ")),
        false => Finding::amiss(
            name,
            format!("{table} has no {}", missing.join(", ")),
            "systemd-sysusers makes those of packaging/systemd/sysusers.d; adduser --system and addgroup --system do without it",
        ),
    }]
}

/// The wall between the two daemons needs two users.
pub(super) fn separation(host: &Host) -> Vec<Finding> {
    const NAME: &str = "separation";
    let (Some(keyd), Some(netd)) = (host.process(KEYD), host.process(NETD)) else {
        return Vec::new();
    };
    vec![match keyd.uid == netd.uid {
        true => Finding::amiss(
            NAME,
            format!("softsim-keyd and softsim-netd both run as uid {}", keyd.uid),
            "run each as a user of its own (User= in its unit), and name netd's by --network-user",
        ),
        false => Finding::fine(
            NAME,
            format!(
                "softsim-keyd is uid {}, softsim-netd uid {}",
                keyd.uid, netd.uid
            ),
        ),
    }]
}

/// A daemon in a user namespace of its own sees everybody else as uid 65534, and refuses them.
pub(super) fn user_namespaces(host: &Host) -> Vec<Finding> {
    const NAME: &str = "user namespaces";
    let own = host.read("/proc/self/uid_map").unwrap_or_default();
    let found = [KEYD, NETD].iter().filter_map(|daemon| {
        let process = host.process(daemon)?;
        Some(match host.read(format!("/proc/{}/uid_map", process.id)) {
            Ok(map) if map == own => {
                Finding::fine(NAME, format!("{daemon} sees users as they are"))
            }
            Ok(_) => Finding::wrong(
                NAME,
                format!("{daemon} sees other users as uid 65534, and refuses them"),
                format!("PrivateUsers=no in {daemon}'s unit"),
            ),
            Err(error) => Finding::unexamined(NAME, format!("{daemon}: {error}")),
        })
    });
    found.collect()
}

/// What may be wrong with a file's owner or mode.
struct Access<'a> {
    host: &'a Host,
    name: &'static str,
    path: PathBuf,
}

impl Access<'_> {
    /// Examines it, if it can be.
    fn examine(
        &self,
        judge: impl FnOnce(&fs::Metadata) -> Option<(String, String)>,
    ) -> Result<Finding, io::Error> {
        let found = fs::metadata(self.host.at(&self.path))?;
        let shown = format!(
            "{} is of uid {}, gid {}, mode {:04o}",
            self.path.display(),
            found.uid(),
            found.gid(),
            found.mode() & 0o7777
        );
        Ok(match judge(&found) {
            None => Finding::fine(self.name, shown),
            Some((expected, advice)) => {
                Finding::wrong(self.name, format!("{shown}: expected {expected}"), advice)
            }
        })
    }

    /// The finding if there is no such file, or none can be seen.
    fn failed(&self, error: &io::Error, missing: Finding) -> Finding {
        let path = self.path.display();
        match error.kind() {
            ErrorKind::NotFound => missing,
            _ => Finding::unexamined(self.name, format!("{path}: {error}")),
        }
    }
}

/// Only keyd may read its state folder, and only root may replace sockets and settings. netd's own
/// checks are about its folder.
pub(super) fn folders(host: &Host) -> Vec<Finding> {
    const NAME: &str = "folders";
    let state = flag(host, "--state").unwrap_or_else(|| STATE.into());
    let owner = match host.process(KEYD) {
        Some(process) => Some(process.uid),
        None => host.number(PASSWD, KEYD).ok().flatten(),
    };
    let at = |path: PathBuf| Access {
        host,
        name: NAME,
        path,
    };
    let state = at(state);
    let shown = state.path.display().to_string();
    let of_keyd = state.examine(|found| {
        if owner.is_some_and(|owner| owner != found.uid()) {
            let advice = format!("chown -R softsim-keyd {shown}");
            return Some(("softsim-keyd as its owner".into(), advice));
        }
        let open = found.mode() & 0o077 != 0;
        open.then(|| {
            (
                "that only its owner may use it".into(),
                format!("chmod 0700 {shown}"),
            )
        })
    });
    let missing = Finding::wrong(
        NAME,
        format!("{shown} is missing"),
        format!(
            "install -d -m 0700 -o softsim-keyd {shown}, or StateDirectory=softsim/keyd in the unit"
        ),
    );
    let of_keyd = of_keyd.unwrap_or_else(|error| state.failed(&error, missing));
    let sockets = host.sockets.admin.parent().map(Path::to_owned);
    let settings = host.config.parent().map(Path::to_owned);
    let shared = [sockets, settings].into_iter().flatten().map(|path| {
        let folder = at(path);
        let shown = folder.path.display().to_string();
        let judged = folder.examine(|found| {
            (found.mode() & 0o022 != 0).then(|| {
                let expected = "that only its owner may write to it";
                (expected.into(), format!("chmod go-w {shown}"))
            })
        });
        let missing = Finding::amiss(
            NAME,
            format!("{shown} is missing"),
            "systemd-tmpfiles --create makes the folders of packaging/systemd/tmpfiles.d",
        );
        judged.unwrap_or_else(|error| folder.failed(&error, missing))
    });
    [of_keyd].into_iter().chain(shared).collect()
}

/// Files that hold the vault's key.
pub(super) fn key_files(host: &Host) -> Vec<Finding> {
    const NAME: &str = "key file";
    let Some(path) = flag(host, "--kek-file") else {
        return Vec::new();
    };
    let file = Access {
        host,
        name: NAME,
        path,
    };
    let shown = file.path.display().to_string();
    let judged = file.examine(|found| {
        (found.mode() & 0o077 != 0).then(|| {
            let expected = "that only its owner may read it";
            (expected.into(), format!("chmod 0400 {shown}"))
        })
    });
    let missing = Finding::wrong(
        NAME,
        format!("{shown} is missing, and without it the vault can't be opened"),
        "restore it from the backup",
    );
    vec![judged.unwrap_or_else(|error| file.failed(&error, missing))]
}

/// The value of a flag of the running keyd.
fn flag(host: &Host, name: &str) -> Option<PathBuf> {
    let process = host.process(KEYD)?;
    let line = host.read(format!("/proc/{}/cmdline", process.id)).ok()?;
    let words: Vec<_> = line.split('\0').collect();
    let after = |index: usize| words.get(index + 1).copied();
    let value = words.iter().enumerate().find_map(|(index, word)| {
        let rest = word.strip_prefix(name)?;
        match rest {
            "" => after(index),
            rest => rest.strip_prefix('='),
        }
    });
    value.map(PathBuf::from)
}

/// Who may connect to each socket, as far as the file system says.
pub(super) fn sockets(host: &Host) -> Vec<Finding> {
    let sockets = &host.sockets;
    let optional = [&sockets.app, &sockets.netd_monitor];
    let optional = optional.into_iter().filter(|path| host.at(path).exists());
    let expected = [&sockets.network, &sockets.admin, &sockets.netd];
    expected
        .into_iter()
        .chain(optional)
        .map(|path| socket(host, path))
        .collect()
}

fn socket(host: &Host, path: &Path) -> Finding {
    const NAME: &str = "socket";
    let file = Access {
        host,
        name: NAME,
        path: path.to_owned(),
    };
    let shown = path.display().to_string();
    let of_netd = [&host.sockets.netd, &host.sockets.netd_monitor];
    let daemon = match of_netd.iter().any(|of_netd| *of_netd == path) {
        true => NETD,
        false => KEYD,
    };
    let judged = file.examine(|found| {
        (!found.file_type().is_socket()).then(|| {
            let advice = format!("rm {shown}, and start {daemon}");
            ("a socket".into(), advice)
        })
    });
    let missing = Finding::wrong(
        NAME,
        format!("{shown} is missing"),
        format!("start {daemon}, or its socket units (systemctl start '{daemon}*.socket')"),
    );
    judged.unwrap_or_else(|error| file.failed(&error, missing))
}
