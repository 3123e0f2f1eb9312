//! A medium that writes only some octets at a time, or fails.

use std::cell::Cell;

use super::*;

/// What goes wrong, and at which operation.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Write(io::ErrorKind),
    NothingWritten,
    Sync,
}

/// A medium that takes at most `chunk` octets at once, and fails when it is told to.
struct Faulty {
    disk: Disk,
    chunk: usize,
    faults: Faults,
}

/// What goes wrong from which operation on, counted from when it was set.
#[derive(Clone, Default)]
struct Faults(Rc<Cell<Option<(usize, Fault)>>>);

impl Faults {
    fn begin_after(&self, operations: usize, fault: Fault) {
        self.0.set(Some((operations, fault)));
    }

    fn end(&self) {
        self.0.set(None);
    }

    fn due(&self) -> Option<Fault> {
        let (left, fault) = self.0.get()?;
        self.0.set(Some((left.saturating_sub(1), fault)));
        (left == 0).then_some(fault)
    }
}

impl Storage for Faulty {
    fn length(&self) -> io::Result<u64> {
        self.disk.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        match self.faults.due() {
            Some(Fault::Write(kind)) => Err(kind.into()),
            Some(Fault::NothingWritten) => Ok(0),
            _ => self
                .disk
                .write_at(&octets[..octets.len().min(self.chunk)], offset),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.faults.due() {
            Some(Fault::Sync) => Err(io::Error::other("fdatasync")),
            _ => self.disk.sync(),
        }
    }
}

fn faulty_vault(chunk: usize) -> (Disk, Faults, Vault) {
    let (disk, mut vault) = new_vault();
    commit(&mut vault, vec![install(1, 1)]).unwrap();
    let faults = Faults::default();
    let medium = Faulty {
        disk: disk.clone(),
        chunk,
        faults: faults.clone(),
    };
    (disk, faults, Vault::open(medium, &kek()).unwrap())
}

fn kind_of(error: CommitError) -> io::ErrorKind {
    match error {
        CommitError::Storage(error) => error.kind(),
        other => panic!("{other}"),
    }
}

#[test]
fn short_writes_are_continued() {
    for chunk in [1, 7, 511] {
        let (disk, _, mut vault) = faulty_vault(chunk);
        vault.commit(vec![install(2, 2)]).unwrap();
        assert_eq!(open_image(&disk.image()).unwrap().profiles().count(), 2);
    }
}

#[test]
fn an_interrupted_write_is_repeated() {
    struct Interrupted(Disk, bool);

    impl Storage for Interrupted {
        fn length(&self) -> io::Result<u64> {
            self.0.length()
        }

        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_exact_at(buffer, offset)
        }

        fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.0.write_at(octets, offset)
        }

        fn sync(&mut self) -> io::Result<()> {
            self.0.sync()
        }
    }

    let (disk, _) = new_vault();
    let mut vault = Vault::open(Interrupted(disk.clone(), false), &kek()).unwrap();
    vault.commit(vec![install(1, 1)]).unwrap();
    assert_eq!(open_image(&disk.image()).unwrap().profiles().count(), 1);
}

#[test]
fn a_failure_is_final_for_this_process_and_leaves_an_old_or_a_new_state() {
    // Journal, sync, ledger, profile, tombstone, sync: the last write is the fifth operation.
    for (fault, kind, operations) in [
        (
            Fault::Write(io::ErrorKind::StorageFull),
            io::ErrorKind::StorageFull,
            5,
        ),
        (Fault::NothingWritten, io::ErrorKind::WriteZero, 5),
        (Fault::Sync, io::ErrorKind::Other, 6),
    ] {
        for at in 0..operations {
            let (disk, faults, mut vault) = faulty_vault(usize::MAX);
            let one = vault.find(&iccid(1)).unwrap();
            let before = contents(&open_image(&disk.image()).unwrap());
            faults.begin_after(at, fault);
            let changes = vec![Change::Delete(one), install(2, 2)];
            let refused = vault.commit(changes).unwrap_err();
            assert_eq!(kind_of(refused), kind, "{fault:?} at {at}");

            faults.end();
            let image = disk.image();
            let later = vault.commit(vec![install(3, 3)]).unwrap_err();
            assert_eq!(kind_of(later), io::ErrorKind::Other);
            assert_eq!(disk.image(), image, "nothing is written after a failure");

            let restarted = open_image(&image).unwrap();
            if contents(&restarted) != before {
                assert!(restarted.find(&iccid(2)).is_some() && restarted.find(&iccid(1)).is_none());
            }
        }
    }
}

#[test]
fn a_failed_flush_is_reported_and_final() {
    for fault in [Fault::Sync, Fault::Write(io::ErrorKind::PermissionDenied)] {
        let (_, faults, mut vault) = faulty_vault(usize::MAX);
        let one = vault.find(&iccid(1)).unwrap();
        assert!(vault.change_sqn(one, |_| ()).is_some());
        faults.begin_after(0, fault);
        assert!(matches!(vault.flush(), Err(CommitError::Storage(_))));
        faults.end();
        assert!(vault.change_sqn(one, |_| ()).is_some());
        assert!(matches!(vault.flush(), Err(CommitError::Storage(_))));
        assert!(matches!(
            vault.set_certificate(&[1]),
            Err(CommitError::Storage(_))
        ));
    }
}
