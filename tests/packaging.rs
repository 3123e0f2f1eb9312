//! What is packaged fits together: units, users, paths, presets, settings and images.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use softsim_client::paths::Sockets;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn read(path: &str) -> String {
    let path = packaging().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The units by name.
fn units() -> BTreeMap<String, String> {
    let entries = fs::read_dir(packaging().join("systemd")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The values of a setting in a unit, each word of its own.
fn values<'u>(unit: &'u str, setting: &str) -> Vec<&'u str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let found = lines.filter(|(name, _)| *name == setting);
    found
        .flat_map(|(_, value)| value.split_whitespace())
        .collect()
}

#[test]
fn each_socket_unit_listens_where_the_clients_look() {
    let own = Sockets::from_env();
    let expected = BTreeMap::from([
        ("softsim-keyd-admin.socket", own.admin),
        ("softsim-keyd-app.socket", own.app),
        ("softsim-keyd-network.socket", own.network),
        ("softsim-keyd-supplicant.socket", own.supplicant),
        ("softsim-netd.socket", own.netd),
    ]);
    let units = units();
    for (name, path) in expected {
        let unit = &units[name];
        let listens = ["ListenSequentialPacket", "ListenStream"].map(|kind| values(unit, kind));
        assert_eq!(listens.concat(), [path.to_str().unwrap()], "{name}");
    }
}

#[test]
fn the_packaged_settings_name_the_sockets_and_folders_of_the_units() {
    let settings: toml::Table = read("etc/softsim/netd.toml").parse().unwrap();
    let own = Sockets::from_env();
    let setting = |name: &str| settings[name].as_str().unwrap().to_owned();
    assert_eq!(Path::new(&setting("keyd_socket")), own.network);
    assert_eq!(Path::new(&setting("control_socket")), own.netd);
    let unit = &units()["softsim-netd.service"];
    let folder = format!("/var/lib/{}", values(unit, "StateDirectory").concat());
    assert_eq!(setting("state_dir"), folder);
}

#[test]
fn every_user_and_group_of_a_unit_is_created() {
    let created = read("systemd/sysusers.d/softsim.conf");
    let created: BTreeSet<_> = created
        .lines()
        .filter(|line| line.starts_with("u ") || line.starts_with("g "))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    for (name, unit) in units() {
        for setting in [
            "User",
            "Group",
            "SupplementaryGroups",
            "SocketUser",
            "SocketGroup",
        ] {
            for user in values(&unit, setting) {
                assert!(
                    user == "root" || created.contains(user),
                    "{name}: {setting}={user}"
                );
            }
        }
    }
}

#[test]
fn the_settings_of_keyd_name_users_and_groups_that_are_created() {
    let created = read("systemd/sysusers.d/softsim.conf");
    for line in read("etc/softsim/keyd.conf").lines() {
        let Some((flag, name)) = line.split_once(' ').filter(|_| line.starts_with("--")) else {
            continue;
        };
        let kind = match flag.rsplit_once('-').unwrap().1 {
            "user" => "u ",
            "group" => "g ",
            other => panic!("{flag}: {other}"),
        };
        let is_it =
            |line: &str| line.starts_with(kind) && line.split_whitespace().nth(1) == Some(name);
        assert!(created.lines().any(is_it), "{line}");
    }
}

#[test]
fn the_preset_decides_about_every_unit_that_can_be_enabled() {
    let preset = read("systemd/system-preset/90-softsim.preset");
    let patterns: Vec<_> = preset
        .lines()
        .filter_map(|line| {
            line.strip_prefix("enable ")
                .or(line.strip_prefix("disable "))
        })
        .collect();
    let matches = |pattern: &str, name: &str| match pattern.split_once('*') {
        Some((before, after)) => {
            let rest = name.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(after))
        }
        None => pattern == name,
    };
    for (name, unit) in units() {
        let decided = patterns.iter().any(|pattern| matches(pattern, &name));
        assert_eq!(decided, unit.contains("[Install]"), "{name}");
    }
}

/// Each unit starts a program that the installation script installs, and waits for units of ours
/// that exist.
#[test]
fn units_name_programs_and_units_that_are_installed() {
    let script = read("install.sh");
    let units = units();
    for (name, unit) in &units {
        for word in values(unit, "ExecStart") {
            if let Some(program) = word
                .strip_prefix("/usr/sbin/")
                .or(word.strip_prefix("/usr/bin/"))
            {
                assert!(script.contains(&format!("bin/{program}")), "{name}: {word}");
            }
        }
        for setting in [
            "Requires", "Wants", "After", "Before", "Service", "BindsTo", "Also",
        ] {
            for other in values(unit, setting) {
                let ours = other.starts_with("softsim-") && !other.contains('%');
                assert!(
                    !ours || units.contains_key(other),
                    "{name}: {setting}={other}"
                );
            }
        }
    }
}

#[test]
fn the_packages_hold_everything_that_is_installed() {
    let lists =
        ["keyd", "netd", "tools"].map(|name| read(&format!("debian/softsim-{name}.install")));
    let lists = lists.concat();
    let covers = |path: &str| {
        lists.lines().any(|line| {
            let pattern = line.split(' ').next().unwrap();
            match pattern.split_once('*') {
                Some((before, after)) => {
                    path.starts_with(before)
                        && path.ends_with(after)
                        && path.len() >= pattern.len() - 1
                }
                None => path == pattern || path.starts_with(&format!("{pattern}/")),
            }
        })
    };
    for name in units().keys() {
        assert!(covers(&format!("lib/systemd/system/{name}")), "{name}");
    }
    for entry in fs::read_dir(packaging().join("etc/softsim")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(covers(&format!("etc/softsim/{name}")), "{name}");
        assert!(
            read("install.sh").contains(&format!("softsim/{name}")),
            "{name}"
        );
    }
}

#[test]
fn images_run_as_the_users_that_the_settings_name() {
    let user = |image: &str| {
        let file = read(&format!("oci/Containerfile.{image}"));
        let line = file.lines().find_map(|line| line.strip_prefix("USER "));
        let (uid, gid) = line.unwrap().split_once(':').unwrap();
        (uid.to_owned(), gid.to_owned())
    };
    let (keyd, netd) = (user("keyd"), user("netd"));
    assert_ne!(keyd.0, netd.0);
    assert_eq!(keyd.1, netd.1, "keyd's network socket is open to its group");
    let command = read("oci/Containerfile.keyd");
    assert!(command.contains(&format!("\"--network-user\", \"{}\"", netd.0)));
}
