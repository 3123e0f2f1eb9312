//! A vault's file in memory, and a gateway whose vault begins as the same image each time.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::OnceLock;

use softsim_keyd::vault::Storage;
use softsim_profile::{Command, Iccid};
use softsim_testkit::device::{Device, other_profile, profile};

/// A medium without a disk; a copy of it is the same medium.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Rc<RefCell<Vec<u8>>>);

impl Memory {
    pub(crate) fn new(octets: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(octets)))
    }

    pub(crate) fn image(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }

    fn range(&self, length: usize, offset: u64) -> io::Result<Range<usize>> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(length);
        let end = end.filter(|end| *end <= self.0.borrow().len());
        Ok(start..end.ok_or(io::ErrorKind::UnexpectedEof)?)
    }
}

impl Storage for Memory {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.borrow().len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        buffer.copy_from_slice(&self.0.borrow()[self.range(buffer.len(), offset)?]);
        Ok(())
    }

    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + octets.len();
        let mut medium = self.0.borrow_mut();
        if medium.len() < end {
            medium.resize(end, 0);
        }
        medium[start..end].copy_from_slice(octets);
        Ok(octets.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A place in the file, and a length, as an edit names them.
fn span(edit: &[u8], length: usize) -> (usize, usize) {
    let place = u32::from_be_bytes([0, edit[0], edit[1], edit[2]]) as usize % length;
    let count = usize::from(edit[3]) * 8 + 1;
    (place, count.min(length - place))
}

/// The file with everything done to it that the input says, eight octets an edit.
pub(crate) fn edited(mut image: Vec<u8>, input: &[u8]) -> Vec<u8> {
    for edit in input.chunks_exact(8) {
        if image.is_empty() {
            break;
        }
        let (to, count) = span(&edit[1..5], image.len());
        match edit[0] % 4 {
            0 => image[to] ^= edit[5],
            1 => image[to..to + count].fill(edit[5]),
            2 => {
                let (from, _) = span(&edit[4..8], image.len());
                let count = count.min(image.len() - from);
                image.copy_within(from..from + count, to);
            }
            _ => image.truncate(to),
        }
    }
    image
}

/// A gateway with one profile, and packages that an operator sealed for it.
#[derive(Debug)]
pub(crate) struct Provisioned {
    /// Its vault.
    pub(crate) image: Vec<u8>,
    /// One for the installed profile, one for another, and commands.
    pub(crate) packages: Vec<Vec<u8>>,
}

/// The same gateway for each run: made once, as it takes keys and signatures.
pub(crate) fn provisioned() -> &'static Provisioned {
    static PROVISIONED: OnceLock<Provisioned> = OnceLock::new();
    PROVISIONED.get_or_init(|| {
        let (mut device, operator) = Device::provisioned();
        let iccid = Iccid::new(softsim_testkit::device::ICCID).unwrap();
        let packages = vec![
            operator.seal(&mut device, profile(softsim_testkit::device::ICCID), 2),
            operator.seal(&mut device, other_profile("8988211000000000029"), 3),
            operator.order(&mut device, Command::Disable(iccid), 4),
            operator.order(&mut device, Command::RotateSealingKey, 5),
            operator.order(&mut device, Command::Enable(iccid), 6),
            operator.order(&mut device, Command::Delete(iccid), 7),
        ];
        let image = std::fs::read(device.directory.path().join("vault")).unwrap();
        Provisioned { image, packages }
    })
}
