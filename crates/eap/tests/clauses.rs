//! Checks that the code and tests exist that docs/eap-clauses.md names.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the document's tables: clause, requirement, code, tests.
fn rows() -> Vec<[String; 4]> {
    let text = fs::read_to_string(root().join("docs/eap-clauses.md")).unwrap();
    let cells = text.lines().filter_map(|line| {
        let inside = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<_> = inside
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        Some(<[String; 4]>::try_from(cells).unwrap())
    });
    cells
        .filter(|[clause, ..]| clause.starts_with(|first: char| first.is_ascii_digit()))
        .collect()
}

/// The texts between backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of all test functions.
fn tests() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for folder in [
        "crates/eap",
        "crates/eap-types",
        "crates/eap-packet",
        "crates/aka",
        "crates/usim",
        "daemon/keyd",
    ] {
        sources(&root().join(folder), &mut texts);
    }
    let mut tests = BTreeSet::new();
    for text in &texts {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            marked |= line == "#[test]";
            if let Some(rest) = line.strip_prefix("fn ").filter(|_| marked) {
                tests.insert(rest.split(['(', '<']).next().unwrap().to_owned());
                marked = false;
            }
        }
    }
    tests
}

#[test]
fn every_test_that_the_table_names_exists() {
    let tests = tests();
    for [clause, requirement, _, named] in rows() {
        let named = names(&named);
        assert!(!named.is_empty(), "{clause} {requirement}: no test");
        for name in named {
            assert!(
                tests.contains(name),
                "{clause} {requirement}: no test {name}"
            );
        }
    }
}

#[test]
fn every_module_that_the_table_names_exists() {
    for [clause, requirement, code, _] in rows() {
        let named = names(&code);
        assert!(!named.is_empty(), "{clause} {requirement}: no code");
        for name in named {
            let (package, module) = name.split_once('/').unwrap_or((name, "lib"));
            let folder = match package {
                "keyd" => root().join("daemon/keyd/src"),
                package => root().join("crates").join(package).join("src"),
            };
            let module = folder.join(module);
            assert!(
                module.is_dir() || module.with_extension("rs").is_file(),
                "{clause} {requirement}: no module {name}"
            );
        }
    }
}

#[test]
fn every_rfc_has_its_rows() {
    assert!(rows().len() > 70, "{} rows", rows().len());
}
