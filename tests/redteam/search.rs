//! The search for secrets in the captured octets.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use softsim_lab_harness::subscription::Secret;

/// The length in octets of the pieces that are searched for: half of a 128-bit key. A longer secret
/// has several pieces.
const PIECE: usize = 8;

const PAGE: usize = 4096;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// Searches for each piece of each secret, with its octets in either order and in hexadecimal.
pub(crate) struct Search {
    patterns: HashMap<[u8; PIECE], Vec<Pattern>>,
    /// Whether a pattern begins with these three octets. With this table, the search skips most
    /// places after one look-up.
    beginnings: Vec<bool>,
}

struct Pattern {
    name: &'static str,
    octets: Vec<u8>,
}

/// The secrets that were found, and how often a piece of each was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits(BTreeMap<&'static str, usize>);

impl Search {
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let mut patterns = HashMap::<_, Vec<_>>::new();
        let mut beginnings = vec![false; 1 << 24];
        for Secret { name, octets } in secrets {
            for piece in octets.chunks_exact(PIECE) {
                let backwards = piece.iter().rev().copied().collect();
                let hex = hex::encode(piece).into_bytes();
                for octets in [piece.to_vec(), backwards, hex] {
                    let head = *octets.first_chunk().unwrap();
                    beginnings[beginning(head)] = true;
                    patterns
                        .entry(head)
                        .or_default()
                        .push(Pattern { name, octets });
                }
            }
        }
        Self {
            patterns,
            beginnings,
        }
    }

    pub(crate) fn find(&self, octets: &[u8]) -> Hits {
        let mut hits = Hits::default();
        for (page, start) in octets.chunks(PAGE).zip((0..).step_by(PAGE)) {
            // Many mapped pages were never used.
            if page == &ZEROS[..page.len()] {
                continue;
            }
            // A pattern that begins in this page may end in the next one.
            let end = octets.len().min(start + PAGE + PIECE - 1);
            for (place, head) in octets[start..end].array_windows().enumerate() {
                if self.beginnings[beginning(*head)] {
                    self.count(head, &octets[start + place..], &mut hits);
                }
            }
        }
        hits
    }

    fn count(&self, head: &[u8; PIECE], octets: &[u8], hits: &mut Hits) {
        for pattern in self.patterns.get(head).into_iter().flatten() {
            if octets.starts_with(&pattern.octets) {
                *hits.0.entry(pattern.name).or_default() += 1;
            }
        }
    }
}

fn beginning([first, second, third, ..]: [u8; PIECE]) -> usize {
    usize::from(first) << 16 | usize::from(second) << 8 | usize::from(third)
}

impl Hits {
    pub(crate) fn add(&mut self, others: &Self) {
        for (name, count) in &others.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of these secrets was found.
    pub(crate) fn all_of(&self, secrets: &[Secret]) -> bool {
        secrets
            .iter()
            .all(|secret| self.0.contains_key(secret.name))
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let counted = self.0.iter().map(|(name, count)| format!("{name} {count}"));
        f.write_str(&counted.collect::<Vec<_>>().join(", "))
    }
}

#[test]
fn half_a_secret_is_found_in_either_order_of_octets_and_in_hexadecimal() {
    let octets: Vec<u8> = (1..=16).collect();
    let name = "K";
    let search = Search::new(&[Secret {
        name,
        octets: octets.clone().into(),
    }]);
    let backwards: Vec<u8> = (9..=16).rev().collect();
    for hidden in [&octets[8..], &backwards, b"0102030405060708"] {
        let around = [b"...", hidden, b"..."].concat();
        assert_eq!(search.find(&around).to_string(), "K 1");
    }
    assert!(search.find(&octets[1..8]).is_empty());
    assert!(search.find(b"").is_empty());
    assert_eq!(search.find(&octets).to_string(), "K 2");
}

#[test]
fn a_secret_across_two_pages_is_found_once() {
    let octets = b"a secret".to_vec();
    let name = "K";
    let search = Search::new(&[Secret {
        name,
        octets: octets.clone().into(),
    }]);
    for start in PAGE - 8..=PAGE {
        let mut memory = vec![0; 2 * PAGE];
        memory[start..start + 8].copy_from_slice(&octets);
        assert_eq!(search.find(&memory).to_string(), "K 1", "{start}");
    }
}
