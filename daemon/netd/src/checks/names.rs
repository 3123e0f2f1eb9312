//! The check of the name servers, which hosts with a name need.

use std::fs;

use super::{Finding, Kind};
use crate::config::Config;
use crate::fields::Section;
use crate::uri::Server;

/// The resolver's configuration (resolv.conf(5)).
const FILE: &str = "/etc/resolv.conf";

/// Warns once if a server has a name, and there is no name server now. One may come later, with
/// DHCP behind an access.
pub(super) fn check(config: &Config) -> Option<Finding> {
    let text = fs::read_to_string(FILE).unwrap_or_default();
    let (section, field, host) = named_hosts(config).next()?;
    if has_name_server(&text) {
        return None;
    }
    let problem = format!("expected a name server in {FILE} for {host}, got none");
    let finding = Finding::warning(Kind::System, section.place(field), problem);
    Some(finding.advise(
        "softsim-netd looks again whenever it needs the address; until then only /etc/hosts has names",
    ))
}

/// The hosts that have a name instead of an address.
fn named_hosts(config: &Config) -> impl Iterator<Item = (&Section, &'static str, &str)> {
    let bootstrap = config.bootstrap.iter();
    let bootstrap = bootstrap.map(|bootstrap| (&bootstrap.section, "uri", &bootstrap.server));
    let accesses = config.accesses.iter();
    let radius = accesses.flat_map(|access| {
        let servers = access.servers().iter();
        servers.map(|(server, _)| (&access.section, "servers", server))
    });
    let has_name = |(section, field, server): &(&Section, &str, &Server)| {
        section.has(field) && !server.is_address()
    };
    let hosts = bootstrap.chain(radius).filter(has_name);
    hosts.map(|(section, field, server)| (section, field, &*server.host))
}

fn has_name_server(resolv_conf: &str) -> bool {
    resolv_conf.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver") && words.next().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_that_names_a_server_counts() {
        for (text, expected) in [
            ("", false),
            ("# nameserver 192.0.2.1\nsearch example\n", false),
            ("nameserver\n", false),
            ("options edns0\nnameserver 192.0.2.1\n", true),
            ("nameserver\t2001:db8::1", true),
        ] {
            assert_eq!(has_name_server(text), expected, "{text}");
        }
    }
}
