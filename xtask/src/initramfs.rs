//! An initramfs: files as the kernel unpacks them, in the cpio format "newc".

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::{fs, io};

use cpio::newc::{Builder, trailer};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

const INFALLIBLE: &str = "a vector takes every octet";

/// The archive so far.
#[derive(Default)]
pub(crate) struct Archive {
    octets: Vec<u8>,
    directories: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// A directory with those above it; the path starts at the root.
    pub(crate) fn directory(&mut self, path: &str) {
        let path = path.trim_start_matches('/');
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let directory = &path[..end];
            if !directory.is_empty() && self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY, (0, 0), b"");
            }
        }
    }

    /// A file that everybody may read and execute.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) {
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.directory(directory);
        }
        self.entry(path.trim_start_matches('/'), PROGRAM, (0, 0), content);
    }

    /// A copy of a file of this machine.
    pub(crate) fn copy(&mut self, from: &Path, to: &str) -> io::Result<()> {
        self.file(to, &fs::read(from)?);
        Ok(())
    }

    /// The console, which the kernel opens for the first process before that could make it.
    pub(crate) fn console(&mut self) {
        self.directory("dev");
        self.entry("dev/console", DEVICE, (5, 1), b"");
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        trailer(self.octets).expect(INFALLIBLE)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let mut entry = Builder::new(name)
            .ino(self.entries)
            .mode(mode)
            .rdev_major(device.0)
            .rdev_minor(device.1)
            .write(&mut self.octets, content.len() as u32);
        entry.write_all(content).expect(INFALLIBLE);
        entry.finish().expect(INFALLIBLE);
    }
}
