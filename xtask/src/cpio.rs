//! An initramfs: files in the cpio format that the kernel unpacks ("newc").

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

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

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.octets
    }

    /// Thirteen numbers of eight hexadecimal digits, the name, the content; both padded to words.
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let length = content.len() as u32;
        let numbers = [
            self.entries,          // inode
            mode,                  //
            0,                     // user
            0,                     // group
            1,                     // links
            0,                     // time
            length,                //
            0,                     // device that the file is on
            0,                     //
            device.0,              // device that the file is
            device.1,              //
            name.len() as u32 + 1, // with its NUL
            0,                     // no checksum
        ];
        let mut header = "070701".to_owned();
        for number in numbers {
            let _ = write!(header, "{number:08x}");
        }
        self.octets.extend(header.as_bytes());
        self.octets.extend(name.as_bytes());
        self.octets.push(0);
        self.pad();
        self.octets.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}
