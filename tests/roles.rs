//! Compares the role files with the requests that the client of each role makes. They may not
//! permit more, because an attacker who takes over a client may make the same requests, and not
//! less.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use softsim_client::proto::{RequestKind, Role};
use softsim_keyd::roles::COMPILED;

/// The source files of each role's client.
fn client_of(role: Role) -> &'static str {
    match role {
        Role::Network => "daemon/netd/src",
        Role::Admin => "tools/ctl/src",
        Role::App => "examples",
        Role::Supplicant => "daemon/bridge/src",
    }
}

#[test]
fn a_role_may_ask_what_its_client_asks_and_nothing_else() {
    let sdk = sources("client-sdk/src/keyd");
    let of_sdk = functions_that_ask(&sdk);
    assert!(of_sdk["connect"].contains("Hello"), "{of_sdk:?}");
    assert!(of_sdk["over"].contains("Hello"), "{of_sdk:?}");
    for role in Role::ALL {
        let client = sources(client_of(role));
        let mut asked = requests_in(&client);
        for (function, requests) in &of_sdk {
            if client.contains(&format!("{function}(")) {
                asked.extend(requests.iter().copied());
            }
        }
        let groups = COMPILED[role].groups.iter();
        let permitted = groups
            .flat_map(|group| group.requests)
            .map(|request| request.name())
            .collect();
        assert_eq!(
            asked,
            permitted,
            "{role}, whose client is {}",
            client_of(role)
        );
    }
}

/// All source files below a path, or those of the module with this path, without their tests.
fn sources(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files = vec![path.with_extension("rs")];
    files.retain(|file| file.exists());
    files.extend(files_below(&path));
    let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
    files.iter().map(text).map(without_tests).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|of| of == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

/// Removes the tests, which are at the end of a file.
fn without_tests(source: String) -> String {
    let tests = source.find("#[cfg(test)]").unwrap_or(source.len());
    source[..tests].to_owned()
}

/// The requests whose types the source files name: `requests::{Status, …}` or `requests::Status`.
/// The compiler warns about an unused import, so each of them is used.
fn requests_in(sources: &str) -> BTreeSet<&'static str> {
    let mut named = BTreeSet::new();
    for (at, path) in sources.match_indices("requests::") {
        let rest = &sources[at + path.len()..];
        let list = match rest.strip_prefix('{') {
            Some(list) => &list[..list.find('}').unwrap()],
            None => rest.split(|c: char| !c.is_alphanumeric()).next().unwrap(),
        };
        assert!(
            !list.is_empty(),
            "requests:: names no request: {:.40}",
            rest
        );
        named.extend(list.split(',').filter_map(|name| request(name.trim())));
    }
    named
}

/// The functions in whose bodies a request is made, or such a function called, and which requests.
fn functions_that_ask(sources: &str) -> BTreeMap<&str, BTreeSet<&'static str>> {
    let mut found = functions_that_ask_themselves(sources);
    let own = found.clone();
    for (name, body) in functions(sources) {
        for (_, made) in own
            .iter()
            .filter(|(asks, _)| body.contains(&format!("Self::{asks}(")))
        {
            found.entry(name).or_default().extend(made);
        }
    }
    found
}

/// The name of each function, and what follows it.
fn functions(sources: &str) -> impl Iterator<Item = (&str, &str)> {
    let functions = sources.split("fn ").skip(1);
    functions.map(|function| (function.split(['(', '<']).next().unwrap(), function))
}

fn functions_that_ask_themselves(sources: &str) -> BTreeMap<&str, BTreeSet<&'static str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (name, function) in functions(sources) {
        let words = function.split_inclusive(|c: char| !c.is_alphanumeric());
        let made = words.filter_map(|word| request(word.strip_suffix(' ')?));
        let made: BTreeSet<_> = made
            .filter(|made| function.contains(&format!("&{made} {{")))
            .collect();
        if !made.is_empty() {
            found.entry(name).or_default().extend(made);
        }
    }
    found
}

fn request(name: &str) -> Option<&'static str> {
    let all = RequestKind::ALL.iter().map(|kind| kind.name());
    all.into_iter().find(|known| *known == name)
}
