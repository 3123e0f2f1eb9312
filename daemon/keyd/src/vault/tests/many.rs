//! Many profiles: they are found without a search, and the start reads only those that exist.

use std::cell::Cell;

use super::tables::{HEAP_PER_IDENTITIES, HEAP_PER_PROFILE, HEAP_PER_TOMBSTONE};
use super::*;

/// A profile of thousands.
fn nth(n: u32) -> Change {
    let mut k = [0xee; 16];
    k[..4].copy_from_slice(&n.to_be_bytes());
    Change::Install {
        profile: Profile {
            iccid: Iccid::new(&format!("89882110000001{n:05}")).unwrap(),
            credentials: milenage(k),
            ..profile(1)
        },
        issuer: ISSUER,
        sequence: u64::from(n) + 1,
        enabled: n == 7,
    }
}

fn with_capacity(capacity: u32) -> (Disk, Vault) {
    let mut disk = Disk::default();
    format(&mut disk, &kek(), (capacity, 0)).unwrap();
    disk.take_log();
    let vault = Vault::open(disk.clone(), &kek()).unwrap();
    (disk, vault)
}

/// Counts reads, and the octets of them.
struct Counted(Disk, Rc<Cell<(usize, usize)>>);

impl Storage for Counted {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (reads, octets) = self.1.get();
        self.1.set((reads + 1, octets + buffer.len()));
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(octets, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn each_of_many_is_found_by_its_iccid_also_after_a_restart() {
    const COUNT: u32 = 100;
    let (disk, mut vault) = with_capacity(1000);
    for n in 0..COUNT {
        commit(&mut vault, vec![nth(n)]).unwrap();
    }
    for n in (0..COUNT).step_by(3) {
        let slot = vault.find(&format!("89882110000001{n:05}")).unwrap();
        commit(&mut vault, vec![Change::Delete(slot)]).unwrap();
    }
    let reopened = open_image(&disk.image()).unwrap();
    for vault in [&vault, &reopened] {
        for n in 0..COUNT {
            let iccid = format!("89882110000001{n:05}");
            let found = vault.find(&iccid).and_then(|slot| vault.profile(slot));
            let found = found.map(|stored| stored.profile.iccid.as_str());
            assert_eq!(found, (n % 3 != 0).then_some(iccid.as_str()));
        }
        assert_eq!(vault.installed(), 66);
        let enabled = vault.profile(vault.enabled().unwrap()).unwrap();
        assert_eq!(enabled.profile.iccid.as_str(), "8988211000000100007");
        let (from, _) = vault.profiles().nth(40).unwrap();
        assert_eq!(vault.profiles_from(from.number()).count(), 26);
        assert_eq!(vault.profiles_from(u32::MAX).count(), 0);
    }
    assert_eq!(contents(&reopened), contents(&vault));
}

#[test]
fn iccids_whose_keys_in_the_index_are_equal_are_told_apart() {
    // Apart by 2^64, and one with a zero before it.
    let twins = [
        "10000000000000000000",
        "28446744073709551616",
        "010000000000000000",
        "10000000000000000",
    ];
    let (_, mut vault) = with_capacity(8);
    for (iccid, n) in twins.into_iter().take(3).zip(1..) {
        let Change::Install { profile: of, .. } = nth(n) else {
            unreachable!()
        };
        let profile = Profile {
            iccid: Iccid::new(iccid).unwrap(),
            ..of
        };
        let change = Change::Install {
            profile,
            issuer: ISSUER,
            sequence: n.into(),
            enabled: false,
        };
        commit(&mut vault, vec![change]).unwrap();
    }
    for iccid in &twins[..3] {
        let slot = vault.find(iccid).unwrap();
        assert_eq!(vault.profile(slot).unwrap().profile.iccid.as_str(), *iccid);
    }
    assert_eq!(vault.find(twins[3]), None);
}

#[test]
fn a_start_reads_what_is_there_and_not_what_there_is_room_for() {
    let read = |capacity, count| {
        let (disk, mut vault) = with_capacity(capacity);
        for n in 0..count {
            commit(&mut vault, vec![nth(n)]).unwrap();
        }
        let counts = Rc::default();
        Vault::open(Counted(disk, Rc::clone(&counts)), &kek()).unwrap();
        counts.get()
    };
    assert_eq!(read(16, 1), read(MAX_CAPACITY, 1));
    let (reads, octets) = read(1000, 64);
    assert!(
        reads < 50 && octets < 330_000,
        "{reads} reads, {octets} octets"
    );
}

#[test]
fn a_profile_in_memory_takes_half_a_kilobyte() {
    let size = size_of::<StoredProfile>();
    assert!(size <= 512, "{size} octets");
    assert!(size + 150 < HEAP_PER_PROFILE);
    let tombstone = size_of::<StoredTombstone>();
    assert!(tombstone + 90 < HEAP_PER_TOMBSTONE, "{tombstone} octets");
    let identities = size_of::<Identities>() + 3 * Name::MAX + Root::MAX_NETWORK_NAME;
    assert!(
        identities + 190 < HEAP_PER_IDENTITIES,
        "{identities} octets"
    );
}

#[test]
fn an_authentication_writes_its_sequence_record_and_nothing_else() {
    let (disk, mut vault) = with_capacity(16);
    commit(&mut vault, vec![nth(7)]).unwrap();
    disk.take_log();
    let slot = vault.enabled().unwrap();
    offer(&mut vault, slot, 320).unwrap();
    vault.flush().unwrap();
    let log = disk.take_log();
    let [Operation::Write(_, written), Operation::Sync] = &log[..] else {
        panic!("{} operations", log.len())
    };
    assert_eq!(written.len(), Table::SEQUENCE.record_length());
}

#[test]
fn a_transaction_that_enables_more_profiles_than_the_journal_has_room_for_is_refused() {
    let (_, mut vault) = with_capacity(64);
    for n in 100..130 {
        commit(&mut vault, vec![nth(n)]).unwrap();
    }
    let enable = |vault: &Vault, count| {
        let slots = vault.profiles().take(count);
        slots.map(|(slot, _)| Change::Enable(slot)).collect()
    };
    let (few, many) = (enable(&vault, MAX_CHANGES), enable(&vault, 30));
    let refused = commit(&mut vault, many).unwrap_err();
    assert!(
        matches!(
            refused,
            CommitError::Full {
                what: Room::Changes,
                ..
            }
        ),
        "{refused}"
    );
    commit(&mut vault, few).unwrap();
}
