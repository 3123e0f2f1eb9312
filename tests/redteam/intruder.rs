//! Runs `crates/sandbox/examples/intruder`, and searches its output.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fmt};

use crate::search::{Hits, Search};

/// The result of one attack.
#[derive(Default)]
pub(crate) struct Report {
    /// The number of octets read.
    pub(crate) octets: usize,
    pub(crate) hits: Hits,
    /// The places where secrets were found: mappings, or the numbers of register stops.
    pub(crate) places: BTreeSet<String>,
    /// The ranges that could not be read, with their error numbers.
    pub(crate) refused: Vec<(i32, String)>,
}

/// The path of the intruder, if `cargo test` has built it.
pub(crate) fn program() -> Option<PathBuf> {
    let test = env::current_exe().unwrap();
    let built = test.ancestors().nth(2)?.join("examples/intruder");
    built.is_file().then_some(built)
}

/// Runs the intruder, and searches its output for secrets.
pub(crate) fn attack(arguments: &[&str], search: &Search) -> Report {
    let mut command = Command::new(program().unwrap());
    command.args(arguments).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut loot = BufReader::new(child.stdout.take().unwrap());
    let mut report = Report::default();
    let mut line = String::new();
    while loot.read_line(&mut line).unwrap() > 0 {
        let (verb, rest) = line.trim_end().split_once(' ').unwrap();
        let (number, what) = rest.split_once(' ').unwrap();
        match verb {
            "got" => {
                let mut octets = vec![0; number.parse().unwrap()];
                loot.read_exact(&mut octets).unwrap();
                report.add(&octets, what, search);
            }
            "refused" => {
                let refused = (number.parse().unwrap(), what.to_owned());
                report.refused.push(refused);
            }
            other => panic!("expected got or refused, got {other}"),
        }
        line.clear();
    }
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    report
}

impl Report {
    /// Searches the octets from one place.
    pub(crate) fn add(&mut self, octets: &[u8], place: &str, search: &Search) {
        let hits = search.find(octets);
        self.octets += octets.len();
        if !hits.is_empty() {
            let place = place.split(' ').next().unwrap_or(place);
            self.places.insert(place.to_owned());
            self.hits.add(&hits);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (octets, places) = (self.octets, self.places.len());
        write!(f, "{octets} octets read, hits: {}", self.hits)?;
        if places > 0 {
            write!(f, " (in {places} places)")?;
        }
        if !self.refused.is_empty() {
            write!(f, "; {} refused", self.refused.len())?;
        }
        Ok(())
    }
}
