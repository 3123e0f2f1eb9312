//! The file under the vault, with anything done to it: octets changed, blocks copied over others,
//! the end cut off.
//!
//! Whatever opens holds in each record a version that was written to it: nothing unauthenticated is
//! taken, and nothing of another place. A record that only transactions write holds its last
//! version. Where another doesn't, that was noticed: its other copy is bad, or versions are
//! missing.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use softsim_keyd::vault::file::{
    Copies, FIRST, Kek, Kind, Other, Record, RecordFile, Records, Table, fill,
};

use crate::memory::{Memory, edited};

const TABLES: &[Table] = &[
    Table::of(&Kind::new(3, "One", 256, Records::One)),
    Table::of(&Kind::new(4, "Many", 512, Records::Capacity).in_turn()),
];

const CAPACITY: u32 = 5;

/// A file, and all versions of its records.
struct Written {
    image: Vec<u8>,
    versions: BTreeMap<(Table, u32), Vec<u8>>,
    sum: u64,
}

fn record(table: Table, index: u32, version: u8) -> Record {
    Record {
        table,
        index,
        contents: vec![version; 3].into(),
    }
}

/// The same file for each run.
fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let kek = Kek::development();
        let memory = Memory::new(Vec::new());
        let [one, many] = [TABLES[0], TABLES[1]];
        let first = [(FIRST, record(one, 0, 1)), (FIRST, record(many, 0, 1))];
        fill(&mut memory.clone(), &kek, (TABLES, CAPACITY), 0, first).unwrap();
        let mut file = RecordFile::open(memory.clone(), &kek, TABLES, |_, _, _| Ok(())).unwrap();
        file.extend(&[(many, CAPACITY, vec![1; 3].into())]).unwrap();
        let mut versions = BTreeMap::new();
        let places = (0..CAPACITY).map(|index| (many, index));
        for (table, index) in places.chain([(one, 0)]) {
            versions.insert((table, index), vec![1]);
        }
        for version in 2..7 {
            let all = versions
                .keys()
                .map(|(table, index)| record(*table, *index, version));
            let all: Vec<_> = all.collect();
            file.commit(&all).unwrap();
            let in_turn = all.into_iter().filter(|of| of.table == many);
            let in_turn: Vec<_> = in_turn.take(2).collect();
            file.write(&in_turn).unwrap();
            versions.values_mut().for_each(|of| of.push(version));
        }
        Written {
            image: memory.image(),
            versions,
            sum: file.versions(),
        }
    })
}

/// Edits the file as the input says, eight octets an edit, and opens it.
pub fn run(input: &[u8]) {
    let Written {
        image,
        versions,
        sum,
    } = written();
    let image = edited(image.clone(), input);
    let mut older = false;
    let opened = RecordFile::open(
        Memory::new(image),
        &Kek::development(),
        TABLES,
        |place, contents, other| {
            let of = &versions[&(place.table, place.index)];
            assert!(of.contains(&contents[0]), "{place}");
            assert_eq!(contents[1..3], [contents[0]; 2], "{place}");
            assert!(contents[3..].iter().all(|octet| *octet == 0), "{place}");
            let is_newest = contents[0] == of[of.len() - 1];
            assert!(
                is_newest || place.table.copies() == Copies::InTurn,
                "{place}"
            );
            older |= !is_newest && other == Other::Sound;
            Ok(())
        },
    );
    if let Ok(file) = opened {
        assert!(!older || file.versions() < *sum);
    }
}
